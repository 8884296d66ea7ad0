"""Applications of Nitro Enclaves, end to end: the Python programs of the
manual run with Debian's Python, in an enclave that was built from a container
image."""
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime
import hashlib
import http.server
import json
import os
import pathlib
import ssl
import select
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import attestation
import cli_run_test
import harness
from cli_build_test import archive_of, docker_files, entry, directory, tar

PROGRAMS = harness.TOP / "docs/system/i386/nitro-enclave-application"
HELPERS = harness.HERE / "application"
SECRET = b"the secret"
PACKAGES = []


def packages():
    """The Debian packages that Python needs, one layer for each"""
    if not PACKAGES:
        found = subprocess.run(
            [harness.TOP / "scripts/fetch-source", "python"], check=True,
            text=True, stdout=subprocess.PIPE).stdout.strip()
        # base-files has the links of merged directories, so it comes first.
        debs = sorted(pathlib.Path(found).glob("*.deb"), key=lambda deb: (
            not deb.name.startswith("base-files_"), deb.name))
        PACKAGES.extend(
            subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True,
                           stdout=subprocess.PIPE).stdout for deb in debs)
    return PACKAGES


def container(files, command):
    """A container image with Python, and these files in /app"""
    mine = tar([directory("app"), directory("etc"), *(
        entry(f"app/{name}", data, mode=0o755)
        for name, data in files.items())])
    config = {"Cmd": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}
    return archive_of(docker_files([*packages(), mine], config)[0])


class Authority:
    """An authority that signs the certificates of servers"""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign("authority", self.key.public_key(), True)

    def sign(self, name, key, is_authority=False):
        """RFC 5280 requires these extensions, and Python 3.13 checks them."""
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = dict.fromkeys((
            "digital_signature", "content_commitment", "key_encipherment",
            "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
            "encipher_only", "decipher_only"), False)
        usage["key_cert_sign" if is_authority else "digital_signature"] = True
        day = datetime.timedelta(days=1)
        title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = title if is_authority else self.certificate.subject
        return (
            x509.CertificateBuilder().subject_name(title).issuer_name(issuer)
            .public_key(key).serial_number(x509.random_serial_number())
            .not_valid_before(now - day).not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]),
                           critical=False)
            .add_extension(x509.BasicConstraints(is_authority, None),
                           critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key),
                           critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256()))

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, name):
        """A certificate and its key"""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(name, key.public_key())
        return certificate.public_bytes(serialization.Encoding.PEM) + \
            key.private_bytes(serialization.Encoding.PEM,
                              serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption())


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass    # a client that does not trust it prints an error


