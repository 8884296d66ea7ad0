/*
 * COSE (RFC 9052): the bytes that a COSE_Sign1 message signs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cbor.h"
#include "qemu/cose.h"

void cose_sign1_put_sig_structure(GByteArray *out, const void *protected_data,
                                  size_t protected_size, const void *payload,
                                  size_t payload_size)
{
    cbor_put_array(out, 4);
    cbor_put_text(out, "Signature1");
    cbor_put_bytes(out, protected_data, protected_size);
    cbor_put_bytes(out, NULL, 0);
    cbor_put_bytes(out, payload, payload_size);
}
