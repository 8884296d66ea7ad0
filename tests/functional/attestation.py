"""Check and make attestation documents with cbor2 and cryptography, not with
this project's own code."""
# SPDX-License-Identifier: GPL-2.0-or-later

import datetime

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

KEYS = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle",
        "public_key", "user_data", "nonce"]
HEADER = bytes.fromhex("a1013822")


def to_sign(payload):
    return cbor2.dumps(["Signature1", HEADER, b"", payload])


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


# Checking

def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def check_certificate(certificate, issuer, authorities_below):
    """Check a certificate and its issuer's signature.  `authorities_below` is
    -1 for the certificate that signs documents."""
    assert certificate.version == x509.Version.v3
    assert isinstance(certificate.public_key().curve, ec.SECP384R1)
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA384)
    assert certificate.serial_number > 0
    assert certificate.issuer == issuer.subject
    issuer.public_key().verify(certificate.signature,
                               certificate.tbs_certificate_bytes,
                               ec.ECDSA(hashes.SHA384()))
    own = extension(certificate, x509.SubjectKeyIdentifier).value
    if certificate != issuer:
        authority = extension(certificate, x509.AuthorityKeyIdentifier).value
        of_issuer = extension(issuer, x509.SubjectKeyIdentifier).value
        assert authority.key_identifier == of_issuer.digest != own.digest
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    assert constraints.critical
    assert constraints.value.ca == (authorities_below >= 0)
    if authorities_below < 0:
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign and not usage.critical
    else:
        assert usage.value.key_cert_sign and usage.critical
        limit = constraints.value.path_length
        assert limit is None or limit >= authorities_below


def check_chain(payload, root_pem, now):
    ders = payload["cabundle"] + [payload["certificate"]]
    chain = [x509.load_der_x509_certificate(d) for d in ders]
    assert ders[0] == der(x509.load_pem_x509_certificate(root_pem))
    assert len(chain) == 5
    for i, certificate in enumerate(chain):
        assert len(ders[i]) <= 1024
        assert certificate.not_valid_before <= now
        assert now <= certificate.not_valid_after
        check_certificate(certificate, chain[max(i - 1, 0)],
                          len(chain) - 2 - i)
    for i, limit in ((1, 2), (2, 1), (3, 0)):
        assert extension(chain[i], x509.BasicConstraints
                         ).value.path_length == limit
    return chain


def check_document(document, root_pem):
    """Check every part of a document.  Returns its payload."""
    now = datetime.datetime.utcnow()
    assert document[:7] == bytes.fromhex("8444a1013822a0"), document[:7].hex()
    cose = cbor2.loads(document)
    assert len(cose) == 4 and cose[0] == HEADER and cose[1] == {}
    assert cbor2.dumps(cose) == document       # it has the shortest encoding
    payload = cbor2.loads(cose[2])
    assert cbor2.dumps(payload) == cose[2] and len(cose[2]) <= 16384
    assert list(payload) == KEYS
    chain = check_chain(payload, root_pem, now)
    assert len(cose[3]) == 96
    signature = utils.encode_dss_signature(int.from_bytes(cose[3][:48], "big"),
                                           int.from_bytes(cose[3][48:], "big"))
    chain[-1].public_key().verify(signature, to_sign(cose[2]),
                                  ec.ECDSA(hashes.SHA384()))
    assert payload["digest"] == "SHA384"
    age = now - datetime.datetime.utcfromtimestamp(payload["timestamp"] / 1000)
    assert abs(age) < datetime.timedelta(minutes=5), age
    assert list(payload["pcrs"]) == sorted(payload["pcrs"])
    assert all(len(value) == 48 for value in payload["pcrs"].values())
    return payload


# Making

class Authority:
    """A certificate and its key, which can sign other certificates.  It is
    valid from `begin` to `life`, in hours from now."""
    def __init__(self, name, issuer=None, ca=True, life=1, *, begin=-1,
                 curve=ec.SECP384R1(), extra=None):
        now = datetime.datetime.utcnow().replace(microsecond=0)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME,
                                                name)])
        self.key = ec.generate_private_key(curve)
        builder = x509.CertificateBuilder(
            subject_name=subject, public_key=self.key.public_key(),
            issuer_name=issuer.certificate.subject if issuer else subject,
            serial_number=x509.random_serial_number(),
            not_valid_before=now + datetime.timedelta(hours=begin),
            not_valid_after=now + datetime.timedelta(hours=life))
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
        builder = builder.add_extension(x509.KeyUsage(
            digital_signature=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=ca, crl_sign=ca,
            encipher_only=False, decipher_only=False), True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()),
            False)
        if extra:
            builder = builder.add_extension(extra, critical=True)
        signer = issuer.key if issuer else self.key
        self.certificate = builder.sign(signer, hashes.SHA384())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())


def sign(leaf, body):
    """A document with this payload"""
    r, s = utils.decode_dss_signature(
        leaf.key.sign(to_sign(body), ec.ECDSA(hashes.SHA384())))
    size = (leaf.key.curve.key_size + 7) // 8
    return cbor2.dumps([HEADER, {}, body,
                        r.to_bytes(size, "big") + s.to_bytes(size, "big")])


def make_document(root, leaf, **fields):
    """A document that is signed by `leaf`, which `root` signed"""
    payload = {
        "module_id": "i-0-enc1", "digest": "SHA384",
        "timestamp": int(datetime.datetime.now().timestamp() * 1000),
        "pcrs": {i: bytes([i]) * 48 for i in range(4)},
        "certificate": der(leaf.certificate),
        "cabundle": [der(root.certificate)],
        "public_key": None, "user_data": None, "nonce": None, **fields}
    return sign(leaf, cbor2.dumps(payload))
