/*
 * Tests of the Nitro Secure Module: registers, requests and responses
 *
 * The tests contain the bytes of requests and expected responses.  They share
 * no code with the module, and use no CBOR library.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "nsm-bytes.h"

#define MODULE_ID   "i-0123456789abcdef0-enc0123456789abcdef"

typedef struct Fixture {
    Nsm nsm;
    uint8_t response[NSM_RESPONSE_MAX + 1];
    size_t response_size;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    NsmAttestationConfig config = { .module_id = MODULE_ID };

    nsm_init(&f->nsm);
    f->nsm.module_id = MODULE_ID;
    f->nsm.attestation = nsm_attestation_new(&config, &error_abort);
}

static void tear_down(Fixture *f, const void *unused)
{
    nsm_attestation_free(f->nsm.attestation);
}

/*
 * The request is at the end of its own block, so that sanitizers find a read
 * beyond its end.
 */
static void send_bytes(Fixture *f, const GByteArray *request, size_t max_size)
{
    g_autofree uint8_t *copy = g_memdup2(request->data, request->len);

    g_assert_cmpuint(max_size, <=, sizeof(f->response));
    memset(f->response, 0x5a, sizeof(f->response));
    f->response_size = nsm_request(&f->nsm, copy, request->len, f->response,
                                   max_size);
    g_assert_cmpuint(f->response_size, <=, max_size);
    if (max_size < sizeof(f->response)) {
        g_assert_cmphex(f->response[max_size], ==, 0x5a);
    }
}

static void send_request(Fixture *f, const char *notation)
{
    g_autoptr(GByteArray) request = bytes(notation);

    send_bytes(f, request, NSM_RESPONSE_MAX);
}

static void expect(Fixture *f, const char *notation)
{
    g_autoptr(GByteArray) wanted = bytes(notation);

    g_assert_cmpmem(f->response, f->response_size, wanted->data, wanted->len);
}

static void expect_error(Fixture *f, const char *name)
{
    g_autofree char *notation = g_strdup_printf("a1 65 'Error' %02x '%s'",
                                                0x60 + (int)strlen(name),
                                                name);

    expect(f, notation);
}

static void expect_response(Fixture *f, const char *request,
                            const char *response)
{
    send_request(f, request);
    expect(f, response);
}

/* A bad request does not change any register. */
static void expect_error_response(Fixture *f, const char *request,
                                  const char *name)
{
    NsmBank before = f->nsm.bank;

    g_test_message("%s", request);
    send_request(f, request);
    expect_error(f, name);
    g_assert_cmpmem(&f->nsm.bank, sizeof(NsmBank), &before, sizeof(before));
}

static void sha384(uint8_t digest[NITRO_PCR_SIZE], const void *a, size_t a_size,
                   const void *b, size_t b_size)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA384);
    gsize size = NITRO_PCR_SIZE;

    g_checksum_update(sum, a, a_size);
    g_checksum_update(sum, b, b_size);
    g_checksum_get_digest(sum, digest, &size);
    g_checksum_free(sum);
}

/* Each request */

#define DESCRIBE_NSM                                                    \
    "a1 6b 'DescribeNSM' a7"                                            \
    " 66 'digest' 66 'SHA384'"                                          \
    " 68 'max_pcrs' 18 20"                                              \
    " 69 'module_id' 78 27 '" MODULE_ID "'"                             \
    " 6b 'locked_pcrs' "
#define VERSIONS                                                        \
    " 6d 'version_major' 01 6d 'version_minor' 00 6d 'version_patch' 00"

static void test_describe_nsm(Fixture *f, const void *unused)
{
    expect_response(f, "6b 'DescribeNSM'", DESCRIBE_NSM
                    "90 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
                    VERSIONS);
    expect_response(f, "a1 67 'LockPCR' a1 65 'index' 18 1f", "67 'LockPCR'");
    expect_response(f, "6b 'DescribeNSM'", DESCRIBE_NSM
                    "91 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 18 1f"
                    VERSIONS);
}

