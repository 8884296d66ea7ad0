"""The recipes for verifiers of attestation documents work."""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import re
import shutil
import subprocess
import sys
import textwrap
import unittest

import cli_run_test
import harness

PAGE = (harness.TOP / "docs/system/i386/nitro-enclave-attestation.rst")


def recipe(language):
    """The only code block in that language"""
    block, = re.findall(rf"^\.\. code-block:: {language}\n\n((?:  .*\n|\n)+)",
                        PAGE.read_text(encoding="utf-8"), re.M)
    return textwrap.dedent(block)


# What the recipe in JavaScript imports, and where npm puts it
VERIFIER = "@0xsequence/tee-verifier@0.1.2"
MODULES = harness.BUILD / "npm"


class Recipes(cli_run_test.Case):
    def prepare(self, *options):
        """Files with the root and a document, and the measurements"""
        self.file("root.pem", self.call("attestation-root").stdout.encode())
        self.file("document", self.ask(self.start(*options), b"\x01\x02"))
        image = json.loads(self.call("describe-eif", "--eif-path",
                                     harness.HELLO).stdout)
        return image["Measurements"]["PCR0"]

    def python(self):
        self.file("verify.py", recipe("python").encode())
        return subprocess.run(
            [sys.executable, "-W", "ignore", "verify.py", "root.pem",
             "document"], check=False, cwd=self.dir, text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def javascript(self):
        # Node.js looks for packages beside the program.
        program = MODULES / "verify.mjs"
        program.write_text(recipe("javascript"), encoding="utf-8")
        return subprocess.run(
            ["node", program, self.dir / "root.pem", self.dir / "document"],
            check=False, text=True, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def check(self, verify):
        pcr0 = self.prepare()
        result = verify()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(pcr0, result.stdout)
        # a changed document, and the root of another user
        document = (self.dir / "document").read_bytes()
        for at in (10, 1000, len(document) - 1):
            changed = bytearray(document)
            changed[at] ^= 1
            self.file("document", changed)
            self.assertNotEqual(verify().returncode, 0, at)
        self.file("document", document)
        self.file("root.pem", self.call("attestation-root", env={
            "XDG_DATA_HOME": str(self.dir / "other")}).stdout.encode())
        result = verify()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("root", result.stderr)

    def test_python(self):
        self.check(self.python)

    @unittest.skipUnless(shutil.which("npm") and shutil.which("node"),
                         "Node.js or npm is not installed")
    def test_javascript(self):
        MODULES.mkdir(exist_ok=True)
        installed = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", MODULES,
             VERIFIER], check=False, text=True, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if installed.returncode:
            self.skipTest(f"npm cannot install {VERIFIER}")
        self.check(self.javascript)


if __name__ == "__main__":
    harness.main()
