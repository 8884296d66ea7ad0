/*
 * Tests of CBOR (RFC 8949), and of the bytes that COSE (RFC 9052) signs
 *
 * The tests contain the encoded bytes.  Those of the numbers are the examples
 * of RFC 8949, appendix A.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cbor.h"
#include "qemu/cose.h"
#include "qapi/error.h"

static GByteArray *from_hex(const char *hex)
{
    GByteArray *out = g_byte_array_new();

    for (; *hex; hex += 2) {
        uint8_t byte = g_ascii_xdigit_value(hex[0]) << 4 |
                       g_ascii_xdigit_value(hex[1]);

        g_assert(g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]));
        g_byte_array_append(out, &byte, 1);
    }
    return out;
}

/* The input has its own block, so that sanitizers find reads beyond its end. */
typedef struct Input {
    CborReader r;
    uint8_t *data;
} Input;

static void input_clear(Input *in)
{
    g_free(in->data);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Input, input_clear)

static Input input_of(const GByteArray *bytes)
{
    Input in = { .data = g_memdup2(bytes->data, bytes->len) };

    in.r = (CborReader) { "input", in.data, bytes->len };
    return in;
}

static Input input(const char *hex)
{
    g_autoptr(GByteArray) bytes = from_hex(hex);

    return input_of(bytes);
}

/* There must be an error of one line, with each of @words (between |) in it. */
static void expect_words(Error *err, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    int i;

    g_assert_nonnull(err);
    g_assert_null(strchr(error_get_pretty(err), '\n'));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "input"));
    for (i = 0; list[i]; i++) {
        if (!strstr(error_get_pretty(err), list[i])) {
            g_test_message("'%s' is not in '%s'", list[i],
                           error_get_pretty(err));
            g_test_fail();
        }
    }
    error_free(err);
}

/* Heads */

