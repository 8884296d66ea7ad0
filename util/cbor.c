/*
 * Reading and writing CBOR (RFC 8949)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cbor.h"
#include "qapi/error.h"

#include <cbor.h>

/*
 * Heads.  libcbor calls a function for each kind and each width of a number.
 * Lengths are of type size_t before libcbor 0.9, and uint64_t since then.
 */
#if CBOR_MAJOR_VERSION == 0 && CBOR_MINOR_VERSION < 9
typedef size_t CborLength;
#else
typedef uint64_t CborLength;
#endif

#define ON_NUMBER(name, type, ...)                                      \
    static void name(void *head, type value)                            \
    {                                                                   \
        *(CborHead *)head = (CborHead) { __VA_ARGS__ };                 \
    }

#define ON_START(name, ...)                                             \
    static void name(void *head)                                        \
    {                                                                   \
        *(CborHead *)head = (CborHead) { __VA_ARGS__ };                 \
    }

#define ON_STRING(name, string_kind)                                    \
    static void name(void *head, cbor_data bytes, CborLength size)      \
    {                                                                   \
        *(CborHead *)head = (CborHead) {                                \
            .kind = string_kind, .value = size, .data = bytes           \
        };                                                              \
    }

ON_NUMBER(on_uint8, uint8_t, .kind = CBOR_KIND_UINT, .value = value)
ON_NUMBER(on_uint16, uint16_t, .kind = CBOR_KIND_UINT, .value = value)
ON_NUMBER(on_uint32, uint32_t, .kind = CBOR_KIND_UINT, .value = value)
ON_NUMBER(on_uint64, uint64_t, .kind = CBOR_KIND_UINT, .value = value)
ON_NUMBER(on_negint8, uint8_t, .kind = CBOR_KIND_NEGINT, .value = value)
ON_NUMBER(on_negint16, uint16_t, .kind = CBOR_KIND_NEGINT, .value = value)
ON_NUMBER(on_negint32, uint32_t, .kind = CBOR_KIND_NEGINT, .value = value)
ON_NUMBER(on_negint64, uint64_t, .kind = CBOR_KIND_NEGINT, .value = value)
ON_STRING(on_bytes, CBOR_KIND_BYTES)
ON_START(on_bytes_start, .kind = CBOR_KIND_BYTES, .indefinite = true)
ON_STRING(on_text, CBOR_KIND_TEXT)
ON_START(on_text_start, .kind = CBOR_KIND_TEXT, .indefinite = true)
ON_NUMBER(on_array, CborLength, .kind = CBOR_KIND_ARRAY, .value = value)
ON_START(on_array_start, .kind = CBOR_KIND_ARRAY, .indefinite = true)
ON_NUMBER(on_map, CborLength, .kind = CBOR_KIND_MAP, .value = value)
ON_START(on_map_start, .kind = CBOR_KIND_MAP, .indefinite = true)
ON_NUMBER(on_tag, uint64_t, .kind = CBOR_KIND_TAG, .value = value)
ON_NUMBER(on_float, float, .kind = CBOR_KIND_OTHER)
ON_NUMBER(on_double, double, .kind = CBOR_KIND_OTHER)
ON_NUMBER(on_bool, bool, .kind = CBOR_KIND_OTHER)
ON_START(on_null, .kind = CBOR_KIND_NULL)
ON_START(on_simple, .kind = CBOR_KIND_OTHER)
ON_START(on_break, .kind = CBOR_KIND_BREAK)

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string = on_bytes,
    .byte_string_start = on_bytes_start,
    .string = on_text,
    .string_start = on_text_start,
    .array_start = on_array,
    .indef_array_start = on_array_start,
    .map_start = on_map,
    .indef_map_start = on_map_start,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_simple,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

/*
 * Decode well-formed heads that libcbor 0.8 rejects, because no meaning is
 * assigned to them: tags of one byte (such as 18, of a COSE_Sign1) and
 * unassigned simple values.  Returns the size of the head, or 0 if libcbor
 * has to decode it.
 */
static size_t decode_unassigned(const uint8_t *data, size_t size,
                                CborHead *head)
{
    uint8_t byte = data[0];

    if (byte >= 0xc0 && byte <= 0xd7) {
        on_tag(head, byte - 0xc0);
        return 1;
    }
    if (byte >= 0xe0 && byte <= 0xf3) {
        on_simple(head);
        return 1;
    }
    /* The value is in a second byte; values below 32 need no second byte. */
    if (byte == 0xf8 && size >= 2 && data[1] >= 32) {
        on_simple(head);
        return 2;
    }
    return 0;
}

/* The bytes of a head's argument, which follows the head's first byte */
static size_t argument_size(uint8_t byte)
{
    unsigned info = byte & 0x1f;

    return info >= 24 && info <= 27 ? 1u << (info - 24) : 0;
}

