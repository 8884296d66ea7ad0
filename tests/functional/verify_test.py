"""qemu-nitro-cli verify-attestation, called as a user calls it"""
# SPDX-License-Identifier: GPL-2.0-or-later

import base64
import datetime
import hashlib
import json
import os
import pathlib
import ssl
import subprocess

import cbor2

import attestation
import harness

VERIFIED, MISSING, TWICE, INVALID, FILE, REFUSED = 0, 1, 2, 3, 19, 59
AWS_ROOT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"


class Case(harness.Case):
    pem = None                  # a file with the root

    def call(self, *options, **kwargs):
        return subprocess.run(
            [harness.NITRO_CLI, "verify-attestation", *map(str, options)],
            check=False, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **kwargs)

    def verify(self, document, *options, status=VERIFIED, words=()):
        """The output for a document; the lines before it contain `words`."""
        path = self.file("document", document)
        result = self.call("--document", path, "--root", self.pem, *options)
        self.assertEqual(result.returncode, status, result.stderr)
        output = json.loads(result.stdout)
        self.assertIs(output["Verified"], status == VERIFIED)
        self.assertEqual(output["FailedRule"] is None, status == VERIFIED)
        lines = result.stderr.decode().splitlines()
        if status != VERIFIED:
            lines = lines[:-2]
        self.assertEqual(bool(lines), bool(words), lines)
        for word in words:
            self.assertIn(word, " ".join(lines))
        return output


