/*
 * Attestation documents of a Nitro Secure Module, taken apart
 *
 * A document is a COSE_Sign1 (RFC 9052, 4.2) whose payload is a map with the
 * keys that AWS publishes.  Here only its form is checked; whether it deserves
 * belief is attestation_verify.hh's.
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

/* A rule that a document breaks: its name, and how */
struct Violation : std::runtime_error {
    Violation(const char *rule, const std::string &reason)
        : std::runtime_error(reason), rule(rule) {}
    const char *rule;
};

struct AttestationDocument {
    std::string module_id, digest;
    uint64_t timestamp = 0;                     /* ms since the epoch */
    std::map<unsigned, Bytes> pcrs;
    Bytes certificate;                          /* DER: of who signed this */
    std::vector<Bytes> cabundle;                /* DER: root first */
    std::optional<Bytes> public_key, user_data, nonce;

    Bytes protected_header, payload;            /* as they were signed */
    Bytes signature;                            /* r, s: of 48 bytes each */
};

/* Is `size` that of a register: of SHA-256, SHA-384 or SHA-512? */
bool is_pcr_size(size_t size);

/* How a document was written down */
enum class Writing { bytes, hex, base64, other_text };

/*
 * The bytes of a document that may be written in hex or in base64, of either
 * alphabet (RFC 4648), with white space anywhere, perhaps after a byte order
 * mark.  What is none of these is left as it is; `writing` says whether it is
 * text, which a document is not.
 */
Bytes read_writing(const Bytes &text, Writing *writing);

/* Throws Violation of the first rule that the form of `bytes` breaks. */
AttestationDocument decode_attestation(std::span<const uint8_t> bytes);

#endif