/*
 * Input that is cut short, which libcbor does not notice: a simple value
 * without its second byte, and lengths that exceed the rest of the input.
 * libcbor before 0.9 stores a length in a size_t, so on some hosts it would
 * read 2^32 + 1 as 1.
 */
static bool is_cut_short(const uint8_t *data, size_t size)
{
    unsigned major = data[0] >> 5, info = data[0] & 0x1f, i;
    size_t head = 1 + argument_size(data[0]), left;
    uint64_t length = 0;

    if (size < head) {
        return true;
    }
    /* Only bytes (2), text (3), arrays (4) and maps (5) have a length. */
    if (major < 2 || major > 5 || info > 27) {
        return false;
    }
    for (i = 1; i < head; i++) {
        length = length << 8 | data[i];
    }
    if (head == 1) {
        length = info;
    }
    left = size - head;
    /* An item has at least one byte, and a pair of items two. */
    return length > (major == 5 ? left / 2 : left);
}

CborStatus cbor_decode_head(const uint8_t *data, size_t size, CborHead *head,
                            size_t *used)
{
    struct cbor_decoder_result result;
    size_t unassigned;

    if (!size || is_cut_short(data, size)) {
        return CBOR_STATUS_CUT_SHORT;
    }
    unassigned = decode_unassigned(data, size, head);
    if (unassigned) {
        *used = unassigned;
        return CBOR_STATUS_OK;
    }
    result = cbor_stream_decode(data, size, &callbacks, head);
    switch (result.status) {
    case CBOR_DECODER_FINISHED:
        *used = result.read;
        return CBOR_STATUS_OK;
    case CBOR_DECODER_NEDATA:
        return CBOR_STATUS_CUT_SHORT;
    default:
        return CBOR_STATUS_MALFORMED;
    }
}

/* Reading */

static bool next_or_break(CborReader *r, CborHead *head, Error **errp)
{
    size_t used;

    switch (cbor_decode_head(r->data + r->pos, r->size - r->pos, head,
                             &used)) {
    case CBOR_STATUS_OK:
        r->pos += used;
        return true;
    case CBOR_STATUS_CUT_SHORT:
        error_setg(errp, "%s is cut short: more than its %zu bytes are needed "
                   "for the CBOR item at byte %zu", r->what, r->size, r->pos);
        return false;
    default:
        error_setg(errp, "%s is not CBOR: bad byte 0x%02x at byte %zu",
                   r->what, r->data[r->pos], r->pos);
        return false;
    }
}

bool cbor_next(CborReader *r, CborHead *head, Error **errp)
{
    size_t pos = r->pos;

    if (!next_or_break(r, head, errp)) {
        return false;
    }
    if (head->kind == CBOR_KIND_BREAK) {
        error_setg(errp, "%s is not CBOR: misplaced break at byte %zu",
                   r->what, pos);
        return false;
    }
    return true;
}

bool cbor_expect(CborReader *r, CborHead *head, CborKind kind,
                 const char *name, Error **errp)
{
    static const char *const kind_names[] = {
        [CBOR_KIND_UINT] = "an unsigned integer",
        [CBOR_KIND_NEGINT] = "a negative integer",
        [CBOR_KIND_BYTES] = "a byte string",
        [CBOR_KIND_TEXT] = "a text string",
        [CBOR_KIND_ARRAY] = "an array",
        [CBOR_KIND_MAP] = "a map",
        [CBOR_KIND_TAG] = "a tag",
        [CBOR_KIND_NULL] = "null",
        [CBOR_KIND_OTHER] = "a simple value or a floating-point number",
    };
    size_t pos = r->pos;

    if (!cbor_next(r, head, errp)) {
        return false;
    }
    if (head->kind != kind) {
        error_setg(errp, "%s: %s at byte %zu is %s instead of %s", r->what,
                   name, pos, kind_names[head->kind], kind_names[kind]);
        return false;
    }
    return true;
}

bool cbor_more(CborReader *r, CborHead *head)
{
    if (!head->indefinite) {
        return head->value && head->value--;
    }
    if (r->pos < r->size && r->data[r->pos] == 0xff) {
        r->pos++;
        return false;
    }
    return true;
}

bool cbor_read_string(CborReader *r, CborHead *head, GByteArray *out,
                      Error **errp)
{
    CborHead piece;

    if (!head->indefinite) {
        if (out && head->value) {
            g_byte_array_append(out, head->data, head->value);
        }
        return true;
    }
    while (cbor_more(r, head)) {
        if (!cbor_expect(r, &piece, head->kind, "a piece of a string", errp)) {
            return false;
        }
        if (piece.indefinite) {
            error_setg(errp, "%s is not CBOR: the piece of a string that ends "
                       "at byte %zu is of indefinite length", r->what, r->pos);
            return false;
        }
        cbor_read_string(r, &piece, out, NULL);
    }
    return true;
}

