/*
 * The Nitro Secure Module (NSM): registers, requests and responses
 *
 * A request is taken in three steps, top to bottom in this file: reading CBOR
 * (RFC 8949) item by item with libcbor's streaming decoder, which allocates
 * nothing; finding out which operation is asked for, with which arguments; and
 * doing it.  AWS's module was observed to tell how a request that is wrong is
 * answered.
 *
 * All of a request is the guest's and hostile.  It is checked as a whole to be
 * well-formed before anything of it is used, so that the steps after that need
 * not care.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "nsm-cbor.h"
#include "trace.h"
#include <gnutls/crypto.h>

#define NSM_DEPTH_MAX       16      /* of arrays and maps in each other */
#define NSM_RANDOM_SIZE     256     /* bytes */

typedef enum NsmError {
    NSM_OK,
    NSM_INVALID_INDEX,
    NSM_INVALID_OPERATION,
    NSM_READ_ONLY_INDEX,
    NSM_INPUT_TOO_LARGE,
    NSM_BUFFER_TOO_SMALL,
    NSM_INTERNAL_ERROR,
} NsmError;

static const char *const error_names[] = {
    [NSM_OK] = "done",        /* for the trace alone */
    [NSM_INVALID_INDEX] = "InvalidIndex",
    [NSM_INVALID_OPERATION] = "InvalidOperation",
    [NSM_READ_ONLY_INDEX] = "ReadOnlyIndex",
    [NSM_INPUT_TOO_LARGE] = "InputTooLarge",
    [NSM_BUFFER_TOO_SMALL] = "BufferTooSmall",
    [NSM_INTERNAL_ERROR] = "InternalError",
};

/*
 * Reading CBOR.  An item is read head first; strings of definite length come
 * with the head, what else is inside an item follows.
 */

typedef enum ItemKind {
    ITEM_UINT,
    ITEM_BYTES,
    ITEM_TEXT,
    ITEM_ARRAY,
    ITEM_MAP,
    ITEM_TAG,
    ITEM_NULL,
    ITEM_BREAK,
    ITEM_OTHER,             /* negative integers, floats, simple values */
} ItemKind;

typedef struct Item {
    ItemKind kind;
    bool tagged;
    bool indefinite;        /* BYTES, TEXT, ARRAY, MAP: until a break */
    uint64_t value;         /* UINT: itself; ARRAY: elements; MAP: pairs */
    const uint8_t *data;    /* BYTES, TEXT: in the request */
    size_t size;            /* bytes at @data */
} Item;

typedef struct Reader {
    const uint8_t *data;
    size_t size;            /* bytes left */
} Reader;

static void set_item(void *opaque, ItemKind kind, bool indefinite,
                     uint64_t value)
{
    Item *item = opaque;

    item->kind = kind;
    item->indefinite = indefinite;
    item->value = value;
}

static void set_string(void *opaque, ItemKind kind, cbor_data data,
                       size_t size)
{
    Item *item = opaque;

    set_item(item, kind, false, 0);
    item->data = data;
    item->size = size;
}

static void on_uint8(void *item, uint8_t value)
{
    set_item(item, ITEM_UINT, false, value);
}

static void on_uint16(void *item, uint16_t value)
{
    set_item(item, ITEM_UINT, false, value);
}

static void on_uint32(void *item, uint32_t value)
{
    set_item(item, ITEM_UINT, false, value);
}

static void on_uint64(void *item, uint64_t value)
{
    set_item(item, ITEM_UINT, false, value);
}

static void on_bytes(void *item, cbor_data data, size_t size)
{
    set_string(item, ITEM_BYTES, data, size);
}

static void on_bytes_start(void *item)
{
    set_item(item, ITEM_BYTES, true, 0);
}

static void on_text(void *item, cbor_data data, size_t size)
{
    set_string(item, ITEM_TEXT, data, size);
}

