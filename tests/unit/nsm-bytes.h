/*
 * Bytes in a readable notation, for the tests of the Nitro Secure Module
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_NSM_BYTES_H
#define TESTS_UNIT_NSM_BYTES_H

/* Convert the notation: hex digits, text in quotes, and spaces */
static inline GByteArray *bytes(const char *notation)
{
    GByteArray *out = g_byte_array_new();
    const char *p = notation;

    while (*p) {
        if (*p == ' ') {
            p++;
        } else if (*p == '\'') {
            const char *end = strchr(++p, '\'');

            g_byte_array_append(out, (const uint8_t *)p, end - p);
            p = end + 1;
        } else {
            uint8_t byte = g_ascii_xdigit_value(p[0]) << 4 |
                           g_ascii_xdigit_value(p[1]);

            g_assert(g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]));
            g_byte_array_append(out, &byte, 1);
            p += 2;
        }
    }
    return out;
}

static inline void repeat(GByteArray *out, uint8_t byte, size_t count)
{
    size_t old = out->len;

    if (count) {
        g_byte_array_set_size(out, old + count);
        memset(out->data + old, byte, count);
    }
}

#endif