bool cbor_skip_rest(CborReader *r, CborHead *head, unsigned depth,
                    Error **errp)
{
    /* A loop, so that any number of tags needs no stack. */
    while (head->kind == CBOR_KIND_TAG) {
        if (!cbor_next(r, head, errp)) {
            return false;
        }
    }
    if (head->kind == CBOR_KIND_BYTES || head->kind == CBOR_KIND_TEXT) {
        return cbor_read_string(r, head, NULL, errp);
    }
    if (head->kind != CBOR_KIND_ARRAY && head->kind != CBOR_KIND_MAP) {
        return true;
    }
    if (depth >= CBOR_DEPTH_MAX) {
        error_setg(errp, "%s is nested deeper than %d levels at byte %zu",
                   r->what, CBOR_DEPTH_MAX, r->pos);
        return false;
    }
    /* Each item takes at least a byte, so the loop ends with the input. */
    while (cbor_more(r, head)) {
        if (!cbor_skip(r, depth + 1, errp) ||
            (head->kind == CBOR_KIND_MAP && !cbor_skip(r, depth + 1, errp))) {
            return false;
        }
    }
    return true;
}

bool cbor_skip(CborReader *r, unsigned depth, Error **errp)
{
    CborHead head;

    return cbor_next(r, &head, errp) && cbor_skip_rest(r, &head, depth, errp);
}

/* Read the next key.  Returns the one of @fields that it names, or NULL. */
static bool cbor_read_key(CborReader *r, CborField *fields,
                          unsigned num_fields, unsigned depth,
                          CborField **found, Error **errp)
{
    g_autoptr(GByteArray) name = g_byte_array_new();
    CborHead key;
    unsigned i;

    *found = NULL;
    do {
        if (!cbor_next(r, &key, errp)) {
            return false;
        }
    } while (key.kind == CBOR_KIND_TAG);
    if (key.kind != CBOR_KIND_TEXT) {
        return cbor_skip_rest(r, &key, depth, errp);
    }
    if (!cbor_read_string(r, &key, name, errp)) {
        return false;
    }
    for (i = 0; i < num_fields; i++) {
        if (name->len == strlen(fields[i].name) &&
            memcmp(name->data, fields[i].name, name->len) == 0) {
            *found = &fields[i];
        }
    }
    return true;
}

bool cbor_read_map(CborReader *r, CborHead *head, CborField *fields,
                   unsigned num_fields, unsigned depth, Error **errp)
{
    CborField *field;
    unsigned i;

    while (cbor_more(r, head)) {
        if (!cbor_read_key(r, fields, num_fields, depth + 1, &field, errp)) {
            return false;
        }
        if (!field) {
            if (!cbor_skip(r, depth + 1, errp)) {
                return false;
            }
            continue;
        }
        if (field->seen) {
            error_setg(errp, "%s has more than one \"%s\"", r->what,
                       field->name);
            return false;
        }
        field->seen = true;
        if (!field->read(r, field->name, field->out, errp)) {
            return false;
        }
    }
    for (i = 0; i < num_fields; i++) {
        if (!fields[i].seen && !fields[i].optional) {
            error_setg(errp, "%s has no \"%s\"", r->what, fields[i].name);
            return false;
        }
    }
    return true;
}

bool cbor_end(const CborReader *r, Error **errp)
{
    if (r->pos != r->size) {
        error_setg(errp, "%s ends at byte %zu, but %zu bytes follow", r->what,
                   r->pos, r->size - r->pos);
        return false;
    }
    return true;
}

/* Writing.  libcbor encodes into a fixed buffer; the output here grows. */

#define HEAD_MAX 9      /* bytes */

void cbor_put_uint(GByteArray *out, uint64_t value)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_uint(value, head, sizeof(head)));
}

void cbor_put_negint(GByteArray *out, uint64_t value)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_negint(value, head, sizeof(head)));
}

void cbor_put_bytes(GByteArray *out, const void *data, size_t size)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_bytestring_start(size, head,
                                                     sizeof(head)));
    if (size) {
        g_byte_array_append(out, data, size);
    }
}

void cbor_put_text(GByteArray *out, const char *text)
{
    uint8_t head[HEAD_MAX];
    size_t size = strlen(text);

    g_byte_array_append(out, head,
                        cbor_encode_string_start(size, head, sizeof(head)));
    g_byte_array_append(out, (const uint8_t *)text, size);
}

void cbor_put_bool(GByteArray *out, bool value)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_bool(value, head, sizeof(head)));
}

void cbor_put_null(GByteArray *out)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head, cbor_encode_null(head, sizeof(head)));
}

void cbor_put_array(GByteArray *out, size_t items)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_array_start(items, head, sizeof(head)));
}

void cbor_put_map(GByteArray *out, size_t pairs)
{
    uint8_t head[HEAD_MAX];

    g_byte_array_append(out, head,
                        cbor_encode_map_start(pairs, head, sizeof(head)));
}