static void on_text_start(void *item)
{
    set_item(item, ITEM_TEXT, true, 0);
}

static void on_array(void *item, size_t size)
{
    set_item(item, ITEM_ARRAY, false, size);
}

static void on_array_start(void *item)
{
    set_item(item, ITEM_ARRAY, true, 0);
}

static void on_map(void *item, size_t size)
{
    set_item(item, ITEM_MAP, false, size);
}

static void on_map_start(void *item)
{
    set_item(item, ITEM_MAP, true, 0);
}

static void on_tag(void *item, uint64_t value)
{
    set_item(item, ITEM_TAG, false, value);
}

static void on_null(void *item)
{
    set_item(item, ITEM_NULL, false, 0);
}

static void on_break(void *item)
{
    set_item(item, ITEM_BREAK, false, 0);
}

/* The kinds without a function here leave the item what it was: OTHER. */
static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = cbor_null_negint8_callback,
    .negint16 = cbor_null_negint16_callback,
    .negint32 = cbor_null_negint32_callback,
    .negint64 = cbor_null_negint64_callback,
    .byte_string = on_bytes,
    .byte_string_start = on_bytes_start,
    .string = on_text,
    .string_start = on_text_start,
    .array_start = on_array,
    .indef_array_start = on_array_start,
    .map_start = on_map,
    .indef_map_start = on_map_start,
    .tag = on_tag,
    .float2 = cbor_null_float2_callback,
    .float4 = cbor_null_float4_callback,
    .float8 = cbor_null_float8_callback,
    .null = on_null,
    .undefined = cbor_null_undefined_callback,
    .boolean = cbor_null_boolean_callback,
    .indef_break = on_break,
};

static void skip_bytes(Reader *r, size_t size)
{
    r->data += size;
    r->size -= size;
}

/*
 * Read what is well-formed but what libcbor 0.8 takes for an error because it
 * knows no meaning of it: tags of one byte, and unassigned simple values.
 * Returns how many bytes that are; 0 leaves the item to libcbor.
 */
static size_t read_unassigned(const Reader *r, Item *item)
{
    uint8_t byte = r->size ? r->data[0] : 0;

    if (byte >= 0xc0 && byte <= 0xd7) {
        item->kind = ITEM_TAG;
        return 1;
    }
    if (byte >= 0xe0 && byte <= 0xf3) {
        return 1;
    }
    /* With a second byte; values below 32 have none. */
    if (byte == 0xf8 && r->size >= 2 && r->data[1] >= 32) {
        return 2;
    }
    return 0;
}

static bool read_one_head(Reader *r, Item *item)
{
    struct cbor_decoder_result result;
    size_t unassigned;

    *item = (Item) { .kind = ITEM_OTHER };
    unassigned = read_unassigned(r, item);
    if (unassigned) {
        skip_bytes(r, unassigned);
        return true;
    }
    result = cbor_stream_decode(r->data, r->size, &callbacks, item);
    if (result.status != CBOR_DECODER_FINISHED) {
        return false;
    }
    skip_bytes(r, result.read);
    return true;
}

/* Tags are read past: they change what an item means, not what it is. */
static bool read_head(Reader *r, Item *item)
{
    bool tagged = false;

    while (read_one_head(r, item)) {
        if (item->kind != ITEM_TAG) {
            item->tagged = tagged;
            return true;
        }
        tagged = true;
    }
    return false;
}

/*
 * Read the chunks of a string of indefinite length: strings of definite length
 * and the same type (RFC 8949, 3.2.3).  Append them to @bytes, if not NULL.
 */
static bool read_chunks(Reader *r, ItemKind kind, GByteArray *bytes)
{
    Item chunk;

    while (read_head(r, &chunk) && !chunk.tagged) {
        if (chunk.kind == ITEM_BREAK) {
            return true;
        }
        if (chunk.kind != kind || chunk.indefinite) {
            return false;
        }
        if (bytes) {
            g_byte_array_append(bytes, chunk.data, chunk.size);
        }
    }
    return false;
}

