/*
 * COSE (RFC 9052): the bytes that a COSE_Sign1 message signs
 *
 * This header can be included from C++.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_COSE_H
#define QEMU_COSE_H

#include <glib.h>
#include <stddef.h>

G_BEGIN_DECLS

#define COSE_SIGN1_TAG          18      /* RFC 9052, 2 */
#define COSE_SIGN1_ITEMS        4       /* RFC 9052, 4.2 */
#define COSE_HEADER_ALG         1       /* RFC 9052, 3.1 */

/* Algorithms of signatures (RFC 9053, 2.1) */
#define COSE_ES256              (-7)
#define COSE_ES384              (-35)
#define COSE_ES512              (-36)

/*
 * Append the Sig_structure (RFC 9052, 4.4) of a COSE_Sign1 with the serialized
 * header @protected_data and @payload, without external data: the bytes that
 * its signature is made over.
 */
void cose_sign1_put_sig_structure(GByteArray *out, const void *protected_data,
                                  size_t protected_size, const void *payload,
                                  size_t payload_size);

G_END_DECLS

#endif
