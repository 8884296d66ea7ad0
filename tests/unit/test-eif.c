/*
 * Enclave image files: the header and the table of sections
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "eif-test.h"

/* The image in @bytes cannot be opened, and the error says why. */
static void expect_refused(const GByteArray *bytes, const char *words)
{
    Error *err = NULL;

    test_eif_write(image_path, bytes);
    g_assert_null(eif_open(image_path, &err));
    g_assert_nonnull(err);
    g_assert_nonnull(strstr(error_get_pretty(err), image_path));
    expect_error(&err, words);
}

static void test_standard(void)
{
    static const EifSectionType types[] = {
        EIF_SECTION_KERNEL, EIF_SECTION_CMDLINE, EIF_SECTION_METADATA,
        EIF_SECTION_RAMDISK, EIF_SECTION_RAMDISK, EIF_SECTION_RAMDISK,
    };
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    int i;

    make_standard(&eif);
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    g_assert_cmpstr(image->path, ==, image_path);
    g_assert_cmpuint(image->version, ==, 4);
    g_assert_cmpuint(image->num_sections, ==, ARRAY_SIZE(types));
    for (i = 0; i < ARRAY_SIZE(types); i++) {
        g_assert_cmpuint(image->sections[i].type, ==, types[i]);
        g_assert_cmpuint(image->sections[i].offset, ==,
                         eif.sections[i].at + 12);
        g_assert_cmpuint(image->sections[i].size, ==,
                         eif.sections[i].data->len);
    }
    g_assert_cmpuint(image->kernel_size, ==, 1000);
    g_assert_cmpuint(image->cmdline_size, ==, 100);
    g_assert_cmpuint(image->ramdisk_size, ==, 1205);
}

/* Files that are not images */

static void test_no_file(void)
{
    g_autofree char *path = g_build_filename(tmp_dir, "fifo", NULL);
    Error *err = NULL;

    g_assert_null(eif_open("/nonexistent/image.eif", &err));
    expect_error(&err, "/nonexistent/image.eif");
    g_assert_null(eif_open(tmp_dir, &err));
    expect_error(&err, "directory");
    g_assert_null(eif_open("/dev/null", &err));
    expect_error(&err, "/dev/null|regular");

    /* Must not wait for a writer */
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_null(eif_open(path, &err));
    expect_error(&err, "regular");
    unlink(path);
}

/* Headers that break a rule */

enum { FIELD_VERSION = 0x4, FIELD_FLAGS = 0x6, FIELD_NUM_SECTIONS = 0x1a };

typedef struct BadField {
    const char *words;      /* of the error */
    int section;            /* in whose header the field is, or -1 */
    size_t offset;          /* there, or in the image's header */
    int size;               /* bytes */
    uint64_t value;
} BadField;

#define OFFSET(i) (0x1c + (i) * 8)
#define SIZE(i) (0x11c + (i) * 8)

/* With make_standard(), section 0 is at 548, 1 at 1560, 2 at 1672, ... */
static const BadField bad_fields[] = {
    { "not an enclave image|7f 45 4c 46", -1, 0, 4, 0x7f454c46 },
    { "not an enclave image|2e 65 69 67", -1, 0, 4, 0x2e656967 },
    { "version 0,|2|4", -1, FIELD_VERSION, 2, 0 },
    { "version 1,|2|4", -1, FIELD_VERSION, 2, 1 },
    { "version 5,|2|4", -1, FIELD_VERSION, 2, 5 },
    { "version 1024,|2|4", -1, FIELD_VERSION, 2, 0x400 },
    { "0 sections|2 to 32", -1, FIELD_NUM_SECTIONS, 2, 0 },
    { "1 sections|2 to 32", -1, FIELD_NUM_SECTIONS, 2, 1 },
    { "33 sections|2 to 32", -1, FIELD_NUM_SECTIONS, 2, 33 },
    { "65535 sections|2 to 32", -1, FIELD_NUM_SECTIONS, 2, 0xffff },
    /* A section more than the table has entries for */
    { "section 6|order|byte 0|3241", -1, FIELD_NUM_SECTIONS, 2, 7 },
    { "metadata|version 3|section 2", -1, FIELD_VERSION, 2, 3 },
    { "metadata|version 2|section 2", -1, FIELD_VERSION, 2, 2 },
    { "section 0|overlaps the header|547|548", -1, OFFSET(0), 8, 547 },
    { "section 0|overlaps the header|byte 0|548", -1, OFFSET(0), 8, 0 },
    { "section 1|order|byte 548", -1, OFFSET(1), 8, 548 },
    { "section 1|order|byte 100,|byte 548", -1, OFFSET(1), 8, 100 },
    { "section 1|overlaps|1559|1560", -1, OFFSET(1), 8, 1559 },
    { "section 1|overlaps|549|1560", -1, OFFSET(1), 8, 549 },
    { "section 1|100|101", -1, SIZE(1), 8, 101 },
    { "section 1|shorter|3258", -1, OFFSET(1), 8, 1 * MiB },
    { "section 1|shorter|3258", -1, OFFSET(1), 8, INT64_MAX },
    { "section 1|2^64|18446744073709551615", -1, OFFSET(1), 8, UINT64_MAX },
    { "section 1|2^64|18446744073709551604", -1, OFFSET(1), 8,
      UINT64_MAX - 11 },
    /* Its end, 2^64 - 1, can just be written, but it is not in the file. */
    { "section 1|shorter", -1, OFFSET(1), 8, UINT64_MAX - 112 },
    { "section 1|2^64", -1, OFFSET(1), 8, UINT64_MAX - 111 },
    { "section 0|2^64|18446744073709551615", -1, SIZE(0), 8, UINT64_MAX },
    { "section 5|2^64", -1, SIZE(5), 8, UINT64_MAX - 12 },
    { "section 5|shorter|9223372036854775807", -1, SIZE(5), 8,
      INT64_MAX - 3253 },
    { "section 5|shorter|3259|3258", -1, SIZE(5), 8, 6 },
    { "section 5|4|5", -1, SIZE(5), 8, 4 },
    { "section 1|100|99", -1, SIZE(1), 8, 99 },
    { "section 1|100|0", -1, SIZE(1), 8, 0 },
    { "section 1|99|100", 1, 4, 8, 99 },
    { "section 0|18446744073709551615|1000", 0, 4, 8, UINT64_MAX },
    { "section 5|type 0", 5, 0, 2, 0 },
    { "section 5|type 6", 5, 0, 2, 6 },
    { "section 5|type 256", 5, 0, 2, 0x100 },
    { "section 5|type 65535", 5, 0, 2, 0xffff },
    { "section 1|second kernel", 1, 0, 2, 1 },
    { "section 5|second kernel", 5, 0, 2, 1 },
    { "section 2|second command line", 2, 0, 2, 2 },
    { "section 5|second metadata", 5, 0, 2, 5 },
    { "section 0|before the kernel", 0, 0, 2, 3 },
    { "no command line", 1, 0, 2, 3 },
    { "no metadata|version 4", 2, 0, 2, 3 },
};

