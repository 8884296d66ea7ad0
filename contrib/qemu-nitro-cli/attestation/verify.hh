/*
 * Verifying attestation documents
 *
 * A document verifies if it has the form that AWS publishes, if a certificate
 * chain leads from a root that the caller trusts to the key that signed it, and
 * if it has the values that the caller expects.  Each check is a rule with a
 * name.  The verdict names the first rule that the document breaks.
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

    /* The values that the document must have, if they are set */
    std::map<unsigned, Bytes> pcrs;
    std::optional<Bytes> nonce, user_data, public_key;
    std::optional<int64_t> max_age;     /* in seconds, at `at` */
};

/*
 * Check `document`, except its form, which decode_attestation() has checked.
 * Throws Violation with the first rule that it breaks.
 */
void verify_attestation(const AttestationDocument &document,
                        const AttestationPolicy &policy);

/* Are PCR0, PCR1 and PCR2 zero, as in debug mode?  Then the document does not
 * identify the image. */
bool is_debug_mode(const AttestationDocument &document);

/* The fields of a certificate that are printed */
struct CertificateSummary {
    std::string subject;                /* as RFC 4514 writes it */
    int64_t not_before, not_after;      /* seconds since the epoch */
};

/* Returns nothing if `der` is no certificate. */
std::optional<CertificateSummary> summarize_certificate(const Bytes &der);

/* "2022-10-13T09:00:00Z", for seconds since the epoch */
std::string time_text(int64_t time);

#endif
