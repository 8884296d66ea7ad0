"""The sample enclave sends attestation documents, as its users request them.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import socket
import subprocess

import attestation
import harness


def ask(connection, nonce):
    """Request a document from the sample, with a nonce."""
    connection.sendall(nonce)
    connection.shutdown(socket.SHUT_WR)
    document = b""
    while data := connection.recv(65536):
        document += data
    return document


class Hello(harness.Case):
    def start(self, *options, serve="", machine=""):
        """Boot the sample.  Returns QEMU's process and its monitor."""
        self.console, qmp = self.dir / "console", self.dir / "qmp"
        process = self.spawn(*self.qemu_command(
            harness.HELLO, "-m", "128M", "-serial", f"file:{self.console}",
            "-no-reboot", "-append", serve, "-qmp",
            f"unix:{qmp},server=on,wait=off", *options, vsock=self.backend(),
            machine=machine))
        self.wait_for(qmp)
        return process, harness.Qmp(qmp)

    def verify(self, document, root, *options):
        """Does our verifier accept the document?"""
        result = subprocess.run(
            [harness.NITRO_CLI, "verify-attestation", "--document", "-",
             "--root", self.file("root.pem", root), *options],
            input=document, check=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60)
        return result.returncode == 0

    def test_document(self):
        process, monitor = self.start(serve="hello.serve=2")
        output = {name: monitor.command("qom-get", path="/machine",
                                        property=name)
                  for name in ("attestation-root", "pcr0", "pcr1", "pcr2",
                               "pcr8")}
        root = output["attestation-root"].encode()
        for nonce in (os.urandom(32), b""):
            document = ask(self.vsock_connect(9001), nonce)
            payload = attestation.check_document(document, root)
            self.assertEqual(payload["nonce"], nonce)
            self.assertEqual(list(payload["pcrs"]), list(range(16)))
            for i in (0, 1, 2, 8):
                self.assertEqual(payload["pcrs"][i].hex(), output[f"pcr{i}"])
            self.assertTrue(self.verify(document, root, "--nonce", nonce.hex(),
                                        "--pcr0", output["pcr0"]))
        self.assertEqual(process.wait(60), 0)
        self.assertIn("hello: done", self.console.read_text(errors="replace"))

    def test_other_root_and_nonce(self):
        """The verifier rejects a document without the expected values."""
        self.start()
        document = ask(self.vsock_connect(9001), b"nonce")
        other = attestation.Authority("other").pem()
        self.assertFalse(self.verify(document, other))

    def test_nonce_too_long(self):
        self.start()
        self.assertNotEqual(ask(self.vsock_connect(9001), bytes(512)), b"")
        self.assertEqual(ask(self.vsock_connect(9001), bytes(513)), b"")
        self.assertNotEqual(ask(self.vsock_connect(9001), b"still"), b"")

    def test_client_that_goes(self):
        self.start()
        self.vsock_connect(9001).close()
        self.assertNotEqual(ask(self.vsock_connect(9001), b"still"), b"")


if __name__ == "__main__":
    harness.main()
