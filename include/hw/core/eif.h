/*
 * AWS Nitro Enclaves image files (EIF): reading, measuring, verifying
 *
 * An EIF holds what an enclave boots: a kernel, its command line, ramdisks,
 * and optionally a signature and metadata.  This reader knows the file format
 * and nothing of machines, so that QEMU's nitro-enclave machine and programs
 * outside QEMU (it can be included from C++) read images in the same way.
 *
 * An image is used in three steps.  eif_open() reads and checks the header and
 * the table of sections.  eif_load() then goes through the file once, from
 * front to back: every byte is given to the CRC, to the hashes and to the
 * caller's sink from the same buffer, so what was measured is what was loaded,
 * whatever happens to the file meanwhile.  eif_check_crc() and
 * eif_verify_signature() judge what eif_load() found; they are apart from it
 * because a tool that describes an image goes on where a machine refuses.
 *
 * All functions report failure by NULL or false and one line in @errp, which
 * names the file.  An EifImage may be used by one thread at a time.
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
    uint32_t crc32;         /* as the header claims it */
    unsigned num_sections;
    EifSection sections[EIF_MAX_SECTIONS];  /* in the order of the file */
    uint64_t kernel_size;   /* bytes, at least 1 */
    uint64_t cmdline_size;  /* bytes */
    uint64_t ramdisk_size;  /* bytes, all ramdisks together, added ones too */
    char *added_path;       /* eif_add_ramdisk()'s file, or NULL */
    int added_fd;           /* -1 without one */
    EifSection added;       /* its extent: the whole file */

    /*
     * What eif_open() read and checked, kept for the CRC: a file whose headers
     * change afterwards cannot get a CRC for anything but these.
     */
    uint8_t header[EIF_HEADER_SIZE];
    uint8_t section_headers[EIF_MAX_SECTIONS][EIF_SECTION_HEADER_SIZE];
} EifImage;

/*
 * Open @path, and check its header and its table of sections.  Returns NULL
 * and sets @errp if it is not an enclave image.  Whether a machine can boot it
 * depends on its flags too.  Only regular files are taken; opening anything
 * else does not block.  The file stays open until eif_close(), which accepts
 * NULL; it is never mapped, so a file that somebody cuts short is an error and
 * not a SIGBUS.
 */
EifImage *eif_open(const char *path, struct Error **errp);
void eif_close(EifImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EifImage, eif_close)

/*
 * Let the file @path follow the image's own ramdisks, as a further one: it is
 * given to the sink after them and measured into @pcr0 and @pcr2.  It never
 * counts as the first ramdisk, which is a part of the signed image: @pcr1 is
 * the same with it and without, even if the image has no ramdisk of its own.
 * The signature stays that of the image alone.  At most one; the file stays
 * open until eif_close().
 */
bool eif_add_ramdisk(EifImage *image, const char *path, struct Error **errp);

/*
 * Where the sections' data goes.  @data is called in the thread of eif_load(),
 * in file order, with pieces of at most a few MiB that follow each other
 * without a gap; @offset is that of the piece in its section.  @section is an
 * element of the image's @sections or its @added.  Called for every section
 * (the signature too); an added ramdisk comes last.  An empty section gets one
 * call with @size 0.  The bytes are valid during the call and may not be
 * changed: the hashes read them at the same time.  Returning false, with
 * @errp set, ends the load.
 */
typedef struct EifSink {
    bool (*data)(void *opaque, const EifSection *section, uint64_t offset,
                 const void *data, size_t size, struct Error **errp);
    void *opaque;
} EifSink;

/*
 * What one pass over the file found.  A measurement m of some bytes is
 * SHA-384(48 zero bytes, SHA-384(the bytes)): a PCR extended once.
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
 * Read, measure and hand out the whole image.  @sink may be NULL.  @result
 * need not be initialized; on success it is the caller's to clear, on failure
 * nothing is left in it.  May be called again, to load the image once more.
 * Neither a wrong CRC nor a bad signature makes it fail.  Two threads help;
 * both have ended when it returns.
 */
bool eif_load(EifImage *image, const EifSink *sink, EifResult *result,
              struct Error **errp);
/* Free what @result holds; it may be cleared again. */
void eif_result_clear(EifResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EifResult, eif_result_clear)

/* Is the CRC that the header claims that of the file? */
bool eif_check_crc(const EifImage *image, const EifResult *result,
                   struct Error **errp);

/* Algorithms of the signature, by their COSE numbers (RFC 9053, 2.1) */
typedef enum EifAlgorithm {
    EIF_ALGORITHM_ES256 = -7,           /* with a P-256 key */
    EIF_ALGORITHM_ES384 = -35,          /* with a P-384 key */
    EIF_ALGORITHM_ES512 = -36,          /* with a P-521 key */
} EifAlgorithm;

/* The image's signature: who signed what */
typedef struct EifSignature {
    char *path;                         /* of the image, for messages */
    EifAlgorithm algorithm;
    GByteArray *certificate;            /* of the signer, X.509 DER */
    int64_t not_before;                 /* its validity, both ends included, */
    int64_t not_after;                  /* in seconds since 1970, UTC */
    uint8_t pcr0[NITRO_PCR_SIZE];       /* what was signed */
} EifSignature;

/*
 * Decode the signature section in @result and verify that the key of the
 * certificate in it made the signature; there is no way to get at one that
 * does not verify.  Whether it covers this image and whether the certificate
 * is valid are questions for the functions below; whether the certificate is
 * to be trusted is none at all, as a guest shows its hash (PCR8) to whoever
 * trusts it.  Fails for an unsigned image.  The result is the caller's, to be
 * freed with eif_signature_free(), which accepts NULL.
 */
EifSignature *eif_signature_parse(const EifImage *image,
                                  const EifResult *result,
                                  struct Error **errp);
void eif_signature_free(EifSignature *signature);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EifSignature, eif_signature_free)

/* Does @signature cover the image whose own measurement is @image_pcr0? */
bool eif_signature_covers(const EifSignature *signature,
                          const uint8_t image_pcr0[NITRO_PCR_SIZE]);

/* Is the certificate valid at @now, in seconds since 1970, UTC? */
bool eif_signature_check_validity(const EifSignature *signature, int64_t now,
                                  struct Error **errp);

/*
 * All that a machine asks before it boots an image: the signature verifies,
 * covers @image_pcr0, and its certificate is valid at @now (in seconds since
 * 1970, UTC).  Then sets @pcr8 of @result.  An unsigned image passes, with
 * @pcr8 zero.
 */
bool eif_verify_signature(const EifImage *image, EifResult *result,
                          int64_t now, struct Error **errp);

/*
 * Measure @size bytes at @data: extend a PCR of zeros with their SHA-384.
 * This is how PCR8 comes from a certificate in DER.
 */
bool eif_measure(const void *data, size_t size, uint8_t pcr[NITRO_PCR_SIZE],
                 struct Error **errp);

G_END_DECLS

#endif
