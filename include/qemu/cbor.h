/*
 * Reading and writing CBOR (RFC 8949)
 *
 * The input is not trusted.  libcbor's cbor_load() allocates as much as the
 * head of an item claims, and recurses as deep as the input says.  So only
 * libcbor's decoder of single items is used here.  The reader goes over the
 * bytes head by head, and never allocates more than the input contains.  It
 * accepts every well-formed encoding: any width of numbers, definite and
 * indefinite lengths, unknown tags and simple values.
 *
 * The writer appends to a GByteArray, in the shortest encoding.
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

/* The largest nesting depth of arrays and maps */
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

/* The head of an item, with the bytes of a string of definite length */
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
 * Decode the @head at the start of the @size bytes at @data.  On success, set
 * *@used to its size, including the bytes of a string.  If an array or a map
 * claims more items than @size bytes can contain, the input is cut short.
 */
CborStatus cbor_decode_head(const uint8_t *data, size_t size, CborHead *head,
                            size_t *used);

/*
 * A position in the items of some input.  When a function below fails, it
 * returns false and sets @errp to one line that begins with @what.  Then @pos
 * is at or after the item that caused the error.
 */
typedef struct CborReader {
    const char *what;       /* the input's name, for messages */
    const uint8_t *data;
    size_t size;            /* bytes at @data */
    size_t pos;             /* of the next item, in bytes */
} CborReader;

/* Read the next head, which may not be a break. */
bool cbor_next(CborReader *r, CborHead *head, struct Error **errp);

/* Likewise, but fail if it is not of @kind; @name is for messages. */
bool cbor_expect(CborReader *r, CborHead *head, CborKind kind,
                 const char *name, struct Error **errp);

/*
 * Is there one more item (or pair of items) in the array, string or map that
 * began with @head?  Counts @head's value down, or consumes the break.  If the
 * input ends too early, this returns true, and reading the next item fails.
 */
bool cbor_more(CborReader *r, CborHead *head);

/*
 * Append the content of the string that began with @head to @out, unless @out
 * is NULL.  The pieces of a string of indefinite length must be strings of the
 * same kind and of definite length.
 */
bool cbor_read_string(CborReader *r, CborHead *head, GByteArray *out,
                      struct Error **errp);

/*
 * Skip the rest of the item that began with @head and is nested in @depth
 * arrays and maps.  Fails if the item is not well-formed, or if it is nested
 * deeper than CBOR_DEPTH_MAX.
 */
bool cbor_skip_rest(CborReader *r, CborHead *head, unsigned depth,
                    struct Error **errp);

/* Skip the next item, which is nested in @depth arrays and maps. */
bool cbor_skip(CborReader *r, unsigned depth, struct Error **errp);

/* A field of a map whose keys are text: its name, and how to read its value */
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
 * Read the rest of the map that began with @head and is nested in @depth arrays
 * and maps.  Calls the function of each of the @num_fields @fields.  Skips
 * other keys, of any kind, with their values, and skips tags before keys.
 * Fails if a field's function fails, if a field that is not optional is
 * missing, or if a field occurs twice: another reader might use the other one.
 */
bool cbor_read_map(CborReader *r, CborHead *head, CborField *fields,
                   unsigned num_fields, unsigned depth, struct Error **errp);

/* Fail if there is input left. */
bool cbor_end(const CborReader *r, struct Error **errp);

/* Append an item. */
void cbor_put_uint(GByteArray *out, uint64_t value);
void cbor_put_negint(GByteArray *out, uint64_t value);  /* -1 - @value */
void cbor_put_bytes(GByteArray *out, const void *data, size_t size);
void cbor_put_text(GByteArray *out, const char *text);
void cbor_put_bool(GByteArray *out, bool value);
void cbor_put_null(GByteArray *out);
/* Append the head of an array or a map.  The caller appends its items. */
void cbor_put_array(GByteArray *out, size_t items);
void cbor_put_map(GByteArray *out, size_t pairs);

G_END_DECLS

#endif
