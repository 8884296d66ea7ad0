"""qemu-nitro-cli's commands on images: describe-eif, sign-eif, pcr, explain

The tests write the images with their own code, and compare the complete
output, byte by byte.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime
import hashlib
import json
import os
import re
import resource
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

import harness
from harness import CMDLINE, KERNEL, METADATA, RAMDISK, SIGNATURE
from signing import Signer, sections, signed

METADATA_JSON = {
    "ImageName": "name", "ImageVersion": "2",
    "BuildMetadata": {
        "BuildTime": "2026-01-02T03:04:05+00:00", "BuildTool": "tool",
        "BuildToolVersion": "1.2", "OperatingSystem": "Linux",
        "KernelVersion": "6.12"},
    "DockerInfo": {"Id": "abc"},
    "CustomMetadata": {"a": 1, "b": ["c"]}}
KERNEL_DATA = harness.bzimage()
PARTS = [(KERNEL, KERNEL_DATA), (CMDLINE, b"console=ttyS0"),
         (METADATA, json.dumps(METADATA_JSON).encode()),
         (RAMDISK, b"first"), (RAMDISK, b"second")]
FIRST = KERNEL_DATA + b"console=ttyS0" + b"first"


class Case(harness.Case):
    def call(self, *options, **kwargs):
        return subprocess.run([harness.NITRO_CLI, *map(str, options)],
                              check=False, timeout=60, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **kwargs)

    def ok(self, *options):
        result = self.call(*options)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def fails(self, code, words, *options, **kwargs):
        """The command prints an error and advice, and exits with `code`."""
        result = self.call(*options, **kwargs)
        self.assertEqual(len(self.explained(result, code, words)), 2,
                         result.stderr)

    def measurements(self, pcr8=None):
        m = {"HashAlgorithm": "Sha384 { ... }",
             "PCR0": harness.pcr(FIRST + b"second"),
             "PCR1": harness.pcr(FIRST), "PCR2": harness.pcr(b"second")}
        return {**m, "PCR8": pcr8} if pcr8 else m


class DescribeEif(Case):
    def describe(self, data):
        return self.ok("describe-eif", "--eif-path",
                       self.file("image.eif", data))

    def described(self, data):
        """The output as JSON; checks the order of keys, and the layout."""
        text = self.describe(data)
        output = json.loads(text)
        self.assertEqual(text, json.dumps(output, indent=2,
                                          ensure_ascii=False) + "\n")
        return output

    METADATA = {
        "ImageName": "name", "ImageVersion": "2",
        "Metadata": {
            "BuildTime": "2026-01-02T03:04:05+00:00", "BuildTool": "tool",
            "BuildToolVersion": "1.2", "OperatingSystem": "Linux",
            "KernelVersion": "6.12", "DockerInfo": {"Id": "abc"}, "a": 1,
            "b": ["c"]}}

    def same(self, output, expected):
        self.assertEqual(list(output), list(expected))
        self.assertEqual(output, expected)

    def test_unsigned(self):
        self.same(self.described(harness.eif(PARTS)), {
            "EifVersion": 4, "Measurements": self.measurements(),
            "IsSigned": False, "CheckCRC": True, **self.METADATA})

    def test_without_metadata(self):
        parts = [p for p in PARTS if p[0] != METADATA]
        for version in (2, 3):
            self.same(self.described(harness.eif(parts, version=version)), {
                "EifVersion": version, "Measurements": self.measurements(),
                "IsSigned": False, "CheckCRC": True})

    def test_wrong_crc(self):
        output = self.described(harness.eif(PARTS, crc=1))
        self.assertIs(output["CheckCRC"], False)

    def test_signed(self):
        for curve, alg in (("P-256", "256"), ("P-384", "384"),
                           ("P-521", "512")):
            signer = Signer(curve)
            output = self.described(signed(PARTS, signer))
            cert = signer.cert
            when = "%b %e %H:%M:%S %Y GMT"
            self.same(output, {
                "EifVersion": 4,
                "Measurements": self.measurements(signer.pcr8()),
                "IsSigned": True,
                "SigningCertificate": {
                    "IssuerName": {"commonName": "signer"},
                    "Algorithm": f"ecdsa-with-SHA{alg}",
                    "NotBefore": cert.not_valid_before.strftime(when),
                    "NotAfter": cert.not_valid_after.strftime(when),
                    "Signature": cert.signature.hex(":").upper()},
                "CheckCRC": True, "SignatureCheck": True, **self.METADATA})

    def test_signature_of_another_image(self):
        other = hashlib.sha384(b"another").digest()
        output = self.described(signed(PARTS, Signer(), other))
        self.assertIs(output["SignatureCheck"], False)

    def test_signature_that_is_wrong(self):
        signer = Signer()
        signer.key = Signer().key
        path = self.file("image.eif", signed(PARTS, signer))
        self.fails(35, [path, "signature"], "describe-eif", "--eif-path", path)

    def test_bad_files(self):
        for name, data in (("empty", b""), ("elf", b"\x7fELF" * 1000),
                           ("short", harness.eif(PARTS)[:-1]),
                           ("v5", harness.eif(PARTS, version=5))):
            path = self.file(name, data)
            self.fails(35, [path], "describe-eif", "--eif-path", path)
        for path in (self.dir / "gone", self.dir):
            self.fails(19, [path], "describe-eif", "--eif-path", path)

    def test_options(self):
        self.fails(1, ["--eif-path"], "describe-eif")
        self.fails(1, ["--eif-path"], "describe-eif", "--eif-path")
        self.fails(3, ["--what"], "describe-eif", "--what")
        self.fails(2, ["--eif-path"], "describe-eif", "--eif-path", "a",
                   "--eif-path", "b")


# Records what is flushed and what is renamed, in order.
FLUSHES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static void note(const char *text)
{
    int fd = open(LOG, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (write(fd, text, strlen(text)) < 0) {
        _exit(99);
    }
    close(fd);
}
int fsync(int fd)
{
    struct stat st;
    fstat(fd, &st);
    note(S_ISDIR(st.st_mode) ? "directory " : "file ");
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int rename(const char *from, const char *to)
{
    note("rename ");
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(
        from, to);
}
"""