static void test_heads(void)
{
    static const struct {
        const char *hex;
        CborHead head;
        int used;               /* bytes; 0: all */
    } cases[] = {
        { "00", { CBOR_KIND_UINT, .value = 0 } },
        { "17", { CBOR_KIND_UINT, .value = 23 } },
        { "1818", { CBOR_KIND_UINT, .value = 24 } },
        { "1903e8", { CBOR_KIND_UINT, .value = 1000 } },
        { "1a000f4240", { CBOR_KIND_UINT, .value = 1000000 } },
        { "1bffffffffffffffff", { CBOR_KIND_UINT, .value = UINT64_MAX } },
        /* Longer than necessary */
        { "1817", { CBOR_KIND_UINT, .value = 23 } },
        { "1b0000000000000000", { CBOR_KIND_UINT, .value = 0 } },
        { "20", { CBOR_KIND_NEGINT, .value = 0 } },
        { "3863", { CBOR_KIND_NEGINT, .value = 99 } },
        { "3903e7", { CBOR_KIND_NEGINT, .value = 999 } },
        { "3a000f423f", { CBOR_KIND_NEGINT, .value = 999999 } },
        { "3bffffffffffffffff", { CBOR_KIND_NEGINT, .value = UINT64_MAX } },
        { "40", { CBOR_KIND_BYTES, .value = 0 } },
        { "4401020304ff", { CBOR_KIND_BYTES, .value = 4 }, 5 },
        { "580161", { CBOR_KIND_BYTES, .value = 1 } },
        { "59000161", { CBOR_KIND_BYTES, .value = 1 } },
        { "5a0000000161", { CBOR_KIND_BYTES, .value = 1 } },
        { "5b000000000000000161", { CBOR_KIND_BYTES, .value = 1 } },
        { "5f", { CBOR_KIND_BYTES, .indefinite = true } },
        { "6449455446", { CBOR_KIND_TEXT, .value = 4 } },
        { "7b000000000000000161", { CBOR_KIND_TEXT, .value = 1 } },
        { "7f", { CBOR_KIND_TEXT, .indefinite = true } },
        { "80", { CBOR_KIND_ARRAY, .value = 0 } },
        { "83010203", { CBOR_KIND_ARRAY, .value = 3 }, 1 },
        { "9a0000000101", { CBOR_KIND_ARRAY, .value = 1 }, 5 },
        { "9b000000000000000101", { CBOR_KIND_ARRAY, .value = 1 }, 9 },
        { "9f", { CBOR_KIND_ARRAY, .indefinite = true } },
        { "a0", { CBOR_KIND_MAP, .value = 0 } },
        { "a201020304", { CBOR_KIND_MAP, .value = 2 }, 1 },
        { "b8010102", { CBOR_KIND_MAP, .value = 1 }, 2 },
        { "bb00000000000000010000", { CBOR_KIND_MAP, .value = 1 }, 9 },
        { "bf", { CBOR_KIND_MAP, .indefinite = true } },
        { "c0", { CBOR_KIND_TAG, .value = 0 } },
        { "d2", { CBOR_KIND_TAG, .value = 18 } },
        { "d818", { CBOR_KIND_TAG, .value = 24 } },
        { "d9d9f7", { CBOR_KIND_TAG, .value = 55799 } },
        { "dbffffffffffffffff", { CBOR_KIND_TAG, .value = UINT64_MAX } },
        { "e0", { CBOR_KIND_OTHER } },
        { "f3", { CBOR_KIND_OTHER } },
        { "f4", { CBOR_KIND_OTHER } },
        { "f5", { CBOR_KIND_OTHER } },
        { "f6", { CBOR_KIND_NULL } },
        { "f7", { CBOR_KIND_OTHER } },
        { "f820", { CBOR_KIND_OTHER } },
        { "f8ff", { CBOR_KIND_OTHER } },
        { "f93c00", { CBOR_KIND_OTHER } },
        { "fa47c35000", { CBOR_KIND_OTHER } },
        { "fb7e37e43c8800759c", { CBOR_KIND_OTHER } },
        { "ff", { CBOR_KIND_BREAK } },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        const CborHead *wanted = &cases[i].head;
        g_auto(Input) in = input(cases[i].hex);
        size_t used = 0, size = in.r.size, head_size = size;
        CborHead head;

        if (cases[i].used) {
            head_size = cases[i].used;
        }
        g_test_message("%s", cases[i].hex);
        g_assert_cmpint(cbor_decode_head(in.data, size, &head, &used), ==,
                        CBOR_STATUS_OK);
        g_assert_cmpuint(used, ==, head_size);
        g_assert_cmpint(head.kind, ==, wanted->kind);
        g_assert_cmpint(head.indefinite, ==, wanted->indefinite);
        g_assert_cmphex(head.value, ==, wanted->value);
        if ((head.kind == CBOR_KIND_BYTES || head.kind == CBOR_KIND_TEXT) &&
            !head.indefinite) {
            g_assert_true(head.data + head.value == in.data + used);
        }
        /* No part of the input is accepted as the whole. */
        while (--head_size) {
            g_autofree uint8_t *part = g_memdup2(in.data, head_size);

            g_assert_cmpint(cbor_decode_head(part, head_size, &head, &used),
                            ==, CBOR_STATUS_CUT_SHORT);
        }
        g_assert_cmpint(cbor_decode_head(in.data, 0, &head, &used), ==,
                        CBOR_STATUS_CUT_SHORT);
    }
}

