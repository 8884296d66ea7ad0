/*
 * A benchmark of loading an enclave image
 *
 *     eif-bench [MIB [ROUNDS]]
 *
 * Compares eif_load(), with a sink that copies as the machine's sink does, with
 * the minimum: one thread that reads the file and hashes it once.  The image
 * has a small kernel and a small first ramdisk, and a second ramdisk of MIB MiB
 * (512), like images of applications.  Both run ROUNDS times (5), in turn.  The
 * shortest times are compared, because other load on the machine only makes
 * them longer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/core/eif-load.h"
#include "../unit/eif-image.h"

#include <gnutls/crypto.h>

#define READ_SIZE MiB

typedef struct Target {
    uint8_t *memory;
    size_t used;
} Target;

static bool copy_piece(void *opaque, const EifSection *section,
                       uint64_t offset, const void *data, size_t size,
                       Error **errp)
{
    Target *target = opaque;

    memcpy(target->memory + target->used, data, size);
    target->used += size;
    return true;
}

/* Seconds for one SHA-384 over the file */
static double hash_file(const char *path)
{
    g_autofree uint8_t *buf = g_malloc(READ_SIZE);
    int64_t start = g_get_monotonic_time();
    uint8_t digest[NITRO_PCR_SIZE];
    int fd = qemu_open(path, O_RDONLY, &error_fatal);
    gnutls_hash_hd_t hash;
    off_t offset = 0;
    ssize_t n;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA384) < 0) {
        error_setg(&error_fatal, "Could not start SHA-384");
    }
    while ((n = pread(fd, buf, READ_SIZE, offset)) > 0) {
        gnutls_hash(hash, buf, n);
        offset += n;
    }
    gnutls_hash_deinit(hash, digest);
    qemu_close(fd);
    return (g_get_monotonic_time() - start) / 1e6;
}

/* Seconds for loading the image */
static double load_file(const char *path, Target *target)
{
    EifSink sink = { .data = copy_piece, .opaque = target };
    int64_t start = g_get_monotonic_time();
    g_autoptr(EifImage) image = eif_open(path, &error_fatal);
    g_auto(EifResult) result = { };

    target->used = 0;
    eif_load(image, &sink, &result, &error_fatal);
    return (g_get_monotonic_time() - start) / 1e6;
}

static void make_image(const char *path, size_t ramdisk_size)
{
    g_auto(TestEif) eif = { .version = 4 };
    g_autoptr(GByteArray) bytes = NULL;

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 8 * MiB));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, test_eif_bytes(2, 100));
    test_eif_add(&eif, EIF_SECTION_METADATA, test_eif_bytes(3, 500));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(4, MiB));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, test_eif_bytes(5, ramdisk_size));
    bytes = test_eif_build(&eif);
    test_eif_write(path, bytes);
}

int main(int argc, char **argv)
{
    size_t size = (argc > 1 ? atoi(argv[1]) : 512) * MiB;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    g_autofree char *dir = g_dir_make_tmp("eif-bench-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "image.eif", NULL);
    double hash = G_MAXDOUBLE, load = G_MAXDOUBLE;
    Target target;
    int i;

    make_image(path, size);
    target.memory = g_malloc0(size + 16 * MiB);
    for (i = 0; i < rounds; i++) {
        hash = MIN(hash, hash_file(path));
        load = MIN(load, load_file(path, &target));
    }
    printf("one SHA-384: %.3f s, eif_load(): %.3f s, %.2f times as long\n",
           hash, load, load / hash);
    g_free(target.memory);
    unlink(path);
    rmdir(dir);
    return 0;
}
