/*
 * Attestation documents of the Nitro Secure Module
 *
 * An attestation document says what an enclave runs, and is signed, so that
 * somebody far away can rely on it: COSE_Sign1 (RFC 9052) with ECDSA on P-384
 * and SHA-384, and a chain of X.509 certificates (RFC 5280), with the fields,
 * their order and their encodings as AWS's documents have them.  What differs
 * is the root of the chain: it is one of the user's, or made for this run.
 *
 * This file knows certificates and signatures, and nothing of requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_NSM_ATTESTATION_H
#define HW_VIRTIO_NSM_ATTESTATION_H

#include "hw/core/nitro.h"

#define NSM_NUM_PCRS                32
#define NSM_CERTIFICATE_MAX         1024    /* bytes of DER */
#define NSM_PAYLOAD_MAX             16384   /* bytes */

typedef struct NsmAttestation NsmAttestation;

/* The time in milliseconds since 1970-01-01 00:00 UTC */
typedef int64_t NsmClock(void *opaque);

typedef struct NsmAttestationConfig {
    /* Names the enclave in the certificates; at most NSM_MODULE_ID_MAX. */
    const char *module_id;

    /*
     * PEM files with a root certificate and its private key: both, or both
     * NULL for a root that is made now and ends with the process.
     */
    const char *ca_cert;
    const char *ca_key;

    NsmClock *clock;                        /* NULL: the host's clock */
    void *clock_opaque;
} NsmAttestationConfig;

/*
 * What a document says; the bytes belong to the caller.  public_key, user_data
 * and nonce have no limit of their own, as on EC2: a nonce of 1025 bytes was
 * seen accepted there.  NSM_PAYLOAD_MAX bounds them together.
 */
typedef struct NsmDocument {
    const char *module_id;
    const uint8_t (*pcrs)[NITRO_PCR_SIZE];    /* NSM_NUM_PCRS of them */
    uint32_t which_pcrs;                    /* bit i: tell register i */
    const GByteArray *public_key;           /* each may be NULL: null */
    const GByteArray *user_data;
    const GByteArray *nonce;
} NsmDocument;

/*
 * Read or make the root; the certificates below it are made when the first
 * document needs them, or at once if the root is the user's.  Returns NULL and
 * sets @errp, naming the file, if the user's files cannot be read, do not
 * belong together, or are not those of a P-384 certificate authority that is
 * valid now and may have three others below it.  Nothing of @config is
 * referenced after the call, except the clock.
 */
NsmAttestation *nsm_attestation_new(const NsmAttestationConfig *config,
                                    Error **errp);

/* Wipes the keys.  Accepts NULL. */
void nsm_attestation_free(NsmAttestation *attestation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NsmAttestation, nsm_attestation_free)

/* The root certificate, PEM; belongs to @attestation. */
const char *nsm_attestation_root(const NsmAttestation *attestation);

/*
 * Append a signed document to @out.  Certificates that near their end are
 * renewed first, with new keys; the root stays.  Fails if the payload would be
 * longer than NSM_PAYLOAD_MAX or the root is not valid now; @out is unchanged
 * then.
 */
bool nsm_attestation_sign(NsmAttestation *attestation,
                          const NsmDocument *document, GByteArray *out,
                          Error **errp);

#endif
