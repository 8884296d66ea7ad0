/*
 * AWS Nitro Enclaves image files (EIF): the header and the sections
 *
 * An image is not trusted.  This file checks the header and the table of
 * sections before other code uses them.  eif-load.c measures and loads the
 * image, and eif-signature.c verifies its signature.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "eif-internal.h"

#define EIF_MAGIC               0x2e656966  /* ".eif" */
#define EIF_MIN_VERSION         2
#define EIF_MAX_VERSION         4
#define EIF_MIN_SECTIONS        2

/* Offsets of the header's fields, in bytes */
#define HEADER_MAGIC            0x000
#define HEADER_VERSION          0x004
#define HEADER_FLAGS            0x006
#define HEADER_DEFAULT_MEM      0x008
#define HEADER_DEFAULT_CPUS     0x010
#define HEADER_NUM_SECTIONS     0x01a
#define HEADER_OFFSETS          0x01c
#define HEADER_SIZES            0x11c

QEMU_BUILD_BUG_ON(EIF_HEADER_CRC32 + sizeof(uint32_t) != EIF_HEADER_SIZE);
QEMU_BUILD_BUG_ON(HEADER_SIZES !=
                  HEADER_OFFSETS + EIF_MAX_SECTIONS * sizeof(uint64_t));

/*
 * Opening: the header and the table of sections
 */

/* Open the regular file @path, and set @size to its size in bytes. */
static int eif_open_file(const char *path, uint64_t *size, Error **errp)
{
    struct stat st;
    int fd;

    /* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
    fd = qemu_open(path, O_RDONLY | O_NONBLOCK, errp);
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not examine '%s'", path);
    } else if (S_ISDIR(st.st_mode)) {
        error_setg(errp, "'%s' is a directory, not a file", path);
    } else if (!S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is not a regular file", path);
    } else {
        *size = st.st_size;
        return fd;
    }
    qemu_close(fd);
    return -1;
}

/* The file may have been truncated since eif_open_file(). */
bool eif_read_fully(int fd, const char *path, void *buf, size_t size,
                    uint64_t offset, Error **errp)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, size - done,
                          offset + done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            error_setg_errno(errp, errno, "Could not read '%s' at byte %"
                             PRIu64, path, offset + done);
            return false;
        }
        if (n == 0) {
            struct stat st = { };

            fstat(fd, &st);
            error_setg(errp, "'%s' is shorter than it was when it was opened: "
                       "it has %" PRId64 " bytes, but %" PRIu64 " are needed",
                       path, (int64_t)st.st_size, offset + size);
            return false;
        }
        done += n;
    }
    return true;
}

static bool eif_read_header(EifImage *image, uint64_t file_size, Error **errp)
{
    const uint8_t *h = image->header;

    if (!eif_read_fully(image->fd, image->path, image->header,
                        MIN(file_size, EIF_HEADER_SIZE), 0, errp)) {
        return false;
    }
    /* First the magic, as other files can be short too */
    if (file_size >= sizeof(uint32_t) && ldl_be_p(h) != EIF_MAGIC) {
        error_setg(errp, "'%s' is not an enclave image file: it starts with "
                   "the bytes %02x %02x %02x %02x instead of 2e 65 69 66",
                   image->path, h[0], h[1], h[2], h[3]);
        return false;
    }
    if (file_size < EIF_HEADER_SIZE) {
        error_setg(errp, "'%s' is shorter than the header of an enclave image "
                   "file: it has %" PRIu64 " bytes instead of at least %d",
                   image->path, file_size, EIF_HEADER_SIZE);
        return false;
    }

    image->version = lduw_be_p(h + HEADER_VERSION);
    image->flags = lduw_be_p(h + HEADER_FLAGS);
    image->default_mem = ldq_be_p(h + HEADER_DEFAULT_MEM);
    image->default_cpus = ldq_be_p(h + HEADER_DEFAULT_CPUS);
    image->num_sections = lduw_be_p(h + HEADER_NUM_SECTIONS);
    image->crc32 = ldl_be_p(h + EIF_HEADER_CRC32);

    if (image->version < EIF_MIN_VERSION || image->version > EIF_MAX_VERSION) {
        error_setg(errp, "'%s' is an enclave image of version %u, only "
                   "versions %d to %d are supported", image->path,
                   image->version, EIF_MIN_VERSION, EIF_MAX_VERSION);
        return false;
    }
    if (image->num_sections < EIF_MIN_SECTIONS ||
        image->num_sections > EIF_MAX_SECTIONS) {
        error_setg(errp, "'%s' has %u sections, an enclave image has %d to %d",
                   image->path, image->num_sections, EIF_MIN_SECTIONS,
                   EIF_MAX_SECTIONS);
        return false;
    }
    return true;
}