static void test_bad_fields(void)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(bad_fields); i++) {
        const BadField *bad = &bad_fields[i];
        g_auto(TestEif) eif = { };
        g_autoptr(GByteArray) bytes = NULL;
        uint8_t *field;

        make_standard(&eif);
        bytes = test_eif_build(&eif);
        field = bytes->data + bad->offset;
        if (bad->section >= 0) {
            field += eif.sections[bad->section].at;
        }
        switch (bad->size) {
        case 2:
            stw_be_p(field, bad->value);
            break;
        case 4:
            stl_be_p(field, bad->value);
            break;
        default:
            stq_be_p(field, bad->value);
            break;
        }
        expect_refused(bytes, bad->words);
    }
}

/* An image with the sections of @order is refused. */
static void refuse_order(uint16_t version, const char *order,
                         const char *words)
{
    g_auto(TestEif) eif = { .version = version };
    g_autoptr(GByteArray) bytes = NULL;
    int i;

    for (i = 0; order[i]; i++) {
        test_eif_add(&eif, order[i] - '0', test_eif_bytes(i, 40));
    }
    bytes = test_eif_build(&eif);
    expect_refused(bytes, words);
}

static void test_bad_orders(void)
{
    refuse_order(2, "22", "second command line");
    refuse_order(2, "11", "second kernel");
    refuse_order(2, "13", "no command line|version 2");
    refuse_order(4, "25", "no kernel|version 4");
    refuse_order(4, "253", "section 2|before the kernel");
    refuse_order(2, "231", "section 1|before the kernel");
    refuse_order(4, "12", "no metadata|version 4");
    refuse_order(4, "1255", "second metadata");
    refuse_order(4, "12544", "second signature");
    refuse_order(2, "1234", "signature|version 2|version 3");
    refuse_order(4, "125333333333333333333333333333333", "33|32");
}

static void test_bad_sizes(void)
{
    g_auto(TestEif) signature = { };
    g_auto(TestEif) kernel = { .version = 2 };
    g_autoptr(GByteArray) bytes = NULL;

    make_standard(&signature);
    test_eif_add(&signature, EIF_SECTION_SIGNATURE, test_eif_bytes(1, 32769));
    bytes = test_eif_build(&signature);
    expect_refused(bytes, "signature|32769|32768");
    g_byte_array_unref(bytes);

    test_eif_add(&kernel, EIF_SECTION_KERNEL, g_byte_array_new());
    test_eif_add(&kernel, EIF_SECTION_CMDLINE, test_eif_bytes(1, 10));
    bytes = test_eif_build(&kernel);
    expect_refused(bytes, "kernel|empty");
}

static void test_truncated(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    size_t full;

    make_standard(&eif);
    bytes = test_eif_build(&eif);
    for (full = bytes->len; bytes->len > 548;) {
        g_autofree char *words = NULL;

        g_byte_array_set_size(bytes, bytes->len - MIN(bytes->len - 548, 17));
        words = g_strdup_printf("shorter|%u", bytes->len);
        expect_refused(bytes, words);
        g_assert_cmpuint(bytes->len, <, full);
    }
    g_byte_array_set_size(bytes, 547);
    expect_refused(bytes, "shorter|547|548");
    g_byte_array_set_size(bytes, 4);
    expect_refused(bytes, "shorter|4 bytes|548");
    g_byte_array_set_size(bytes, 3);
    expect_refused(bytes, "shorter|3 bytes|548");
    g_byte_array_set_size(bytes, 0);
    expect_refused(bytes, "shorter|0 bytes|548");
    /* A short file of another kind is reported as another kind. */
    g_byte_array_append(bytes, (const uint8_t *)"#!/bin/sh\n", 10);
    expect_refused(bytes, "not an enclave image|23 21 2f 62");
}

static void test_no_leaked_files(void)
{
    unsigned before = count_entries("/proc/self/fd");

    test_bad_fields();
    test_no_file();
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, before);
}

int main(int argc, char **argv)
{
    static const EifTest tests[] = {
        { "/eif/open/standard", test_standard },
        { "/eif/errors/no-file", test_no_file },
        { "/eif/errors/fields", test_bad_fields },
        { "/eif/errors/orders", test_bad_orders },
        { "/eif/errors/sizes", test_bad_sizes },
        { "/eif/errors/truncated", test_truncated },
        { "/eif/errors/no-leaked-files", test_no_leaked_files },
    };

    return eif_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
