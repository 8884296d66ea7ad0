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


def commands():
    """How each file of the programs and their tools is compiled.  A file in
    several programs is compiled in the same way for all: the first is enough.
    """
    found = {}
    for entry in json.loads((TREE / "compile_commands.json").read_text()):
        file = entry["file"]
        if "/contrib/" in file and file.endswith(".cc") \
                and not file.endswith(OF_TESTS):
            entry["command"] = GCC_ALONE.sub("", entry["command"])
            found.setdefault(file, entry)
    return found


@functools.cache
def content(path):
    return hashlib.sha256(path.read_bytes()).digest()


@functools.cache
def version():
    return subprocess.run(["clang-tidy", "--version"], check=True,
                          stdout=subprocess.PIPE).stdout


def included(entry):
    """All files that the compiler read for a file, as recorded by ninja"""
    lines = subprocess.run(
        ["ninja", "-t", "deps", entry["output"]], cwd=TREE, check=True,
        text=True, stdout=subprocess.PIPE).stdout.splitlines()[1:]
    return [TREE / line.strip() for line in lines if line.strip()]


def key(entry):
    """A key for all that a result depends on, independent of the build
    directory. None if ninja has not recorded what the compiler read."""
    files = included(entry)
    if not files:
        return None
    digest = hashlib.sha256(version() + content(CONFIG))
    text = " ".join([*OPTIONS, entry["command"]])
    digest.update(text.replace(str(harness.BUILD), "").encode())
    for file in files:
        digest.update(content(file))
    return digest.hexdigest()


def findings(entry, database):
    name = key(entry)
    clean = cache_dir("tidy") / name if name else None
    if clean and clean.exists():
        return ""
    result = subprocess.run(
        ["clang-tidy", "-p", database, *OPTIONS, f"--config-file={CONFIG}",
         entry["file"]],
        cwd=TREE, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode == 0:
        if clean:
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
