/*
 * Tests of the reader of AWS Nitro Enclaves image files
 *
 * Every image is made here, by eif-image.c, which shares no code with what is
 * tested; measurements are compared to GLib's SHA-384 and, for one image, to
 * constants from yet another implementation (Python's hashlib and zlib).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/core/eif.h"
#include <sys/resource.h>
#include "eif-image.h"

/* The validity of the certificates, in seconds since 1970 */
#define NOT_BEFORE  1700000000  /* 2023-11-14T22:13:20Z */
#define NOT_AFTER   1800000000  /* 2027-01-15T08:00:00Z */
#define NOW         1750000000

static const uint8_t zero_pcr[NITRO_PCR_SIZE];

static char *tmp_dir;
static char *image_path;
static char *other_path;        /* of a ramdisk to add, among other things */

/*
 * @err must be one line, naming each of @words, which are separated by '|'.
 * Frees it.
 */
static void expect_error(Error **err, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    int i;

    g_assert_nonnull(*err);
    for (i = 0; list[i]; i++) {
        if (!strstr(error_get_pretty(*err), list[i])) {
            g_error("no '%s' in '%s'", list[i], error_get_pretty(*err));
        }
    }
    g_assert_null(strchr(error_get_pretty(*err), '\n'));
    error_free(*err);
    *err = NULL;
}

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

/* A version 4 image with one section of each kind and two ramdisks more */
static void make_standard(TestEif *eif)
{
    *eif = (TestEif) { .version = 4 };
    test_eif_add(eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 1000));
    test_eif_add(eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 100));
    test_eif_add(eif, EIF_SECTION_METADATA, test_eif_bytes(3, 333));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(4, 500));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(5, 700));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(6, 5));
}

static GByteArray *copy_bytes(const GByteArray *bytes)
{
    GByteArray *copy = g_byte_array_new();

    g_byte_array_append(copy, bytes->data, bytes->len);
    return copy;
}

/* Measurements */

typedef struct Expected {
    uint8_t image_pcr0[NITRO_PCR_SIZE];
    uint8_t pcr0[NITRO_PCR_SIZE];
    uint8_t pcr1[NITRO_PCR_SIZE];
    uint8_t pcr2[NITRO_PCR_SIZE];
} Expected;

static void expected_pcrs(const TestEif *eif, const GByteArray *added,
                          Expected *expected)
{
    const GByteArray *all[TEST_EIF_MAX_SECTIONS + 2] = { };
    const GByteArray *boot[TEST_EIF_MAX_SECTIONS + 2] = { };
    const GByteArray *app[TEST_EIF_MAX_SECTIONS + 2] = { };
    unsigned i, n_all = 0, n_boot = 0, n_app = 0, ramdisks = 0;

    for (i = 0; i < eif->num_sections; i++) {
        const GByteArray *data = eif->sections[i].data;

        switch (eif->sections[i].type) {
        case EIF_SECTION_KERNEL:
        case EIF_SECTION_CMDLINE:
            all[n_all++] = data;
            boot[n_boot++] = data;
            break;
        case EIF_SECTION_RAMDISK:
            all[n_all++] = data;
            if (ramdisks++ == 0) {
                boot[n_boot++] = data;
            } else {
                app[n_app++] = data;
            }
            break;
        }
    }
    test_eif_pcr(expected->image_pcr0, all);
    test_eif_pcr(expected->pcr1, boot);
    all[n_all] = added;
    app[n_app] = added;
    test_eif_pcr(expected->pcr0, all);
    test_eif_pcr(expected->pcr2, app);
}

#define assert_pcr(a, b) \
    g_assert_cmpmem(a, NITRO_PCR_SIZE, b, NITRO_PCR_SIZE)

static void assert_pcrs(const EifResult *result, const Expected *expected)
{
    assert_pcr(result->image_pcr0, expected->image_pcr0);
    assert_pcr(result->pcr0, expected->pcr0);
    assert_pcr(result->pcr1, expected->pcr1);
    assert_pcr(result->pcr2, expected->pcr2);
    assert_pcr(result->pcr8, zero_pcr);
}

/* A sink that keeps what it gets, and checks that it gets it in order */
typedef struct Recorder {
    const EifImage *image;
    unsigned section;           /* that is expected; the last one is @added */
    bool started;               /* the section has had a call */
    GByteArray *data[EIF_MAX_SECTIONS + 1];
} Recorder;

static const EifSection *recorder_section(const Recorder *recorder)
{
    return recorder->section < recorder->image->num_sections
           ? &recorder->image->sections[recorder->section]
           : &recorder->image->added;
}

static bool record(void *opaque, const EifSection *section, uint64_t offset,
                   const void *data, size_t size, Error **errp)
{
    Recorder *recorder = opaque;
    GByteArray *bytes;

    if (section != recorder_section(recorder)) {
        /* The one before must be over */
        g_assert_true(recorder->started);
        g_assert_cmpuint(recorder->data[recorder->section]->len, ==,
                         recorder_section(recorder)->size);
        recorder->section++;
        recorder->started = false;
    }
    g_assert_true(section == recorder_section(recorder));
    if (!recorder->started) {
        recorder->data[recorder->section] = g_byte_array_new();
    }
    bytes = recorder->data[recorder->section];
    g_assert_cmpuint(offset, ==, bytes->len);
    g_assert_nonnull(data);
    g_assert_cmpuint(size, <=, 4 * MiB);
    g_assert_true(size > 0 || (section->size == 0 && !recorder->started));
    g_byte_array_append(bytes, data, size);
    recorder->started = true;
    return true;
}

static void assert_recorded(const Recorder *recorder, unsigned i,
                            const GByteArray *data)
{
    g_assert_nonnull(recorder->data[i]);
    g_assert_cmpmem(recorder->data[i]->data, recorder->data[i]->len,
                    data->data, data->len);
}

/* Write @eif, load it, and compare everything. */
static void check_image(TestEif *eif, const GByteArray *added)
{
    g_autoptr(GByteArray) bytes = test_eif_build(eif);
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Recorder recorder = { };
    EifSink sink = { .data = record, .opaque = &recorder };
    Expected expected;
    uint64_t ramdisk_size = added ? added->len : 0;
    unsigned i;

    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    g_assert_cmpstr(image->path, ==, image_path);
    g_assert_cmpuint(image->version, ==, eif->version);
    g_assert_cmpuint(image->flags, ==, eif->flags);
    g_assert_cmpuint(image->default_mem, ==, 1 * GiB);
    g_assert_cmpuint(image->default_cpus, ==, 2);
    g_assert_cmpuint(image->num_sections, ==, eif->num_sections);
    if (added) {
        test_eif_write(other_path, added);
        eif_add_ramdisk(image, other_path, &error_abort);
    }

    recorder.image = image;
    eif_load(image, &sink, &result, &error_abort);

    for (i = 0; i < eif->num_sections; i++) {
        const TestSection *section = &eif->sections[i];

        g_assert_cmpuint(image->sections[i].type, ==, section->type);
        g_assert_cmpuint(image->sections[i].size, ==, section->data->len);
        g_assert_cmpuint(image->sections[i].offset, ==, section->at + 12);
        assert_recorded(&recorder, i, section->data);
        if (section->type == EIF_SECTION_KERNEL) {
            g_assert_cmpuint(image->kernel_size, ==, section->data->len);
        } else if (section->type == EIF_SECTION_CMDLINE) {
            g_assert_cmpuint(image->cmdline_size, ==, section->data->len);
        } else if (section->type == EIF_SECTION_RAMDISK) {
            ramdisk_size += section->data->len;
        }
        g_byte_array_unref(recorder.data[i]);
    }
    if (added) {
        assert_recorded(&recorder, i, added);
        g_byte_array_unref(recorder.data[i]);
    } else {
        g_assert_null(recorder.data[i]);
    }
    g_assert_cmpuint(image->ramdisk_size, ==, ramdisk_size);

    expected_pcrs(eif, added, &expected);
    assert_pcrs(&result, &expected);
    g_assert_cmphex(image->crc32, ==,
                    (uint32_t)ldl_be_p(bytes->data + 0x220));
    g_assert_cmphex(result.crc32, ==, image->crc32);
    eif_check_crc(image, &result, &error_abort);
}