static void test_get_random(Fixture *f, const void *unused)
{
    /* The bytes that Linux's driver compares, and the length of the rest */
    static const char prefix[] = "\xa1\x69GetRandom\xa1\x66random\x59\x01\x00";
    const size_t prefix_size = sizeof(prefix) - 1;
    uint8_t seen[8][256];
    int i, j;

    for (i = 0; i < 8; i++) {
        send_request(f, "69 'GetRandom'");
        g_assert_cmpuint(f->response_size, ==, prefix_size + 256);
        g_assert_cmpmem(f->response, prefix_size, prefix, prefix_size);
        memcpy(seen[i], f->response + prefix_size, 256);
        for (j = 0; j < i; j++) {
            g_assert(memcmp(seen[i], seen[j], 256));
        }
    }
}

static void test_describe_pcr(Fixture *f, const void *unused)
{
    const char *zero =
        "00000000000000000000000000000000 00000000000000000000000000000000"
        " 00000000000000000000000000000000";
    g_autofree char *locked = g_strdup_printf(
        "a1 6b 'DescribePCR' a2 64 'data' 58 30 %s 64 'lock' f5", zero);
    g_autofree char *free = g_strdup_printf(
        "a1 6b 'DescribePCR' a2 64 'data' 58 30 %s 64 'lock' f4", zero);

    expect_response(f, "a1 6b 'DescribePCR' a1 65 'index' 00", locked);
    expect_response(f, "a1 6b 'DescribePCR' a1 65 'index' 0f", locked);
    expect_response(f, "a1 6b 'DescribePCR' a1 65 'index' 10", free);
    expect_response(f, "a1 6b 'DescribePCR' a1 65 'index' 18 1f", free);
    expect_error_response(f, "a1 6b 'DescribePCR' a1 65 'index' 18 20",
                          "InvalidIndex");
    expect_error_response(f, "a1 6b 'DescribePCR' a1 65 'index' 18 32",
                          "InvalidIndex");
    expect_error_response(f, "a1 6b 'DescribePCR' a1 65 'index' 19 ffff",
                          "InvalidIndex");
}

/* The values are Python's: hashlib.sha384(old + data). */
static void test_extend(Fixture *f, const void *unused)
{
    expect_response(f, "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 43 'abc'",
                    "a1 69 'ExtendPCR' a1 64 'data' 58 30"
                    " b1c16eb7634112b7c9d5ebd27e62a2d4"
                    " 528bbfcfd68b62d3afd9ecf98e0f413a"
                    " 84314acce78317fb69fd895155343e09");
    /* Again, and in the other order of arguments */
    expect_response(f, "a1 69 'ExtendPCR' a2 64 'data' 43 'abc' 65 'index' 10",
                    "a1 69 'ExtendPCR' a1 64 'data' 58 30"
                    " 23a72f79ff6c08f7f5c9ec51ada36ada"
                    " c38a411ab63031ada770d9a4a94f3228"
                    " e6c217965c1a24e0325a2dd24dd5de0d");
    /* The last one, with nothing */
    expect_response(f, "a1 69 'ExtendPCR' a2 65 'index' 18 1f 64 'data' 40",
                    "a1 69 'ExtendPCR' a1 64 'data' 58 30"
                    " 8f0d145c0368ad6b70be22e41c400eea"
                    " 91b971d96ba220fec9fae25a58dffdaa"
                    " f72dbe8f6783d55128c9df4efaf6f8a7");
    expect_response(f, "a1 6b 'DescribePCR' a1 65 'index' 18 1f",
                    "a1 6b 'DescribePCR' a2 64 'data' 58 30"
                    " 8f0d145c0368ad6b70be22e41c400eea"
                    " 91b971d96ba220fec9fae25a58dffdaa"
                    " f72dbe8f6783d55128c9df4efaf6f8a7 64 'lock' f4");
}

