"""Trees of a Debian release, made by mmdebstrap, in which scripts run.

mmdebstrap mounts what programs want, /proc, /sys and /dev, and removes the tree
at the end.  It works as root, and as another user on hosts with user namespaces,
if that user has subordinate IDs in /etc/subuid and /etc/subgid.

The suite's index and the names of packages determine a tree.  So the user's
cache keeps it until the index changes.  Each script gets a copy of its own.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import archive
from common import cache_dir, fail, lock, say

# Debian's releases that packages are made for
RELEASES = {"bookworm": "12", "trixie": "13"}
LINES_SHOWN = 30

# Another user than root is root in a user namespace, in which the subordinate IDs
# are the other users.
AS_ROOT = [] if os.geteuid() == 0 else \
    ["unshare", "--map-root-user", "--map-auto", "--mount"]

# Of the host that unpacks the tree, not of the one that made it
NOT_KEPT = ("./dev/*", "./etc/resolv.conf", "./etc/hostname")


def host_suite():
    """The release of this host, if it is one that packages are made for"""
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)', text, re.M))
    for suite, number in RELEASES.items():
        if (fields.get("ID"), fields.get("VERSION_ID")) == ("debian", number):
            return suite
    return None


def apt_options():
    """What the host has to know to reach its archive, such as a proxy"""
    dump = subprocess.run(["apt-config", "dump"], check=True, text=True,
                          capture_output=True).stdout
    return [f"--aptopt={line}" for line in dump.splitlines()
            if re.match(r"Acquire::(http|https)::\S+ \"..*\";", line)]


def mmdebstrap(*arguments, sources=None, log=None, epoch=0):
    """Run it; returns its output.  If it fails, the end of that is shown."""
    # The tree's own files are as any user may have them, whatever the umask.
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        env.pop(name, None)
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        result = subprocess.run([*AS_ROOT, "mmdebstrap", "--mode=root",
                                 *map(str, arguments)], check=False,
                                text=True, env=env, input=sources,
                                stdout=output,
                                stderr=subprocess.STDOUT, umask=0o022)
        output.seek(0)
        text = output.read()
    if log:
        pathlib.Path(log).write_text(text, encoding="utf-8")
    if result.returncode:
        say("\n".join(text.splitlines()[-LINES_SHOWN:]))
        fail("a tree of Debian cannot be made, or a script in it failed:"
             f" mmdebstrap ended with status {result.returncode}")
    return text


def kept(suite, packages):
    """A tarball of a tree with these packages; it has the package lists."""
    for name in ("mmdebstrap", "zstd"):
        if not shutil.which(name):
            fail(f"{name} is not installed; install the Debian package {name}")
    index = archive.index_digest(suite)
    wanted = "\n".join([archive.stanza("deb", suite), *sorted(packages)])
    directory = cache_dir("trees")
    current = f"{suite}-{index[:16]}-"
    target = directory / (current + hashlib.sha256(wanted.encode())
                       .hexdigest()[:16] + ".tar.zst")
    # Each tree has a lock of its own: making one with many packages takes long.
    with lock(directory / f"{target.name}.lock"):
        if target.exists():
            return target
        for old in directory.glob(f"{suite}-*.tar.zst"):
            if not old.name.startswith(current):
                old.unlink()
        say(f"making a tree of Debian's {suite}, once")
        # Until it is complete, it has no name that is looked for.
        part = directory / f"part-{target.name}"
        mmdebstrap("--variant=apt", "--skip=cleanup/apt/lists",
                   *apt_options(),
                   *([f"--include={','.join(packages)}"] if packages else []),
                   suite, part, "-", sources=archive.stanza("deb", suite))
        part.rename(target)
    return target


def make(suite, target, packages=(), hooks=(), log=None, epoch=0):
    """Unpack a tree of `suite` with `packages`, run `hooks`, which get the
    tree's path as their argument, and write the tree to `target`.  Returns
    all output."""
    exclude = shlex.join(f"--exclude={pattern}" for pattern in NOT_KEPT)
    unpack = (f"tar --zstd -x -p {exclude} -C \"$1\""
              f" -f {shlex.quote(str(kept(suite, packages)))}")
    return mmdebstrap("--variant=custom", "--skip=update", *apt_options(),
                      f"--setup-hook={unpack}",
                      *(f"--customize-hook={hook}" for hook in hooks),
                      suite, target, "-", log=log, epoch=epoch,
                      sources=archive.stanza("deb", suite))


def run_in(suite, script, packages=(), files=None, results=None, mounts=None,
           log=None, env=None):
    """Run the shell script `script` in the tree's /work, as root.

    `files` are copied there first.  `results` are copied back at the end:
    {directory of the host: patterns of names in /work}.  `mounts` are bind
    mounts: {directory of the host: path in the tree}.  Returns all output.
    """
    say(f"a tree of Debian's {suite}" + (f", log in {log}" if log else ""))
    variables = {"HOME": "/root", "LC_ALL": "C.UTF-8",
                 "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}
    words = [f"{name}={value}" for name, value in variables.items()]
    lines = ["#!/bin/sh", "set -eu", "tree=$1", "mkdir -p $tree/work"]
    for path in files or ():
        lines.append(f"cp -r {shlex.quote(str(path))} $tree/work/")
    unmount = []
    for directory, place in (mounts or {}).items():
        lines += [f"mkdir -p $tree{place}",
                  f"mount --bind {shlex.quote(str(directory))} $tree{place}"]
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
        for directory, patterns in (results or {}).items():
            lines.append(f"cd $tree/work && cp {' '.join(patterns)}"
                         f" {shlex.quote(str(directory))}/")
        hook.write_text("\n".join(lines) + "\n", encoding="utf-8")
        hook.chmod(0o755)
        return make(suite, "/dev/null", packages, [hook], log)