static void check_hex(const uint8_t pcr[NITRO_PCR_SIZE], const char *hex)
{
    g_autoptr(GByteArray) bytes = test_hex(hex);

    g_assert_cmpmem(pcr, NITRO_PCR_SIZE, bytes->data, bytes->len);
}

/* What Python makes of the same image */
static void test_known_values(void)
{
    g_auto(TestEif) eif = { .version = 4 };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    uint8_t pcr[NITRO_PCR_SIZE];

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 700001));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 100));
    test_eif_add(&eif, EIF_SECTION_METADATA, test_eif_bytes(3, 333));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(4, 300000));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(5, 1000003));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(6, 5));
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);

    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    g_assert_cmphex(result.crc32, ==, 0xa75a71ff);
    check_hex(result.pcr0,
              "fdebd0a4728ed9d18f44c7dda7bca7d1836c7f184f3b75bd"
              "52f3cd70ea42100a46cc4d39c933950cdecf9f306e1eaf76");
    check_hex(result.image_pcr0,
              "fdebd0a4728ed9d18f44c7dda7bca7d1836c7f184f3b75bd"
              "52f3cd70ea42100a46cc4d39c933950cdecf9f306e1eaf76");
    check_hex(result.pcr1,
              "8f1d347bada5eaec5c85e8e449d12952aacc3ef09993f821"
              "f1292c4ee45fe01e39b06677754cf1144db133913557739b");
    check_hex(result.pcr2,
              "05e1232588c560aacbbf3bb7b46bc23e7e9548b56e1c028a"
              "cd270c7a8d584b1fc4e53ca1bd72f64757ade17258e3bb8e");
    check_hex(result.pcr8, "00000000000000000000000000000000000000000000000000"
              "0000000000000000000000000000000000000000000000");
    g_assert_null(result.signature);

    /* PCR2 of an image that has nothing for it */
    eif_measure("", 0, pcr, &error_abort);
    check_hex(pcr, "21b9efbc184807662e966d34f390821309eeac6802309798"
              "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a");
}

/* Each character of @order is a section, by its type's number. */
static void check_order(uint16_t version, const char *order)
{
    g_auto(TestEif) eif = { .version = version };
    int i;

    for (i = 0; order[i]; i++) {
        test_eif_add(&eif, order[i] - '0', test_eif_bytes(i, 400 + i));
    }
    check_image(&eif, NULL);
}

static void test_orders(void)
{
    check_order(2, "12");
    check_order(2, "123");
    check_order(2, "213");
    check_order(2, "12333");
    check_order(3, "12");
    check_order(3, "1233");
    check_order(4, "125");
    check_order(4, "1253");
    check_order(4, "512333");
    check_order(4, "123335");
    /* The command line after ramdisks is a part of PCR1 all the same. */
    check_order(2, "132");
    check_order(2, "1332");
    check_order(4, "133325");
    check_order(4, "1333253");
    /* As many as there can be */
    check_order(4, "12533333333333333333333333333333");
}

static void test_signature_bytes(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };

    /* The largest one that there can be, in the middle of the file */
    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE, test_eif_bytes(7, 32768));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(8, 10));
    check_image(&eif, NULL);

    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    g_assert_nonnull(result.signature);
    g_assert_cmpmem(result.signature->data, result.signature->len,
                    eif.sections[6].data->data, 32768);
}

static void test_gaps(void)
{
    g_auto(TestEif) eif = { };
    unsigned i;

    make_standard(&eif);
    eif.tail = 1000;
    check_image(&eif, NULL);
    for (i = 0; i < eif.num_sections; i++) {
        eif.sections[i].gap = 1 + i * 4096;
    }
    check_image(&eif, NULL);
}

static void test_empty_sections(void)
{
    g_auto(TestEif) eif = { .version = 4 };
    g_autoptr(GByteArray) nothing = g_byte_array_new();

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 1));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, g_byte_array_new());
    test_eif_add(&eif, EIF_SECTION_METADATA, g_byte_array_new());
    test_eif_add(&eif, EIF_SECTION_RAMDISK, g_byte_array_new());
    check_image(&eif, nothing);
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(5, 100));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, g_byte_array_new());
    test_eif_add(&eif, EIF_SECTION_SIGNATURE, g_byte_array_new());
    check_image(&eif, nothing);
}

/* Flags and reserved fields that are to be ignored */
static void test_ignored_fields(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Expected expected;
    Error *err = NULL;

    make_standard(&eif);
    eif.flags = 0xfffe;
    check_image(&eif, NULL);

    bytes = test_eif_build(&eif);
    stw_be_p(bytes->data + 0x18, 0xffff);
    stl_be_p(bytes->data + 0x21c, 0xffffffff);
    stw_be_p(bytes->data + eif.sections[0].at + 2, 0xffff);
    /* Entries of the table behind the last section */
    memset(bytes->data + 0x1c + 6 * 8, 0xff, 26 * 8);
    memset(bytes->data + 0x11c + 6 * 8, 0xff, 26 * 8);
    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    expected_pcrs(&eif, NULL, &expected);
    assert_pcrs(&result, &expected);

    /* But they count for the CRC. */
    g_assert_false(eif_check_crc(image, &result, &err));
    expect_error(&err, "CRC");
}

/* Sections around the sizes of the pieces in which they are read */
static void test_large(void)
{
    static const int64_t sizes[] = {
        256 * KiB, 512 * KiB, 1 * MiB, 3 * MiB, 4 * MiB,
    };
    int i, delta;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (delta = -1; delta <= 1; delta++) {
            g_auto(TestEif) eif = { .version = 2 };
            int64_t size = sizes[i] + delta;

            test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 100));
            test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(2, size));
            test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(3, 100));
            check_image(&eif, NULL);
        }
    }
}