static void test_extend_long(Fixture *f, const void *unused)
{
    static const uint8_t zero[NITRO_PCR_SIZE];
    g_autoptr(GByteArray) request =
        bytes("a1 69 'ExtendPCR' a2 65 'index' 11 64 'data' 59 0fa0");
    g_autofree uint8_t *data = g_malloc(4000);
    uint8_t digest[NITRO_PCR_SIZE];

    memset(data, 0xa5, 4000);
    repeat(request, 0xa5, 4000);
    send_bytes(f, request, NSM_RESPONSE_MAX);
    sha384(digest, zero, sizeof(zero), data, 4000);
    g_assert_cmpmem(f->response + f->response_size - NITRO_PCR_SIZE,
                    NITRO_PCR_SIZE, digest, sizeof(digest));
    g_assert_cmpmem(f->nsm.bank.value[17], NITRO_PCR_SIZE, digest,
                    sizeof(digest));
}

static void test_extend_errors(Fixture *f, const void *unused)
{
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 00 64 'data' 41 00",
        "ReadOnlyIndex");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 0f 64 'data' 41 00",
        "ReadOnlyIndex");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 18 20 64 'data' 41 00",
        "InvalidIndex");
    expect_error_response(f, "a1 69 'ExtendPCR' a1 65 'index' 10",
                          "InvalidOperation");
    expect_error_response(f, "a1 69 'ExtendPCR' a1 64 'data' 41 00",
                          "InvalidOperation");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' f6",
        "InvalidOperation");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 05",
        "InvalidOperation");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 81 00",
        "InvalidOperation");
    expect_response(f, "a1 67 'LockPCR' a1 65 'index' 10", "67 'LockPCR'");
    expect_error_response(
        f, "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 41 00",
        "ReadOnlyIndex");
}

static void test_lock(Fixture *f, const void *unused)
{
    expect_response(f, "a1 67 'LockPCR' a1 65 'index' 10", "67 'LockPCR'");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0x1ffff);
    expect_error_response(f, "a1 67 'LockPCR' a1 65 'index' 10",
                          "ReadOnlyIndex");
    expect_error_response(f, "a1 67 'LockPCR' a1 65 'index' 00",
                          "ReadOnlyIndex");
    expect_error_response(f, "a1 67 'LockPCR' a1 65 'index' 18 20",
                          "InvalidIndex");
    expect_response(f, "a1 67 'LockPCR' a1 65 'index' 18 1f", "67 'LockPCR'");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0x8001ffff);
}

static void test_lock_range(Fixture *f, const void *unused)
{
    expect_response(f, "a1 68 'LockPCRs' a1 65 'range' 00", "68 'LockPCRs'");
    expect_response(f, "a1 68 'LockPCRs' a1 65 'range' 03", "68 'LockPCRs'");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0xffff);
    expect_response(f, "a1 68 'LockPCRs' a1 65 'range' 12", "68 'LockPCRs'");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0x3ffff);
    expect_error_response(f, "a1 68 'LockPCRs' a1 65 'range' 18 21",
                          "InvalidIndex");
    expect_error_response(f, "a1 68 'LockPCRs' a1 65 'index' 12",
                          "InvalidOperation");
    expect_response(f, "a1 68 'LockPCRs' a1 65 'range' 18 20", "68 'LockPCRs'");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0xffffffff);
    expect_response(f, "a1 68 'LockPCRs' a1 65 'range' 18 20", "68 'LockPCRs'");
}

/* test-nsm-attestation tests documents; this tests the response around one. */
static void expect_document(Fixture *f)
{
    size_t size = f->response_size;

    g_assert_cmpuint(size, >, 2000);
    g_assert_cmpmem(f->response, 24, "\xa1\x6b" "Attestation\xa1\x68" "document"
                    "\x59", 24);
    g_assert_cmpuint(f->response[24] << 8 | f->response[25], ==, size - 26);
    g_assert_cmpmem(f->response + 26, 7, "\x84\x44\xa1\x01\x38\x22\xa0", 7);
}

static bool response_has(Fixture *f, const char *notation)
{
    g_autoptr(GByteArray) wanted = bytes(notation);

    return memmem(f->response, f->response_size, wanted->data, wanted->len);
}

