/*
 * Verifying attestation documents
 *
 * The chain is in the order in which the certificates sign each other: the
 * root, the others of cabundle, and the document's certificate.  Each rule is
 * checked for the whole chain before the next rule.  So the verdict does not
 * depend on which certificate of the chain is wrong.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/verify.hh"

#include <algorithm>
#include <array>
#include <ctime>

#include "support/cose.hh"
#include "support/gnutls_handles.hh"

namespace {

/* The largest difference between the clocks of host and verifier */
constexpr int64_t clock_skew_s = 5 * 60;

struct Certificate {
    std::string name;                   /* its field in the document */
    CertificateHandle x509;
};

using Chain = std::vector<Certificate>;

/* Empty if `der` is not an X.509 certificate in DER */
CertificateHandle import_certificate(const Bytes &der)
{
    CertificateHandle x509;
    gnutls_datum_t data = datum(der);

    if (gnutls_x509_crt_init(&x509.value) < 0) {
        throw std::bad_alloc();
    }
    if (gnutls_x509_crt_import(x509.value, &data, GNUTLS_X509_FMT_DER) < 0) {
        return {};
    }
    return x509;
}

Chain import_chain(const AttestationDocument &document)
{
    Chain chain;

    for (const Bytes &der : document.cabundle) {
        chain.push_back({"cabundle[" + std::to_string(chain.size()) + "]",
                         import_certificate(der)});
    }
    chain.push_back({"certificate", import_certificate(document.certificate)});
    for (const Certificate &c : chain) {
        if (!c.x509.value) {
            throw Violation("certificate-format", c.name
                            + " is not an X.509 certificate in DER");
        }
    }
    return chain;
}

bool is_leaf(const Chain &chain, const Certificate &c)
{
    return &c == &chain.back();
}

void check_root(const AttestationDocument &document,
                const AttestationPolicy &policy)
{
    if (document.cabundle[0] != policy.root) {
        throw Violation("root", "cabundle[0] is not the root that is trusted");
    }
}

void check_keys(const Chain &chain)
{
    for (const Certificate &c : chain) {
        int algorithm = gnutls_x509_crt_get_pk_algorithm(c.x509.value, nullptr);
        gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

        if (algorithm == GNUTLS_PK_ECDSA) {
            gnutls_x509_crt_get_pk_ecc_raw(c.x509.value, &curve, nullptr,
                                           nullptr);
        }
        if (curve != es384.curve) {
            throw Violation("key-type", "the key of " + c.name
                            + " is not on the curve P-384");
        }
    }
}

void check_validity(const Chain &chain, int64_t at)
{
    for (const Certificate &c : chain) {
        int64_t begin = gnutls_x509_crt_get_activation_time(c.x509.value);
        int64_t end = gnutls_x509_crt_get_expiration_time(c.x509.value);

        if (begin == -1 || end == -1) {
            throw Violation("validity", c.name
                            + " does not say when it is valid");
        }
        if (at < begin || at > end) {
            throw Violation("validity", c.name + (at < begin
                            ? " is valid only from " + time_text(begin)
                            : " expired at " + time_text(end))
                            + ": it is " + time_text(at));
        }
    }
}

void check_basic_constraints(const Chain &chain)
{
    for (const Certificate &c : chain) {
        unsigned critical, is_ca = 0;
        int path_length;
        int ret = gnutls_x509_crt_get_basic_constraints(
            c.x509.value, &critical, &is_ca, &path_length);

        if (ret < 0 && ret != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            throw Violation("basic-constraints", c.name
                            + " has invalid basic constraints");
        }
        if (is_leaf(chain, c) && is_ca) {
            throw Violation("basic-constraints", c.name
                            + " is a CA certificate");
        }
        if (!is_leaf(chain, c) && !is_ca) {
            throw Violation("basic-constraints", c.name
                            + " is not a CA certificate");
        }
    }
}

