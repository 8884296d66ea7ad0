/*
 * The Nitro Secure Module (NSM): registers, requests and responses
 *
 * A request is taken in three steps, top to bottom in this file: reading CBOR
 * (RFC 8949) item by item; finding out which operation is asked for, with
 * which arguments; and doing it.  AWS's module was observed to tell how a
 * request that is wrong is answered.
 *
 * All of a request is the guest's and hostile.  It is checked as a whole to be
 * well-formed before anything of it is used, so that the steps after that need
 * not care.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cbor.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "trace.h"
#include <gnutls/crypto.h>

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
 * Reading CBOR
 */

/* One item and nothing after it, with nothing nested too deep */
static bool is_well_formed(const uint8_t *data, size_t size)
{
    CborReader r = { .data = data, .size = size };

    return cbor_skip(&r, 0, NULL) && cbor_end(&r, NULL);
}

/*
 * From here on what is read is known to be well-formed.  Tags are read past:
 * they change what an item means, not what it is.
 */
static CborHead next_head(CborReader *r)
{
    CborHead head;

    do {
        cbor_next(r, &head, &error_abort);
    } while (head.kind == CBOR_KIND_TAG);
    return head;
}

/* Pass over what belongs to @head, or over an item: its depth is known. */
static void skip_rest(CborReader *r, CborHead *head)
{
    cbor_skip_rest(r, head, 0, &error_abort);
}

static void skip_item(CborReader *r)
{
    cbor_skip(r, 0, &error_abort);
}

/* The bytes of the string that begins with @head, in an array of their own */
static GByteArray *read_string(CborReader *r, CborHead *head)
{
    GByteArray *bytes = g_byte_array_new();

    cbor_read_string(r, head, bytes, &error_abort);
    return bytes;
}

static bool bytes_equal(const GByteArray *bytes, const char *text)
{
    return bytes->len == strlen(text) &&
           !memcmp(bytes->data, text, bytes->len);
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

static bool read_value(CborReader *r, FieldType type, Value *value)
{
    CborHead head;

    if (value->present) {
        return false;
    }
    value->present = true;
    head = next_head(r);
    switch (head.kind) {
    case CBOR_KIND_UINT:
        value->index = head.value;
        return type == FIELD_INDEX && head.value <= UINT16_MAX;
    case CBOR_KIND_BYTES:
    case CBOR_KIND_TEXT:
        value->bytes = read_string(r, &head);
        return type != FIELD_INDEX;
    case CBOR_KIND_NULL:
        return type == FIELD_OPTIONAL_BYTES;
    default:
        return false;
    }
}

/* Which field of @op is the next key?  -1 if none. */
static int find_field(const Operation *op, CborReader *r)
{
    g_autoptr(GByteArray) key = NULL;
    CborHead head = next_head(r);
    int i;

    if (head.kind != CBOR_KIND_TEXT) {
        skip_rest(r, &head);
        return -1;
    }
    key = read_string(r, &head);
    for (i = 0; i < MAX_FIELDS && op->fields[i].name; i++) {
        if (bytes_equal(key, op->fields[i].name)) {
            return i;
        }
    }
    return -1;
}

/* Read the map of arguments of @op into @values, one for each field. */
static bool read_arguments(const Operation *op, CborReader *r, Value *values)
{
    CborHead map = next_head(r);
    int i;

    if (map.kind != CBOR_KIND_MAP) {
        return false;
    }
    while (cbor_more(r, &map)) {
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

    cbor_put_map(response, 1);
    cbor_put_text(response, "DescribeNSM");
    cbor_put_map(response, 7);
    cbor_put_text(response, "digest");
    cbor_put_text(response, "SHA384");
    cbor_put_text(response, "max_pcrs");
    cbor_put_uint(response, NSM_NUM_PCRS);
    cbor_put_text(response, "module_id");
    cbor_put_text(response, nsm->module_id);
    cbor_put_text(response, "locked_pcrs");
    cbor_put_array(response, ctpop32(nsm->bank.locked));
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        if (is_locked(nsm, i)) {
            cbor_put_uint(response, i);
        }
    }
    cbor_put_text(response, "version_major");
    cbor_put_uint(response, 1);
    cbor_put_text(response, "version_minor");
    cbor_put_uint(response, 0);
    cbor_put_text(response, "version_patch");
    cbor_put_uint(response, 0);
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
    cbor_put_map(response, 1);
    cbor_put_text(response, "GetRandom");
    cbor_put_map(response, 1);
    cbor_put_text(response, "random");
    cbor_put_bytes(response, random, sizeof(random));
    return NSM_OK;
}

static NsmError describe_pcr(Nsm *nsm, const Value *values,
                             GByteArray *response)
{
    unsigned index = values[0].index;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    cbor_put_map(response, 1);
    cbor_put_text(response, "DescribePCR");
    cbor_put_map(response, 2);
    cbor_put_text(response, "lock");
    cbor_put_bool(response, is_locked(nsm, index));
    cbor_put_text(response, "data");
    cbor_put_bytes(response, nsm->bank.value[index], NSM_PCR_SIZE);
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
    cbor_put_map(response, 1);
    cbor_put_text(response, "ExtendPCR");
    cbor_put_map(response, 1);
    cbor_put_text(response, "data");
    cbor_put_bytes(response, nsm->bank.value[index], NSM_PCR_SIZE);
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
    cbor_put_text(response, "LockPCR");
    return NSM_OK;
}

static NsmError lock_pcrs(Nsm *nsm, const Value *values, GByteArray *response)
{
    unsigned range = values[0].index;

    if (range > NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    nsm->bank.locked |= (1ull << range) - 1;
    cbor_put_text(response, "LockPCRs");
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
    cbor_put_map(response, 1);
    cbor_put_text(response, "Attestation");
    cbor_put_map(response, 1);
    cbor_put_text(response, "document");
    cbor_put_bytes(response, bytes->data, bytes->len);
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
static const Operation *read_operation(CborReader *r)
{
    g_autoptr(GByteArray) name = NULL;
    CborHead head = next_head(r);
    bool in_map = head.kind == CBOR_KIND_MAP;

    if (in_map) {
        CborReader pair;

        if (!cbor_more(r, &head)) {
            return NULL;
        }
        pair = *r;
        skip_item(r);
        skip_item(r);
        if (cbor_more(r, &head)) {
            return NULL;
        }
        *r = pair;
        head = next_head(r);
    }
    if (head.kind != CBOR_KIND_TEXT) {
        return NULL;
    }
    name = read_string(r, &head);
    return find_operation(name, in_map);
}

static NsmError perform(Nsm *nsm, const uint8_t *request, size_t size,
                        GByteArray *response)
{
    CborReader r = { .data = request, .size = size };
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
        cbor_put_map(answer, 1);
        cbor_put_text(answer, "Error");
        cbor_put_text(answer, error_names[error]);
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
