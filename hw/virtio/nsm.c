/*
 * The Nitro Secure Module (NSM): registers, requests and responses
 *
 * A request is CBOR (RFC 8949).  nsm_perform() checks that all of it is
 * well-formed, finds the operation, reads its arguments, and runs it.  The
 * guest is not trusted, and the later steps rely on the first check.
 *
 * The names of errors are those of AWS's library for the NSM
 * (aws-nitro-enclaves-nsm-api, src/api).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cbor.h"
#include "qemu/error-report.h"
#include "qemu/guest-random.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "trace.h"

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

static const char *const nsm_error_names[] = {
    [NSM_OK] = "OK",                    /* for the trace event only */
    [NSM_INVALID_INDEX] = "InvalidIndex",
    [NSM_INVALID_OPERATION] = "InvalidOperation",
    [NSM_READ_ONLY_INDEX] = "ReadOnlyIndex",
    [NSM_INPUT_TOO_LARGE] = "InputTooLarge",
    [NSM_BUFFER_TOO_SMALL] = "BufferTooSmall",
    [NSM_INTERNAL_ERROR] = "InternalError",
};

/* Reading CBOR */

/* Is there one item, not nested too deeply, and nothing after it? */
static bool nsm_is_well_formed(const uint8_t *data, size_t size)
{
    CborReader r = { .what = "request", .data = data, .size = size };

    return cbor_skip(&r, 0, NULL) && cbor_end(&r, NULL);
}

/*
 * The functions below need well-formed input.  They skip tags, because a tag
 * does not change the type of an item.
 */
static CborHead nsm_next_head(CborReader *r)
{
    CborHead head;

    do {
        cbor_next(r, &head, &error_abort);
    } while (head.kind == CBOR_KIND_TAG);
    return head;
}

/* Skip an item; nsm_is_well_formed() has checked its depth. */
static void nsm_skip_item(CborReader *r)
{
    cbor_skip(r, 0, &error_abort);
}

/* Returns the bytes of the string that begins with @head. */
static GByteArray *nsm_read_string(CborReader *r, CborHead *head)
{
    GByteArray *bytes = g_byte_array_new();

    cbor_read_string(r, head, bytes, &error_abort);
    return bytes;
}

/* Operations and their arguments */

typedef enum NsmFieldType {
    NSM_FIELD_INDEX,            /* u16 in AWS's library */
    NSM_FIELD_BYTES,
    NSM_FIELD_OPTIONAL_BYTES,   /* null means absent */
} NsmFieldType;

typedef struct NsmField {
    const char *name;
    NsmFieldType type;
} NsmField;

#define NSM_MAX_FIELDS 3

typedef struct NsmValue {
    uint16_t index;
    GByteArray *bytes;      /* NULL if null or absent */
} NsmValue;

/*
 * run() appends its response to @response.  If it returns an error, the caller
 * undoes what it appended and how it changed the registers.
 */
typedef struct NsmOperation {
    const char *name;
    bool takes_map;
    NsmField fields[NSM_MAX_FIELDS];
    NsmError (*run)(Nsm *nsm, const NsmValue *values, GByteArray *response);
} NsmOperation;

static void nsm_values_clear(NsmValue *values)
{
    int i;

    for (i = 0; i < NSM_MAX_FIELDS; i++) {
        if (values[i].bytes) {
            g_byte_array_unref(values[i].bytes);
        }
    }
}

static bool nsm_refuse(const char *name, const char *what, Error **errp)
{
    error_setg(errp, "%s is not %s", name, what);
    return false;
}

/* Each of these three reads a field of one type into an NsmValue. */

static bool nsm_read_index(CborReader *r, const char *name, void *out,
                           Error **errp)
{
    NsmValue *value = out;
    CborHead head = nsm_next_head(r);

    value->index = head.value;
    return (head.kind == CBOR_KIND_UINT && head.value <= UINT16_MAX) ||
           nsm_refuse(name, "an unsigned integer of 16 bits", errp);
}

static bool nsm_read_bytes(CborReader *r, const char *name, void *out,
                           Error **errp)
{
    NsmValue *value = out;
    CborHead head = nsm_next_head(r);

    if (head.kind != CBOR_KIND_BYTES && head.kind != CBOR_KIND_TEXT) {
        return nsm_refuse(name, "a string", errp);
    }
    value->bytes = nsm_read_string(r, &head);
    return true;
}

static bool nsm_read_optional_bytes(CborReader *r, const char *name, void *out,
                                    Error **errp)
{
    CborReader ahead = *r;

    if (nsm_next_head(&ahead).kind == CBOR_KIND_NULL) {
        *r = ahead;
        return true;
    }
    return nsm_read_bytes(r, name, out, errp);
}

