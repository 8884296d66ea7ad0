/*
 * Fuzz target: enclave image files
 *
 * The input is a file, which is opened, checked, read and measured, also with a
 * wrong CRC.  The measurement is compared with GLib's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/core/eif-signature.h"
#include "target.h"

#define NOW 1700000000      /* seconds since 1970 */

/* The path of a file with these bytes; there is only one. */
static const char *file_with(const uint8_t *data, size_t size)
{
    static char *path;
    static int fd;

    if (!path) {
        fd = qemu_memfd_create("fuzz-eif", 0, false, 0, 0, &error_abort);
        path = g_strdup_printf("/proc/self/fd/%d", fd);
    }
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    g_assert_cmpint(pwrite(fd, data, size, 0), ==, size);
    return path;
}

/* What the pieces of an image are made of */
typedef struct Sum {
    const EifImage *image;
    const uint8_t *file;
    uint64_t done;              /* bytes of the current section */
    unsigned sections;          /* that are complete */
    GChecksum *pcr0;
} Sum;

static bool add_piece(void *opaque, const EifSection *section,
                      uint64_t offset, const void *data, size_t size,
                      Error **errp)
{
    Sum *sum = opaque;

    g_assert_true(section == &sum->image->sections[sum->sections]);
    g_assert_cmpuint(offset, ==, sum->done);
    g_assert_cmpuint(size, <=, section->size - offset);
    if (size) {
        g_assert_cmpmem(data, size, sum->file + section->offset + offset,
                        size);
    }
    if (section->type == EIF_SECTION_KERNEL ||
        section->type == EIF_SECTION_CMDLINE ||
        section->type == EIF_SECTION_RAMDISK) {
        g_checksum_update(sum->pcr0, data, size);
    }
    sum->done += size;
    if (sum->done == section->size) {
        sum->sections++;
        sum->done = 0;
    }
    return true;
}

static void check_pcr0(Sum *sum, const EifResult *result)
{
    uint8_t extended[2 * NITRO_PCR_SIZE] = { };
    g_autofree char *pcr0 = NULL;
    gsize size = NITRO_PCR_SIZE;
    int i;

    g_checksum_get_digest(sum->pcr0, extended + NITRO_PCR_SIZE, &size);
    pcr0 = g_compute_checksum_for_data(G_CHECKSUM_SHA384, extended,
                                       sizeof(extended));
    for (i = 0; i < NITRO_PCR_SIZE; i++) {
        g_autofree char *byte = g_strdup_printf("%02x", result->pcr0[i]);

        g_assert_true(g_str_has_prefix(pcr0 + 2 * i, byte));
    }
    g_assert_cmpmem(result->pcr0, NITRO_PCR_SIZE, result->image_pcr0,
                    NITRO_PCR_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = file_with(data, size);
    g_autoptr(EifImage) image = eif_open(path, NULL);
    g_auto(EifResult) result = { };
    Sum sum = { .image = image, .file = data };
    EifSink sink = { add_piece, &sum };

    if (!image) {
        return 0;
    }
    sum.pcr0 = g_checksum_new(G_CHECKSUM_SHA384);
    eif_load(image, &sink, &result, &error_abort);
    g_assert_cmpuint(sum.sections, ==, image->num_sections);
    check_pcr0(&sum, &result);
    g_checksum_free(sum.pcr0);
    eif_check_crc(image, &result, NULL);
    eif_verify_signature(image, &result, NOW, NULL);
    return 0;
}
