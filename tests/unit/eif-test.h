/*
 * Helpers for the tests of the reader of AWS Nitro Enclaves image files
 *
 * eif-image.c makes all images, and shares no code with the tested reader.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_EIF_TEST_H
#define TESTS_UNIT_EIF_TEST_H

#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/core/eif.h"
#include "eif-expect-error.h"
#include "eif-image.h"

static char *tmp_dir;
static char *image_path;
static G_GNUC_UNUSED char *other_path;  /* of a ramdisk to add, for one */

/* A version 4 image with one section of each kind and two ramdisks more */
static inline void make_standard(TestEif *eif)
{
    *eif = (TestEif) { .version = 4 };
    test_eif_add(eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 1000));
    test_eif_add(eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 100));
    test_eif_add(eif, EIF_SECTION_METADATA, test_eif_bytes(3, 333));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(4, 500));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(5, 700));
    test_eif_add(eif, EIF_SECTION_RAMDISK, test_eif_bytes(6, 5));
}

static inline GByteArray *copy_bytes(const GByteArray *bytes)
{
    GByteArray *copy = g_byte_array_new();

    g_byte_array_append(copy, bytes->data, bytes->len);
    return copy;
}

/* The measurements of an image, by GLib */

typedef struct Expected {
    uint8_t image_pcr0[NITRO_PCR_SIZE];
    uint8_t pcr0[NITRO_PCR_SIZE];
    uint8_t pcr1[NITRO_PCR_SIZE];
    uint8_t pcr2[NITRO_PCR_SIZE];
} Expected;

static inline void expected_pcrs(const TestEif *eif, const GByteArray *added,
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

static inline unsigned count_entries(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned n = 0;

    while (dir && g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

/* A test program's main(): make a directory, run @tests, and clean up. */
typedef struct EifTest {
    const char *name;
    void (*run)(void);
} EifTest;

static inline int eif_test_main(int argc, char **argv, const EifTest *tests,
                                unsigned num_tests)
{
    unsigned i;
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmp_dir = g_dir_make_tmp("test-eif-XXXXXX", NULL);
    g_assert_nonnull(tmp_dir);
    image_path = g_build_filename(tmp_dir, "image.eif", NULL);
    other_path = g_build_filename(tmp_dir, "ramdisk", NULL);
    for (i = 0; i < num_tests; i++) {
        g_test_add_func(tests[i].name, tests[i].run);
    }

    ret = g_test_run();

    unlink(image_path);
    unlink(other_path);
    rmdir(tmp_dir);
    g_free(image_path);
    g_free(other_path);
    g_free(tmp_dir);
    return ret;
}

#endif
