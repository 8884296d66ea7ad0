/*
 * Documents for the tests of the verifier, in which each part can be wrong
 *
 * This code shares nothing with the verifier, and encodes CBOR itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ATTESTATION_DOCUMENT_MAKER_HH
#define QEMU_NITRO_CLI_ATTESTATION_DOCUMENT_MAKER_HH

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <vector>

#include "support/bytes.hh"

/* CBOR: encodings of single items, which can be concatenated */
namespace cbor {

Bytes head(unsigned major, uint64_t number);
Bytes number(uint64_t value);
Bytes text(const std::string &text);
Bytes bytes(const Bytes &data);
Bytes null();
Bytes join(const std::vector<Bytes> &pieces);
Bytes array(const std::vector<Bytes> &items);
/* Keys and values in turn */
Bytes map(const std::vector<Bytes> &items);

} // namespace cbor

using Key = std::shared_ptr<gnutls_privkey_st>;

Key make_key(gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_SECP384R1);

/* The content of a certificate, and its issuer */
struct CertificateSpec {
    std::string name;
    Key key;
    bool is_ca = true;
    bool has_constraints = true;
    int path_length = -1;               /* -1: no limit */
    unsigned usage = GNUTLS_KEY_KEY_CERT_SIGN;      /* 0: none is given */
    int64_t begin = 0, end = 0;         /* seconds since the epoch */
    gnutls_digest_algorithm_t digest = GNUTLS_DIG_SHA384;
    std::string critical_extension;     /* an OID, or nothing */
    std::string issuer;                 /* a name that is not the issuer's */
    Key signer;                         /* a key that is not the issuer's */
};

struct Pair {
    Bytes key, value;                   /* CBOR */
};

/*
 * A document.  After construction, all of it is right.  To make a wrong one,
 * change the specifications of certificates before prepare(), which makes the
 * payload, or change the payload before document().
 */
class AttestationMaker {
public:
    static constexpr int64_t signed_at = 1700000000;    /* s since the epoch */

    explicit AttestationMaker(size_t authorities = 4);

    std::vector<CertificateSpec> chain;         /* root first */

    void prepare();
    std::vector<Bytes> certificates;            /* DER, as chain */
    std::vector<Pair> payload;

    /* The value of a key of the payload */
    Bytes &value(const std::string &key);

    Bytes prefix;                               /* a tag before the document */
    Bytes protected_header = {0xa1, 0x01, 0x38, 0x22};
    Bytes unprotected_header = {0xa0};          /* CBOR */
    Key signer;                                 /* if not chain's last */

    /* Sign the payload. */
    Bytes document();
};

#endif