/* Read past what follows @head, down to @depth_left levels more. */
static bool skip_rest(Reader *r, const Item *head, unsigned depth_left)
{
    unsigned in_pair = head->kind == ITEM_MAP ? 2 : 1;
    uint64_t n;
    unsigned i;

    switch (head->kind) {
    case ITEM_BYTES:
    case ITEM_TEXT:
        return !head->indefinite || read_chunks(r, head->kind, NULL);
    case ITEM_ARRAY:
    case ITEM_MAP:
        break;
    default:
        return head->kind != ITEM_BREAK;
    }

    if (!depth_left) {
        return false;
    }
    /* However large @value is: each item takes a byte, or this ends. */
    for (n = 0; head->indefinite || n < head->value; n++) {
        for (i = 0; i < in_pair; i++) {
            Item item;

            if (!read_head(r, &item)) {
                return false;
            }
            if (head->indefinite && item.kind == ITEM_BREAK && i == 0) {
                return !item.tagged;
            }
            if (!skip_rest(r, &item, depth_left - 1)) {
                return false;
            }
        }
    }
    return true;
}

/* One item, nested no deeper than NSM_DEPTH_MAX, and nothing after it. */
static bool is_well_formed(const uint8_t *data, size_t size)
{
    Reader r = { data, size };
    Item head;

    return read_head(&r, &head) && skip_rest(&r, &head, NSM_DEPTH_MAX) &&
           r.size == 0;
}

/* From here on what is read is known to be well-formed. */

static void skip_item(Reader *r)
{
    Item head;

    read_head(r, &head);
    skip_rest(r, &head, NSM_DEPTH_MAX);
}

/* The bytes of the string that begins with @head, in an array of their own */
static GByteArray *read_string(Reader *r, const Item *head)
{
    GByteArray *bytes = g_byte_array_new();

    if (head->indefinite) {
        read_chunks(r, head->kind, bytes);
    } else if (head->size) {
        g_byte_array_append(bytes, head->data, head->size);
    }
    return bytes;
}

static bool bytes_equal(const GByteArray *bytes, const char *text)
{
    return bytes->len == strlen(text) &&
           !memcmp(bytes->data, text, bytes->len);
}

/* Is there another pair in the map @head?  @n have been read. */
static bool map_goes_on(Reader *r, const Item *head, uint64_t n)
{
    if (!head->indefinite) {
        return n < head->value;
    }
    if (r->data[0] == 0xff) {
        skip_bytes(r, 1);
        return false;
    }
    return true;
}

/* Operations and their arguments */

typedef enum FieldType {
    FIELD_INDEX,            /* an unsigned integer of 16 bits, as AWS has it */
    FIELD_BYTES,
    FIELD_OPTIONAL_BYTES,   /* null is as good as absent */
} FieldType;

typedef struct Field {
    const char *name;
    FieldType type;
} Field;

#define MAX_FIELDS 3

typedef struct Value {
    bool present;
    uint16_t index;
    GByteArray *bytes;      /* NULL if null or absent */
} Value;

/*
 * An operation appends its answer to @response.  If it returns an error, what
 * it appended and what it did to the registers is undone.
 */
typedef struct Operation {
    const char *name;
    bool takes_map;
    Field fields[MAX_FIELDS];
    NsmError (*run)(Nsm *nsm, const Value *values, GByteArray *response);
} Operation;

static void values_clear(Value *values)
{
    int i;

    for (i = 0; i < MAX_FIELDS; i++) {
        if (values[i].bytes) {
            g_byte_array_unref(values[i].bytes);
        }
    }
}

