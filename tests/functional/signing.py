"""Sign images with cbor2 and cryptography, not with the project's code."""
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime
import struct

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

import harness

# Curve, COSE algorithm, hash, size of r and of s in bytes (RFC 9053, 2.1)
ALGORITHMS = {
    "P-256": (ec.SECP256R1(), -7, hashes.SHA256(), 32),
    "P-384": (ec.SECP384R1(), -35, hashes.SHA384(), 48),
    "P-521": (ec.SECP521R1(), -36, hashes.SHA512(), 66),
}


def sections(data):
    """The sections of an image, as a list of (type, data)"""
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

    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    def cert_pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)


def signed(parts, signer, pcr0=None):
    """An image of `parts`, a list of (type, data), with a signature of its
    PCR0, or of `pcr0`"""
    measured = b"".join(data for kind, data in parts if kind in (
        harness.KERNEL, harness.CMDLINE, harness.RAMDISK))
    pcr0 = pcr0 or bytes.fromhex(harness.pcr(measured))
    return harness.eif(parts + [(harness.SIGNATURE, signer.section(pcr0))])