/* Many times what the ring of buffers can hold */
static void test_very_large(void)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(GByteArray) added = test_eif_bytes(9, 11 * MiB);

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 5 * MiB + 1));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(2, 3 * MiB));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(3, 20 * MiB + 7));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(4, 100));
    check_image(&eif, added);
}

/* Offsets and sizes above 4 GiB, in a sparse file */
static void test_sparse(void)
{
    const uint64_t far = 5 * GiB + 12345;
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Expected expected;
    int fd;

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 100));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 100));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(3, 1000));
    bytes = test_eif_build(&eif);
    stq_be_p(bytes->data + 0x1c + 2 * 8, far);
    test_eif_write(image_path, bytes);
    fd = open(image_path, O_WRONLY);
    g_assert_cmpint(pwrite(fd, bytes->data + eif.sections[2].at, 1012, far),
                    ==, 1012);

    image = eif_open(image_path, &error_abort);
    g_assert_cmpuint(image->sections[2].offset, ==, far + 12);
    eif_load(image, NULL, &result, &error_abort);
    expected_pcrs(&eif, NULL, &expected);
    assert_pcrs(&result, &expected);
    eif_close(g_steal_pointer(&image));

    /* A ramdisk that is itself that large */
    stq_be_p(bytes->data + 0x1c + 2 * 8, eif.sections[2].at);
    stq_be_p(bytes->data + 0x11c + 2 * 8, far);
    stq_be_p(bytes->data + eif.sections[2].at + 4, far);
    g_assert_cmpint(pwrite(fd, bytes->data, bytes->len, 0), ==, bytes->len);
    g_assert_cmpint(ftruncate(fd, eif.sections[2].at + 12 + far), ==, 0);
    image = eif_open(image_path, &error_abort);
    g_assert_cmpuint(image->ramdisk_size, ==, far);
    close(fd);
}

/* The same image twice, as for a second boot */
static void test_load_again(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) first = { };
    g_auto(EifResult) second = { };
    Error *err = NULL;
    int fd;

    make_standard(&eif);
    check_image(&eif, NULL);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &first, &error_abort);
    eif_load(image, NULL, &second, &error_abort);
    g_assert_cmpmem(&first, sizeof(first), &second, sizeof(second));
    eif_result_clear(&second);

    /* The file changes while it is open. */
    fd = open(image_path, O_WRONLY);
    g_assert_cmpint(pwrite(fd, "!", 1, eif.sections[4].at + 20), ==, 1);
    close(fd);
    eif_load(image, NULL, &second, &error_abort);
    g_assert_cmpmem(first.pcr1, NITRO_PCR_SIZE, second.pcr1, NITRO_PCR_SIZE);
    g_assert_true(memcmp(first.pcr0, second.pcr0, NITRO_PCR_SIZE) != 0);
    g_assert_true(memcmp(first.pcr2, second.pcr2, NITRO_PCR_SIZE) != 0);
    g_assert_false(eif_check_crc(image, &second, &err));
    expect_error(&err, image_path);
}

static void test_wrong_crc(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    g_autofree char *words = NULL;
    uint32_t crc;
    Error *err = NULL;

    make_standard(&eif);
    bytes = test_eif_build(&eif);
    crc = ldl_be_p(bytes->data + 0x220);
    stl_be_p(bytes->data + 0x220, 0x12345678);
    test_eif_write(image_path, bytes);

    /* A tool may go on and describe the image. */
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    g_assert_cmphex(image->crc32, ==, 0x12345678);
    g_assert_cmphex(result.crc32, ==, crc);
    g_assert_false(eif_check_crc(image, &result, &err));
    words = g_strdup_printf("%s|0x12345678|0x%08x", image_path, crc);
    expect_error(&err, words);
}

/* Added ramdisks */

static void test_added(void)
{
    static const char *const orders[] = { "125", "1253", "12533", "13352" };
    g_autoptr(GByteArray) added = test_eif_bytes(77, 12345);
    int i, j;

    for (i = 0; i < ARRAY_SIZE(orders); i++) {
        g_auto(TestEif) eif = { .version = 4 };

        for (j = 0; orders[i][j]; j++) {
            test_eif_add(&eif, orders[i][j] - '0', test_eif_bytes(j, 400 + j));
        }
        check_image(&eif, added);
    }
}

static void test_added_errors(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;
    g_autoptr(GByteArray) added = test_eif_bytes(77, 10);
    g_autofree char *words = NULL;
    Error *err = NULL;

    make_standard(&eif);
    check_image(&eif, NULL);
    image = eif_open(image_path, &error_abort);

    unlink(other_path);
    g_assert_false(eif_add_ramdisk(image, other_path, &err));
    expect_error(&err, other_path);
    g_assert_false(eif_add_ramdisk(image, tmp_dir, &err));
    expect_error(&err, "directory");
    g_assert_false(eif_add_ramdisk(image, "/dev/zero", &err));
    expect_error(&err, "/dev/zero|regular");

    /* After failures, it still can have one, but not two. */
    test_eif_write(other_path, added);
    eif_add_ramdisk(image, other_path, &error_abort);
    g_assert_false(eif_add_ramdisk(image, image_path, &err));
    words = g_strdup_printf("%s|%s", image_path, other_path);
    expect_error(&err, words);
    g_assert_cmpuint(image->ramdisk_size, ==, 1205 + 10);
}

/* Files that are none */

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
    { "aarch64|0x0001", -1, FIELD_FLAGS, 2, 1 },
    { "aarch64|0xffff", -1, FIELD_FLAGS, 2, 0xffff },
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
    /* What is short and something else is called that. */
    g_byte_array_append(bytes, (const uint8_t *)"#!/bin/sh\n", 10);
    expect_refused(bytes, "not an enclave image|23 21 2f 62");
}

/* Any bit of an image without gaps matters to a check or to the CRC. */
static void test_flipped_bits(void)
{
    g_auto(TestEif) eif = { .version = 4 };
    g_autoptr(GByteArray) bytes = NULL;
    unsigned i;

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 40));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 3));
    test_eif_add(&eif, EIF_SECTION_METADATA, test_eif_bytes(3, 2));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(4, 30));
    bytes = test_eif_build(&eif);
    for (i = 0; i < bytes->len * 8; i++) {
        g_autoptr(EifImage) image = NULL;
        g_auto(EifResult) result = { };
        Error *err = NULL;

        bytes->data[i / 8] ^= 1 << i % 8;
        test_eif_write(image_path, bytes);
        bytes->data[i / 8] ^= 1 << i % 8;
        image = eif_open(image_path, &err);
        if (image) {
            eif_load(image, NULL, &result, &error_abort);
            g_assert_false(eif_check_crc(image, &result, &err));
        }
        expect_error(&err, image_path);
    }
}

/* Loads that fail on the way */

/* A sink that fails, or cuts the file short, at a call */
typedef struct Saboteur {
    int calls_left;
    const char *truncate;   /* the file to cut short, instead of failing */
    int64_t size;           /* that it then has, in bytes */
} Saboteur;

