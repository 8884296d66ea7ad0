/*
 * What AWS Nitro Enclaves image files and the Nitro Secure Module share
 *
 * Both extend platform configuration registers (PCRs) with SHA-384, and both
 * print PCRs and dates in messages.  This header can be included from C++.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_NITRO_H
#define HW_CORE_NITRO_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

G_BEGIN_DECLS

struct Error;

#define NITRO_PCR_SIZE          48      /* bytes: SHA-384 */

/*
 * Extend @pcr: it becomes SHA-384 of itself followed by the @size bytes at
 * @data.  Fails only where GnuTLS does; @pcr is unchanged then.
 */
bool nitro_pcr_extend(uint8_t pcr[NITRO_PCR_SIZE], const void *data,
                      size_t size, struct Error **errp);

/* Returns @pcr in lower-case hexadecimal digits, to be freed. */
char *nitro_pcr_to_hex(const uint8_t pcr[NITRO_PCR_SIZE]);

/* Returns @seconds since 1970, UTC, in the form of RFC 3339, to be freed. */
char *nitro_time_to_text(int64_t seconds);

G_END_DECLS

#endif