/* RFC 5280, 4.2.1.9: the limit counts authorities below, without the leaf. */
void check_path_lengths(const Chain &chain)
{
    for (size_t i = 0; i + 1 < chain.size(); i++) {
        unsigned critical, is_ca;
        int limit = -1;
        size_t below = chain.size() - 2 - i;

        gnutls_x509_crt_get_basic_constraints(chain[i].x509.value, &critical,
                                              &is_ca, &limit);
        if (limit >= 0 && below > static_cast<size_t>(limit)) {
            throw Violation("path-length", chain[i].name + " allows "
                            + std::to_string(limit) + " authorities below it,"
                            " and there are " + std::to_string(below));
        }
    }
}

void check_key_usage(const Chain &chain)
{
    for (const Certificate &c : chain) {
        unsigned critical, usage = 0;
        int ret = gnutls_x509_crt_get_key_usage(c.x509.value, &usage,
                                                &critical);
        unsigned needed = is_leaf(chain, c) ? GNUTLS_KEY_DIGITAL_SIGNATURE
                                            : GNUTLS_KEY_KEY_CERT_SIGN;

        /* A trusted root needs no keyUsage. */
        if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && &c == &chain[0]) {
            continue;
        }
        if (ret < 0 || !(usage & needed)) {
            throw Violation("key-usage", "the key of " + c.name + " is not"
                            " meant to sign " + (is_leaf(chain, c)
                                                 ? "data" : "certificates"));
        }
    }
}

/* RFC 5280, 4.2: a verifier rejects critical extensions it does not know. */
void check_critical_extensions(const Chain &chain)
{
    static const char *const known[] = {
        GNUTLS_X509EXT_OID_BASIC_CONSTRAINTS, GNUTLS_X509EXT_OID_KEY_USAGE,
    };

    for (const Certificate &c : chain) {
        for (unsigned i = 0;; i++) {
            char oid[128];
            size_t size = sizeof(oid);
            unsigned critical = 0;
            int ret = gnutls_x509_crt_get_extension_info(
                c.x509.value, i, oid, &size, &critical);

            if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
                break;
            }
            if (ret < 0 || (critical && std::find(std::begin(known),
                                                  std::end(known),
                                                  std::string(oid))
                                        == std::end(known))) {
                throw Violation("critical-extension", c.name
                                + " has an extension that is critical and not"
                                " understood");
            }
        }
    }
}

void check_issuers(const Chain &chain)
{
    for (size_t i = 1; i < chain.size(); i++) {
        if (!gnutls_x509_crt_check_issuer(chain[i].x509.value,
                                          chain[i - 1].x509.value)) {
            throw Violation("issuer", chain[i].name + " does not name "
                            + chain[i - 1].name + " as its issuer");
        }
    }
}

void check_certificate_signatures(const Chain &chain)
{
    for (size_t i = 1; i < chain.size(); i++) {
        gnutls_x509_crt_t issuer = chain[i - 1].x509.value;
        gnutls_x509_crt_t x509 = chain[i].x509.value;
        unsigned status = 0;

        if (gnutls_x509_crt_get_signature_algorithm(x509)
            != es384.sign) {
            throw Violation("certificate-signature", chain[i].name
                            + " is not signed by ECDSA with SHA-384");
        }
        /* Other rules of this file check the times. */
        if (gnutls_x509_crt_verify(x509, &issuer, 1,
                                   GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
                                   &status) < 0 || status) {
            throw Violation("certificate-signature", chain[i].name
                            + " is not signed by the key of "
                            + chain[i - 1].name);
        }
    }
}

void check_timestamp(const AttestationDocument &document, const Chain &chain,
                     int64_t at)
{
    gnutls_x509_crt_t leaf = chain.back().x509.value;
    int64_t begin = gnutls_x509_crt_get_activation_time(leaf);
    int64_t end = gnutls_x509_crt_get_expiration_time(leaf);
    /* Rounding down accepts a document of the last valid second. */
    int64_t signed_at = document.timestamp / 1000;

    if (signed_at < begin || signed_at > end) {
        throw Violation("timestamp", time_text(signed_at) + " is not when the"
                        " document's certificate is valid, from "
                        + time_text(begin) + " to " + time_text(end));
    }
    if (signed_at > at + clock_skew_s) {
        throw Violation("timestamp", time_text(signed_at) + " is in the"
                        " future: it is " + time_text(at));
    }
}

/* r or s of a COSE signature for GnuTLS, which accepts no leading zeros */
gnutls_datum_t integer(std::span<const uint8_t> bytes)
{
    while (bytes.size() > 1 && bytes[0] == 0) {
        bytes = bytes.subspan(1);
    }
    return datum(bytes);
}

