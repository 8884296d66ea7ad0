"""clang-tidy finds nothing in the programs of contrib/; .clang-tidy lists the
checks.

Tests are not checked, because clang-tidy needs minutes for the macros of
GoogleTest.  A file in which nothing was found is checked again only if it or
something else that the result depends on has changed."""
# SPDX-License-Identifier: GPL-2.0-or-later

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import unittest
import unittest.mock

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
from common import cache_dir  # noqa: E402 pylint: disable=wrong-import-position

TREE = harness.BUILD / "qemu"
CONFIG = harness.TOP / ".clang-tidy"
OF_TESTS = "_test.cc", "/conformance.cc"
# The options are GCC's: Clang does not know all of them.
OPTIONS = ["--quiet", "--extra-arg=-Wno-unknown-warning-option"]
# Options of GCC that QEMU adds, and that Clang refuses
GCC_ALONE = re.compile(r" -f(trivial-auto-var-init|zero-call-used-regs)=\S+")


def sources(file):
    """The files that are compiled as one, as contrib/*/meson.build has it, or
    the file itself"""
    text = (TREE / file).read_text(encoding="utf-8")
    names = re.findall(r'^#include "(.*\.cc)"$', text, re.M)
    top = harness.BUILD / "qemu-tree/src" / pathlib.Path(file).parent
    return [(top / name).resolve() for name in names] or \
        [(TREE / file).resolve()]


def commands():
    """How each file of the programs and their tools is compiled.  A file in
    several programs is compiled in the same way for all: the first is enough.
    """
    found = {}
    for entry in json.loads((TREE / "compile_commands.json").read_text()):
        if not entry["output"].startswith("contrib/") \
                or not entry["file"].endswith(".cc"):
            continue
        command = GCC_ALONE.sub("", entry["command"])
        compiled = f" -c {entry['file']}"
        assert command.endswith(compiled), command
        for file in map(str, sources(entry["file"])):
            if not file.endswith(OF_TESTS):
                found.setdefault(file, {
                    **entry, "file": file,
                    "command": f"{command.removesuffix(compiled)} -c {file}"})
    return found


@functools.cache
def content(path):
    return hashlib.sha256(path.read_bytes()).digest()


@functools.cache
def version():
    return subprocess.run(["clang-tidy", "--version"], check=True,
                          stdout=subprocess.PIPE).stdout


def included(entry):
    """All files that the compiler reads for a file"""
    words = shlex.split(entry["command"])
    for option in "-MD", "-c":
        words.remove(option)
    for option in "-MF", "-MQ", "-o":
        del words[words.index(option):words.index(option) + 2]
    rule = subprocess.run([*words, "-M"], cwd=TREE, check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return [TREE / name
            for name in rule.partition(":")[2].replace("\\\n", " ").split()]


def key(entry):
    """A key for all that a result depends on, independent of the build
    directory"""
    digest = hashlib.sha256(version() + content(CONFIG))
    text = " ".join([*OPTIONS, entry["command"]])
    digest.update(text.replace(str(harness.BUILD), "").encode())
    for file in included(entry):
        digest.update(content(file))
    return digest.hexdigest()


def findings(entry, database):
    clean = cache_dir("tidy") / key(entry)
    if clean.exists():
        return ""
    result = subprocess.run(
        ["clang-tidy", "-p", database, *OPTIONS, f"--config-file={CONFIG}",
         entry["file"]],
        cwd=TREE, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode == 0:
        clean.touch()
        return ""
    return result.stdout


@unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
class Tidy(harness.Case):
    def setUp(self):
        super().setUp()
        self.commands = commands()
        self.file("compile_commands.json",
                  json.dumps([*self.commands.values()]).encode())

    def check(self, directory, wanted):
        entries = {file: entry for file, entry in self.commands.items()
                   if f"/contrib/{directory}/" in file}
        self.assertIn(wanted, {pathlib.Path(file).name for file in entries})
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, found in zip(entries, pool.map(
                    lambda entry: findings(entry, self.dir),
                    entries.values())):
                with self.subTest(file):
                    self.assertEqual(found, "")

    def test_nitro_common(self):
        self.check("nitro-common", "landlock.cc")

    def test_vhost_user_vsock(self):
        self.check("vhost-user-vsock", "main.cc")

    def test_qemu_nitro_cli(self):
        self.check("qemu-nitro-cli", "main.cc")

    def test_result_is_looked_up(self):
        """A changed file is checked again, and an unchanged one is not."""
        entry = next(iter(self.commands.values()))
        first = key(entry)
        self.assertEqual(first, key(entry))
        self.assertNotEqual(first, key(
            {**entry, "command": entry["command"] + " -DOTHER"}))
        other = next(e for file, e in self.commands.items()
                     if file.endswith("qemu-nitro-cli/main.cc"))
        self.assertNotEqual(first, key(other))
        header, old = included(entry)[-1], content
        with unittest.mock.patch.dict(
                globals(),
                content=lambda path: b"" if path == header else old(path)):
            self.assertNotEqual(first, key(entry))


if __name__ == "__main__":
    harness.main()
