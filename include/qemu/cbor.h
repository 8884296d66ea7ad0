/*
 * CBOR (RFC 8949), for what is read from and written for others
 *
 * What is read is hostile.  libcbor's cbor_load() allocates what the head of
 * an item claims and recurses as deep as the input says, so only its decoder
 * of single items is used here: reading is a walk over bytes that are there
 * already, head by head, and allocates nothing that the input does not fill.
 * Every well-formed encoding is taken: any width of numbers, definite and
 * indefinite lengths, unknown tags and simple values.
 *
 * What is written goes to the end of a GByteArray, in the shortest form.
 *
 * This header can be included from C++.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_CBOR_H
#define QEMU_CBOR_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

G_BEGIN_DECLS

struct Error;

/* How many arrays and maps may be in each other */
#define CBOR_DEPTH_MAX  16

typedef enum CborKind {
    CBOR_KIND_UINT,         /* value: the number */
    CBOR_KIND_NEGINT,       /* value: -1 - the number */
    CBOR_KIND_BYTES,        /* value: how many bytes there are at data */
    CBOR_KIND_TEXT,         /* value: how many bytes there are at data */
    CBOR_KIND_ARRAY,        /* value: how many items follow */
    CBOR_KIND_MAP,          /* value: how many pairs of items follow */
    CBOR_KIND_TAG,          /* value: the tag; the tagged item follows */
    CBOR_KIND_NULL,
    CBOR_KIND_OTHER,        /* another simple value, or floating-point */
    CBOR_KIND_BREAK,        /* the end of an item of indefinite length */
} CborKind;

/* The head of an item; a string of definite length comes with it. */
typedef struct CborHead {
    CborKind kind;
    bool indefinite;        /* value is 0: items follow, up to a break */
    uint64_t value;
    const uint8_t *data;    /* in the input */
} CborHead;

typedef enum CborStatus {
    CBOR_STATUS_OK,
    CBOR_STATUS_CUT_SHORT,  /* the input ends within the item */
    CBOR_STATUS_MALFORMED,
} CborStatus;

/*
 * Decode the @head at the start of the @size bytes at @data; *@used becomes
 * the number of bytes that it takes, a string's included, on success only.
 * An array or a map that claims more items than there can be in @size bytes is
 * cut short.
 */
CborStatus cbor_decode_head(const uint8_t *data, size_t size, CborHead *head,
                            size_t *used);

/*
 * A walk over the items of some input.  The functions below return false and
 * set @errp, to one line that begins with @what, where they say that they
 * fail; @pos is then that of the item that was no good, or behind it.
 */
typedef struct CborReader {
    const char *what;       /* the input's name, for messages */
    const uint8_t *data;
    size_t size;            /* bytes at @data */
    size_t pos;             /* of the next item, in bytes */
} CborReader;

/* Read the next head, which may not be a break. */
bool cbor_next(CborReader *r, CborHead *head, struct Error **errp);

/* Likewise, but only one of @kind will do; @name says what for. */
bool cbor_expect(CborReader *r, CborHead *head, CborKind kind,
                 const char *name, struct Error **errp);

/*
 * Is there one more item (or pair of items) in the array, string or map that
 * began with @head?  Counts @head's value down, or takes the break.  At the
 * end of the input there may seem to be one more, which then fails to be read.
 */
bool cbor_more(CborReader *r, CborHead *head);

/*
 * Append what is in the string that began with @head to @out, if that is not
 * NULL.  The pieces of one of indefinite length must be strings of the same
 * kind, of definite length.
 */
bool cbor_read_string(CborReader *r, CborHead *head, GByteArray *out,
                      struct Error **errp);

/*
 * Pass over all that belongs to the item that began with @head, which lies in
 * @depth arrays and maps.  Fails if it is not well-formed, or if there are
 * more than CBOR_DEPTH_MAX arrays and maps in each other.
 */
bool cbor_skip_rest(CborReader *r, CborHead *head, unsigned depth,
                    struct Error **errp);

/* Pass over the next item, which lies in @depth arrays and maps. */
bool cbor_skip(CborReader *r, unsigned depth, struct Error **errp);

/* A field of a map whose keys are names: how its value is read. */
typedef struct CborField {
    const char *name;
    /* Read the value, an item, into @out; @name is for messages. */
    bool (*read)(CborReader *r, const char *name, void *out,
                 struct Error **errp);
    void *out;
    bool optional;
    bool seen;              /* set by cbor_read_map() */
} CborField;

/*
 * Read the rest of the map that began with @head and lies in @depth arrays and
 * maps.  Each of the @num_fields @fields is read by its own function; keys that
 * are none of them, of whatever kind, are passed over with their values, and
 * tags before keys are too.  Fails where a field's function does, if a field
 * comes twice, as readers could differ in which one they take, or if one that
 * is not optional is missing.
 */
bool cbor_read_map(CborReader *r, CborHead *head, CborField *fields,
                   unsigned num_fields, unsigned depth, struct Error **errp);

/* Fails unless all of the input has been read. */
bool cbor_end(const CborReader *r, struct Error **errp);

/* Append an item. */
void cbor_put_uint(GByteArray *out, uint64_t value);
void cbor_put_negint(GByteArray *out, uint64_t value);  /* -1 - @value */
void cbor_put_bytes(GByteArray *out, const void *data, size_t size);
void cbor_put_text(GByteArray *out, const char *text);
void cbor_put_bool(GByteArray *out, bool value);
void cbor_put_null(GByteArray *out);
/* Append the head of an array or a map; its items or pairs follow. */
void cbor_put_array(GByteArray *out, size_t items);
void cbor_put_map(GByteArray *out, size_t pairs);

G_END_DECLS

#endif