void check_signature(const AttestationDocument &document, const Chain &chain)
{
    std::span<const uint8_t> both(document.signature);
    gnutls_datum_t r = integer(both.first(both.size() / 2));
    gnutls_datum_t s = integer(both.last(both.size() / 2));
    Bytes bytes = sig_structure(document.protected_header,
                                document.payload);
    gnutls_datum_t data = datum(bytes);
    PublicKeyHandle key;
    Datum signature;

    if (gnutls_pubkey_init(&key.value) < 0) {
        throw std::bad_alloc();
    }
    if (gnutls_pubkey_import_x509(key.value, chain.back().x509.value, 0) < 0
        || gnutls_encode_rs_value(&signature.value, &r, &s) < 0
        || gnutls_pubkey_verify_data2(key.value, es384.sign, 0, &data,
                                      &signature.value) < 0) {
        throw Violation("signature", "the document is not signed by the key of"
                        " its certificate");
    }
}

void check_expected(const char *rule, const std::optional<Bytes> &expected,
                    const std::optional<Bytes> &found)
{
    if (expected && expected != found) {
        throw Violation(rule, found ? "it is not the expected value"
                                    : "one is expected, and there is none");
    }
}

void check_pcrs(const AttestationDocument &document,
                const AttestationPolicy &policy)
{
    for (const auto &[index, expected] : policy.pcrs) {
        auto found = document.pcrs.find(index);

        if (found == document.pcrs.end()) {
            throw Violation("expected-pcr", "the document has no PCR"
                            + std::to_string(index));
        }
        if (found->second != expected) {
            throw Violation("expected-pcr", "PCR" + std::to_string(index)
                            + " is not the expected value");
        }
    }
}

void check_age(const AttestationDocument &document,
               const AttestationPolicy &policy)
{
    int64_t signed_at = document.timestamp / 1000;

    if (policy.max_age && policy.at - signed_at > *policy.max_age) {
        throw Violation("max-age", "the document is of " + time_text(signed_at)
                        + ", " + std::to_string(policy.at - signed_at)
                        + " s old, and may be "
                        + std::to_string(*policy.max_age));
    }
}

} // namespace

bool is_debug_mode(const AttestationDocument &document)
{
    return std::ranges::all_of(std::array{0U, 1U, 2U}, [&](unsigned index) {
        auto found = document.pcrs.find(index);

        return found != document.pcrs.end() &&
            std::ranges::all_of(found->second, [](uint8_t b) {
                return b == 0;
            });
    });
}

void verify_attestation(const AttestationDocument &document,
                        const AttestationPolicy &policy)
{
    Chain chain = import_chain(document);

    check_root(document, policy);
    check_keys(chain);
    check_validity(chain, policy.at);
    check_basic_constraints(chain);
    check_path_lengths(chain);
    check_key_usage(chain);
    check_critical_extensions(chain);
    check_issuers(chain);
    check_certificate_signatures(chain);
    check_timestamp(document, chain, policy.at);
    check_signature(document, chain);
    check_pcrs(document, policy);
    check_expected("expected-nonce", policy.nonce, document.nonce);
    check_expected("expected-user-data", policy.user_data, document.user_data);
    check_expected("expected-public-key", policy.public_key,
                   document.public_key);
    check_age(document, policy);
}

std::optional<CertificateSummary> summarize_certificate(const Bytes &der)
{
    CertificateHandle x509 = import_certificate(der);
    Datum subject;

    if (!x509.value ||
        gnutls_x509_crt_get_dn3(x509.value, &subject.value, 0) < 0) {
        return {};
    }
    return CertificateSummary{
        std::string(reinterpret_cast<char *>(subject.value.data),
                    subject.value.size),
        gnutls_x509_crt_get_activation_time(x509.value),
        gnutls_x509_crt_get_expiration_time(x509.value),
    };
}

std::string time_text(int64_t time)
{
    time_t t = time;
    char text[64];
    tm parts;

    if (!gmtime_r(&t, &parts)
        || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)) {
        return std::to_string(time) + " seconds after 1970";
    }
    return text;
}