static void test_attestation(Fixture *f, const void *unused)
{
    send_request(f, "a1 6b 'Attestation' a0");
    expect_document(f);
    g_assert_true(response_has(f, "6a 'public_key' f6 69 'user_data' f6"
                               " 65 'nonce' f6"));

    /* Empty differs from null, and null is the same as absent. */
    send_request(f, "a1 6b 'Attestation' a3 65 'nonce' 40 69 'user_data' f6"
                 " 6a 'public_key' 43 'key'");
    expect_document(f);
    g_assert_true(response_has(f, "6a 'public_key' 43 'key'"
                               " 69 'user_data' f6 65 'nonce' 40"));

    /* Text is accepted as bytes; documents always have bytes. */
    send_request(f, "a1 6b 'Attestation' a3 65 'nonce' 63 'one'"
                 " 69 'user_data' 63 'two' 6a 'public_key' 60");
    expect_document(f);
    g_assert_true(response_has(f, "6a 'public_key' 40 69 'user_data' 43 'two'"
                               " 65 'nonce' 43 'one'"));
}

static void test_attestation_errors(Fixture *f, const void *unused)
{
    expect_error_response(f, "6b 'Attestation'", "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' f6", "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' 61 'x'", "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' 80", "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' a1 65 'nonce' 05",
                          "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' a1 65 'nonce' f4",
                          "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' a1 69 'user_data' 81 00",
                          "InvalidOperation");
    expect_error_response(f, "a1 6b 'Attestation' a1 6a 'public_key' a0",
                          "InvalidOperation");
}

static void test_attestation_long(Fixture *f, const void *unused)
{
    g_autoptr(GByteArray) nonce = bytes("a1 6b 'Attestation' a1 65 'nonce'"
                                        " 59 0fe9");
    g_autoptr(GByteArray) three = bytes("a1 6b 'Attestation' a3"
                                        " 65 'nonce' 59 0400");
    g_autoptr(GByteArray) user_data = bytes("69 'user_data' 59 0400");
    g_autoptr(GByteArray) public_key = bytes("6a 'public_key' 59 0400");

    /* The longest nonce that fits a request */
    repeat(nonce, 0x77, 4073);
    g_assert_cmpuint(nonce->len, ==, NSM_REQUEST_MAX);
    send_request(f, "a1 68 'LockPCRs' a1 65 'range' 18 20");
    send_bytes(f, nonce, NSM_RESPONSE_MAX);
    expect_document(f);
    g_assert_true(response_has(f, "65 'nonce' 59 0fe9 77"));

    repeat(three, 1, 1024);
    repeat(user_data, 2, 1024);
    repeat(public_key, 3, 1024);
    g_byte_array_append(three, user_data->data, user_data->len);
    g_byte_array_append(three, public_key->data, public_key->len);
    send_bytes(f, three, NSM_RESPONSE_MAX);
    expect_document(f);
}

/* Encodings */

static void test_integer_widths(Fixture *f, const void *unused)
{
    static const char *const widths[] = {
        "10", "18 10", "19 0010", "1a 00000010", "1b 0000000000000010",
    };
    static const char *const refused[] = {
        "20", "38 00", "39 0000", "3a 00000000", "3b 0000000000000000",
        "3b ffffffffffffffff", "1a 00010010", "1b 0000000100000000",
        "1b 0000000100000010", "1b ffffffffffffffff", "f6", "f7", "f5",
        "f9 4c00", "fa 41800000", "fb 4030000000000000", "f0", "f8 20",
        "62 '16'", "42 '16'", "81 10", "a1 10 10", "9f 10 ff", "80",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(widths); i++) {
        g_autofree char *request = g_strdup_printf(
            "a1 67 'LockPCR' a1 65 'index' %s", widths[i]);

        nsm_reset(&f->nsm);
        expect_response(f, request, "67 'LockPCR'");
        g_assert_cmphex(f->nsm.bank.locked, ==, 0x1ffff);
    }
    nsm_reset(&f->nsm);
    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *request = g_strdup_printf(
            "a1 67 'LockPCR' a1 65 'index' %s", refused[i]);

        expect_error_response(f, request, "InvalidOperation");
    }
}

