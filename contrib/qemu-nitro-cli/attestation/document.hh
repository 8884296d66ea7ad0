/*
 * Decoding attestation documents of a Nitro Secure Module
 *
 * A document is a COSE_Sign1 (RFC 9052, 4.2) whose payload is a map with the
 * keys that AWS publishes.  This file checks only the form.  verify.hh checks
 * certificates, the signature and the values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ATTESTATION_DOCUMENT_HH
#define QEMU_NITRO_CLI_ATTESTATION_DOCUMENT_HH

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/bytes.hh"

constexpr size_t document_max = 64 * 1024;      /* bytes; an NSM's response has
                                                   room for 12 KiB */
constexpr size_t certificate_max = 1024;        /* bytes of DER */
constexpr unsigned pcr_count = 32;

/* The name of the first rule that a document breaks, and the reason */
struct Violation : std::runtime_error {
    Violation(const char *rule, const std::string &reason)
        : std::runtime_error(reason), rule(rule) {}
    const char *rule;
};

struct AttestationDocument {
    std::string module_id, digest;
    uint64_t timestamp = 0;                     /* ms since the epoch */
    std::map<unsigned, Bytes> pcrs;
    Bytes certificate;                          /* DER: its key signed this */
    std::vector<Bytes> cabundle;                /* DER: root first */
    std::optional<Bytes> public_key, user_data, nonce;

    Bytes protected_header, payload;            /* the signed bytes */
    Bytes signature;                            /* r, s: of 48 bytes each */
};

/* Is `size` the size of a SHA-256, SHA-384 or SHA-512 digest? */
bool is_pcr_size(size_t size);

/* The encoding of a document in a file */
enum class Encoding { bytes, hex, base64, other_text };

/*
 * Decode a document from hex or from base64, of either alphabet (RFC 4648),
 * with white space anywhere, perhaps after a byte order mark.  Returns other
 * input unchanged; `encoding` says whether it is text, which a document is not.
 */
Bytes remove_encoding(const Bytes &text, Encoding *encoding);

/* Throws Violation if the form of `bytes` breaks a rule. */
AttestationDocument decode_attestation(std::span<const uint8_t> bytes);

#endif