class Secret(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/secret"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(SECRET) * found))
        self.end_headers()
        self.wfile.write(SECRET * found)

    def log_message(self, *args):
        pass


class Case(cli_run_test.Case):
    def build(self, files, command):
        """Build an image from a container's archive, as a user would."""
        archive = self.file("container.tar", container(files, command))
        image = self.dir / "application.eif"
        self.made = self.ok("build-enclave", "--docker-archive", archive,
                            "--output-file", image, env={
                                "NITRO_CLI_BLOBS":
                                str(harness.BUILD / "images/blobs")})
        archive.unlink()
        return image

    def run_application(self, image, *options):
        """Start the enclave.  Returns its description, and the path of its
        log."""
        log = self.dir / "console.log"
        enclave = self.ok(
            "run-enclave", "--eif-path", image, "--memory", "512",
            "--cpu-count", "1", "--console-log", log, *options, timeout=300)
        return enclave, log

    def wait_for_log(self, log, text, seconds=240):
        end = time.monotonic() + seconds
        while text not in log.read_text(errors="replace"):
            self.assertLess(time.monotonic(), end, log.read_text())
            time.sleep(0.1)


class Attested(Case):
    """The manual's application: its secret comes over TLS that ends in the
    enclave, and the client verifies which image has it."""

    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()

    def serve(self, authority, name):
        """Start an HTTPS server.  Returns its port."""
        server = Server(("127.0.0.1", 0), Secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file("server.pem",
                                          authority.server(name)))
        # The handshake runs in the connection's thread, not in accept().
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def ask(self, enclave, path="/secret", name="server.test"):
        request = {"server": name, "path": path,
                   "authority": self.authority.pem().decode()}
        document = self.dir / "document"
        document.unlink(missing_ok=True)
        result = subprocess.run(
            [harness.NITRO_CLI, "parent", "/usr/bin/python3",
             PROGRAMS / "parent.py", str(enclave["EnclaveCID"]), document],
            input=json.dumps(request), text=True, check=False, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        return result, document

    def test_secret(self):
        image = self.build(
            {"enclave.py": (PROGRAMS / "enclave.py").read_bytes()},
            ["python3", "/app/enclave.py"])
        good = self.serve(self.authority, "server.test")
        enclave, log = self.run_application(
            image, "--connect", f"8000:tcp:127.0.0.1:{good}")

        result, document = self.ask(enclave)
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual(answer["data"], SECRET.decode())
        self.check_document(document, answer["nonce"])

        with self.subTest("name of another server"):
            result, document = self.ask(enclave, name="other.test")
            self.assertIn("CERTIFICATE_VERIFY_FAILED", result.stderr)
            self.assertFalse(document.exists())
        with self.subTest("nothing at the path"):
            result, document = self.ask(enclave, path="/other")
            self.assertIn("404", result.stderr)
            self.assertFalse(document.exists())
        self.ok("terminate-enclave", "--enclave-id", enclave["EnclaveID"])

        # The server in the middle has a certificate of another authority.
        middle = self.serve(Authority(), "server.test")
        log.rename(self.dir / "first.log")
        enclave, log = self.run_application(
            image, "--connect", f"8000:tcp:127.0.0.1:{middle}")
        result, document = self.ask(enclave)
        self.assertEqual(result.returncode, 1)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", result.stderr)
        self.assertFalse(document.exists())
        self.ok("terminate-enclave", "--enclave-id", enclave["EnclaveID"])

        # The logs still exist, and no other user can read them.
        first = self.dir / "first.log"
        self.assertIn("application: attested to 10 bytes from server.test",
                      first.read_text())
        self.assertIn("application: failed: ", log.read_text())
        self.assertEqual(first.stat().st_mode & 0o777, 0o600)

    def check_document(self, document, nonce):
        """Verify with our verifier, and with one that is independent of it."""
        self.call("attestation-root", "--output", self.dir / "root.pem")
        told = ["--document", document, "--root", self.dir / "root.pem"]
        for register, value in self.made["Measurements"].items():
            if register.startswith("PCR"):
                told += [f"--{register.lower()}", value]
        data = hashlib.sha256(SECRET).hexdigest()
        verified = self.ok("verify-attestation", *told, "--nonce", nonce,
                           "--user-data", data)
        self.assertIs(verified["Verified"], True)
        wrong = self.call("verify-attestation", *told, "--nonce", nonce,
                          "--user-data", hashlib.sha256(b"").hexdigest())
        self.assertEqual(wrong.returncode, 59)
        payload = attestation.check_document(
            document.read_bytes(), (self.dir / "root.pem").read_bytes())
        self.assertEqual(payload["nonce"].hex(), nonce)
        self.assertEqual(payload["user_data"].hex(), data)


class Network(Case):
    """An application that knows nothing of vsock has a network, as gvproxy
    gives one: an address, a name server, TCP."""
    GATEWAY = "192.168.127.1"

    def own_network(self):
        """A command that runs another with a network of its own"""
        # The second is for root in a chroot, which gets no user namespace.
        for command in (["unshare", "--user", "--map-root-user", "--net"],
                        ["unshare", "--net"]):
            if subprocess.run([*command, "true"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return command
        return self.skipTest("no network namespace can be made here")

    def test_tap(self):
        authority = Authority()
        image = self.build(
            {"tap.py": (PROGRAMS / "tap.py").read_bytes(),
             "fetch.py": (HELPERS / "fetch.py").read_bytes(),
             "authority.pem": authority.pem()},
            ["python3", "/app/tap.py", "enclave", "python3", "/app/fetch.py"])
        certificate = self.file("server.pem", authority.server("server.test"))
        parent = self.spawn(
            harness.NITRO_CLI, "parent", *self.own_network(), "sh", "-ec",
            'ip link set lo up; "$1" "$2" parent & '
            'until ip -4 address show dev tap0 2>/dev/null | grep -q inet; '
            'do sleep 0.1; done; exec "$1" "$3" "$4" "$5"', "sh",
            "/usr/bin/python3", PROGRAMS / "tap.py", HELPERS / "network.py",
            self.GATEWAY, certificate, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, env=self.env)
        self.addCleanup(self.end_group, parent)
        self.assertTrue(select.select([parent.stdout], [], [], 60)[0])
        self.assertEqual(parent.stdout.readline(), b"tap: ready\n")
        _, log = self.run_application(image)
        self.wait_for_log(log, "application: hello, 192.168.127.2")

    def end_group(self, process):
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    harness.main()
