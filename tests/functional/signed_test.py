"""Signed images boot; those whose signature is not good do not."""
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime
import hashlib
import struct

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

import harness
from harness import CMDLINE, KERNEL, METADATA, RAMDISK, SIGNATURE

# Curve, COSE algorithm, hash, bytes of r and of s (RFC 9053, 2.1)
ALGORITHMS = {
    "P-256": (ec.SECP256R1(), -7, hashes.SHA256(), 32),
    "P-384": (ec.SECP384R1(), -35, hashes.SHA384(), 48),
    "P-521": (ec.SECP521R1(), -36, hashes.SHA512(), 66),
}


def sections(data):
    """The sections of an image, as a list of (type, data)."""
    count = struct.unpack_from(">H", data, 0x1a)[0]
    offsets = struct.unpack_from(f">{count}Q", data, 0x1c)
    found = []
    for offset in offsets:
        kind, _, size = struct.unpack_from(">HHQ", data, offset)
        found.append((kind, data[offset + 12:offset + 12 + size]))
    return found


class Signer:
    def __init__(self, curve="P-384", days=(-1, 30)):
        self.curve, self.alg, self.hash, self.width = ALGORITHMS[curve]
        self.key = ec.generate_private_key(self.curve)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
        now = datetime.datetime.utcnow()
        self.cert = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(self.key.public_key()).serial_number(1)
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .sign(self.key, self.hash))

    def pcr8(self):
        der = self.cert.public_bytes(serialization.Encoding.DER)
        return harness.pcr(der)

    def section(self, pcr0):
        protected = cbor2.dumps({1: self.alg})
        payload = cbor2.dumps({"register_index": 0,
                               "register_value": list(pcr0)})
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        r, s = utils.decode_dss_signature(
            self.key.sign(signed, ec.ECDSA(self.hash)))
        cose = cbor2.dumps([protected, {}, payload,
                            r.to_bytes(self.width, "big")
                            + s.to_bytes(self.width, "big")])
        pem = self.cert.public_bytes(serialization.Encoding.PEM)
        return cbor2.dumps([{"signing_certificate": list(pem),
                             "signature": list(cose)}])


class Signed(harness.Case):
    def image(self, signer, pcr0=None):
        """The sample, signed; returns the path."""
        parts = [s for s in sections(harness.HELLO.read_bytes())
                 if s[0] != SIGNATURE]
        measured = b"".join(data for kind, data in parts
                            if kind in (KERNEL, CMDLINE, RAMDISK))
        self.assertIn(METADATA, [kind for kind, _ in parts])
        pcr0 = pcr0 or bytes.fromhex(harness.pcr(measured))
        return self.file("signed.eif", harness.eif(
            parts + [(SIGNATURE, signer.section(pcr0))]))

    def boots(self, curve):
        signer = Signer(curve)
        qmp = self.dir / "qmp"
        log = self.dir / "console"
        process = self.spawn(*self.qemu_command(
            self.image(signer), "-m", "128M", "-serial", f"file:{log}",
            "-append", "hello.serve=0", "-no-reboot", "-S",
            "-qmp", f"unix:{qmp},server=on,wait=off", vsock=self.backend()))
        self.wait_for(qmp)
        monitor = harness.Qmp(qmp)
        self.assertEqual(monitor.command("qom-get", path="/machine",
                                         property="pcr8"), signer.pcr8())
        monitor.command("cont")
        self.assertEqual(process.wait(120), 0)
        self.assertIn("hello: done", log.read_text(errors="replace"))

    def test_p256(self):
        self.boots("P-256")

    def test_p384(self):
        self.boots("P-384")

    def test_p521(self):
        self.boots("P-521")

    def refuses(self, image, *words):
        line = self.refused(*self.qemu_command(
            image, "-m", "128M", vsock=self.backend()))
        for word in words:
            self.assertIn(word, line)

    def test_signature_of_another_image(self):
        other = hashlib.sha384(b"another").digest()
        self.refuses(self.image(Signer(), other), "signed.eif", other.hex())

    def test_signature_of_another_key(self):
        signer = Signer()
        signer.key = ec.generate_private_key(signer.curve)
        self.refuses(self.image(signer), "signed.eif", "signature")

    def test_expired_certificate(self):
        self.refuses(self.image(Signer(days=(-30, -1))), "expired")

    def test_certificate_of_the_future(self):
        self.refuses(self.image(Signer(days=(1, 30))), "valid only from")


if __name__ == "__main__":
    harness.main()