static bool sabotage(void *opaque, const EifSection *section, uint64_t offset,
                     const void *data, size_t size, Error **errp)
{
    Saboteur *saboteur = opaque;

    if (saboteur->calls_left-- > 0) {
        return true;
    }
    if (saboteur->truncate) {
        g_assert_cmpint(truncate(saboteur->truncate, saboteur->size), ==, 0);
        return true;
    }
    /* Who has failed once is not called again. */
    g_assert_cmpint(saboteur->calls_left, ==, -1);
    error_setg(errp, "the sink is full");
    return false;
}

static unsigned count_entries(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    while (dir && g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

static void test_failing_sink(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) added = test_eif_bytes(7, 3000);
    g_autoptr(EifImage) image = NULL;
    unsigned threads = count_entries("/proc/self/task");
    int round;

    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE, test_eif_bytes(1, 100));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(2, 3 * MiB));
    check_image(&eif, added);
    image = eif_open(image_path, &error_abort);
    eif_add_ramdisk(image, other_path, &error_abort);

    for (round = 0; round < 100; round++) {
        Saboteur saboteur = { .calls_left = round % 10 };
        EifSink sink = { .data = sabotage, .opaque = &saboteur };
        EifResult result;
        Error *err = NULL;

        /* Not a byte of it is used. */
        memset(&result, 0xaa, sizeof(result));
        g_assert_false(eif_load(image, &sink, &result, &err));
        expect_error(&err, "the sink is full");
        g_assert_null(result.signature);
        assert_pcr(result.pcr0, zero_pcr);
        saboteur.calls_left = round % 10;
        g_assert_false(eif_load(image, &sink, &result, NULL));
    }
    /* One that ended this moment may still be listed. */
    g_assert_cmpuint(count_entries("/proc/self/task"), <, threads + 20);
}

/* The file gets shorter while it is loaded, or before. */
static void test_shrinking(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    int64_t size;

    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(2, 32 * MiB));
    bytes = test_eif_build(&eif);
    for (size = 0; size < bytes->len; size += 5 * MiB + 1) {
        Saboteur saboteur = { .truncate = image_path, .size = size };
        EifSink sink = { .data = sabotage, .opaque = &saboteur };
        g_autofree char *words = g_strdup_printf(
            "%s|is shorter than|has %" PRId64 " bytes", image_path, size);
        g_autoptr(EifImage) image = NULL;
        EifResult result;
        Error *err = NULL;

        test_eif_write(image_path, bytes);
        image = eif_open(image_path, &error_abort);
        g_assert_false(eif_load(image, &sink, &result, &err));
        expect_error(&err, words);
        g_assert_false(eif_load(image, NULL, &result, &err));
        expect_error(&err, words);
    }
}

static void test_shrinking_added(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) added = test_eif_bytes(7, 3000);
    g_autoptr(EifImage) image = NULL;
    EifResult result;
    Saboteur saboteur = { .truncate = other_path, .size = 2999 };
    EifSink sink = { .data = sabotage, .opaque = &saboteur };
    g_autofree char *words = g_strdup_printf("%s|shorter|2999|3000",
                                             other_path);
    Error *err = NULL;

    make_standard(&eif);
    check_image(&eif, added);
    image = eif_open(image_path, &error_abort);
    eif_add_ramdisk(image, other_path, &error_abort);
    g_assert_false(eif_load(image, &sink, &result, &err));
    expect_error(&err, words);
}

/*
 * A host that has no thread to give: the address space is as large as it is,
 * and the buffers, but no further stack.  In a process of its own, as limits
 * stay.
 */
static void test_no_threads(void)
{
    g_autoptr(EifImage) image = NULL;
    g_autofree char *statm = NULL;
    g_auto(TestEif) eif = { };
    g_auto(EifResult) result = { };
    struct rlimit limit;
    Error *err = NULL;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    make_standard(&eif);
    test_eif_write(image_path, test_eif_build(&eif));
    image = eif_open(image_path, &error_abort);
    g_assert_true(g_file_get_contents("/proc/self/statm", &statm, NULL, NULL));
    limit.rlim_cur = limit.rlim_max =
        g_ascii_strtoull(statm, NULL, 10) * getpagesize() + 10 * MiB;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
    g_assert_false(eif_load(image, NULL, &result, &err));
    expect_error(&err, "thread");
}

static void test_no_leaked_files(void)
{
    unsigned before = count_entries("/proc/self/fd");

    test_bad_fields();
    test_no_file();
    test_added_errors();
    test_shrinking_added();
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, before);
}

/* Signatures */

enum { P256, P384, P521, OTHER_P256, RSA, NUM_SIGNERS };

static TestSigner *signers[NUM_SIGNERS];

/* Keys are made when they are needed first: some tests need none. */
static const TestSigner *get_signer(unsigned i)
{
    static const gnutls_ecc_curve_t curves[] = {
        [P256] = GNUTLS_ECC_CURVE_SECP256R1,
        [P384] = GNUTLS_ECC_CURVE_SECP384R1,
        [P521] = GNUTLS_ECC_CURVE_SECP521R1,
        [OTHER_P256] = GNUTLS_ECC_CURVE_SECP256R1,
        [RSA] = GNUTLS_ECC_CURVE_INVALID,
    };

    if (!signers[i]) {
        signers[i] = test_signer_new(curves[i], NOT_BEFORE, NOT_AFTER);
    }
    return signers[i];
}

/* The PCR0 of make_standard() */
static void standard_pcr0(uint8_t pcr0[NITRO_PCR_SIZE])
{
    g_auto(TestEif) eif = { };
    Expected expected;

    make_standard(&eif);
    expected_pcrs(&eif, NULL, &expected);
    memcpy(pcr0, expected.pcr0, NITRO_PCR_SIZE);
}

/* Load make_standard() with the signature @section; takes that. */
static EifImage *load_signed(GByteArray *section, EifResult *result)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    EifImage *image;

    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE, section);
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, result, &error_abort);
    eif_check_crc(image, result, &error_abort);
    return image;
}

/* The signature @section is good, and @signer's; takes it. */
static void accept_signature(GByteArray *section, const TestSigner *signer)
{
    const GByteArray *certificate[] = { signer->der, NULL };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = load_signed(section, &result);
    uint8_t pcr8[NITRO_PCR_SIZE];

    assert_pcr(result.pcr8, zero_pcr);
    eif_verify_signature(image, &result, NOW, &error_abort);
    test_eif_pcr(pcr8, certificate);
    assert_pcr(result.pcr8, pcr8);
}

/* The signature @section is refused; takes it. */
static void refuse_signature(GByteArray *section, const char *words)
{
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = load_signed(section, &result);
    Error *err = NULL;

    g_assert_false(eif_verify_signature(image, &result, NOW, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), image_path));
    expect_error(&err, words);
    assert_pcr(result.pcr8, zero_pcr);
}

/* A certificate of each curve, and each way of writing the section */
static void test_signed(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    unsigned curve, form, flags;

    standard_pcr0(pcr0);
    for (curve = P256; curve <= P521; curve++) {
        for (form = 0; form < FORM__MAX; form++) {
            for (flags = 0; flags < 4; flags++) {
                TestSignature how = {
                    .form = form,
                    .indefinite = flags & 1,
                    .tagged = flags & 2,
                };

                accept_signature(test_sign(get_signer(curve), pcr0, &how),
                                 get_signer(curve));
            }
        }
    }
}

