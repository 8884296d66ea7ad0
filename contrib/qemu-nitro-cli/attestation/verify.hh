/*
 * Does an attestation document deserve belief?
 *
 * It does if it has the form that AWS publishes, if a chain of certificates
 * leads from a root that the caller trusts to the key that signed it, and if it
 * says what the caller expects.  Each thing that is checked is a rule with a
 * name; the verdict names the first that is broken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ATTESTATION_VERIFY_HH
#define QEMU_NITRO_CLI_ATTESTATION_VERIFY_HH

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "attestation/document.hh"
#include "support/bytes.hh"

struct AttestationPolicy {
    Bytes root;                         /* DER: the root that is trusted */
    int64_t at = 0;                     /* seconds since the epoch: when the
                                           certificates have to be valid */

    /* What the document has to say, where it matters */
    std::map<unsigned, Bytes> pcrs;
    std::optional<Bytes> nonce, user_data, public_key;
    std::optional<int64_t> max_age;     /* in seconds, at `at` */
};

/*
 * Check all but the form of `document`, which has it if decode_attestation()
 * made it.  Throws Violation of the first rule that it breaks.
 */
void verify_attestation(const AttestationDocument &document,
                        const AttestationPolicy &policy);

/* PCR0, PCR1 and PCR2 are zero, which is debug mode: the document does not say
 * which image runs. */
bool is_debug_mode(const AttestationDocument &document);

/* What there is to say of a certificate */
struct CertificateSummary {
    std::string subject;                /* as RFC 4514 writes it */
    int64_t not_before, not_after;      /* seconds since the epoch */
};

/* Returns nothing if `der` is no certificate. */
std::optional<CertificateSummary> summarize_certificate(const Bytes &der);

/* "2022-10-13T09:00:00Z", for seconds since the epoch */
std::string time_text(int64_t time);

#endif