#define EXTENDED_ABC                                                    \
    "a1 69 'ExtendPCR' a1 64 'data' 58 30"                              \
    " b1c16eb7634112b7c9d5ebd27e62a2d4"                                 \
    " 528bbfcfd68b62d3afd9ecf98e0f413a"                                 \
    " 84314acce78317fb69fd895155343e09"

/* All of these are the same request. */
static void test_same_request(Fixture *f, const void *unused)
{
    static const char *const same[] = {
        /* Longer heads than needed */
        "b8 01 78 09 'ExtendPCR' b9 0002 7a 00000005 'index' 18 10"
        " 7b 0000000000000004 'data' 58 03 'abc'",
        "bb 0000000000000001 79 0009 'ExtendPCR' ba 00000002"
        " 65 'index' 10 64 'data' 5b 0000000000000003 'abc'",
        /* Indefinite lengths */
        "bf 69 'ExtendPCR' bf 65 'index' 10 64 'data' 43 'abc' ff ff",
        "a1 7f 66 'Extend' 60 63 'PCR' ff a2 7f 65 'index' ff 10"
        " 7f 61 'd' 63 'ata' ff 5f 41 'a' 40 42 'bc' ff",
        /* Text for bytes */
        "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 63 'abc'",
        "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 7f 62 'ab' 61 'c' ff",
        /* Tags (55799: this is CBOR) */
        "d9 d9f7 a1 69 'ExtendPCR' a2 65 'index' c1 10 64 'data' d7 43 'abc'",
        "a1 c0 69 'ExtendPCR' da 00010000 a2 65 'index' 10 64 'data' 43 'abc'",
        /* Other arguments, of any kind, before, between and after */
        "a1 69 'ExtendPCR' a4 61 'x' a1 01 82 9f ff f6 65 'index' 10"
        " 66 'indexx' fb 4030000000000000 64 'data' 43 'abc'",
        "a1 69 'ExtendPCR' bf 65 'index' 10 00 f8 ff 64 'data' 43 'abc'"
        " 82 01 02 5f ff 64 'inde' 05 45 'index' 11 f6 20 ff",
        "a1 69 'ExtendPCR' a3 65 'index' 10 64 'data' 43 'abc' e0 f3",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(same); i++) {
        g_test_message("%s", same[i]);
        nsm_reset(&f->nsm);
        expect_response(f, same[i], EXTENDED_ABC);
    }
    nsm_reset(&f->nsm);
    send_request(f, "7f 63 'Des' 68 'cribeNSM' ff");
    g_assert_true(response_has(f, "69 'module_id'"));
    send_request(f, "d9 d9f7 78 0b 'DescribeNSM'");
    g_assert_true(response_has(f, "69 'module_id'"));
}

static void test_not_operations(Fixture *f, const void *unused)
{
    static const char *const refused[] = {
        /* No request at all */
        "00", "f6", "80", "a0", "bf ff", "60", "4b 'DescribeNSM'",
        "81 6b 'DescribeNSM'",
        /* Unknown, or almost known */
        "6b 'describeNSM'", "6a 'DescribeNS'", "6c 'DescribeNSMs'",
        "6c 'DescribeNSM' 00", "a1 67 'Unknown' a0", "a1 00 a0",
        "a1 4b 'DescribePCR' a1 65 'index' 00",
        /* With arguments where there are none, and without where there are */
        "a1 6b 'DescribeNSM' a0", "a1 6b 'DescribeNSM' f6",
        "a1 69 'GetRandom' a0", "6b 'DescribePCR'", "69 'ExtendPCR'",
        "67 'LockPCR'", "68 'LockPCRs'", "a1 6b 'DescribePCR' a0",
        "a1 6b 'DescribePCR' 00", "a1 6b 'DescribePCR' 65 'index'",
        "a1 6b 'DescribePCR' 82 65 'index' 00",
        "a1 6b 'DescribePCR' a1 65 'Index' 00",
        /* Two at once, the known one first or last */
        "a2 67 'LockPCR' a1 65 'index' 10 61 'x' a0",
        "a2 61 'x' a0 67 'LockPCR' a1 65 'index' 10",
        "bf 67 'LockPCR' a1 65 'index' 10 61 'x' a0 ff",
        "a2 67 'LockPCR' a1 65 'index' 10 67 'LockPCR' a1 65 'index' 11",
        /* An argument twice */
        "a1 67 'LockPCR' a2 65 'index' 10 65 'index' 11",
        /* Something after the request */
        "6b 'DescribeNSM' 00", "6b 'DescribeNSM' 6b 'DescribeNSM'",
        "6b 'DescribeNSM' ff", "a1 67 'LockPCR' a1 65 'index' 10 00",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        expect_error_response(f, refused[i], "InvalidOperation");
    }
}