/*
 * r and s begin with zero bytes, or with a set bit that makes them look
 * negative, only now and then.
 */
static void test_signed_often(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { .form = FORM_STRING };
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < 600; i++) {
        accept_signature(test_sign(get_signer(P256), pcr0, &how),
                         get_signer(P256));
    }
}

static void test_parsed_signature(void)
{
    static const EifAlgorithm algorithms[] = {
        [P256] = EIF_ALGORITHM_ES256,
        [P384] = EIF_ALGORITHM_ES384,
        [P521] = EIF_ALGORITHM_ES512,
    };
    uint8_t pcr0[NITRO_PCR_SIZE], wrong[NITRO_PCR_SIZE];
    TestSignature how = { };
    unsigned i;

    standard_pcr0(pcr0);
    memcpy(wrong, pcr0, sizeof(wrong));
    wrong[NITRO_PCR_SIZE - 1] ^= 1;
    for (i = P256; i <= P521; i++) {
        const TestSigner *signer = get_signer(i);
        g_auto(EifResult) result = { };
        g_autoptr(EifImage) image =
            load_signed(test_sign(signer, pcr0, &how), &result);
        g_autoptr(EifSignature) signature =
            eif_signature_parse(image, &result, &error_abort);

        g_assert_cmpint(signature->algorithm, ==, algorithms[i]);
        g_assert_cmpmem(signature->certificate->data,
                        signature->certificate->len,
                        signer->der->data, signer->der->len);
        g_assert_cmpint(signature->not_before, ==, NOT_BEFORE);
        g_assert_cmpint(signature->not_after, ==, NOT_AFTER);
        assert_pcr(signature->pcr0, pcr0);
        g_assert_true(eif_signature_covers(signature, pcr0));
        g_assert_true(eif_signature_covers(signature, result.image_pcr0));
        g_assert_false(eif_signature_covers(signature, wrong));
    }
}

/* An added ramdisk changes PCR0, but not what the signature covers. */
static void test_signed_with_added(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(GByteArray) added = test_eif_bytes(70, 5000);
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Expected expected;
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };

    make_standard(&eif);
    expected_pcrs(&eif, added, &expected);
    standard_pcr0(pcr0);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                 test_sign(get_signer(P384), pcr0, &how));
    check_image(&eif, added);
    image = eif_open(image_path, &error_abort);
    eif_add_ramdisk(image, other_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    assert_pcrs(&result, &expected);
    g_assert_true(memcmp(result.pcr0, pcr0, NITRO_PCR_SIZE) != 0);
    eif_verify_signature(image, &result, NOW, &error_abort);
}

static void test_unsigned(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Error *err = NULL;

    make_standard(&eif);
    check_image(&eif, NULL);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    eif_verify_signature(image, &result, NOW, &error_abort);
    assert_pcr(result.pcr8, zero_pcr);
    g_assert_null(eif_signature_parse(image, &result, &err));
    expect_error(&err, "not signed");
}

static void test_validity(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = NULL;
    Error *err = NULL;

    standard_pcr0(pcr0);
    image = load_signed(test_sign(get_signer(P256), pcr0, &how), &result);
    g_assert_false(eif_verify_signature(image, &result, NOT_BEFORE - 1, &err));
    expect_error(&err, "valid|2023-11-14T22:13:20Z|2023-11-14T22:13:19Z");
    g_assert_false(eif_verify_signature(image, &result, 0, &err));
    expect_error(&err, "valid|1970-01-01T00:00:00Z");
    g_assert_false(eif_verify_signature(image, &result, NOT_AFTER + 1, &err));
    expect_error(&err, "expired|2027-01-15T08:00:00Z|2027-01-15T08:00:01Z");
    g_assert_false(eif_verify_signature(image, &result, INT64_MAX, &err));
    expect_error(&err, "expired|2027-01-15T08:00:00Z");
    assert_pcr(result.pcr8, zero_pcr);
    eif_verify_signature(image, &result, NOT_BEFORE, &error_abort);
    eif_verify_signature(image, &result, NOT_AFTER, &error_abort);
}

/* RFC 5280's way of saying that a certificate does not expire */
static void test_no_expiration(void)
{
    g_autoptr(TestSigner) signer =
        test_signer_new(GNUTLS_ECC_CURVE_SECP256R1, NOT_BEFORE,
                        GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION);
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = NULL;

    standard_pcr0(pcr0);
    image = load_signed(test_sign(signer, pcr0, &how), &result);
    eif_verify_signature(image, &result, 10000000000, &error_abort);
}

static void test_wrong_signatures(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE], wrong[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_autoptr(GByteArray) message = NULL;
    unsigned i, at;

    standard_pcr0(pcr0);
    memcpy(wrong, pcr0, sizeof(wrong));
    wrong[0] ^= 0x80;

    for (i = P256; i <= P521; i++) {
        how = (TestSignature) { .damaged = true };
        refuse_signature(test_sign(get_signer(i), pcr0, &how),
                         "signature is wrong");
        how = (TestSignature) { };
        refuse_signature(test_sign(get_signer(i), wrong, &how),
                         "another image|PCR0");
    }

    /* Somebody else's certificate */
    how = (TestSignature) { .certificate = get_signer(OTHER_P256)->pem };
    refuse_signature(test_sign(get_signer(P256), pcr0, &how),
                     "signature is wrong");

    /* A payload that was changed after it was signed */
    how = (TestSignature) { .form = FORM_STRING };
    message = test_cose_sign1(get_signer(P256), wrong, &how);
    for (at = 0; memcmp(message->data + at, wrong, sizeof(wrong)); at++) {
        g_assert_cmpuint(at + sizeof(wrong), <, message->len);
    }
    memcpy(message->data + at, pcr0, sizeof(pcr0));
    refuse_signature(test_signature_section(FORM_ARRAY, get_signer(P256)->pem,
                                            message), "signature is wrong");
}

/* Any change of a signed image's measured contents is found. */
static void test_tampered_image(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    unsigned i;

    standard_pcr0(pcr0);
    for (i = 0; i < 6; i++) {
        g_auto(TestEif) eif = { };
        g_autoptr(GByteArray) bytes = NULL;
        g_autoptr(EifImage) image = NULL;
        g_auto(EifResult) result = { };
        Error *err = NULL;
        bool ok;

        make_standard(&eif);
        test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                     test_sign(get_signer(P256), pcr0, &how));
        eif.sections[i].data->data[3] ^= 4;
        bytes = test_eif_build(&eif);
        test_eif_write(image_path, bytes);
        image = eif_open(image_path, &error_abort);
        eif_load(image, NULL, &result, &error_abort);
        eif_check_crc(image, &result, &error_abort);
        ok = eif_verify_signature(image, &result, NOW, &err);
        if (eif.sections[i].type == EIF_SECTION_METADATA) {
            g_assert_true(ok);
        } else {
            g_assert_false(ok);
            expect_error(&err, "another image");
        }
    }
}

