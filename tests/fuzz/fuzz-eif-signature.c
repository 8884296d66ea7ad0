/*
 * Fuzz target: the signature section of an enclave image file
 *
 * The input is the section's content.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/eif-signature.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EifImage image = { .path = (char *)"fuzz" };
    g_auto(EifResult) result = { .signature = g_byte_array_new() };
    g_autoptr(EifSignature) signature = NULL;

    g_byte_array_append(result.signature, data, size);
    signature = eif_signature_parse(&image, &result, NULL);
    if (signature) {
        g_assert_cmpuint(signature->certificate->len, >, 0);
        /* Skip the only check that depends on the rest of the image. */
        memcpy(result.image_pcr0, signature->pcr0, NITRO_PCR_SIZE);
        g_assert_true(eif_signature_covers(signature, result.image_pcr0));
        g_assert_cmpint(eif_signature_check_validity(signature, 1700000000,
                                                     NULL), ==,
                        eif_verify_signature(&image, &result, 1700000000,
                                             NULL));
    }
    return 0;
}
