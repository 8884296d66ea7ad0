/*
 * Enclave image files: measuring and loading
 *
 * Measurements are compared with GLib's SHA-384.  For one image, they are
 * compared with constants from another implementation (Python's hashlib and
 * zlib).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "hw/core/eif-load.h"
#include "eif-test.h"

static const uint8_t zero_pcr[NITRO_PCR_SIZE];

static void assert_pcrs(const EifResult *result, const Expected *expected)
{
    assert_pcr(result->image_pcr0, expected->image_pcr0);
    assert_pcr(result->pcr0, expected->pcr0);
    assert_pcr(result->pcr1, expected->pcr1);
    assert_pcr(result->pcr2, expected->pcr2);
    assert_pcr(result->pcr8, zero_pcr);
}

/* A sink that stores the data, and checks its order */
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

/* Python's results for the same image */
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

    /* PCR2 of an image without further ramdisks */
    eif_measure("", 0, pcr, &error_abort);
    check_hex(pcr, "21b9efbc184807662e966d34f390821309eeac6802309798"
              "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a");
}

/* Each character of @order is the type of a section. */
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
    /* A command line after the ramdisks is a part of PCR1, too. */
    check_order(2, "132");
    check_order(2, "1332");
    check_order(4, "133325");
    check_order(4, "1333253");
    /* The largest number of sections */
    check_order(4, "12533333333333333333333333333333");
}

static void test_signature_bytes(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };

    /* The largest signature section, in the middle of the file */
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

/* Flags and reserved fields, which must be ignored */
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

    /* But the CRC covers them. */
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

    /* After failures, one ramdisk can be added, but not two. */
    test_eif_write(other_path, added);
    eif_add_ramdisk(image, other_path, &error_abort);
    g_assert_false(eif_add_ramdisk(image, image_path, &err));
    words = g_strdup_printf("%s|%s", image_path, other_path);
    expect_error(&err, words);
    g_assert_cmpuint(image->ramdisk_size, ==, 1205 + 10);
}

/* Each changed bit of an image without gaps fails a check or the CRC. */
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
    /* A sink that has failed is not called again. */
    g_assert_cmpint(saboteur->calls_left, ==, -1);
    error_setg(errp, "the sink is full");
    return false;
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

        /* None of its bytes is used. */
        memset(&result, 0xaa, sizeof(result));
        g_assert_false(eif_load(image, &sink, &result, &err));
        expect_error(&err, "the sink is full");
        g_assert_null(result.signature);
        assert_pcr(result.pcr0, zero_pcr);
        saboteur.calls_left = round % 10;
        g_assert_false(eif_load(image, &sink, &result, NULL));
    }
    /* A thread that has just ended may still be listed. */
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
 * A host where no thread can be started: the address space is limited to its
 * current size and the buffers, without space for a stack.  Runs in its own
 * process, because the limit is permanent.
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
        g_ascii_strtoull(statm, NULL, 10) * qemu_real_host_page_size() +
        10 * MiB;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
    g_assert_false(eif_load(image, NULL, &result, &err));
    expect_error(&err, "thread");
}

static void test_no_leaked_files(void)
{
    unsigned before = count_entries("/proc/self/fd");

    test_added_errors();
    test_shrinking_added();
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, before);
}

int main(int argc, char **argv)
{
    static const EifTest tests[] = {
        { "/eif/load/known-values", test_known_values },
        { "/eif/load/orders", test_orders },
        { "/eif/load/signature", test_signature_bytes },
        { "/eif/load/gaps", test_gaps },
        { "/eif/load/empty-sections", test_empty_sections },
        { "/eif/load/ignored-fields", test_ignored_fields },
        { "/eif/load/large", test_large },
        { "/eif/load/very-large", test_very_large },
        { "/eif/load/sparse", test_sparse },
        { "/eif/load/again", test_load_again },
        { "/eif/load/wrong-crc", test_wrong_crc },
        { "/eif/load/added", test_added },
        { "/eif/errors/added", test_added_errors },
        { "/eif/errors/flipped-bits", test_flipped_bits },
        { "/eif/errors/failing-sink", test_failing_sink },
        { "/eif/errors/shrinking", test_shrinking },
        { "/eif/errors/shrinking-added", test_shrinking_added },
        { "/eif/errors/no-threads", test_no_threads },
        { "/eif/errors/no-leaked-files", test_no_leaked_files },
    };

    return eif_test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