static void test_wrong_algorithms(void)
{
    static const struct {
        unsigned signer;
        int algorithm;
        const char *words;
    } cases[] = {
        { P384, -7, "ES256|SECP256R1|SECP384R1" },
        { P521, -7, "ES256|SECP256R1|SECP521R1" },
        { P256, -35, "ES384|SECP384R1|SECP256R1" },
        { P521, -35, "ES384|SECP384R1|SECP521R1" },
        { P256, -36, "ES512|SECP521R1|SECP256R1" },
        { P384, -36, "ES512|SECP521R1|SECP384R1" },
        { P256, -8, "unsupported|-8" },
        { P256, -37, "unsupported|-37" },
        { RSA, -7, "RSA" },
    };
    uint8_t pcr0[NITRO_PCR_SIZE];
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        TestSignature how = { .algorithm = cases[i].algorithm };

        refuse_signature(test_sign(get_signer(cases[i].signer), pcr0, &how),
                         cases[i].words);
    }
}

static void test_wrong_widths(void)
{
    static const int widths[] = { -64, -2, -1, 1, 2, 32, 64 };
    uint8_t pcr0[NITRO_PCR_SIZE];
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < ARRAY_SIZE(widths); i++) {
        TestSignature how = { .width = widths[i] };
        g_autofree char *words = g_strdup_printf("%d bytes|ES256|64",
                                                 64 + widths[i]);

        refuse_signature(test_sign(get_signer(P256), pcr0, &how), words);
    }
}

static void test_certificates(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    const TestSigner *signer = get_signer(P256);
    g_autoptr(GByteArray) certificate = g_byte_array_new();
    TestSignature how = { .certificate = certificate };

    standard_pcr0(pcr0);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");
    g_byte_array_append(certificate, signer->der->data, signer->der->len);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");
    g_byte_array_set_size(certificate, 0);
    g_byte_array_append(certificate, signer->pem->data, signer->pem->len / 2);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");

    /* Of several, the first is that of the signer. */
    g_byte_array_set_size(certificate, 0);
    g_byte_array_append(certificate, signer->pem->data, signer->pem->len);
    g_byte_array_append(certificate, get_signer(P384)->pem->data,
                        get_signer(P384)->pem->len);
    accept_signature(test_sign(signer, pcr0, &how), signer);
}

static void test_payloads(void)
{
    uint8_t value[64] = { };
    GByteArray *payloads[12] = { };
    static const char *const words[] = {
        "register 1 instead of 0",
        "register 18446744073709551615 instead of 0",
        "47 bytes|48",
        "49 bytes|48",
        "0 bytes|48",
        "payload is cut short",
        "payload|array instead of a map",
        "payload|register_index",
        "payload|register_value",
        "payload|more than one|register_index",
        "payload|follow",
        "payload|register_index|negative",
    };
    TestSignature how = { };
    int i;

    standard_pcr0(value);
    payloads[0] = test_payload(FORM_ARRAY, 1, value, 48);
    payloads[1] = test_payload(FORM_ARRAY, UINT64_MAX, value, 48);
    payloads[2] = test_payload(FORM_ARRAY, 0, value, 47);
    payloads[3] = test_payload(FORM_STRING, 0, value, 49);
    payloads[4] = test_payload(FORM_INDEFINITE_ARRAY, 0, value, 0);
    payloads[5] = g_byte_array_new();
    payloads[6] = test_hex("80");
    /* {}, {"register_index": 0}, {"register_index": 0, "register_index": 0} */
    payloads[7] = test_hex("a0");
    payloads[8] = test_hex("a16e72656769737465725f696e64657800");
    payloads[9] = test_hex("a26e72656769737465725f696e64657800"
                           "6e72656769737465725f696e64657800");
    payloads[10] = test_payload(FORM_STRING, 0, value, 48);
    g_byte_array_append(payloads[10], value, 1);
    payloads[11] = test_hex("a16e72656769737465725f696e64657820");
    for (i = 0; i < ARRAY_SIZE(payloads); i++) {
        how.payload = payloads[i];
        refuse_signature(test_sign(get_signer(P256), value, &how), words[i]);
        g_byte_array_unref(payloads[i]);
    }
}