static void test_bad_heads(void)
{
    static const char *const malformed[] = {
        "1c", "1d", "1e", "1f", "3c", "3f", "5c", "7c", "9e", "bd", "dc",
        "df", "f800", "f814", "f81f", "fc", "fd", "fe",
    };
    /* More than the input has, more than is possible, and 2^32 + 1 */
    static const char *const cut_short[] = {
        "41", "6261", "8200", "97", "a100", "a2010203", "b7",
        "5801", "590002ff", "7802ff", "79ffff", "980200", "99000200", "b80100",
        "b90002010203", "5a80000000", "7a00000001", "9a00010000",
        "ba0000000100", "ba800000000000",
        "5bffffffffffffffff00", "5b000000010000000100",
        "7bffffffffffffffff00", "7b000000010000000100",
        "9bffffffffffffffff00", "9b000000010000000100",
        "bbffffffffffffffff00", "bb00000001000000010000",
        "bb000000000000000100", "f8", "18", "3b00000000000000",
    };
    size_t used;
    CborHead head;
    int i;

    for (i = 0; i < ARRAY_SIZE(malformed); i++) {
        g_auto(Input) in = input(malformed[i]);

        g_test_message("%s", malformed[i]);
        g_assert_cmpint(cbor_decode_head(in.data, in.r.size, &head, &used),
                        ==, CBOR_STATUS_MALFORMED);
    }
    for (i = 0; i < ARRAY_SIZE(cut_short); i++) {
        g_auto(Input) in = input(cut_short[i]);

        g_test_message("%s", cut_short[i]);
        g_assert_cmpint(cbor_decode_head(in.data, in.r.size, &head, &used),
                        ==, CBOR_STATUS_CUT_SHORT);
    }
}

/* Reading */

static void test_next(void)
{
    g_auto(Input) in = input("0041aaff");
    Error *err = NULL;
    CborHead head;

    g_assert_true(cbor_next(&in.r, &head, &error_abort));
    g_assert_cmpint(head.kind, ==, CBOR_KIND_UINT);
    g_assert_true(cbor_next(&in.r, &head, &error_abort));
    g_assert_cmpint(head.kind, ==, CBOR_KIND_BYTES);
    g_assert_cmphex(head.data[0], ==, 0xaa);
    g_assert_cmpuint(in.r.pos, ==, 3);
    g_assert_false(cbor_next(&in.r, &head, &err));
    expect_words(err, "misplaced break at byte 3");
}