static bool read_value(Reader *r, FieldType type, Value *value)
{
    Item item;

    if (value->present) {
        return false;
    }
    value->present = true;
    read_head(r, &item);
    switch (item.kind) {
    case ITEM_UINT:
        value->index = item.value;
        return type == FIELD_INDEX && item.value <= UINT16_MAX;
    case ITEM_BYTES:
    case ITEM_TEXT:
        value->bytes = read_string(r, &item);
        return type != FIELD_INDEX;
    case ITEM_NULL:
        return type == FIELD_OPTIONAL_BYTES;
    default:
        return false;
    }
}

static int find_field(const Operation *op, Reader *r)
{
    g_autoptr(GByteArray) key = NULL;
    Reader whole = *r;
    Item item;
    int i;

    read_head(r, &item);
    if (item.kind != ITEM_TEXT) {
        *r = whole;
        skip_item(r);
        return -1;
    }
    key = read_string(r, &item);
    for (i = 0; i < MAX_FIELDS && op->fields[i].name; i++) {
        if (bytes_equal(key, op->fields[i].name)) {
            return i;
        }
    }
    return -1;
}

/* Read the map of arguments of @op into @values, one for each field. */
static bool read_arguments(const Operation *op, Reader *r, Value *values)
{
    uint64_t n;
    Item map;
    int i;

    read_head(r, &map);
    if (map.kind != ITEM_MAP) {
        return false;
    }
    for (n = 0; map_goes_on(r, &map, n); n++) {
        i = find_field(op, r);
        if (i < 0) {
            skip_item(r);
        } else if (!read_value(r, op->fields[i].type, &values[i])) {
            return false;
        }
    }
    for (i = 0; i < MAX_FIELDS && op->fields[i].name; i++) {
        if (!values[i].present &&
            op->fields[i].type != FIELD_OPTIONAL_BYTES) {
            return false;
        }
    }
    return true;
}

/* Doing it */

static bool is_locked(const Nsm *nsm, unsigned index)
{
    return nsm->bank.locked >> index & 1;
}

/* The guest gets no more than the name; a guest could ask again and again. */
static NsmError internal_error(Error *err)
{
    warn_report_once("nsm: %s", error_get_pretty(err));
    error_free(err);
    return NSM_INTERNAL_ERROR;
}

static NsmError describe_nsm(Nsm *nsm, const Value *values,
                             GByteArray *response)
{
    unsigned i;

    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "DescribeNSM");
    nsm_cbor_map(response, 7);
    nsm_cbor_text(response, "digest");
    nsm_cbor_text(response, "SHA384");
    nsm_cbor_text(response, "max_pcrs");
    nsm_cbor_uint(response, NSM_NUM_PCRS);
    nsm_cbor_text(response, "module_id");
    nsm_cbor_text(response, nsm->module_id);
    nsm_cbor_text(response, "locked_pcrs");
    nsm_cbor_array(response, ctpop32(nsm->bank.locked));
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        if (is_locked(nsm, i)) {
            nsm_cbor_uint(response, i);
        }
    }
    nsm_cbor_text(response, "version_major");
    nsm_cbor_uint(response, 1);
    nsm_cbor_text(response, "version_minor");
    nsm_cbor_uint(response, 0);
    nsm_cbor_text(response, "version_patch");
    nsm_cbor_uint(response, 0);
    return NSM_OK;
}

static NsmError get_random(Nsm *nsm, const Value *values, GByteArray *response)
{
    uint8_t random[NSM_RANDOM_SIZE];
    int ret = gnutls_rnd(GNUTLS_RND_RANDOM, random, sizeof(random));
    Error *err = NULL;

    if (ret < 0) {
        error_setg(&err, "random bytes: %s", gnutls_strerror(ret));
        return internal_error(err);
    }
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "GetRandom");
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "random");
    nsm_cbor_bytes(response, random, sizeof(random));
    return NSM_OK;
}

static NsmError describe_pcr(Nsm *nsm, const Value *values,
                             GByteArray *response)
{
    unsigned index = values[0].index;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "DescribePCR");
    nsm_cbor_map(response, 2);
    nsm_cbor_text(response, "lock");
    nsm_cbor_bool(response, is_locked(nsm, index));
    nsm_cbor_text(response, "data");
    nsm_cbor_bytes(response, nsm->bank.value[index], NSM_PCR_SIZE);
    return NSM_OK;
}

