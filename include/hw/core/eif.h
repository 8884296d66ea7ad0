/*
 * AWS Nitro Enclaves image files (EIF): reading, measuring, verifying
 *
 * An EIF contains a kernel, its command line, ramdisks, and optionally a
 * signature and metadata.  This reader knows the file format and does not
 * depend on a machine, so QEMU's nitro-enclave machine and programs outside
 * QEMU use the same code.  This header can be included from C++.
 *
 * An image is used in three steps.  eif_open() reads and checks the header and
 * the table of sections.  eif_load() reads the file once, from front to back.
 * The CRC, the hashes and the caller's sink get each byte from the same buffer,
 * so what was measured is what was loaded, even if the file changes meanwhile.
 * eif_check_crc() and eif_verify_signature() check the result of eif_load().
 * They are separate functions, because a tool that describes an image continues
 * where a machine refuses the image.
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
    uint8_t pcr8[NITRO_PCR_SIZE];       /* zero unless eif_verify_signature() */
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

/* Algorithms of the signature, by their COSE numbers (RFC 9053, 2.1) */
typedef enum EifAlgorithm {
    EIF_ALGORITHM_ES256 = -7,           /* with a P-256 key */
    EIF_ALGORITHM_ES384 = -35,          /* with a P-384 key */
    EIF_ALGORITHM_ES512 = -36,          /* with a P-521 key */
} EifAlgorithm;

/* The image's signature: the signer and the signed PCR0 */
typedef struct EifSignature {
    char *path;                         /* of the image, for messages */
    EifAlgorithm algorithm;
    GByteArray *certificate;            /* of the signer, X.509 DER */
    int64_t not_before;                 /* its validity, both ends included, */
    int64_t not_after;                  /* in seconds since 1970, UTC */
    uint8_t pcr0[NITRO_PCR_SIZE];       /* what was signed */
} EifSignature;

/*
 * Decode the signature section in @result, and verify that the key of its
 * certificate made the signature.  Fails if it did not, or if the image is not
 * signed.  The functions below check whether the signature covers this image
 * and whether the certificate is valid.  No function checks whether the
 * certificate is trusted: others decide that from its hash, PCR8, in the
 * guest's attestation documents.  The caller frees the result with
 * eif_signature_free(), which accepts NULL.
 */
EifSignature *eif_signature_parse(const EifImage *image,
                                  const EifResult *result,
                                  struct Error **errp);
void eif_signature_free(EifSignature *signature);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EifSignature, eif_signature_free)

/* Does @signature cover the image with @image_pcr0, of EifResult? */
bool eif_signature_covers(const EifSignature *signature,
                          const uint8_t image_pcr0[NITRO_PCR_SIZE]);

/* Is the certificate valid at @now, in seconds since 1970, UTC? */
bool eif_signature_check_validity(const EifSignature *signature, int64_t now,
                                  struct Error **errp);

/*
 * Check what a machine needs before it boots an image: the signature verifies
 * and covers @image_pcr0, and its certificate is valid at @now (in seconds
 * since 1970, UTC).  Then set @pcr8 of @result.  Succeeds for an unsigned
 * image, and leaves @pcr8 zero.
 */
bool eif_verify_signature(const EifImage *image, EifResult *result,
                          int64_t now, struct Error **errp);

/*
 * Measure @size bytes at @data: extend a zero PCR with their SHA-384.  PCR8 is
 * the measurement of the certificate in DER.
 */
bool eif_measure(const void *data, size_t size, uint8_t pcr[NITRO_PCR_SIZE],
                 struct Error **errp);

G_END_DECLS

#endif