static void test_expect(void)
{
    static const struct {
        const char *hex;
        CborKind kind;
        const char *words;      /* NULL if it is accepted */
    } cases[] = {
        { "05", CBOR_KIND_UINT, NULL },
        { "f6", CBOR_KIND_NULL, NULL },
        { "05", CBOR_KIND_TEXT, "a thing at byte 0|an unsigned|a text" },
        { "20", CBOR_KIND_MAP, "a negative integer|a map" },
        { "40", CBOR_KIND_TAG, "a byte string|a tag" },
        { "a0", CBOR_KIND_BYTES, "a map|a byte string" },
        { "80", CBOR_KIND_NEGINT, "an array|a negative integer" },
        { "c1", CBOR_KIND_ARRAY, "a tag|an array" },
        { "f6", CBOR_KIND_OTHER, "null|a simple value" },
        { "f97e00", CBOR_KIND_NULL, "a simple value|instead of null" },
        { "ff", CBOR_KIND_UINT, "misplaced break" },
        { "", CBOR_KIND_UINT, "cut short|0 bytes|byte 0" },
        { "1900", CBOR_KIND_UINT, "cut short|2 bytes" },
        { "1f", CBOR_KIND_UINT, "not CBOR|0x1f at byte 0" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_auto(Input) in = input(cases[i].hex);
        Error *err = NULL;
        CborHead head;

        g_test_message("%s", cases[i].hex);
        if (!cases[i].words) {
            g_assert_true(cbor_expect(&in.r, &head, cases[i].kind, "a thing",
                                      &error_abort));
            g_assert_cmpint(head.kind, ==, cases[i].kind);
        } else {
            g_assert_false(cbor_expect(&in.r, &head, cases[i].kind, "a thing",
                                       &err));
            expect_words(err, cases[i].words);
        }
    }
}

/* The sum of the numbers in an array or a map, and how many were read */
static void add_up(const char *hex, uint64_t sum, unsigned rounds,
                   unsigned per_round)
{
    g_auto(Input) in = input(hex);
    CborHead outer, item;
    unsigned i;

    g_test_message("%s", hex);
    g_assert_true(cbor_next(&in.r, &outer, &error_abort));
    while (cbor_more(&in.r, &outer)) {
        for (i = 0; i < per_round; i++) {
            g_assert_true(cbor_expect(&in.r, &item, CBOR_KIND_UINT, "a number",
                                      &error_abort));
            sum -= item.value;
        }
        rounds--;
    }
    g_assert_cmpuint(sum, ==, 0);
    g_assert_cmpuint(rounds, ==, 0);
    g_assert_true(cbor_end(&in.r, &error_abort));
    /* There is no more item, also when asked again. */
    if (!outer.indefinite) {
        g_assert_false(cbor_more(&in.r, &outer));
    }
}

static void test_more(void)
{
    add_up("80", 0, 0, 1);
    add_up("9fff", 0, 0, 1);
    add_up("83010203", 6, 3, 1);
    add_up("9f01020304ff", 10, 4, 1);
    add_up("a201020304", 10, 2, 2);
    add_up("bf01020304ff", 10, 2, 2);
    add_up("bfff", 0, 0, 2);
}

static void test_string(void)
{
    static const struct {
        const char *hex;
        const char *text;       /* what it is, or */
        const char *words;      /* what is wrong */
    } cases[] = {
        { "40", "" },
        { "43616263", "abc" },
        { "63616263", "abc" },
        { "5fff", "" },
        { "5f40ff", "" },
        { "5f41614162580163ff", "abc" },
        { "7f6161626263ff", "abc" },
        { "5f4161", NULL, "cut short" },
        { "5f6161ff", NULL, "a piece of a string at byte 1|a text string" },
        { "7f4161ff", NULL, "a piece|a byte string" },
        { "5f5f4161ffff", NULL, "piece|indefinite" },
        { "5fc14161ff", NULL, "a piece|a tag" },
        { "5f00ff", NULL, "a piece|an unsigned integer" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_auto(Input) in = input(cases[i].hex);
        g_auto(Input) again = input(cases[i].hex);
        g_autoptr(GByteArray) out = g_byte_array_new();
        Error *err = NULL;
        CborHead head;
        bool ok;

        g_test_message("%s", cases[i].hex);
        g_byte_array_append(out, (const uint8_t *)"-", 1);
        g_assert_true(cbor_next(&in.r, &head, &error_abort));
        ok = cbor_read_string(&in.r, &head, out, &err);
        if (cases[i].text) {
            g_assert_true(ok);
            g_assert_cmpmem(out->data + 1, out->len - 1, cases[i].text,
                            strlen(cases[i].text));
            g_assert_true(cbor_end(&in.r, &error_abort));
        } else {
            g_assert_false(ok);
            expect_words(err, cases[i].words);
        }
        /* The same without a place for it */
        g_assert_true(cbor_next(&again.r, &head, &error_abort));
        g_assert_cmpint(cbor_read_string(&again.r, &head, NULL, NULL), ==, ok);
        g_assert_cmpuint(again.r.pos, ==, in.r.pos);
    }
}

static void test_skip(void)
{
    static const struct {
        const char *hex;
        const char *words;      /* NULL if it is one whole item */
    } cases[] = {
        { "00", NULL },
        { "3bffffffffffffffff", NULL },
        { "f6", NULL },
        { "c000", NULL },
        { "c6d818d9d9f74161", NULL },
        { "826161a1006162", NULL },
        { "9f8001f6a0bfffff", NULL },
        { "bf61615f4161ff00c1f5ff", NULL },
        { "a19f01ff820203", NULL },
        { "c0", "cut short" },
        { "c0ff", "misplaced break at byte 1" },
        { "8201", "cut short" },
        { "a101", "cut short" },
        { "9f01", "cut short" },
        { "bf01ff", "misplaced break at byte 2" },
        { "bf01c1ff", "misplaced break" },
        { "9fc1ff", "misplaced break" },
        { "81ff", "misplaced break" },
        { "815f6161ff", "piece" },
        { "811c", "not CBOR" },
        { "9bffffffffffffffff00", "cut short" },
        { "ba800000000000", "cut short" },
        { "0000", "ends at byte 1|1 bytes follow" },
        { "8000ff", "ends at byte 1|2 bytes follow" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_auto(Input) in = input(cases[i].hex);
        Error *err = NULL;
        bool ok = cbor_skip(&in.r, 0, &err) && cbor_end(&in.r, &err);

        g_test_message("%s", cases[i].hex);
        g_assert_cmpint(ok, ==, !cases[i].words);
        if (!ok) {
            expect_words(err, cases[i].words);
        }
    }
}

/* @levels times @opening, then a 0 */
static GByteArray *nested(const char *opening, unsigned levels)
{
    g_autoptr(GByteArray) one = from_hex(opening);
    GByteArray *out = g_byte_array_new();
    uint8_t zero = 0;

    while (levels--) {
        g_byte_array_append(out, one->data, one->len);
    }
    g_byte_array_append(out, &zero, 1);
    return out;
}

static void test_depth(void)
{
    /* Arrays, and maps in values */
    static const char *const openings[] = { "81", "9f", "a100", "bf00" };
    g_autoptr(GByteArray) tags = nested("c1", 1000000);
    g_auto(Input) tagged = input_of(tags);
    int i;

    for (i = 0; i < ARRAY_SIZE(openings); i++) {
        g_autoptr(GByteArray) just = nested(openings[i], CBOR_DEPTH_MAX);
        g_autoptr(GByteArray) one_more = nested(openings[i],
                                                CBOR_DEPTH_MAX + 1);
        g_autoptr(GByteArray) many = nested(openings[i], 1000000);
        g_auto(Input) fits = { };
        g_auto(Input) deep = input_of(one_more);
        g_auto(Input) deepest = input_of(many);
        Error *err = NULL;

        if (openings[i][1] == 'f') {
            g_byte_array_set_size(just, just->len + CBOR_DEPTH_MAX);
            memset(just->data + just->len - CBOR_DEPTH_MAX, 0xff,
                   CBOR_DEPTH_MAX);
        }
        fits = input_of(just);
        g_assert_true(cbor_skip(&fits.r, 0, &error_abort));
        g_assert_true(cbor_end(&fits.r, &error_abort));
        /* Outer arrays and maps are counted, too. */
        fits.r.pos = 0;
        g_assert_false(cbor_skip(&fits.r, 1, &err));
        expect_words(err, "nested deeper than 16");
        err = NULL;
        g_assert_false(cbor_skip(&deep.r, 0, &err));
        expect_words(err, "nested deeper than 16");
        err = NULL;
        g_assert_false(cbor_skip(&deepest.r, 0, &err));
        expect_words(err, "nested deeper than 16");
    }
    g_assert_true(cbor_skip(&tagged.r, CBOR_DEPTH_MAX, &error_abort));
    g_assert_true(cbor_end(&tagged.r, &error_abort));
}

/* Maps with the fields a and b, which are numbers; b is optional. */

static bool read_number(CborReader *r, const char *name, void *out,
                        Error **errp)
{
    CborHead head;

    if (!cbor_expect(r, &head, CBOR_KIND_UINT, name, errp)) {
        return false;
    }
    *(uint64_t *)out = head.value;
    return true;
}

/* Read the map at the start of @in, which is nested in @depth others. */
static bool read_map(Input *in, uint64_t values[2], unsigned depth,
                     Error **errp)
{
    CborField fields[] = {
        { "a", read_number, &values[0] },
        { "b", read_number, &values[1], .optional = true },
    };
    CborHead head;

    return cbor_expect(&in->r, &head, CBOR_KIND_MAP, "a map", errp) &&
           cbor_read_map(&in->r, &head, fields, ARRAY_SIZE(fields), depth,
                         errp) &&
           cbor_end(&in->r, errp);
}

#define UNSET   99

static void test_map(void)
{
    static const struct {
        const char *hex;
        uint64_t a, b;
        const char *words;      /* NULL if it is accepted */
    } cases[] = {
        { "a16161" "01", 1, UNSET },
        { "a26161" "01" "6162" "02", 1, 2 },
        { "a26162" "02" "6161" "01", 1, 2 },
        { "bf6161" "01" "6162" "02ff", 1, 2 },
        /* Keys in several pieces, and behind tags */
        { "a17f6061" "61ff" "01", 1, UNSET },
        { "a1c16161" "01", 1, UNSET },
        { "a1d9d9f7d8186161" "01", 1, UNSET },
        { "a2c16162" "02" "6161" "01", 1, 2 },
        /* Unknown keys of any kind, with any value, also more than once */
        { "a26163" "820203" "6161" "01", 1, UNSET },
        { "a36163" "00" "6163" "00" "6161" "01", 1, UNSET },
        { "a36161" "01" "05" "a1616108" "20" "f6", 1, UNSET },
        { "a2826161" "05" "00" "6161" "01", 1, UNSET },
        { "a2a1616105" "00" "6161" "01", 1, UNSET },
        { "a24161" "05" "6161" "01", 1, UNSET },
        { "a2c14161" "05" "6161" "01", 1, UNSET },
        { "a25f4161ff" "05" "6161" "01", 1, UNSET },
        { "bf6163" "9f01ff" "6161" "01" "f6" "c100ff", 1, UNSET },
        /* Names that have the field's as a part, or are a part of it */
        { "a460" "05" "626161" "06" "626162" "07" "6161" "01", 1, UNSET },
        { "a2626100" "05" "6161" "01", 1, UNSET },
        { "a26141" "05" "6161" "01", 1, UNSET },

        { "a0", .words = "has no \"a\"" },
        { "bfff", .words = "has no \"a\"" },
        { "a16162" "02", .words = "has no \"a\"" },
        { "a14161" "01", .words = "has no \"a\"" },
        { "a26161" "01" "6161" "01", .words = "more than one \"a\"" },
        { "a26161" "01" "7f6161ff" "02", .words = "more than one \"a\"" },
        { "a26161" "01" "c16161" "02", .words = "more than one \"a\"" },
        { "a26161" "01" "780161" "02", .words = "more than one \"a\"" },
        { "a36161" "01" "6162" "02" "6162" "02",
          .words = "more than one \"b\"" },
        { "a16161" "40", .words = "a at byte 3|a byte string|an unsigned" },
        { "a16161" "c101", .words = "a at byte 3|a tag|an unsigned" },
        { "a26161" "01" "6162" "20", .words = "b at byte 6|a negative" },
        { "a26161" "01" "6163", .words = "cut short" },
        { "a26161" "01" "c1c1", .words = "cut short" },
        { "bf6161" "01", .words = "cut short" },
        { "bf6161" "01" "6162", .words = "cut short" },
        { "bf6161ff", .words = "misplaced break at byte 3" },
        { "bf6161" "01" "05ff", .words = "misplaced break at byte 5" },
        { "bf6161" "01" "c1ff", .words = "misplaced break at byte 5" },
        { "a26161" "01" "7f4161ff" "00", .words = "a piece|a byte string" },
        { "a26161" "01" "6163" "1c", .words = "not CBOR|0x1c at byte 6" },
        { "a26161" "01" "1c" "00", .words = "not CBOR|0x1c at byte 4" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_auto(Input) in = input(cases[i].hex);
        uint64_t values[2] = { UNSET, UNSET };
        Error *err = NULL;
        bool ok = read_map(&in, values, 0, &err);

        g_test_message("%s", cases[i].hex);
        g_assert_cmpint(ok, ==, !cases[i].words);
        if (ok) {
            g_assert_cmpuint(values[0], ==, cases[i].a);
            g_assert_cmpuint(values[1], ==, cases[i].b);
        } else {
            expect_words(err, cases[i].words);
        }
    }
}

/* A map {"a": 1, ...} that also has @levels arrays, as a key or as a value */
static Input deep_map(unsigned levels, bool key)
{
    g_autoptr(GByteArray) out = from_hex("a2616101");
    g_autoptr(GByteArray) arrays = nested("81", levels);
    uint8_t zero = 0;

    if (!key) {
        g_byte_array_append(out, &zero, 1);
    }
    g_byte_array_append(out, arrays->data, arrays->len);
    if (key) {
        g_byte_array_append(out, &zero, 1);
    }
    return input_of(out);
}

/* The map is a level, too, and so are the outer ones. */
static void test_map_depth(void)
{
    unsigned outer, key;

    for (outer = 0; outer < CBOR_DEPTH_MAX; outer += 5) {
        for (key = 0; key < 2; key++) {
            unsigned most = CBOR_DEPTH_MAX - 1 - outer;
            g_auto(Input) fits = deep_map(most, key);
            g_auto(Input) deep = deep_map(most + 1, key);
            uint64_t values[2];
            Error *err = NULL;

            g_assert_true(read_map(&fits, values, outer, &error_abort));
            g_assert_false(read_map(&deep, values, outer, &err));
            expect_words(err, "nested deeper than 16");
        }
    }
}

/* Writing */

static void expect_bytes(GByteArray *out, const char *hex)
{
    g_autoptr(GByteArray) wanted = from_hex(hex);

    g_assert_cmpmem(out->data, out->len, wanted->data, wanted->len);
    g_byte_array_set_size(out, 0);
}

static void test_put(void)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    cbor_put_uint(out, 0);
    cbor_put_uint(out, 23);
    cbor_put_uint(out, 24);
    cbor_put_uint(out, 255);
    cbor_put_uint(out, 256);
    cbor_put_uint(out, 65536);
    cbor_put_uint(out, UINT64_MAX);
    expect_bytes(out, "0017181818ff1901001a000100001bffffffffffffffff");
    cbor_put_negint(out, 0);
    cbor_put_negint(out, 34);
    expect_bytes(out, "203822");
    cbor_put_bytes(out, NULL, 0);
    cbor_put_bytes(out, "abc", 3);
    cbor_put_text(out, "");
    cbor_put_text(out, "twenty-four characters!!");
    expect_bytes(out, "4043616263607818"
                 "7477656e74792d666f757220636861726163746572732121");
    cbor_put_bool(out, false);
    cbor_put_bool(out, true);
    cbor_put_null(out);
    expect_bytes(out, "f4f5f6");
    cbor_put_array(out, 0);
    cbor_put_array(out, 24);
    cbor_put_map(out, 9);
    cbor_put_map(out, 256);
    expect_bytes(out, "809818a9b90100");
}

/*
 * The header and the payload of the example in RFC 9052, C.2.1.  Its signature
 * verifies with these bytes.
 */
static void test_sig_structure(void)
{
    static const uint8_t header[] = { 0xa1, 0x01, 0x26 };
    static const char payload[] = "This is the content.";
    g_autoptr(GByteArray) out = from_hex("ee");

    cose_sign1_put_sig_structure(out, header, sizeof(header), payload,
                                 strlen(payload));
    expect_bytes(out, "ee" "84" "6a5369676e617475726531" "43a10126" "40"
                 "54546869732069732074686520636f6e74656e742e");
    cose_sign1_put_sig_structure(out, NULL, 0, NULL, 0);
    expect_bytes(out, "84" "6a5369676e617475726531" "40" "40" "40");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cbor/heads", test_heads);
    g_test_add_func("/cbor/bad-heads", test_bad_heads);
    g_test_add_func("/cbor/next", test_next);
    g_test_add_func("/cbor/expect", test_expect);
    g_test_add_func("/cbor/more", test_more);
    g_test_add_func("/cbor/string", test_string);
    g_test_add_func("/cbor/skip", test_skip);
    g_test_add_func("/cbor/depth", test_depth);
    g_test_add_func("/cbor/map", test_map);
    g_test_add_func("/cbor/map/depth", test_map_depth);
    g_test_add_func("/cbor/put", test_put);
    g_test_add_func("/cbor/sig-structure", test_sig_structure);
    return g_test_run();
}