class SignEif(Case):
    def setUp(self):
        super().setUp()
        self.image = self.file("image.eif", harness.eif(PARTS))
        self.signer = Signer()
        self.use(self.signer)

    def use(self, signer):
        self.cert = self.file("cert.pem", signer.cert_pem())
        self.key = self.file("key.pem", signer.key_pem())

    def options(self, image=None, cert=None, key=None):
        return ("sign-eif", "--eif-path", image or self.image,
                "--signing-certificate", cert or self.cert, "--private-key",
                key or self.key)

    def test_signs(self):
        for curve in ("P-256", "P-384", "P-521"):
            signer = Signer(curve)
            self.use(signer)
            output = json.loads(self.ok(*self.options()))
            self.assertEqual(output, {
                "Measurements": self.measurements(signer.pcr8())})
            # The rest of the image does not change, even if it was signed
            # before.
            self.assertEqual(sections(self.image.read_bytes())[:-1], PARTS)
            seen = json.loads(self.ok("describe-eif", "--eif-path",
                                      self.image))
            self.assertTrue(seen["SignatureCheck"] and seen["CheckCRC"])

    def test_replaces_a_broken_signature(self):
        self.image.write_bytes(harness.eif(PARTS + [(SIGNATURE, b"no CBOR")]))
        self.fails(35, [self.image], "describe-eif", "--eif-path", self.image)
        output = json.loads(self.ok(*self.options()))
        self.assertEqual(output["Measurements"],
                         self.measurements(self.signer.pcr8()))
        self.assertEqual(sections(self.image.read_bytes())[:-1], PARTS)

    def test_permissions(self):
        self.image.chmod(0o604)
        if os.geteuid() == 0:
            os.chown(self.image, 12345, 54321)
        before = self.image.stat()
        self.ok(*self.options())
        after = self.image.stat()
        self.assertNotEqual(after.st_size, before.st_size)
        self.assertEqual((after.st_mode, after.st_uid, after.st_gid),
                         (before.st_mode, before.st_uid, before.st_gid))

    def test_refusals(self):
        before = self.image.read_bytes()
        other = self.file("other.pem", Signer().key_pem())
        text = self.file("text", b"text")
        self.fails(60, [other], *self.options(key=other))
        self.fails(60, [text], *self.options(key=text))
        self.fails(60, [text], *self.options(cert=text))
        self.fails(19, ["gone"], *self.options(cert=self.dir / "gone"))
        self.fails(19, ["gone"], *self.options(key=self.dir / "gone"))
        self.fails(35, [text], *self.options(image=text))
        self.fails(19, ["gone"], *self.options(image=self.dir / "gone"))
        self.fails(1, ["--private-key"], *self.options()[:-2])
        arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
        self.fails(60, [arn], *self.options(key=arn))
        self.assertEqual(self.image.read_bytes(), before)
        self.assertEqual(sorted(os.listdir(self.dir)), sorted([
            "image.eif", "cert.pem", "key.pem", other.name, text.name]))


    def test_flushed(self):
        """The new file and its name are flushed before the old file is
        removed."""
        library, log = self.dir / "flushes.so", self.dir / "log"
        subprocess.run(["cc", "-shared", "-fPIC", f'-DLOG="{log}"', "-o",
                        library, "-x", "c", "-"], input=FLUSHES, text=True,
                       check=True)
        env = {**os.environ, "LD_PRELOAD": str(library),
               "XDG_DATA_HOME": str(self.dir)}
        for command in (self.options(), ("attestation-root", "--output",
                                         self.dir / "root.pem")):
            log.write_text("")
            result = self.call(*command, env=env)
            self.assertEqual(result.returncode, 0, result.stderr)
            output = log.read_text()
            count = output.count("rename")
            self.assertEqual(output, "file rename directory " * count)
            self.assertGreater(count, 0)

    def test_only_the_certificate_is_written(self):
        """Other text of the file, before or after the certificate, is omitted.
        """
        cert, key = self.signer.cert_pem(), self.signer.key_pem()
        other = Signer().cert_pem()
        self.ok(*self.options())
        alone = sections(self.image.read_bytes())[-1]
        for given, word in ((cert + key, "private key"),
                            (cert + other, "CN=signer"),
                            (b"text\n" + cert + b"more\n", ""),
                            (cert.replace(b"\n", b"\r\n"), "")):
            path = self.file("many.pem", given)
            result = self.call(*self.options(cert=path))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["Measurements"]["PCR8"],
                             self.signer.pcr8())
            # The same image and the same key give the same signature.
            self.assertEqual(sections(self.image.read_bytes())[-1], alone)
            self.assertNotIn(b"PRIVATE", self.image.read_bytes())
            self.assertIn(word, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), bool(word))
        before = self.image.read_bytes()
        for given in (key + cert, b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAI"
                      b"g==\n-----END EC PARAMETERS-----\n" + key + cert):
            path = self.file("many.pem", given)
            self.fails(60, [path, "private key"], *self.options(cert=path))
            self.fails(60, [path, "private key"], "pcr",
                       "--signing-certificate", path)
        self.assertEqual(self.image.read_bytes(), before)

    def test_keys_that_cannot_sign(self):
        """The error names the key, and the keys that can sign."""
        def pem(key, form="PKCS8", password=None):
            return key.private_bytes(
                serialization.Encoding.PEM,
                getattr(serialization.PrivateFormat, form), password
                or serialization.NoEncryption())

        password = serialization.BestAvailableEncryption(b"x")
        good = self.signer.key
        der = serialization.Encoding.DER
        pkcs8 = good.private_bytes(der, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        rsa_key = rsa.generate_private_key(65537, 2048)
        for data, word in (
                (pem(good, password=password), "encrypted"),
                (pem(good, "TraditionalOpenSSL", password), "encrypted"),
                (pem(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
                (pem(ec.generate_private_key(ec.BrainpoolP256R1()),
                     "TraditionalOpenSSL"), "brainpoolP256r1"),
                (pem(ec.generate_private_key(ec.SECP224R1())), "224"),
                (pem(rsa_key), "RSA, with 2048 bits"),
                (pem(rsa_key, "TraditionalOpenSSL"), "RSA, with 2048 bits"),
                (pem(ed25519.Ed25519PrivateKey.generate()), "Ed"),
                (pem(good, "OpenSSH"), "OpenSSH"),
                (pkcs8, "private key in DER"),
                (self.signer.cert_pem(), "a certificate"),
                (good.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat
                    .SubjectPublicKeyInfo), "public key"),
                (pkcs12.serialize_key_and_certificates(
                    b"n", good, self.signer.cert, None, password),
                 "PKCS #12"),
                (good.private_bytes(der, serialization.PrivateFormat.PKCS8,
                                    password), "encrypted private key in DER"),
                (good.public_key().public_bytes(
                    der, serialization.PublicFormat.SubjectPublicKeyInfo),
                 "public key in DER"),
                (good.public_key().public_bytes(
                    serialization.Encoding.OpenSSH,
                    serialization.PublicFormat.OpenSSH),
                 "public key in OpenSSH's form"),
                (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTY"),
                (b"", "empty"), (b"text", "without a block"),
                (pem(good)[:90], "private key that cannot be read")):
            path = self.file("bad.pem", data)
            self.fails(60, [path, word], *self.options(key=path))
        # A key after its curve's parameters, or after another block, is
        # accepted.
        for data in (b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n"
                     b"-----END EC PARAMETERS-----\n"
                     + pem(good, "TraditionalOpenSSL"),
                     self.signer.cert_pem() + pem(good)):
            self.ok(*self.options(key=self.file("good.pem", data)))

    def test_openssh_key(self):
        """What converts it, if that helps"""
        for key, words in (
                (self.signer.key, ["ssh-keygen -p"]),
                (ed25519.Ed25519PrivateKey.generate(),
                 ["ssh-ed25519", "openssl ecparam"]),
                (rsa.generate_private_key(65537, 2048),
                 ["ssh-rsa", "openssl ecparam"])):
            path = self.file("key.ssh", key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption()))
            result = self.call(*self.options(key=path))
            self.explained(result, 60, [path, "OpenSSH"])
            for word in words:
                self.assertIn(word, result.stderr)

    def test_key_of_another_kind(self):
        """Both kinds are named."""
        def files(key):
            name = x509.Name([])
            now = datetime.datetime.utcnow()
            cert = (x509.CertificateBuilder().subject_name(name)
                    .issuer_name(name).public_key(key.public_key())
                    .serial_number(1).not_valid_before(now).not_valid_after(
                        now + datetime.timedelta(days=1))
                    .sign(key, hashes.SHA256()))
            return (self.file("other.pem", cert.public_bytes(
                serialization.Encoding.PEM)), self.file(
                    "other.key", key.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption())))

        cert, key = files(rsa.generate_private_key(65537, 2048))
        self.fails(60, [self.key, cert, "RSA, with 2048 bits", "SECP384R1"],
                   *self.options(cert=cert))
        self.fails(60, [key, "RSA, with 2048 bits"], *self.options(key=key))
        cert, key = files(ec.generate_private_key(ec.SECP256R1()))
        self.fails(60, [self.key, cert, "SECP256R1", "SECP384R1"],
                   *self.options(cert=cert))
        self.fails(60, [key, self.cert, "SECP256R1", "SECP384R1"],
                   *self.options(key=key))

    def test_long_chain(self):
        """What is left out of it takes one short line."""
        chain = self.signer.cert_pem() * 301
        path = self.file("chain.pem", chain)
        result = self.call(*self.options(cert=path))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("CN=signer", result.stderr)
        self.assertIn(" 297 more", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertLess(len(result.stderr), 400)

    def test_certificates_that_are_none(self):
        cert = self.signer.cert
        password = serialization.BestAvailableEncryption(b"x")
        for data, word in (
                (pkcs12.serialize_key_and_certificates(
                    b"n", self.signer.key, cert, None, password),
                 "PKCS #12"),
                (pkcs7.serialize_certificates(
                    [cert], serialization.Encoding.DER), "PKCS #7"),
                (pkcs7.serialize_certificates(
                    [cert], serialization.Encoding.PEM), "PKCS #7"),
                (x509.CertificateSigningRequestBuilder().subject_name(
                    cert.subject).sign(self.signer.key, hashes.SHA256())
                 .public_bytes(serialization.Encoding.DER), "request"),
                (b"\xfe\xed\xfe\xed\0\0\0\2", "Java key store"),
                (b"0\x82", "a file in DER"),
                (cert.public_bytes(serialization.Encoding.DER), "in DER"),
                (self.signer.key_pem(), "private key"), (b"", "empty"),
                (cert.public_bytes(serialization.Encoding.PEM)[:99],
                 "cannot be read")):
            path = self.file("bad.pem", data)
            self.fails(60, [path, word], *self.options(cert=path))


class Pcr(Case):
    def test_certificate(self):
        signer = Signer()
        path = self.file("cert.pem", signer.cert_pem())
        self.assertEqual(json.loads(self.ok("pcr", "--signing-certificate",
                                            path)), {"PCR8": signer.pcr8()})

    def test_file(self):
        for data in (b"", b"abc", bytes(3 << 20)):
            path = self.file("input", data)
            self.assertEqual(json.loads(self.ok("pcr", "--input", path)),
                             {"PCR": harness.pcr(data)})

    def test_large_file(self):
        """The file is not read into memory as a whole."""
        size, memory = 300 << 20, 200 << 20
        path = self.file("input", b"")
        os.truncate(path, size)
        result = self.call(
            "pcr", "--input", path, preexec_fn=lambda:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory)))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(result.stdout),
                         {"PCR": harness.pcr(bytes(size))})

    def test_wrong(self):
        path = self.file("input", b"x")
        self.fails(1, ["--input"], "pcr")
        self.fails(2, ["--input"], "pcr", "--input", path,
                   "--signing-certificate", path)
        self.fails(19, ["gone: No such file or directory"], "pcr", "--input",
                   self.dir / "gone")
        self.fails(19, [f"{self.dir}: Is a directory"], "pcr", "--input",
                   self.dir)