bool nsm_extend(uint8_t pcr[NSM_PCR_SIZE], const void *data, size_t size,
                Error **errp)
{
    gnutls_hash_hd_t hash;
    int ret = gnutls_hash_init(&hash, GNUTLS_DIG_SHA384);

    if (ret >= 0) {
        ret = gnutls_hash(hash, pcr, NSM_PCR_SIZE);
        if (ret >= 0 && size) {
            ret = gnutls_hash(hash, data, size);
        }
        gnutls_hash_deinit(hash, ret >= 0 ? pcr : NULL);
    }
    if (ret < 0) {
        error_setg(errp, "SHA-384: %s", gnutls_strerror(ret));
    }
    return ret >= 0;
}

static NsmError extend_pcr(Nsm *nsm, const Value *values, GByteArray *response)
{
    unsigned index = values[0].index;
    const GByteArray *data = values[1].bytes;
    Error *err = NULL;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    if (is_locked(nsm, index)) {
        return NSM_READ_ONLY_INDEX;
    }
    if (!nsm_extend(nsm->bank.value[index], data->data, data->len, &err)) {
        return internal_error(err);
    }
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "ExtendPCR");
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "data");
    nsm_cbor_bytes(response, nsm->bank.value[index], NSM_PCR_SIZE);
    return NSM_OK;
}

static NsmError lock_pcr(Nsm *nsm, const Value *values, GByteArray *response)
{
    unsigned index = values[0].index;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    if (is_locked(nsm, index)) {
        return NSM_READ_ONLY_INDEX;
    }
    nsm->bank.locked |= 1u << index;
    nsm_cbor_text(response, "LockPCR");
    return NSM_OK;
}

static NsmError lock_pcrs(Nsm *nsm, const Value *values, GByteArray *response)
{
    unsigned range = values[0].index;

    if (range > NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    nsm->bank.locked |= (1ull << range) - 1;
    nsm_cbor_text(response, "LockPCRs");
    return NSM_OK;
}

static NsmError attest(Nsm *nsm, const Value *values, GByteArray *response)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    NsmDocument document = {
        .module_id = nsm->module_id,
        .pcrs = nsm->bank.value,
        .which_pcrs = nsm->bank.locked,
        .user_data = values[0].bytes,
        .nonce = values[1].bytes,
        .public_key = values[2].bytes,
    };
    Error *err = NULL;

    if (!nsm_attestation_sign(nsm->attestation, &document, bytes, &err)) {
        return internal_error(err);
    }
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "Attestation");
    nsm_cbor_map(response, 1);
    nsm_cbor_text(response, "document");
    nsm_cbor_bytes(response, bytes->data, bytes->len);
    return NSM_OK;
}

static const Operation operations[] = {
    { "DescribeNSM", .run = describe_nsm },
    { "GetRandom", .run = get_random },
    { "DescribePCR", true, { { "index", FIELD_INDEX } }, describe_pcr },
    { "ExtendPCR", true, { { "index", FIELD_INDEX },
                           { "data", FIELD_BYTES } }, extend_pcr },
    { "LockPCR", true, { { "index", FIELD_INDEX } }, lock_pcr },
    { "LockPCRs", true, { { "range", FIELD_INDEX } }, lock_pcrs },
    { "Attestation", true, { { "user_data", FIELD_OPTIONAL_BYTES },
                             { "nonce", FIELD_OPTIONAL_BYTES },
                             { "public_key", FIELD_OPTIONAL_BYTES } },
      attest },
};

static const Operation *find_operation(const GByteArray *name, bool takes_map)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(operations); i++) {
        if (takes_map == operations[i].takes_map &&
            bytes_equal(name, operations[i].name)) {
            return &operations[i];
        }
    }
    return NULL;
}