/*
 * Check that section @i begins at or after *@end, the end of the section before
 * it, and that it ends within the file.  Sets *@end to the end of section @i.
 */
static bool eif_check_extent(const EifImage *image, unsigned i,
                             uint64_t file_size, uint64_t *end, Error **errp)
{
    uint64_t offset = ldq_be_p(image->header + HEADER_OFFSETS + i * 8);
    uint64_t size = ldq_be_p(image->header + HEADER_SIZES + i * 8);
    uint64_t section_end;

    if (uadd64_overflow(offset, EIF_SECTION_HEADER_SIZE, &section_end) ||
        uadd64_overflow(section_end, size, &section_end)) {
        error_setg(errp, "'%s': section %u at byte %" PRIu64 " with a size of "
                   "%" PRIu64 " bytes ends above 2^64", image->path, i, offset,
                   size);
        return false;
    }
    if (i && offset <= ldq_be_p(image->header + HEADER_OFFSETS + (i - 1) * 8)) {
        error_setg(errp, "'%s': sections are not in ascending order: section "
                   "%u is at byte %" PRIu64 ", the one before it at byte %"
                   PRIu64, image->path, i, offset,
                   ldq_be_p(image->header + HEADER_OFFSETS + (i - 1) * 8));
        return false;
    }
    if (offset < *end) {
        error_setg(errp, "'%s': section %u at byte %" PRIu64 " overlaps the %s "
                   "before it, which ends at byte %" PRIu64, image->path, i,
                   offset, i ? "section" : "header", *end);
        return false;
    }
    if (section_end > file_size) {
        error_setg(errp, "'%s' is shorter than its section %u needs: that "
                   "ends at byte %" PRIu64 ", the file has %" PRIu64,
                   image->path, i, section_end, file_size);
        return false;
    }
    *end = section_end;
    return true;
}

/* The types of sections, and the first version of the format that has each */
static const struct {
    const char *name;
    uint16_t version;
    bool repeats;
} eif_section_types[] = {
    [EIF_SECTION_KERNEL] = { "kernel", 2, false },
    [EIF_SECTION_CMDLINE] = { "command line", 2, false },
    [EIF_SECTION_RAMDISK] = { "ramdisk", 2, true },
    [EIF_SECTION_SIGNATURE] = { "signature", 3, false },
    [EIF_SECTION_METADATA] = { "metadata", 4, false },
};

/* Read the header of section @i, after eif_check_extent(). */
static bool eif_read_section_header(EifImage *image, unsigned i, Error **errp)
{
    uint64_t offset = ldq_be_p(image->header + HEADER_OFFSETS + i * 8);
    uint64_t size = ldq_be_p(image->header + HEADER_SIZES + i * 8);
    uint8_t *h = image->section_headers[i];
    uint64_t own_size;
    uint16_t type;

    if (!eif_read_fully(image->fd, image->path, h, EIF_SECTION_HEADER_SIZE,
                        offset, errp)) {
        return false;
    }
    type = lduw_be_p(h);
    own_size = ldq_be_p(h + 4);     /* after the flags, which are unused */

    if (type >= ARRAY_SIZE(eif_section_types) ||
        !eif_section_types[type].name) {
        error_setg(errp, "'%s': section %u has the unknown type %u, types are "
                   "%d to %d", image->path, i, type, EIF_SECTION_KERNEL,
                   EIF_SECTION_METADATA);
        return false;
    }
    if (image->version < eif_section_types[type].version) {
        error_setg(errp, "'%s': section %u is a %s section, which an image of "
                   "version %u cannot have (only from version %u on)",
                   image->path, i, eif_section_types[type].name, image->version,
                   eif_section_types[type].version);
        return false;
    }
    if (own_size != size) {
        error_setg(errp, "'%s': section %u says that it has %" PRIu64 " bytes, "
                   "the image's header says %" PRIu64, image->path, i,
                   own_size, size);
        return false;
    }
    image->sections[i] = (EifSection) {
        .type = type,
        .offset = offset + EIF_SECTION_HEADER_SIZE,
        .size = size,
    };
    return true;
}