class Explain(Case):
    def test_all_codes(self):
        for code in range(61):
            for form in (f"E{code:02d}", f"e{code}", str(code)):
                result = self.call("explain", "--error-code", form)
                self.assertEqual(result.returncode, 0, form)
                self.assertEqual(result.stdout, "")
                self.assertIn(f"E{code:02d}", result.stderr)

    def test_unknown(self):
        self.fails(3, ["E99"], "explain", "--error-code", "E99")
        self.fails(1, ["--error-code"], "explain")


class Commands(Case):
    def test_usage(self):
        text = self.ok("--help")
        for name in ("build-enclave", "describe-eif", "sign-eif", "pcr",
                     "explain", "verify-attestation"):
            self.assertIn(name, text)
            self.assertIn(name, self.ok(name, "--help"))
            self.assertEqual(self.ok("help", name), self.ok(name, "--help"))
        self.assertEqual(self.ok("help"), text)
        self.fails(1, ["command"])
        self.fails(3, ["fly"], "fly")
        self.fails(3, ["fly"], "help", "fly")

    def test_options(self):
        """Abbreviations of names are not accepted."""
        run = ("run-enclave", "--eif-path", "x", "--memory", "64")
        for words in (("--cpu", "1"), ("--c", "1"), ("--debug",), ("-m", "1"),
                      ("--cpu-counts", "1"), ("--",), ("word",), ("--=",)):
            self.fails(3, [words[0], "not an option"], *run, *words)
        self.fails(3, ["--debug-mode takes no value"], *run, "--debug-mode=1")
        self.fails(1, ["--cpu-ids needs a value"], *run, "--cpu-ids")
        result = self.call(*run, "--cpu", "1")
        self.assertIn("qemu-nitro-cli run-enclave --help", result.stderr)

    def test_output_that_is_lost(self):
        image = self.file("image.eif", harness.eif(PARTS))
        env = {**os.environ, "XDG_DATA_HOME": str(self.dir),
               "XDG_RUNTIME_DIR": str(self.dir)}
        for command in (("--help",), ("--version",), ("pcr", "--help"),
                        ("pcr", "--input", image),
                        ("describe-eif", "--eif-path", image),
                        ("describe-enclaves",), ("attestation-root",),
                        ("terminate-enclave", "--all")):
            with open("/dev/full", "w", encoding="utf-8") as full:
                result = subprocess.run(
                    [harness.NITRO_CLI, *command], check=False, text=True,
                    stdout=full, stderr=subprocess.PIPE, env=env, timeout=60)
            self.assertEqual(result.returncode, 19, command)
            self.assertEqual(len(result.stderr.splitlines()), 2, command)

    def test_files_without_end(self):
        image = self.file("image.eif", harness.eif(PARTS))
        for command in (("pcr", "--signing-certificate"),
                        ("run-enclave", "--config"),
                        ("sign-eif", "--eif-path", image, "--private-key",
                         image, "--signing-certificate"),
                        ("verify-attestation", "--document", image, "--root")):
            self.fails(19, ["/dev/zero", "16 MiB"], *command, "/dev/zero")