static void test_malformed(Fixture *f, const void *unused)
{
    static const char *const refused[] = {
        "", "ff", "ff ff ff ff",
        /* Lengths that exceed the input, up to the largest length */
        "5b ffffffffffffffff", "7b ffffffffffffffff", "9b ffffffffffffffff",
        "bb ffffffffffffffff", "7b 7fffffffffffffff 'DescribeNSM'",
        "9b 7fffffffffffffff 00", "bb 8000000000000000 00 00",
        "6c 'DescribeNSM'", "a2 67 'LockPCR' a1 65 'index' 10",
        "bb 8000000000000001 67 'LockPCR' a1 65 'index' 10",
        /* Reserved heads */
        "1c", "1d", "1e", "1f", "3f", "5c", "7d", "9e", "bc", "df", "fc", "fd",
        "fe", "f8 00", "f8 18", "f8 1f",
        /* A break without an item to end */
        "a1 67 'LockPCR' a1 65 'index' ff", "a1 67 'LockPCR' ff",
        "a1 ff", "82 00 ff", "c0 ff", "9f c0 ff",
        "bf 67 'LockPCR' ff", "a1 67 'LockPCR' bf 65 'index' ff",
        /* Chunks of the wrong kind, nested, or with a tag */
        "7f 6b 'DescribeNSM' 40 ff", "7f 7f 6b 'DescribeNSM' ff ff",
        "7f c0 6b 'DescribeNSM' ff", "7f 00 ff", "5f 60 ff", "7f c0 ff",
        /* No end */
        "7f 6b 'DescribeNSM'", "bf", "bf 67 'LockPCR' a1 65 'index' 10",
        "9f", "c0", "d9 d9f7",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(refused); i++) {
        expect_error_response(f, refused[i], "InvalidOperation");
    }
}

/* A request that is cut off is not a request. */
static void test_truncated(Fixture *f, const void *unused)
{
    static const char *const whole[] = {
        "a1 69 'ExtendPCR' a3 61 'x' 9f 01 ff 65 'index' 1b 0000000000000010"
        " 64 'data' 5f 41 'a' 58 02 'bc' ff",
        "bf 6b 'Attestation' bf 65 'nonce' 43 'abc' ff ff",
        "6b 'DescribeNSM'",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(whole); i++) {
        g_autoptr(GByteArray) request = bytes(whole[i]);
        NsmBank before = f->nsm.bank;

        while (request->len) {
            g_byte_array_set_size(request, request->len - 1);
            send_bytes(f, request, NSM_RESPONSE_MAX);
            expect_error(f, "InvalidOperation");
        }
        g_assert_cmpmem(&f->nsm.bank, sizeof(NsmBank), &before,
                        sizeof(before));
    }
}

/* LockPCR with an argument @depth arrays deep, which is 2 maps down */
static void send_nested(Fixture *f, uint8_t array, uint8_t inner, int depth)
{
    g_autoptr(GByteArray) request =
        bytes("a1 67 'LockPCR' a2 65 'index' 10 61 'x'");

    nsm_reset(&f->nsm);
    repeat(request, array, depth);
    repeat(request, inner, 1);
    if (array == 0x9f) {
        repeat(request, 0xff, depth);
    }
    send_bytes(f, request, NSM_RESPONSE_MAX);
}