/* Add section @i to the @count of its type, and check the type's rules. */
static bool eif_check_section(EifImage *image, unsigned i,
                              unsigned count[EIF_SECTION_METADATA + 1],
                              Error **errp)
{
    const EifSection *section = &image->sections[i];

    if (count[section->type]++ && !eif_section_types[section->type].repeats) {
        error_setg(errp, "'%s': section %u is a second %s section, an image "
                   "has one at most", image->path, i,
                   eif_section_types[section->type].name);
        return false;
    }

    switch (section->type) {
    case EIF_SECTION_KERNEL:
        /* The format allows this, but an empty kernel cannot boot. */
        if (!section->size) {
            error_setg(errp, "'%s': the kernel, section %u, is empty",
                       image->path, i);
            return false;
        }
        image->kernel_size = section->size;
        break;
    case EIF_SECTION_CMDLINE:
        image->cmdline_size = section->size;
        break;
    case EIF_SECTION_RAMDISK:
        if (!count[EIF_SECTION_KERNEL]) {
            error_setg(errp, "'%s': section %u is a ramdisk before the kernel, "
                       "it must come after it", image->path, i);
            return false;
        }
        /* Cannot overflow: sections do not overlap, and are in the file. */
        image->ramdisk_size += section->size;
        break;
    case EIF_SECTION_SIGNATURE:
        if (section->size > EIF_MAX_SIGNATURE_SIZE) {
            error_setg(errp, "'%s': the signature, section %u, has %" PRIu64
                       " bytes, at most %d are allowed", image->path, i,
                       section->size, EIF_MAX_SIGNATURE_SIZE);
            return false;
        }
        break;
    case EIF_SECTION_METADATA:
        break;
    }
    return true;
}

static bool eif_read_sections(EifImage *image, uint64_t file_size, Error **errp)
{
    static const EifSectionType needed[] = {
        EIF_SECTION_KERNEL, EIF_SECTION_CMDLINE, EIF_SECTION_METADATA,
    };
    unsigned count[EIF_SECTION_METADATA + 1] = { };
    uint64_t end = EIF_HEADER_SIZE;
    unsigned i;

    for (i = 0; i < image->num_sections; i++) {
        if (!eif_check_extent(image, i, file_size, &end, errp) ||
            !eif_read_section_header(image, i, errp) ||
            !eif_check_section(image, i, count, errp)) {
            return false;
        }
    }
    for (i = 0; i < ARRAY_SIZE(needed); i++) {
        /* Metadata is required since version 4, which introduced it. */
        if (!count[needed[i]] &&
            image->version >= eif_section_types[needed[i]].version) {
            error_setg(errp, "'%s' has no %s section among its %u, an image of "
                       "version %u needs one", image->path,
                       eif_section_types[needed[i]].name, image->num_sections,
                       image->version);
            return false;
        }
    }
    return true;
}

EifImage *eif_open(const char *path, Error **errp)
{
    g_autoptr(EifImage) image = g_new0(EifImage, 1);
    uint64_t file_size;

    image->path = g_strdup(path);
    image->added_fd = -1;
    image->fd = eif_open_file(path, &file_size, errp);
    if (image->fd < 0 ||
        !eif_read_header(image, file_size, errp) ||
        !eif_read_sections(image, file_size, errp)) {
        return NULL;
    }
    return g_steal_pointer(&image);
}

void eif_close(EifImage *image)
{
    if (!image) {
        return;
    }
    if (image->fd >= 0) {
        qemu_close(image->fd);
    }
    if (image->added_fd >= 0) {
        qemu_close(image->added_fd);
    }
    g_free(image->path);
    g_free(image->added_path);
    g_free(image);
}

bool eif_add_ramdisk(EifImage *image, const char *path, Error **errp)
{
    uint64_t size;

    if (image->added_path) {
        error_setg(errp, "'%s' cannot be added to '%s', which got '%s' already",
                   path, image->path, image->added_path);
        return false;
    }
    image->added_fd = eif_open_file(path, &size, errp);
    if (image->added_fd < 0) {
        return false;
    }
    image->added_path = g_strdup(path);
    image->added = (EifSection) {
        .type = EIF_SECTION_RAMDISK,
        .offset = 0,
        .size = size,
    };
    image->ramdisk_size += size;
    return true;
}