/*
 * Read the head of a request, up to its name: text alone, or the key of the
 * only pair of a map.  Returns NULL if it is neither, or no operation.
 */
static const Operation *read_operation(Reader *r)
{
    g_autoptr(GByteArray) name = NULL;
    bool in_map = false;
    Reader pair;
    Item item;

    read_head(r, &item);
    if (item.kind == ITEM_MAP) {
        Item map = item;

        if (!map_goes_on(r, &map, 0)) {
            return NULL;
        }
        pair = *r;
        skip_item(r);
        skip_item(r);
        if (map_goes_on(r, &map, 1)) {
            return NULL;
        }
        *r = pair;
        read_head(r, &item);
        in_map = true;
    }
    if (item.kind != ITEM_TEXT) {
        return NULL;
    }
    name = read_string(r, &item);
    return find_operation(name, in_map);
}

static NsmError perform(Nsm *nsm, const uint8_t *request, size_t size,
                        GByteArray *response)
{
    Reader r = { request, size };
    Value values[MAX_FIELDS] = { };
    NsmError error = NSM_INVALID_OPERATION;
    const Operation *op;

    if (size > NSM_REQUEST_MAX) {
        return NSM_INPUT_TOO_LARGE;
    }
    if (!is_well_formed(request, size)) {
        return NSM_INVALID_OPERATION;
    }
    op = read_operation(&r);
    if (op && (!op->takes_map || read_arguments(op, &r, values))) {
        error = op->run(nsm, values, response);
    }
    values_clear(values);
    trace_nsm_operation(op ? op->name : "unknown", error_names[error]);
    return error;
}

size_t nsm_request(Nsm *nsm, const uint8_t *request, size_t request_size,
                   uint8_t *response, size_t response_size)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();
    NsmBank before = nsm->bank;
    NsmError error = perform(nsm, request, request_size, answer);

    response_size = MIN(response_size, NSM_RESPONSE_MAX);
    if (error == NSM_OK && answer->len > response_size) {
        error = NSM_BUFFER_TOO_SMALL;
    }
    if (error != NSM_OK) {
        nsm->bank = before;
        g_byte_array_set_size(answer, 0);
        nsm_cbor_map(answer, 1);
        nsm_cbor_text(answer, "Error");
        nsm_cbor_text(answer, error_names[error]);
        if (answer->len > response_size) {
            return 0;
        }
    }
    memcpy(response, answer->data, answer->len);
    return answer->len;
}

bool nsm_check_module_id(const char *option, const char *id, Error **errp)
{
    const char *p;

    if (!id[0] || strlen(id) > NSM_MODULE_ID_MAX) {
        error_setg(errp, "%s=%s: %zu characters, where 1 to %d are allowed",
                   option, id, strlen(id), NSM_MODULE_ID_MAX);
        return false;
    }
    for (p = id; *p; p++) {
        if (*p < ' ' || *p > '~') {
            error_setg(errp, "%s: character %zu is 0x%02x, which is not"
                       " printable ASCII", option, (size_t)(p - id) + 1,
                       (uint8_t)*p);
            return false;
        }
    }
    return true;
}

/* Registers */

void nsm_init(Nsm *nsm)
{
    *nsm = (Nsm) { .start.locked = NSM_LOCKED_AT_START };
    nsm_reset(nsm);
}

void nsm_set_start_pcr(Nsm *nsm, unsigned index,
                       const uint8_t value[NSM_PCR_SIZE], bool locked)
{
    assert(index < NSM_NUM_PCRS);
    memcpy(nsm->start.value[index], value, NSM_PCR_SIZE);
    nsm->start.locked &= ~(1u << index);
    nsm->start.locked |= NSM_LOCKED_AT_START | (uint32_t)locked << index;
}

void nsm_reset(Nsm *nsm)
{
    nsm->bank = nsm->start;
}