class Completion(Case):
    """The candidates that bash completes"""
    SCRIPT = harness.TOP / "contrib/qemu-nitro-cli/completion.bash"

    def offered(self, *words):
        command = "source {}; COMP_WORDS=({}); COMP_CWORD={};" \
            " compopt() {{ :; }}; _qemu_nitro_cli {} {} {};" \
            ' printf "%s\\n" "${{COMPREPLY[@]}}"'.format(
                self.SCRIPT, " ".join(f"'{w}'" for w in ("x", *words)),
                len(words), harness.NITRO_CLI, f"'{words[-1]}'",
                f"'{words[-2] if len(words) > 1 else 'x'}'")
        return subprocess.run(["bash", "-c", command], check=True, text=True,
                              cwd=self.dir, stdout=subprocess.PIPE,
                              ).stdout.split()

    def test_commands_and_options(self):
        """Completion offers all options of --help, and no others."""
        known = re.findall(r"^  ([a-z-]+)  ", self.ok("--help"), re.M)
        self.assertGreater(len(known), 10)
        self.assertEqual(set(self.offered("")),
                         {*known, "--help", "--version"})
        for name in known:
            usage = set(re.findall(r"--[a-z][a-z-]+", self.ok(name, "--help")))
            offered = {o for o in self.offered(name, "--")
                       if not o.startswith("--pcr")}
            self.assertEqual(offered - {"--help"}, usage - {"--pcr"}, name)

    def test_values(self):
        self.file("a.eif", b"")
        (self.dir / "afolder").mkdir()
        self.assertEqual(sorted(self.offered("describe-eif", "--eif-path",
                                             "a")), ["a.eif", "afolder"])
        self.assertEqual(self.offered("build-enclave", "--rootfs", "a"),
                         ["afolder"])
        self.assertEqual(self.offered("run-enclave", "--memory", ""), [])
        self.assertEqual(self.offered("des"),
                         ["describe-eif", "describe-enclaves"])


if __name__ == "__main__":
    harness.main()
