/*
 * AWS Nitro Enclaves image files (EIF): loading and measuring
 *
 * eif_load() reads the file once, from front to back.  The CRC, the hashes and
 * the caller's sink get each byte from the same buffer, so what was measured is
 * what was loaded, even if the file changes meanwhile.  eif_check_crc() is a
 * separate function, because a tool that describes an image continues where a
 * machine refuses the image.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_EIF_LOAD_H
#define HW_CORE_EIF_LOAD_H

#include "hw/core/eif.h"

G_BEGIN_DECLS

/*
 * The receiver of the sections' data.  eif_load() calls @data in its own
 * thread, for every section (the signature too) in file order, and last for an
 * added ramdisk.  Each call has a piece of at most a few MiB, without gaps
 * between the pieces; @offset is the offset of the piece in its section.
 * @section is an element of the image's @sections, or its @added.  An empty
 * section gets one call with @size 0.  The bytes are valid only during the call
 * and must not be changed, because other threads hash them at the same time.
 * If @data returns false and sets @errp, the load fails.
 */
typedef struct EifSink {
    bool (*data)(void *opaque, const EifSection *section, uint64_t offset,
                 const void *data, size_t size, struct Error **errp);
    void *opaque;
} EifSink;

/*
 * The result of eif_load().  The measurement of some bytes is
 * SHA-384(48 zero bytes, SHA-384(the bytes)): a PCR that was extended once.
 */
typedef struct EifResult {
    uint32_t crc32;                     /* computed over the file */
    uint8_t image_pcr0[NITRO_PCR_SIZE]; /* without an added ramdisk */
    uint8_t pcr0[NITRO_PCR_SIZE];       /* with it */
    uint8_t pcr1[NITRO_PCR_SIZE];       /* without it */
    uint8_t pcr2[NITRO_PCR_SIZE];       /* with it */
    uint8_t pcr8[NITRO_PCR_SIZE];       /* eif_load() makes it zero */
    GByteArray *signature;              /* the section's bytes, or NULL */
} EifResult;

/*
 * Read and measure the whole image, and pass it to @sink, which may be NULL.
 * @result need not be initialized.  On success, the caller has to clear it; on
 * failure, it is empty.  May be called again, to load the image once more.
 * Does not check the CRC or the signature.  Uses two more threads, which have
 * ended when it returns.
 */
bool eif_load(EifImage *image, const EifSink *sink, EifResult *result,
              struct Error **errp);
/* Free what @result holds; it may be cleared again. */
void eif_result_clear(EifResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EifResult, eif_result_clear)

/* Is the CRC in the header right? */
bool eif_check_crc(const EifImage *image, const EifResult *result,
                   struct Error **errp);

/* Measure @size bytes at @data: extend a zero PCR with their SHA-384. */
bool eif_measure(const void *data, size_t size, uint8_t pcr[NITRO_PCR_SIZE],
                 struct Error **errp);

G_END_DECLS

#endif