/* Messages that are no good COSE_Sign1, in hexadecimal */
static void test_bad_messages(void)
{
    static const struct {
        const char *hex;
        const char *words;
    } cases[] = {
        { "", "COSE_Sign1|cut short" },
        { "00", "COSE_Sign1|not an array" },
        { "a0", "COSE_Sign1|not an array" },
        { "80", "COSE_Sign1|0 items|4" },
        { "8343a10126a040", "COSE_Sign1|3 items|4" },
        { "8543a10126a0404040", "COSE_Sign1|5 items|4" },
        { "9bffffffffffffffff", "COSE_Sign1|cut short" },
        { "9fff", "COSE_Sign1|no protected header" },
        { "9f43a10126ff", "COSE_Sign1|no unprotected header" },
        { "9f43a10126a0ff", "COSE_Sign1|no payload" },
        { "9f43a10126a040ff", "COSE_Sign1|no signature" },
        { "9f43a10126a0404040ff", "COSE_Sign1|more than 4" },
        { "9f43a10126a04040", "COSE_Sign1|more than 4" },
        { "d18443a10126a04040", "COSE_Sign1|tag 17|18" },
        { "d8628443a10126a04040", "COSE_Sign1|tag 98|18" },
        { "d2", "COSE_Sign1|cut short" },
        { "d2d28443a10126a04040", "COSE_Sign1|not an array" },
        { "84a10126a04040", "COSE_Sign1|protected header|map" },
        { "8443a10126404040", "unprotected header|byte string" },
        { "8443a10126a104004040", "unprotected header|not empty" },
        { "8443a10126bf0400ff4040", "unprotected header|not empty" },
        { "8443a10126a0f640", "COSE_Sign1|payload|null" },
        { "8443a10126a060", "COSE_Sign1|payload|text" },
        { "8443a10126a0405f41", "COSE_Sign1|cut short" },
        { "8443a10126a040ff", "COSE_Sign1|misplaced break" },
        { "8443a10126a0405f6161ff", "COSE_Sign1|piece|text" },
        { "8443a10126a0405f5f4100ffff", "COSE_Sign1|piece|indefinite" },
        { "8443a10126a040405f", "COSE_Sign1|1 bytes follow" },
        { "8443a10126a0405b7fffffffffffffff00", "COSE_Sign1|cut short" },
        { "8443a10126a0405bffffffffffffffff00", "COSE_Sign1|cut short" },
        { "8443a10126a0401c", "COSE_Sign1|not CBOR|0x1c" },
        { "8440a04040", "protected header|no algorithm" },
        { "8441a0a04040", "protected header|no algorithm" },
        { "8442bfffa04040", "protected header|no algorithm" },
        { "844180a04040", "protected header|array" },
        { "8443a10226a04040", "protected header|parameter 2|1" },
        { "8443a12026a04040", "protected header|label|negative" },
        { "8443a10107a04040", "protected header|algorithm|unsigned" },
        { "8448a101654553323536a04040", "protected header|algorithm|text" },
        { "8443a10127a04040", "protected header|unsupported|-8" },
        { "844ba1013bffffffffffffffffa04040", "protected header|unsupported" },
        { "8445a2012604f6a04040", "protected header|more parameters" },
        { "8445a201260126a04040", "protected header|more parameters" },
        { "8444bf0126ffa04040", "0 bytes|ES256|64" },
        { "8444a1012600a04040", "protected header|1 bytes follow" },
        { "8442a101a04040", "protected header|cut short" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(GByteArray) message = test_hex(cases[i].hex);

        refuse_signature(test_signature_section(FORM_ARRAY,
                                                get_signer(P256)->pem,
                                                message),
                         cases[i].words);
    }
}

/* "signing_certificate" and "signature", in CBOR */
#define CERTIFICATE "737369676e696e675f6365727469666963617465"
#define SIGNATURE "697369676e6174757265"

/* Sections that are no good, in hexadecimal */
static void test_bad_sections(void)
{
    static const struct {
        const char *hex;
        const char *words;
    } cases[] = {
        { "", "signature section|cut short" },
        { "a0", "signature section|map instead of an array" },
        { "80", "signature section|empty array" },
        { "9fff", "signature section|empty array" },
        { "81", "signature section|cut short" },
        { "9f", "signature section|cut short" },
        { "8101", "signature section|unsigned integer instead of a map" },
        { "81c6a0", "signature section|tag instead of a map" },
        { "81ff", "signature section|misplaced break" },
        { "ff", "signature section|misplaced break" },
        { "1c", "signature section|not CBOR|0x1c" },
        { "f8", "signature section|cut short" },
        { "81f81f", "signature section|not CBOR|0xf8 at byte 1" },
        { "81f820", "signature section|simple value" },
        { "81a0", "signature section|no \"signing_certificate\"" },
        { "81bfff", "signature section|no \"signing_certificate\"" },
        { "81a1" CERTIFICATE "40", "signature section|no \"signature\"" },
        { "81a1" SIGNATURE "40",
          "signature section|no \"signing_certificate\"" },
        { "81a2" CERTIFICATE "40" CERTIFICATE "40",
          "signature section|more than one \"signing_certificate\"" },
        { "81a2" SIGNATURE "40" SIGNATURE "40",
          "signature section|more than one \"signature\"" },
        { "81a1" CERTIFICATE "811880", "no \"signature\"" },
        { "81a1" CERTIFICATE "82190100", "signing_certificate|256|255" },
        { "81a1" CERTIFICATE "811bffffffffffffffff",
          "signing_certificate|18446744073709551615|255" },
        { "81a1" CERTIFICATE "8120", "signing_certificate|negative" },
        { "81a1" CERTIFICATE "816161", "signing_certificate|text" },
        { "81a1" CERTIFICATE "a0", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "6161", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "f6", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "f94000", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "9bffffffffffffffff00", "cut short" },
        { "81a1" CERTIFICATE "5bffffffffffffffff00", "cut short" },
        { "81bbffffffffffffffff" CERTIFICATE "40", "cut short" },
        { "9bffffffffffffffff" "a2" CERTIFICATE "40" SIGNATURE "40",
          "cut short" },
        { "81bf" CERTIFICATE "ff", "misplaced break" },
        { "81a17f4161ff00", "piece|byte string instead of a text string" },
        { "81a17f7f6161ffff00", "piece|indefinite" },
        { "81a2" CERTIFICATE "40" SIGNATURE "4000", "1 bytes follow" },
        { "82a2" CERTIFICATE "40" SIGNATURE "40", "cut short" },
        { "82a2" CERTIFICATE "40" SIGNATURE "40ff", "misplaced break" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        refuse_signature(test_hex(cases[i].hex), cases[i].words);
    }
    refuse_signature(test_eif_bytes(0xff, 32768), "signature section");
}

static void append_hex(GByteArray *out, const char *hex)
{
    g_autoptr(GByteArray) bytes = test_hex(hex);

    g_byte_array_append(out, bytes->data, bytes->len);
}

/* The section for @pcr0, with more in its map and behind it */
static GByteArray *section_with(const char *in_map, unsigned pairs,
                                const char *behind, unsigned items)
{
    const TestSigner *signer = get_signer(P256);
    g_autoptr(GByteArray) message = NULL;
    GByteArray *out = g_byte_array_new();
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };

    standard_pcr0(pcr0);
    message = test_cose_sign1(signer, pcr0, &how);
    test_cbor_head(out, 4, 1 + items, CBOR_SHORTEST);
    test_cbor_head(out, 5, 2 + pairs, CBOR_SHORTEST);
    append_hex(out, in_map);
    append_hex(out, SIGNATURE);
    test_cbor_bytes(out, FORM_ARRAY, message->data, message->len);
    append_hex(out, CERTIFICATE);
    test_cbor_bytes(out, FORM_STRING, signer->pem->data, signer->pem->len);
    append_hex(out, behind);
    return out;
}

/* What is not known and harmless is passed over, whatever it is. */
static void test_unknown_items(void)
{
    const TestSigner *signer = get_signer(P256);

    accept_signature(section_with("", 0, "", 0), signer);
    accept_signature(section_with("6178f6", 1, "", 0), signer);
    /* Keys that are no text, and the empty text */
    accept_signature(section_with("0001" "8101a0" "40f5" "60f93c00"
                                  "f6fa3f800000", 5, "", 0), signer);
    /* Everything that there is */
    accept_signature(section_with("", 0, "001817190100", 3), signer);
    accept_signature(section_with("", 0, "2038ff39010040436162637f6161ff", 6),
                     signer);
    accept_signature(section_with("", 0, "9f0102ffbf0102ffa2010203049fff", 4),
                     signer);
    accept_signature(section_with("", 0, "c000c600d200d862e0f8ff", 5),
                     signer);
}

/* @levels times @opening, and a 0 in the middle */
static char *nested(const char *opening, unsigned levels)
{
    GString *hex = g_string_new(NULL);

    while (levels--) {
        g_string_append(hex, opening);
    }
    g_string_append(hex, "00");
    return g_string_free(hex, false);
}

/* With the outermost array, up to 16 arrays and maps are taken. */
static void test_nesting(void)
{
    /* Arrays, and maps in keys and in values */
    static const char *const openings[] = {
        "81", "9f", "a1", "bf", "a100", "bf00",
    };
    g_autofree char *just = nested("81", 15);
    g_autofree char *more = nested("81", 16);
    g_autofree char *tags = nested("d81e", 3000);
    int i;

    accept_signature(section_with("", 0, just, 1), get_signer(P256));
    refuse_signature(section_with("", 0, more, 1), "nested deeper|16");
    accept_signature(section_with("", 0, tags, 1), get_signer(P256));
    for (i = 0; i < ARRAY_SIZE(openings); i++) {
        g_autofree char *many = nested(openings[i], 15000);

        refuse_signature(section_with("", 0, many, 1), "nested deeper|16");
    }
}

/* A section that ends too early, wherever that is */
static void test_cut_short(void)
{
    TestSignature how = { .form = FORM_STRING, .tagged = true };
    uint8_t pcr0[NITRO_PCR_SIZE];
    g_autoptr(GByteArray) good = NULL;
    unsigned i;

    standard_pcr0(pcr0);
    good = test_sign(get_signer(P384), pcr0, &how);
    for (i = 0; i < good->len; i++) {
        GByteArray *cut = copy_bytes(good);

        g_byte_array_set_size(cut, i);
        refuse_signature(cut, "signature section is cut short");
    }
    accept_signature(g_steal_pointer(&good), get_signer(P384));
}

/* Random changes */

/* A place to change: often in the headers, as the data is not looked at */
static size_t random_place(GRand *random, const TestEif *eif)
{
    const TestSection *section =
        &eif->sections[g_rand_int_range(random, 0, eif->num_sections)];

    switch (g_rand_int_range(random, 0, 4)) {
    case 0:
        return g_rand_int_range(random, 0, 0x1c);
    case 1:
        return g_rand_int_range(random, 0, 2) * 0x100 + 0x1c +
               g_rand_int_range(random, 0, eif->num_sections * 8);
    case 2:
        return section->at + g_rand_int_range(random, 0, 12);
    default:
        section = &eif->sections[eif->num_sections - 1];
        return section->at + 12 +
               g_rand_int_range(random, 0, section->data->len);
    }
}

/*
 * Open, load and verify what may be broken anywhere.  Returns whether it could
 * be loaded.
 */
static bool try_image(const GByteArray *bytes, const uint8_t pcr0[48])
{
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Error *err = NULL;

    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &err);
    if (!image) {
        expect_error(&err, image_path);
        return false;
    }
    eif_load(image, NULL, &result, &error_abort);
    if (!result.signature) {
        return true;
    }
    if (eif_verify_signature(image, &result, NOW, &err)) {
        g_assert_cmpmem(result.image_pcr0, 48, pcr0, 48);
        g_assert_true(memcmp(result.pcr8, zero_pcr, NITRO_PCR_SIZE) != 0);
    } else {
        expect_error(&err, image_path);
        assert_pcr(result.pcr8, zero_pcr);
    }
    return true;
}

