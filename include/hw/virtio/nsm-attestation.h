/*
 * Attestation documents of the Nitro Secure Module
 *
 * An attestation document states what an enclave runs, and others can verify
 * it.  It is a COSE_Sign1 message (RFC 9052), signed with ECDSA on P-384 and
 * SHA-384, with a chain of X.509 certificates (RFC 5280).  AWS specifies the
 * fields (aws-nitro-enclaves-nsm-api, docs/attestation_process.md).  The root
 * certificate is not AWS's: it is the user's, or made when QEMU starts.
 *
 * This file knows certificates and signatures.  It does not know requests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_NSM_ATTESTATION_H
#define HW_VIRTIO_NSM_ATTESTATION_H

#include "hw/core/nitro.h"

#define NSM_NUM_PCRS                32
#define NSM_MODULE_ID_MAX           50      /* characters */
#define NSM_CERTIFICATE_MAX         1024    /* bytes of DER */
#define NSM_PAYLOAD_MAX             16384   /* bytes */

typedef struct NsmAttestation NsmAttestation;

/* The time in milliseconds since 1970-01-01 00:00 UTC */
typedef int64_t NsmClock(void *opaque);

typedef struct NsmAttestationConfig {
    /* A part of the certificates' subjects; at most NSM_MODULE_ID_MAX bytes */
    const char *module_id;

    /*
     * PEM files with a root certificate and its private key.  If both are
     * NULL, a root is made, which is lost when the process ends.
     */
    const char *ca_cert;
    const char *ca_key;

    NsmClock *clock;                        /* NULL: the host's clock */
    void *clock_opaque;
} NsmAttestationConfig;

/*
 * The content of a document; the bytes belong to the caller.  public_key,
 * user_data and nonce have no limits of their own: AWS's specification has
 * limits, but EC2 accepted a nonce of 1025 bytes.  NSM_PAYLOAD_MAX is the limit
 * of the whole payload.
 */
typedef struct NsmDocument {
    const char *module_id;
    const uint8_t (*pcrs)[NITRO_PCR_SIZE];  /* NSM_NUM_PCRS of them */
    uint32_t which_pcrs;                    /* bit i: include register i */
    const GByteArray *public_key;           /* NULL for CBOR's null, like */
    const GByteArray *user_data;            /* the next two */
    const GByteArray *nonce;
} NsmDocument;

/*
 * Read or make the root.  The certificates below it are made for the first
 * document, or at once if the root is the user's.  Returns NULL and sets @errp,
 * which names the file, if the user's files cannot be read, if the key is not
 * that of the certificate, or if the certificate is not one of a CA on P-384
 * that is valid now and may have three CAs below it.  Copies what it needs of
 * @config, except the clock, which must stay valid.
 */
NsmAttestation *nsm_attestation_new(const NsmAttestationConfig *config,
                                    Error **errp);

/* Wipes the keys.  Accepts NULL. */
void nsm_attestation_free(NsmAttestation *attestation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NsmAttestation, nsm_attestation_free)

/* Returns the root certificate in PEM, which belongs to @attestation. */
const char *nsm_attestation_root(const NsmAttestation *attestation);

/*
 * Append a signed document to @out.  Certificates that are about to expire are
 * made again first, with new keys; the root stays.  Fails if the payload would
 * be longer than NSM_PAYLOAD_MAX or if the root is not valid now; @out does not
 * change then.
 */
bool nsm_attestation_sign(NsmAttestation *attestation,
                          const NsmDocument *document, GByteArray *out,
                          Error **errp);

#endif