/* Read the arguments of @op, a map, into @values, one for each field. */
static bool nsm_read_arguments(const NsmOperation *op, CborReader *r,
                               NsmValue *values, Error **errp)
{
    static bool (*const readers[])(CborReader *, const char *, void *,
                                   Error **) = {
        [NSM_FIELD_INDEX] = nsm_read_index,
        [NSM_FIELD_BYTES] = nsm_read_bytes,
        [NSM_FIELD_OPTIONAL_BYTES] = nsm_read_optional_bytes,
    };
    CborField fields[NSM_MAX_FIELDS] = { };
    CborHead map = nsm_next_head(r);
    unsigned n;

    if (map.kind != CBOR_KIND_MAP) {
        return nsm_refuse(op->name, "given a map of arguments", errp);
    }
    for (n = 0; n < NSM_MAX_FIELDS && op->fields[n].name; n++) {
        fields[n] = (CborField) {
            .name = op->fields[n].name,
            .read = readers[op->fields[n].type],
            .out = &values[n],
            .optional = op->fields[n].type == NSM_FIELD_OPTIONAL_BYTES,
        };
    }
    return cbor_read_map(r, &map, fields, n, 1, errp);
}

/* The operations */

static bool nsm_is_locked(const Nsm *nsm, unsigned index)
{
    return nsm->bank.locked >> index & 1;
}

/* Warn once only: a guest can repeat its request. */
static NsmError nsm_internal_error(Error *err)
{
    warn_report_once("nsm: %s", error_get_pretty(err));
    error_free(err);
    return NSM_INTERNAL_ERROR;
}

static NsmError nsm_describe_nsm(Nsm *nsm, const NsmValue *values,
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
        if (nsm_is_locked(nsm, i)) {
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

static NsmError nsm_get_random(Nsm *nsm, const NsmValue *values,
                               GByteArray *response)
{
    uint8_t random[NSM_RANDOM_SIZE];
    Error *err = NULL;

    /* Follows -seed and record/replay. */
    if (qemu_guest_getrandom(random, sizeof(random), &err) < 0) {
        return nsm_internal_error(err);
    }
    cbor_put_map(response, 1);
    cbor_put_text(response, "GetRandom");
    cbor_put_map(response, 1);
    cbor_put_text(response, "random");
    cbor_put_bytes(response, random, sizeof(random));
    return NSM_OK;
}

static NsmError nsm_describe_pcr(Nsm *nsm, const NsmValue *values,
                                 GByteArray *response)
{
    unsigned index = values[0].index;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    cbor_put_map(response, 1);
    cbor_put_text(response, "DescribePCR");
    cbor_put_map(response, 2);
    cbor_put_text(response, "data");
    cbor_put_bytes(response, nsm->bank.value[index], NITRO_PCR_SIZE);
    cbor_put_text(response, "lock");
    cbor_put_bool(response, nsm_is_locked(nsm, index));
    return NSM_OK;
}

static NsmError nsm_extend_pcr(Nsm *nsm, const NsmValue *values,
                               GByteArray *response)
{
    unsigned index = values[0].index;
    const GByteArray *data = values[1].bytes;
    Error *err = NULL;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    if (nsm_is_locked(nsm, index)) {
        return NSM_READ_ONLY_INDEX;
    }
    if (!nitro_pcr_extend(nsm->bank.value[index], data->data, data->len,
                          &err)) {
        return nsm_internal_error(err);
    }
    cbor_put_map(response, 1);
    cbor_put_text(response, "ExtendPCR");
    cbor_put_map(response, 1);
    cbor_put_text(response, "data");
    cbor_put_bytes(response, nsm->bank.value[index], NITRO_PCR_SIZE);
    return NSM_OK;
}

static NsmError nsm_lock_pcr(Nsm *nsm, const NsmValue *values,
                             GByteArray *response)
{
    unsigned index = values[0].index;

    if (index >= NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    if (nsm_is_locked(nsm, index)) {
        return NSM_READ_ONLY_INDEX;
    }
    nsm->bank.locked |= 1u << index;
    cbor_put_text(response, "LockPCR");
    return NSM_OK;
}

static NsmError nsm_lock_pcrs(Nsm *nsm, const NsmValue *values,
                              GByteArray *response)
{
    unsigned range = values[0].index;

    if (range > NSM_NUM_PCRS) {
        return NSM_INVALID_INDEX;
    }
    nsm->bank.locked |= (1ull << range) - 1;
    cbor_put_text(response, "LockPCRs");
    return NSM_OK;
}

static NsmError nsm_attest(Nsm *nsm, const NsmValue *values,
                           GByteArray *response)
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
        return nsm_internal_error(err);
    }
    cbor_put_map(response, 1);
    cbor_put_text(response, "Attestation");
    cbor_put_map(response, 1);
    cbor_put_text(response, "document");
    cbor_put_bytes(response, bytes->data, bytes->len);
    return NSM_OK;
}

static const NsmOperation nsm_operations[] = {
    { "DescribeNSM", .run = nsm_describe_nsm },
    { "GetRandom", .run = nsm_get_random },
    { "DescribePCR", true, { { "index", NSM_FIELD_INDEX } }, nsm_describe_pcr },
    { "ExtendPCR", true, { { "index", NSM_FIELD_INDEX },
                           { "data", NSM_FIELD_BYTES } }, nsm_extend_pcr },
    { "LockPCR", true, { { "index", NSM_FIELD_INDEX } }, nsm_lock_pcr },
    { "LockPCRs", true, { { "range", NSM_FIELD_INDEX } }, nsm_lock_pcrs },
    { "Attestation", true, { { "user_data", NSM_FIELD_OPTIONAL_BYTES },
                             { "nonce", NSM_FIELD_OPTIONAL_BYTES },
                             { "public_key", NSM_FIELD_OPTIONAL_BYTES } },
      nsm_attest },
};

static const NsmOperation *nsm_find_operation(const GByteArray *name,
                                              bool takes_map)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(nsm_operations); i++) {
        if (takes_map == nsm_operations[i].takes_map &&
            name->len == strlen(nsm_operations[i].name) &&
            !memcmp(name->data, nsm_operations[i].name, name->len)) {
            return &nsm_operations[i];
        }
    }
    return NULL;
}