static void test_mutations(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(20231114);
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) good = NULL;
    TestSignature how = { .form = FORM_STRING };
    uint8_t pcr0[NITRO_PCR_SIZE];
    unsigned loaded = 0;
    int i, changes;

    standard_pcr0(pcr0);
    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                 test_sign(get_signer(P256), pcr0, &how));
    good = test_eif_build(&eif);

    for (i = 0; i < 3000; i++) {
        g_autoptr(GByteArray) bytes = copy_bytes(good);

        for (changes = g_rand_int_range(random, 1, 4); changes; changes--) {
            uint8_t *byte = bytes->data + random_place(random, &eif);

            if (g_rand_boolean(random)) {
                *byte ^= 1 << g_rand_int_range(random, 0, 8);
            } else {
                *byte = g_rand_int_range(random, 0, 256);
            }
        }
        loaded += try_image(bytes, pcr0);
    }
    /* It must have been a test of both. */
    g_assert_cmpuint(loaded, >, 100);
    g_assert_cmpuint(loaded, <, 2900);
}

int main(int argc, char **argv)
{
    int ret;
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("test-eif-XXXXXX", NULL);
    g_assert_nonnull(tmp_dir);
    image_path = g_build_filename(tmp_dir, "image.eif", NULL);
    other_path = g_build_filename(tmp_dir, "ramdisk", NULL);

    g_test_add_func("/eif/load/known-values", test_known_values);
    g_test_add_func("/eif/load/orders", test_orders);
    g_test_add_func("/eif/load/signature", test_signature_bytes);
    g_test_add_func("/eif/load/gaps", test_gaps);
    g_test_add_func("/eif/load/empty-sections", test_empty_sections);
    g_test_add_func("/eif/load/ignored-fields", test_ignored_fields);
    g_test_add_func("/eif/load/large", test_large);
    g_test_add_func("/eif/load/very-large", test_very_large);
    g_test_add_func("/eif/load/sparse", test_sparse);
    g_test_add_func("/eif/load/again", test_load_again);
    g_test_add_func("/eif/load/wrong-crc", test_wrong_crc);
    g_test_add_func("/eif/load/added", test_added);
    g_test_add_func("/eif/errors/added", test_added_errors);
    g_test_add_func("/eif/errors/no-file", test_no_file);
    g_test_add_func("/eif/errors/fields", test_bad_fields);
    g_test_add_func("/eif/errors/orders", test_bad_orders);
    g_test_add_func("/eif/errors/sizes", test_bad_sizes);
    g_test_add_func("/eif/errors/truncated", test_truncated);
    g_test_add_func("/eif/errors/flipped-bits", test_flipped_bits);
    g_test_add_func("/eif/errors/failing-sink", test_failing_sink);
    g_test_add_func("/eif/errors/shrinking", test_shrinking);
    g_test_add_func("/eif/errors/shrinking-added", test_shrinking_added);
    g_test_add_func("/eif/errors/no-threads", test_no_threads);
    g_test_add_func("/eif/errors/no-leaked-files", test_no_leaked_files);
    g_test_add_func("/eif/signature/good", test_signed);
    g_test_add_func("/eif/signature/often", test_signed_often);
    g_test_add_func("/eif/signature/parsed", test_parsed_signature);
    g_test_add_func("/eif/signature/added", test_signed_with_added);
    g_test_add_func("/eif/signature/none", test_unsigned);
    g_test_add_func("/eif/signature/validity", test_validity);
    g_test_add_func("/eif/signature/no-expiration", test_no_expiration);
    g_test_add_func("/eif/signature/wrong", test_wrong_signatures);
    g_test_add_func("/eif/signature/tampered-image", test_tampered_image);
    g_test_add_func("/eif/signature/algorithms", test_wrong_algorithms);
    g_test_add_func("/eif/signature/widths", test_wrong_widths);
    g_test_add_func("/eif/signature/certificates", test_certificates);
    g_test_add_func("/eif/signature/payloads", test_payloads);
    g_test_add_func("/eif/signature/messages", test_bad_messages);
    g_test_add_func("/eif/signature/sections", test_bad_sections);
    g_test_add_func("/eif/signature/unknown-items", test_unknown_items);
    g_test_add_func("/eif/signature/nesting", test_nesting);
    g_test_add_func("/eif/signature/cut-short", test_cut_short);
    g_test_add_func("/eif/mutations", test_mutations);

    ret = g_test_run();

    for (i = 0; i < NUM_SIGNERS; i++) {
        if (signers[i]) {
            test_signer_free(signers[i]);
        }
    }
    unlink(image_path);
    unlink(other_path);
    rmdir(tmp_dir);
    g_free(image_path);
    g_free(other_path);
    g_free(tmp_dir);
    return ret;
}
