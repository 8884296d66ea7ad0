"""A fresh tree of a Debian release, made by mmdebstrap, in which a script runs.

mmdebstrap mounts what programs want, /proc, /sys and /dev, and removes the tree
at the end.  It works as root, and as another user on hosts with user namespaces.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import re
import shlex
import subprocess
import tempfile

import archive
from common import fail, say

# Debian's releases that packages are made for
RELEASES = {"bookworm": "12", "trixie": "13"}
LINES_SHOWN = 30


def apt_options():
    """What the host has to know to reach its archive, such as a proxy"""
    dump = subprocess.run(["apt-config", "dump"], check=True, text=True,
                          capture_output=True).stdout
    return [f"--aptopt={line}" for line in dump.splitlines()
            if re.match(r"Acquire::(http|https)::\S+ \"..*\";", line)]


def make(suite, target, packages=(), hooks=(), log=None, variant="apt",
         epoch=0):
    """Make a tree of `suite` with `packages`, run `hooks`, which get the
    tree's path as their argument, and write the tree to `target`."""
    # The tree's own files are as any user may have them, whatever the umask.
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        env.pop(name, None)
    command = ["mmdebstrap", f"--variant={variant}", *apt_options(),
               *([f"--include={','.join(packages)}"] if packages else []),
               *(f"--customize-hook={hook}" for hook in hooks),
               suite, str(target), "-"]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        result = subprocess.run(command, check=False, text=True, env=env,
                                input=archive.stanza("deb", suite),
                                stdout=output, stderr=subprocess.STDOUT,
                                umask=0o022)
        output.seek(0)
        text = output.read()
    if log:
        pathlib.Path(log).write_text(text, encoding="utf-8")
    if result.returncode:
        say("\n".join(text.splitlines()[-LINES_SHOWN:]))
        fail(f"the tree of Debian's {suite} cannot be made, or a script in it"
             f" failed: mmdebstrap ended with status {result.returncode}")
    return text


def run_in(suite, script, packages=(), files=None, results=None, mounts=None,
           log=None, env=None):
    """Run the shell script `script` in the tree's /work, as root.

    `files` are copied there first, and what matches the patterns `results`
    comes back from there into the folder that is their key; `mounts` are
    folders of the host, {folder: place in the tree}.  Returns all output.
    """
    say(f"a tree of Debian's {suite}" + (f", log in {log}" if log else ""))
    variables = {"HOME": "/root", "LC_ALL": "C.UTF-8",
                 "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}
    words = [f"{name}={value}" for name, value in variables.items()]
    lines = ["#!/bin/sh", "set -eu", "tree=$1", "mkdir -p $tree/work"]
    for path in files or ():
        lines.append(f"cp -r {shlex.quote(str(path))} $tree/work/")
    unmount = []
    for folder, place in (mounts or {}).items():
        lines += [f"mkdir -p $tree{place}",
                  f"mount --bind {shlex.quote(str(folder))} $tree{place}"]
        unmount.append(f"umount $tree{place};")
    if unmount:
        lines.append(f"trap '{' '.join(unmount)}' EXIT")
    with tempfile.TemporaryDirectory(prefix="tree-") as work:
        os.chmod(work, 0o755)
        hook = pathlib.Path(work) / "hook"
        inner = pathlib.Path(work) / "script"
        inner.write_text(script, encoding="utf-8")
        lines += [f"cp {inner} $tree/work/script",
                  f"chroot $tree env -i {shlex.join(words)}"
                  " sh -c 'cd /work && exec sh -eu ./script'"]
        for folder, patterns in (results or {}).items():
            lines.append(f"cd $tree/work && cp {' '.join(patterns)}"
                         f" {shlex.quote(str(folder))}/")
        hook.write_text("\n".join(lines) + "\n", encoding="utf-8")
        hook.chmod(0o755)
        return make(suite, "/dev/null", packages, [hook], log)