static void test_depth(Fixture *f, const void *unused)
{
    g_autoptr(GByteArray) request = bytes("");
    int i;

    send_nested(f, 0x81, 0x00, 14);
    expect(f, "67 'LockPCR'");
    send_nested(f, 0x81, 0x00, 15);
    expect_error(f, "InvalidOperation");
    send_nested(f, 0x9f, 0x00, 14);
    expect(f, "67 'LockPCR'");
    send_nested(f, 0x9f, 0x00, 15);
    expect_error(f, "InvalidOperation");

    /* As deep as a request can be, in every way */
    for (i = 0; i < 4; i++) {
        static const uint8_t nests[] = { 0x81, 0x9f, 0xa1, 0xbf };

        g_byte_array_set_size(request, 0);
        repeat(request, nests[i], NSM_REQUEST_MAX);
        send_bytes(f, request, NSM_RESPONSE_MAX);
        expect_error(f, "InvalidOperation");
    }
    /* Tags can be many. */
    g_byte_array_set_size(request, 0);
    repeat(request, 0xc6, NSM_REQUEST_MAX - 12);
    g_byte_array_append(request, (const uint8_t *)"\x6b" "DescribeNSM", 12);
    send_bytes(f, request, NSM_RESPONSE_MAX);
    g_assert_true(response_has(f, "69 'module_id'"));
}

/* Limits of size */

static void test_input_too_large(Fixture *f, const void *unused)
{
    const char *head = "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 59 ";
    g_autofree char *fits = g_strconcat(head, "0fe5", NULL);
    g_autofree char *one_more = g_strconcat(head, "0fe6", NULL);
    g_autoptr(GByteArray) request = bytes(fits);
    g_autoptr(GByteArray) longer = bytes(one_more);

    repeat(request, 0, 0xfe5);
    g_assert_cmpuint(request->len, ==, NSM_REQUEST_MAX);
    send_bytes(f, request, NSM_RESPONSE_MAX);
    g_assert_true(response_has(f, "69 'ExtendPCR'"));

    repeat(longer, 0, 0xfe6);
    send_bytes(f, longer, NSM_RESPONSE_MAX);
    expect_error(f, "InputTooLarge");
}

static void test_buffer_too_small(Fixture *f, const void *unused)
{
    /* {"ExtendPCR": {"data": bytes(48)}} and {"Error": "BufferTooSmall"} */
    const size_t answer = 1 + 10 + 1 + 5 + 50, error = 1 + 6 + 15;
    g_autoptr(GByteArray) extend =
        bytes("a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 43 'abc'");
    g_autoptr(GByteArray) attest = bytes("a1 6b 'Attestation' a0");
    g_autoptr(GByteArray) lock = bytes("a1 67 'LockPCR' a1 65 'index' 18 1f");
    NsmBank before = f->nsm.bank;

    send_bytes(f, extend, answer - 1);
    expect_error(f, "BufferTooSmall");
    send_bytes(f, extend, error);
    expect_error(f, "BufferTooSmall");
    send_bytes(f, extend, error - 1);
    g_assert_cmpuint(f->response_size, ==, 0);
    send_bytes(f, extend, 0);
    g_assert_cmpuint(f->response_size, ==, 0);
    send_bytes(f, lock, 7);
    g_assert_cmpuint(f->response_size, ==, 0);
    send_bytes(f, attest, 2000);
    expect_error(f, "BufferTooSmall");

    /* If the response does not fit, the request has no effect. */
    g_assert_cmpmem(&f->nsm.bank, sizeof(NsmBank), &before, sizeof(before));

    send_bytes(f, extend, answer);
    expect(f, EXTENDED_ABC);
    send_bytes(f, lock, 8);
    expect(f, "67 'LockPCR'");

    /* A buffer may be larger than responses can be. */
    send_bytes(f, attest, NSM_RESPONSE_MAX + 1);
    expect_document(f);
}

/* Registers at start */

