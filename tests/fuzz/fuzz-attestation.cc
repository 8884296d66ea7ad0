/*
 * Fuzz target: attestation documents, as they are verified
 *
 * The input is a document.  It is decoded, and verified with its own timestamp
 * as the time and with its own root, so that all rules are reached.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
extern "C" {
#include "target.h"
}

#include "attestation/verify.hh"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try {
        AttestationDocument document = decode_attestation({data, size});
        AttestationPolicy policy;

        policy.root = document.cabundle.front();
        policy.at = static_cast<int64_t>(document.timestamp / 1000);
        summarize_certificate(document.certificate);
        time_text(policy.at);
        verify_attestation(document, policy);
    } catch (const Violation &) {
        /* No other exception is allowed. */
    }
    return 0;
}
