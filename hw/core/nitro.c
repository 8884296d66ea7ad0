/*
 * What AWS Nitro Enclaves image files and the Nitro Secure Module share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/core/nitro.h"

#include <gnutls/crypto.h>

bool nitro_pcr_extend(uint8_t pcr[NITRO_PCR_SIZE], const void *data,
                      size_t size, Error **errp)
{
    gnutls_hash_hd_t hash;
    int ret = gnutls_hash_init(&hash, GNUTLS_DIG_SHA384);

    if (ret >= 0) {
        ret = gnutls_hash(hash, pcr, NITRO_PCR_SIZE);
        if (ret >= 0 && size) {
            ret = gnutls_hash(hash, data, size);
        }
        gnutls_hash_deinit(hash, ret >= 0 ? pcr : NULL);
    }
    if (ret < 0) {
        error_setg(errp, "Could not compute SHA-384: %s", gnutls_strerror(ret));
    }
    return ret >= 0;
}

char *nitro_pcr_to_hex(const uint8_t pcr[NITRO_PCR_SIZE])
{
    g_autoptr(GString) hex = g_string_sized_new(2 * NITRO_PCR_SIZE);
    int i;

    for (i = 0; i < NITRO_PCR_SIZE; i++) {
        g_string_append_printf(hex, "%02x", pcr[i]);
    }
    return g_string_free(g_steal_pointer(&hex), false);
}

char *nitro_time_to_text(int64_t seconds)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(seconds);

    return utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ")
               : g_strdup_printf("%" PRId64 " s after 1970", seconds);
}
