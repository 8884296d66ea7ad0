"""clang-tidy finds nothing in the programs of contrib/; .clang-tidy says what it
looks for.  Their tests are left out: it takes minutes for what GoogleTest makes
of them."""
# SPDX-License-Identifier: GPL-2.0-or-later

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import unittest

import harness

TREE = harness.BUILD / "qemu"
OF_TESTS = "_test.cc", "/conformance.cc"
# Options of GCC's that QEMU adds, and that Clang refuses
GCC_ALONE = re.compile(r" -f(trivial-auto-var-init|zero-call-used-regs)=\S+")


def sources(program):
    """What a program is built from, and its tools"""
    commands = json.loads((TREE / "compile_commands.json").read_text())
    files = {command["file"] for command in commands}
    return sorted(file for file in files
                  if f"contrib/{program}/" in file and file.endswith(".cc")
                  and not file.endswith(OF_TESTS))


def findings(file, commands):
    # The options are GCC's: Clang does not know all of them.
    result = subprocess.run(
        ["clang-tidy", "-p", commands, "--quiet",
         "--extra-arg=-Wno-unknown-warning-option",
         f"--config-file={harness.TOP}/.clang-tidy", file],
        cwd=TREE, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return "" if result.returncode == 0 else result.stdout


@unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
class Tidy(harness.Case):
    def setUp(self):
        super().setUp()
        text = (TREE / "compile_commands.json").read_text()
        self.file("compile_commands.json",
                  GCC_ALONE.sub("", text).encode())

    def check(self, program):
        files = sources(program)
        self.assertTrue(any(file.endswith("/main.cc") for file in files))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, found in zip(files, pool.map(
                    lambda file: findings(file, self.dir), files)):
                with self.subTest(file):
                    self.assertEqual(found, "")

    def test_vhost_user_vsock(self):
        self.check("vhost-user-vsock")

    def test_qemu_nitro_cli(self):
        self.check("qemu-nitro-cli")


if __name__ == "__main__":
    harness.main()