static void test_start_values(Fixture *f, const void *unused)
{
    uint8_t value[NITRO_PCR_SIZE];

    memset(value, 0xab, sizeof(value));
    nsm_set_start_pcr(&f->nsm, 3, value, false);
    nsm_set_start_pcr(&f->nsm, 20, value, true);
    nsm_set_start_pcr(&f->nsm, 21, value, true);
    nsm_set_start_pcr(&f->nsm, 21, value, false);
    nsm_reset(&f->nsm);
    g_assert_cmphex(f->nsm.bank.locked, ==, 0x10ffff);
    g_assert_cmpmem(f->nsm.bank.value[3], NITRO_PCR_SIZE, value, sizeof(value));
    g_assert_cmpmem(f->nsm.bank.value[20], NITRO_PCR_SIZE, value,
                    sizeof(value));

    send_request(f, "a1 69 'ExtendPCR' a2 65 'index' 15 64 'data' 43 'abc'");
    send_request(f, "a1 68 'LockPCRs' a1 65 'range' 18 20");
    g_assert_cmphex(f->nsm.bank.locked, ==, 0xffffffff);
    g_assert(memcmp(f->nsm.bank.value[21], value, sizeof(value)));

    nsm_reset(&f->nsm);
    g_assert_cmphex(f->nsm.bank.locked, ==, 0x10ffff);
    g_assert_cmpmem(f->nsm.bank.value[21], NITRO_PCR_SIZE, value,
                    sizeof(value));
}

/*
 * Random changes of valid requests: each gets a well-formed response, registers
 * are never unlocked, and locked registers do not change.
 */
static void test_random_changes(Fixture *f, const void *unused)
{
    static const char *const good[] = {
        "a1 69 'ExtendPCR' a2 65 'index' 18 1f 64 'data' 5f 43 'abc' ff",
        "a1 68 'LockPCRs' bf 65 'range' 12 ff",
        "bf 6b 'DescribePCR' a1 65 'index' 19 0010 ff",
        "6b 'DescribeNSM'",
    };
    GRand *rand = g_rand_new_with_seed(33);
    uint32_t locked = f->nsm.bank.locked;
    static const uint8_t zero[16 * NITRO_PCR_SIZE];
    int i, n;

    for (i = 0; i < 200000; i++) {
        g_autoptr(GByteArray) request = bytes(good[i % ARRAY_SIZE(good)]);

        for (n = g_rand_int_range(rand, 1, 4); n; n--) {
            request->data[g_rand_int_range(rand, 0, request->len)] =
                g_rand_int(rand);
        }
        if (g_rand_int_range(rand, 0, 8) == 0) {
            g_byte_array_set_size(request,
                                  g_rand_int_range(rand, 0, request->len));
        }
        send_bytes(f, request, 512);
        g_assert_cmpuint(f->response_size, >, 0);
        g_assert(f->response[0] == 0xa1 || f->response[0] >> 5 == 3);
        g_assert_cmphex(f->nsm.bank.locked & locked, ==, locked);
        locked = f->nsm.bank.locked;
        g_assert_cmpmem(f->nsm.bank.value, sizeof(zero), zero, sizeof(zero));
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *f, const void *unused);
    } tests[] = {
        { "/nsm/describe-nsm", test_describe_nsm },
        { "/nsm/get-random", test_get_random },
        { "/nsm/describe-pcr", test_describe_pcr },
        { "/nsm/extend-pcr", test_extend },
        { "/nsm/extend-pcr/long", test_extend_long },
        { "/nsm/extend-pcr/errors", test_extend_errors },
        { "/nsm/lock-pcr", test_lock },
        { "/nsm/lock-pcrs", test_lock_range },
        { "/nsm/attestation", test_attestation },
        { "/nsm/attestation/errors", test_attestation_errors },
        { "/nsm/attestation/long", test_attestation_long },
        { "/nsm/cbor/integer-widths", test_integer_widths },
        { "/nsm/cbor/same-request", test_same_request },
        { "/nsm/cbor/not-operations", test_not_operations },
        { "/nsm/cbor/malformed", test_malformed },
        { "/nsm/cbor/truncated", test_truncated },
        { "/nsm/cbor/depth", test_depth },
        { "/nsm/cbor/random-changes", test_random_changes },
        { "/nsm/input-too-large", test_input_too_large },
        { "/nsm/buffer-too-small", test_buffer_too_small },
        { "/nsm/start-values", test_start_values },
    };
    int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run,
                   tear_down);
    }
    return g_test_run();
}
