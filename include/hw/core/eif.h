/*
 * AWS Nitro Enclaves image files (EIF)
 *
 * An EIF contains a kernel, its command line, ramdisks, and optionally a
 * signature and metadata.  This reader knows the file format and does not
 * depend on a machine, so QEMU's nitro-enclave machine and programs outside
 * QEMU use the same code.  eif_open() reads and checks the header and the table
 * of sections.  This header can be included from C++.
 *
 * On failure, all functions return NULL or false and set @errp to one line,
 * which names the file.  Only one thread at a time may use an EifImage.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_EIF_H
#define HW_CORE_EIF_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hw/core/nitro.h"

G_BEGIN_DECLS

struct Error;

#define EIF_MAX_SECTIONS        32
#define EIF_HEADER_SIZE         548     /* bytes */
#define EIF_SECTION_HEADER_SIZE 12      /* bytes */
#define EIF_MAX_SIGNATURE_SIZE  32768   /* bytes */
/* Of the header's flags: the image is for aarch64, not for x86_64. */
#define EIF_FLAG_AARCH64        0x0001

typedef enum EifSectionType {
    EIF_SECTION_KERNEL = 1,
    EIF_SECTION_CMDLINE = 2,
    EIF_SECTION_RAMDISK = 3,
    EIF_SECTION_SIGNATURE = 4,
    EIF_SECTION_METADATA = 5,
} EifSectionType;

typedef struct EifSection {
    EifSectionType type;
    uint64_t offset;        /* of the data in the file, in bytes */
    uint64_t size;          /* of the data, in bytes */
} EifSection;

/* An open image; the fields are read-only for callers. */
typedef struct EifImage {
    char *path;
    int fd;
    uint16_t version;
    uint16_t flags;
    uint64_t default_mem;   /* bytes; informative */
    uint64_t default_cpus;  /* informative */
    uint32_t crc32;         /* the value in the header */
    unsigned num_sections;
    EifSection sections[EIF_MAX_SECTIONS];  /* in the order of the file */
    uint64_t kernel_size;   /* bytes, at least 1 */
    uint64_t cmdline_size;  /* bytes */
    uint64_t ramdisk_size;  /* bytes, all ramdisks together, added ones too */
    char *added_path;       /* eif_add_ramdisk()'s file, or NULL */
    int added_fd;           /* -1 without one */
    EifSection added;       /* the whole file */

    /*
     * The headers that eif_open() read and checked.  The CRC is computed over
     * this copy, so it covers what was checked even if the file changes later.
     */
    uint8_t header[EIF_HEADER_SIZE];
    uint8_t section_headers[EIF_MAX_SECTIONS][EIF_SECTION_HEADER_SIZE];
} EifImage;

/*
 * Open @path, and check its header and its table of sections.  Returns NULL and
 * sets @errp if it is not an enclave image.  The caller checks the flags, which
 * name the architecture.  @path must be a regular file; opening another kind of
 * file fails and does not block.  The file stays open until eif_close(), which
 * accepts NULL.  The file is never mapped, so truncating it causes an error and
 * not a SIGBUS.
 */
EifImage *eif_open(const char *path, struct Error **errp);
void eif_close(EifImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EifImage, eif_close)

/*
 * Add the file @path as one more ramdisk, after those of the image.  The sink
 * gets it last, and it is measured into @pcr0 and @pcr2.  It never changes
 * @pcr1, even if the image has no ramdisk: the first ramdisk is always a part
 * of the signed image.  The signature covers the image without it.  Only one
 * file can be added.  It stays open until eif_close().
 */
bool eif_add_ramdisk(EifImage *image, const char *path, struct Error **errp);

G_END_DECLS

#endif