/*
 * Read a request up to its name: a text string, or the key of a map with one
 * pair.  Returns NULL if it is neither, or if no operation has this name.
 */
static const NsmOperation *nsm_read_operation(CborReader *r)
{
    g_autoptr(GByteArray) name = NULL;
    CborHead head = nsm_next_head(r);
    bool in_map = head.kind == CBOR_KIND_MAP;

    if (in_map) {
        CborReader pair;

        if (!cbor_more(r, &head)) {
            return NULL;
        }
        pair = *r;
        nsm_skip_item(r);
        nsm_skip_item(r);
        if (cbor_more(r, &head)) {
            return NULL;
        }
        *r = pair;
        head = nsm_next_head(r);
    }
    if (head.kind != CBOR_KIND_TEXT) {
        return NULL;
    }
    name = nsm_read_string(r, &head);
    return nsm_find_operation(name, in_map);
}

static NsmError nsm_perform(Nsm *nsm, const uint8_t *request, size_t size,
                            const char **name, GByteArray *response)
{
    CborReader r = { .what = "request", .data = request, .size = size };
    NsmValue values[NSM_MAX_FIELDS] = { };
    NsmError error = NSM_INVALID_OPERATION;
    const NsmOperation *op;

    if (size > NSM_REQUEST_MAX) {
        return NSM_INPUT_TOO_LARGE;
    }
    if (!nsm_is_well_formed(request, size)) {
        return NSM_INVALID_OPERATION;
    }
    op = nsm_read_operation(&r);
    if (!op) {
        return NSM_INVALID_OPERATION;
    }
    *name = op->name;
    if (!op->takes_map || nsm_read_arguments(op, &r, values, NULL)) {
        error = op->run(nsm, values, response);
    }
    nsm_values_clear(values);
    return error;
}

size_t nsm_request(Nsm *nsm, const uint8_t *request, size_t request_size,
                   uint8_t *response, size_t response_size)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    NsmBank before = nsm->bank;
    const char *name = "unknown";
    NsmError error = nsm_perform(nsm, request, request_size, &name, bytes);

    response_size = MIN(response_size, NSM_RESPONSE_MAX);
    if (error == NSM_OK && bytes->len > response_size) {
        error = NSM_BUFFER_TOO_SMALL;
    }
    trace_nsm_operation(name, nsm_error_names[error]);
    if (error != NSM_OK) {
        nsm->bank = before;
        g_byte_array_set_size(bytes, 0);
        cbor_put_map(bytes, 1);
        cbor_put_text(bytes, "Error");
        cbor_put_text(bytes, nsm_error_names[error]);
        if (bytes->len > response_size) {
            return 0;
        }
    }
    memcpy(response, bytes->data, bytes->len);
    return bytes->len;
}

bool nsm_check_module_id(const char *option, const char *id, Error **errp)
{
    const char *p;

    if (!id[0] || strlen(id) > NSM_MODULE_ID_MAX) {
        error_setg(errp, "%s=%s has %zu characters: 1 to %d are allowed",
                   option, id, strlen(id), NSM_MODULE_ID_MAX);
        return false;
    }
    for (p = id; *p; p++) {
        if (*p < ' ' || *p > '~') {
            error_setg(errp, "%s: byte %zu is 0x%02x: only printable ASCII is"
                       " allowed", option, (size_t)(p - id) + 1, (uint8_t)*p);
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
                       const uint8_t value[NITRO_PCR_SIZE], bool locked)
{
    assert(index < NSM_NUM_PCRS);
    memcpy(nsm->start.value[index], value, NITRO_PCR_SIZE);
    nsm->start.locked &= ~(1u << index);
    nsm->start.locked |= NSM_LOCKED_AT_START | (uint32_t)locked << index;
}

void nsm_reset(Nsm *nsm)
{
    nsm->bank = nsm->start;
}