class Verify(Case):
    @classmethod
    def setUpClass(cls):
        cls.root = attestation.Authority("root")
        cls.leaf = attestation.Authority("leaf", cls.root, ca=False)
        cls.document = attestation.make_document(cls.root, cls.leaf,
                                                 nonce=b"\x01\x02")

    def setUp(self):
        super().setUp()
        self.pem = self.file("root.pem", self.root.pem())

    def wrong(self, status, words, *options):
        """An invalid call: nothing on stdout, and two lines with the error and
        these words"""
        result = self.call(*options)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, b"")
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 2, result.stderr)
        self.assertTrue(lines[0].startswith(f"[ E{status:02d} ] "), lines)
        for word in words:
            self.assertIn(str(word), lines[0])

    def wrong_option(self, status, words, *options):
        path = self.file("document", self.document)
        self.wrong(status, words, "--document", path, "--root", self.pem,
                   *options)

    def test_document(self):
        output = self.verify(self.document)["Document"]
        self.assertEqual(list(output), attestation.KEYS)
        self.assertEqual(output["module_id"], "i-0-enc1")
        self.assertEqual(output["pcrs"], {str(i): f"{i:02x}" * 48
                                          for i in range(4)})
        self.assertEqual(output["certificate"]["subject"], "CN=leaf")
        self.assertEqual([c["subject"] for c in output["cabundle"]],
                         ["CN=root"])
        self.assertEqual(output["certificate"]["not_after"],
                         self.leaf.certificate.not_valid_after.isoformat()
                         + "Z")
        self.assertEqual((output["public_key"], output["user_data"],
                          output["nonce"]), (None, None, "0102"))

    def test_base64_and_hex(self):
        for text, word in ((base64.b64encode(self.document), "base64"),
                           (base64.encodebytes(self.document), "base64"),
                           (base64.urlsafe_b64encode(self.document), "base64"),
                           (self.document.hex().encode(), "hex"),
                           (self.document.hex(":", 32).upper().replace(
                               ":", "\n").encode(), "hex")):
            output = self.verify(text, words=[word])
            self.assertEqual(output["Document"]["nonce"], "0102")
        broken = base64.b64encode(self.document[:-1])
        self.verify(broken, status=REFUSED, words=["base64"])
        for other in (b"text", b"{}", b"-----BEGIN CERTIFICATE-----",
                      base64.b64encode(self.document)[:-7],
                      self.document.hex().encode()[:-1],
                      b"0x" + self.document.hex().encode(),
                      b'"' + base64.b64encode(self.document) + b'"'):
            self.verify(other, status=REFUSED,
                        words=["text, but neither base64 nor hex"])
        self.verify(b"84", status=REFUSED, words=["hex"])
        self.verify(b"", status=REFUSED, words=["empty"])

    def test_debug_mode(self):
        zeros = {i: bytes(48) for i in range(3)}
        document = attestation.make_document(self.root, self.leaf, pcrs=zeros)
        self.verify(document, words=["debug mode", "--pcr0"])
        self.verify(document, "--pcr0", "00" * 48)
        self.verify(document, "--pcr0", "01" * 48, status=REFUSED)
        self.verify(attestation.make_document(
            self.root, self.leaf, pcrs={**zeros, 2: bytes(47) + b"1"}))
        self.verify(attestation.make_document(
            self.root, self.leaf, pcrs={0: bytes(48), 1: bytes(48)}))

    def test_max_age(self):
        self.verify(self.document, "--max-age", "3600")
        later = (datetime.datetime.now(datetime.timezone.utc)
                 + datetime.timedelta(seconds=100)).strftime(
                     "%Y-%m-%dT%H:%M:%SZ")
        output = self.verify(self.document, "--max-age", "99", "--at", later,
                             status=REFUSED)
        self.assertEqual(output["FailedRule"], "max-age")
        for value in ("", "-1", "x", "1.5", "4294967296"):
            self.wrong_option(INVALID, ["--max-age"], f"--max-age={value}")

    def test_standard_input(self):
        result = self.call("--document", "-", "--root", self.pem,
                           input=self.document)
        self.assertEqual(result.returncode, VERIFIED, result.stderr)
        self.assertTrue(json.loads(result.stdout)["Verified"])

    def test_expected(self):
        document = attestation.make_document(
            self.root, self.leaf, nonce=b"\xab", user_data=b"",
            public_key=bytes(2000))
        self.verify(document, "--pcr0", "00" * 48, "--pcr3", "03" * 48,
                    "--nonce", "AB", "--user-data", "", "--public-key",
                    "00" * 2000)
        for options, rule in ((["--pcr0", "01" * 48], "expected-pcr"),
                              (["--pcr31", "00" * 48], "expected-pcr"),
                              (["--nonce", "ac"], "expected-nonce"),
                              (["--user-data", "00"], "expected-user-data"),
                              (["--public-key", "00"],
                               "expected-public-key")):
            output = self.verify(document, *options, status=REFUSED)
            self.assertEqual(output["FailedRule"], rule)

    def test_refused(self):
        other = attestation.Authority("root")
        expired = attestation.Authority("leaf", self.root, ca=False,
                                        life=-0.5)
        changed = bytearray(self.document)
        changed[-1] ^= 1
        for document, rule in (
                (attestation.make_document(other, self.leaf), "root"),
                (attestation.make_document(self.root, expired), "validity"),
                (attestation.make_document(self.root, other),
                 "basic-constraints"),
                (bytes(changed), "signature"),
                (attestation.make_document(self.root, self.leaf, pcrs={}),
                 "pcrs")):
            output = self.verify(document, status=REFUSED)
            self.assertEqual(output["FailedRule"], rule)

    def test_no_document(self):
        for data in (b"", b"\xff", b"\xd2" * 100, bytes(200000),
                     b"-----BEGIN CERTIFICATE-----\n"):
            output = self.verify(data, status=REFUSED,
                                 words=["empty"] if not data else
                                 ["text"] if data[0] == ord("-") else [])
            self.assertIsNone(output["Document"])

    def test_names_that_are_no_text(self):
        """The content of a document is printed without control characters."""
        name = cbor2.dumps("a\x1b[31m\u009bb")
        document = attestation.make_document(self.root, self.leaf,
                                             module_id="XXXXXXXX")
        place = document.find(cbor2.dumps("XXXXXXXX"))
        for value in (name[1:], b"\xff\xfe\x80"):
            value = (value + bytes(8))[:8]
            output = self.verify(document[:place + 1] + value
                                 + document[place + 9:], status=REFUSED)
            self.assertEqual(output["FailedRule"], "signature")
            self.assertTrue(output["Document"]["module_id"])

    def test_as_of(self):
        # The root is made first, on a busy host seconds before the leaf.
        end = self.root.certificate.not_valid_after
        later = end.replace(year=end.year + 1).isoformat()
        for at, status in ((end.isoformat() + "Z", VERIFIED),
                           (end.isoformat() + ".999z", VERIFIED),
                           (later + "Z", REFUSED),
                           ("1970-01-01T00:00:00Z", REFUSED),
                           ("0001-01-01t00:00:00Z", REFUSED),
                           ("9999-12-31T23:59:60Z", REFUSED)):
            self.verify(self.document, "--at", at, status=status)

    def test_zones(self):
        for at, utc in (("2022-10-13T09:00:00Z", "2022-10-13T09:00:00Z"),
                        ("2022-10-13 11:30:00+02:30", "2022-10-13T09:00:00Z"),
                        ("2022-12-31T23:00:00-01:30", "2023-01-01T00:30:00Z"),
                        ("2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00Z"),
                        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z")):
            output = self.verify(self.document, "--at", at, status=REFUSED)
            self.assertEqual(output["VerifiedAt"], utc)

    def test_no_time(self):
        for at in ("", "now", "2022-10-13", "2022-10-13T09:00:00",
                   "2022-13-13T09:00:00Z", "2023-02-29T09:00:00Z",
                   "2022-10-00T09:00:00Z", "2022-10-13T24:00:00Z",
                   "2022-10-13T09:60:00Z", "2022-10-13T09:00:61Z",
                   "2022-10-13T09:00:00+24:00", "22-10-13T09:00:00Z",
                   "2022-10-13T09:00:00Z ", "2022-10-13T09:00:00.Z",
                   "2" * 100000):
            self.wrong_option(INVALID, ["--at"], "--at", at)

    def test_no_hex(self):
        for option in ("--nonce", "--user-data", "--public-key", "--pcr0"):
            for text in ("0", "0g", "0x00", "00 00", "é"):
                self.wrong_option(INVALID, [option, text], option, text)

    def test_pcr_of_no_size(self):
        self.wrong_option(INVALID, ["--pcr0", "47"], "--pcr0", "00" * 47)
        self.wrong_option(INVALID, ["--pcr32"], "--pcr32", "00" * 48)

    def test_missing(self):
        self.wrong(MISSING, ["--document"], "--root", self.pem)
        self.wrong(MISSING, ["--root"], "--document", "-")
        self.wrong(MISSING, ["--root"], "--document", "-", "--root")

    def test_twice(self):
        self.wrong_option(TWICE, ["--nonce"], "--nonce", "00", "--nonce", "00")

    def test_files(self):
        gone = self.dir / "gone"
        self.wrong(FILE, [gone], "--document", gone, "--root", self.pem)
        self.wrong(FILE, [self.dir], "--document", self.dir, "--root",
                   self.pem)
        self.wrong(FILE, [gone], "--document", "-", "--root", gone)

    def test_root(self):
        path = self.file("document", self.document)
        der = attestation.der(self.root.certificate)
        for data in (b"", b"text", der, self.root.key_pem(),
                     self.root.pem() * 2):
            root = self.file("other.pem", data)
            self.wrong(INVALID, [root], "--document", path, "--root", root)

    def test_help(self):
        result = self.call("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"--document", result.stdout)


def real_document():
    """A document that an NSM of AWS signed on 2022-10-13.  It is not a part of
    this project, which has no right to distribute it."""
    return pathlib.Path(os.environ.get("NITRO_REAL_DOCUMENT", "/none"))


class RealDocument(Case):
    def setUp(self):
        super().setUp()
        if not real_document().exists():
            self.skipTest("no real document: NITRO_REAL_DOCUMENT names none")
        self.real = real_document().read_bytes()
        payload = cbor2.loads(cbor2.loads(self.real)[2])
        root = payload["cabundle"][0]
        self.assertEqual(hashlib.sha256(root).hexdigest(), AWS_ROOT)
        self.pem = self.file("aws.pem", ssl.DER_cert_to_PEM_cert(root)
                             .encode())

    def test_on_its_day(self):
        output = self.verify(self.real, "--at", "2022-10-13T09:00:00Z")
        self.assertEqual(len(output["Document"]["cabundle"]), 4)
        self.assertEqual(len(output["Document"]["nonce"]), 512)

    def test_today(self):
        output = self.verify(self.real, status=REFUSED)
        self.assertEqual(output["FailedRule"], "validity")

    def test_changed(self):
        for place in (1000, len(self.real) // 2, len(self.real) - 1):
            changed = bytearray(self.real)
            changed[place] ^= 1
            self.verify(bytes(changed), "--at", "2022-10-13T09:00:00Z",
                        status=REFUSED)


if __name__ == "__main__":
    harness.main()
