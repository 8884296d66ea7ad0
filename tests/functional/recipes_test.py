"""The recipes for verifiers of attestation documents work."""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import re
import shutil
import subprocess
import sys
import textwrap
import unittest

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import attestation
import cli_run_test
import harness

PAGE = (harness.TOP / "docs/system/i386/nitro-enclave-attestation.rst")


def recipe(language):
    """The only code block in that language"""
    block, = re.findall(rf"^\.\. code-block:: {language}\n\n((?:  .*\n|\n)+)",
                        PAGE.read_text(encoding="utf-8"), re.M)
    return textwrap.dedent(block)


# The packages that the JavaScript recipe imports, where npm puts them
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
        self.install()
        self.check(self.javascript)

    def install(self):
        """tee-verifier, for the recipe in JavaScript"""
        MODULES.mkdir(exist_ok=True)
        installed = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", MODULES,
             VERIFIER], check=False, text=True, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if installed.returncode:
            self.skipTest(f"npm cannot install {VERIFIER}")


def bad_documents(root, leaf):
    """Documents with valid signatures and wrong content, by what is wrong"""
    make, authority = attestation.make_document, attestation.Authority
    document = make(root, leaf)
    payload = cbor2.loads(cbor2.loads(document)[2])
    # like the previous pair, whose key is already there
    twice = cbor2.dumps(payload)
    assert twice[0] == 0xa9
    twice = b"\xaa" + twice[1:] + cbor2.dumps("digest") + cbor2.dumps("SHA384")
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"),
                                         b"\x05\x00")
    narrow = x509.NameConstraints(None, [x509.DirectoryName(x509.Name([
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")]))])
    p256 = authority("middle", root, curve=ec.SECP256R1())
    named = authority("middle", root, extra=narrow)

    def below(middle):
        return make(root, authority("leaf", middle, ca=False), cabundle=[
            attestation.der(each.certificate) for each in (root, middle)])

    return {
        "a key twice": attestation.sign(leaf, twice),
        "trailing bytes": document + b"\0",
        "the tag of another kind of COSE": b"\xd1" + document,
        "an expired certificate": make(
            root, authority("leaf", root, ca=False, life=-0.5)),
        "a certificate of tomorrow": make(
            root, authority("leaf", root, ca=False, begin=24, life=48)),
        "an authority on P-256": below(p256),
        "a name that an authority must not give": below(named),
        "an unknown extension that is critical": make(
            root, authority("leaf", root, ca=False, extra=strange)),
        "a certificate of another root": make(
            root, authority("leaf", authority("root"), ca=False)),
    }


class Compared(Recipes):
    """Our verifier and an independent one, with bad documents"""
    test_python = test_javascript = None

    def refused(self, program, documents):
        found = []
        for what, document in documents.items():
            self.file("document", document)
            if program().returncode:
                found.append(what)
        return found

    def ours(self):
        return self.call("verify-attestation", "--document",
                         self.dir / "document", "--root",
                         self.dir / "root.pem")

    def test_bad_documents(self):
        root = attestation.Authority("root")
        leaf = attestation.Authority("leaf", root, ca=False)
        self.file("root.pem", root.pem())
        good = {"": attestation.make_document(root, leaf)}
        bad = bad_documents(root, leaf)
        self.assertEqual(self.refused(self.ours, good), [])
        self.assertEqual(self.refused(self.ours, bad), list(bad))
        self.install()
        self.assertEqual(self.refused(self.javascript, good), [])
        # The other verifier accepts these three.  Ours refuses all that the
        # other one refuses.
        for what in ("a key twice", "an authority on P-256",
                     "an unknown extension that is critical"):
            del bad[what]
        self.assertEqual(self.refused(self.javascript, bad), list(bad))


if __name__ == "__main__":
    harness.main()
