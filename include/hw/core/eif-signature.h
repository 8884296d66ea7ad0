/*
 * AWS Nitro Enclaves image files (EIF): the signature
 *
 * The functions work on the result of eif_load().  A machine calls
 * eif_verify_signature().  A tool that describes an image calls the others, and
 * continues where a machine refuses the image.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_EIF_SIGNATURE_H
#define HW_CORE_EIF_SIGNATURE_H

#include "hw/core/eif-load.h"

G_BEGIN_DECLS

/* Algorithms of the signature, by their COSE numbers (RFC 9053, 2.1) */
typedef enum EifAlgorithm {
    EIF_ALGORITHM_ES256 = -7,           /* with a P-256 key */
    EIF_ALGORITHM_ES384 = -35,          /* with a P-384 key */
    EIF_ALGORITHM_ES512 = -36,          /* with a P-521 key */
} EifAlgorithm;

/* The image's signature: the signer and the signed PCR0 */
typedef struct EifSignature {
    char *path;                         /* of the image, for messages */
    EifAlgorithm algorithm;
    GByteArray *certificate;            /* of the signer, X.509 DER */
    int64_t not_before;                 /* its validity, both ends included, */
    int64_t not_after;                  /* in seconds since 1970, UTC */
    uint8_t pcr0[NITRO_PCR_SIZE];       /* what was signed */
} EifSignature;

/*
 * Decode the signature section in @result, and verify that the key of its
 * certificate made the signature.  Fails if it did not, or if the image is not
 * signed.  The functions below check whether the signature covers this image
 * and whether the certificate is valid.  No function checks whether the
 * certificate is trusted: others decide that from its hash, PCR8, in the
 * guest's attestation documents.  The caller frees the result with
 * eif_signature_free(), which accepts NULL.
 */
EifSignature *eif_signature_parse(const EifImage *image,
                                  const EifResult *result,
                                  struct Error **errp);
void eif_signature_free(EifSignature *signature);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EifSignature, eif_signature_free)

/* Does @signature cover the image with @image_pcr0, of EifResult? */
bool eif_signature_covers(const EifSignature *signature,
                          const uint8_t image_pcr0[NITRO_PCR_SIZE]);

/* Is the certificate valid at @now, in seconds since 1970, UTC? */
bool eif_signature_check_validity(const EifSignature *signature, int64_t now,
                                  struct Error **errp);

/*
 * Check what a machine needs before it boots an image: the signature verifies
 * and covers @image_pcr0, and its certificate is valid at @now (in seconds
 * since 1970, UTC).  Then set @pcr8 of @result, the measurement of the
 * certificate in DER.  Succeeds for an unsigned image, and leaves @pcr8 zero.
 */
bool eif_verify_signature(const EifImage *image, EifResult *result,
                          int64_t now, struct Error **errp);

G_END_DECLS

#endif
