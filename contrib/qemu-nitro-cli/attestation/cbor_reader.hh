/*
 * Reading untrusted CBOR (RFC 8949)
 *
 * The result is a tree of items.  Each item took at least a byte of the input,
 * so a limit on the size of the input also limits the memory.  QEMU's
 * qemu/cbor.h decodes single items.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ATTESTATION_CBOR_READER_HH
#define QEMU_NITRO_CLI_ATTESTATION_CBOR_READER_HH

#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include "support/bytes.hh"

constexpr unsigned cbor_depth_max = 16;     /* of arrays, maps and tags */

struct CborItem {
    enum class Kind {
        unsigned_integer,
        negative_integer,
        bytes,
        text,
        array,
        map,
        tag,
        null,
        other,          /* booleans, floating-point numbers, simple values */
    };

    /* The name of a kind for messages, with its article */
    static const char *name(Kind kind);

    Kind kind = Kind::other;
    uint64_t number = 0;            /* -1 - number if negative; the tag */
    Bytes data;                     /* of bytes and text, in one piece */
    std::vector<CborItem> items;    /* a map's keys and values in turn; the
                                       tagged item */
};

/* The message says what is not well-formed, and at which byte. */
struct CborError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/*
 * Read one item, of definite or indefinite length.  It must take all of `input`
 * and must not be nested deeper than cbor_depth_max.  Throws CborError.
 */
CborItem read_cbor(std::span<const uint8_t> input);

#endif
