/*
 * Writing CBOR (RFC 8949) for the Nitro Secure Module
 *
 * Each function appends one item, or the head of one, in its shortest form to
 * a byte array.  libcbor encodes; what it lacks is an output that grows.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_NSM_CBOR_H
#define HW_VIRTIO_NSM_CBOR_H

#include <cbor.h>

#define NSM_CBOR_HEAD_MAX 9     /* bytes */

static inline void nsm_cbor_uint(GByteArray *out, uint64_t value)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_uint(value, head, sizeof(head)));
}

/* The integer -1 - @value */
static inline void nsm_cbor_negint(GByteArray *out, uint64_t value)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_negint(value, head, sizeof(head)));
}

static inline void nsm_cbor_bytes(GByteArray *out, const void *data,
                                  size_t size)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_bytestring_start(size, head,
                                                     sizeof(head)));
    g_byte_array_append(out, data, size);
}

static inline void nsm_cbor_text(GByteArray *out, const char *text)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];
    size_t size = strlen(text);

    g_byte_array_append(out, head,
                        cbor_encode_string_start(size, head, sizeof(head)));
    g_byte_array_append(out, (const uint8_t *)text, size);
}

/* The head of an array; its @size elements follow. */
static inline void nsm_cbor_array(GByteArray *out, size_t size)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_array_start(size, head, sizeof(head)));
}

/* The head of a map; its @size pairs follow. */
static inline void nsm_cbor_map(GByteArray *out, size_t size)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_map_start(size, head, sizeof(head)));
}

static inline void nsm_cbor_bool(GByteArray *out, bool value)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_bool(value, head, sizeof(head)));
}

static inline void nsm_cbor_null(GByteArray *out)
{
    uint8_t head[NSM_CBOR_HEAD_MAX];

    g_byte_array_append(out, head, cbor_encode_null(head, sizeof(head)));
}

#endif
