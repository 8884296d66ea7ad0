"""Signed images boot; images with an invalid signature do not."""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec

import harness
from signing import Signer, sections, signed


class Signed(harness.Case):
    def image(self, signer, pcr0=None):
        """The sample, signed.  Returns its path."""
        return self.file("signed.eif", signed(
            sections(harness.HELLO.read_bytes()), signer, pcr0))

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
