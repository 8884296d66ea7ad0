/*
 * AWS Nitro Enclaves image files (EIF): reading, measuring, verifying
 *
 * All that an image holds is hostile input.  The headers are checked by
 * eif_open() before anything relies on them; the data is only passed through,
 * but for the signature, which is at most EIF_MAX_SIGNATURE_SIZE bytes of CBOR
 * (RFC 8949) around a COSE_Sign1 message (RFC 9052) and a PEM certificate.
 *
 * The time that eif_load() takes is that of one SHA-384 over the file.  The
 * caller's thread reads pieces of the file into a ring of buffers, computes
 * the CRC and calls the sink.  One thread hashes for PCR0 and, as it begins
 * with the same bytes, PCR1; another one hashes for PCR2.
 *
 * Relies on GnuTLS for hashes, certificates and signatures, and on zlib for the
 * CRC.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cbor.h"
#include "qemu/host-utils.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "hw/core/eif.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <zlib.h>

#define EIF_MAGIC               0x2e656966  /* ".eif" */
#define EIF_MIN_VERSION         2
#define EIF_MAX_VERSION         4
#define EIF_FLAG_AARCH64        0x0001
#define EIF_MIN_SECTIONS        2

/* Where the fields of the header are, in bytes from its start. */
#define HEADER_MAGIC            0x000
#define HEADER_VERSION          0x004
#define HEADER_FLAGS            0x006
#define HEADER_DEFAULT_MEM      0x008
#define HEADER_DEFAULT_CPUS     0x010
#define HEADER_NUM_SECTIONS     0x01a
#define HEADER_OFFSETS          0x01c
#define HEADER_SIZES            0x11c
#define HEADER_CRC32            0x220

QEMU_BUILD_BUG_ON(HEADER_CRC32 + sizeof(uint32_t) != EIF_HEADER_SIZE);
QEMU_BUILD_BUG_ON(HEADER_SIZES !=
                  HEADER_OFFSETS + EIF_MAX_SECTIONS * sizeof(uint64_t));

/*
 * The ring: pieces large enough that handing them from thread to thread costs
 * little, and enough of them to keep the hashes busy while the scheduler lets
 * somebody else run.
 */
#define RING_PIECES             8
#define PIECE_SIZE              MiB

/*
 * Opening: the header and the table of sections
 */

/* Open the regular file @path, and tell its @size in bytes. */
static int open_file(const char *path, uint64_t *size, Error **errp)
{
    struct stat st;
    int fd;

    /* O_NONBLOCK, as opening a FIFO would wait for somebody to write to it */
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

/*
 * Read exactly @size bytes.  The file had them when it was examined, but it
 * may have become shorter since.
 */
static bool read_fully(int fd, const char *path, void *buf, size_t size,
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

static bool read_header(EifImage *image, uint64_t file_size, Error **errp)
{
    const uint8_t *h = image->header;

    if (!read_fully(image->fd, image->path, image->header,
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
    image->crc32 = ldl_be_p(h + HEADER_CRC32);

    if (image->version < EIF_MIN_VERSION || image->version > EIF_MAX_VERSION) {
        error_setg(errp, "'%s' is an enclave image of version %u, only "
                   "versions %d to %d are supported", image->path,
                   image->version, EIF_MIN_VERSION, EIF_MAX_VERSION);
        return false;
    }
    if (image->flags & EIF_FLAG_AARCH64) {
        error_setg(errp, "'%s' is an enclave image for aarch64 (its flags are "
                   "0x%04x), only x86_64 is supported", image->path,
                   image->flags);
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
 * Check the place of section @i against that of the one before it, which ends
 * at *@end, and against the file.  Moves *@end behind this section.
 */
static bool check_extent(const EifImage *image, unsigned i, uint64_t file_size,
                         uint64_t *end, Error **errp)
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

/* Which types there are, from which version on. */
static const struct {
    const char *name;
    uint16_t version;
    bool repeats;
} section_types[] = {
    [EIF_SECTION_KERNEL] = { "kernel", 2, false },
    [EIF_SECTION_CMDLINE] = { "command line", 2, false },
    [EIF_SECTION_RAMDISK] = { "ramdisk", 2, true },
    [EIF_SECTION_SIGNATURE] = { "signature", 3, false },
    [EIF_SECTION_METADATA] = { "metadata", 4, false },
};

/* Read the header of section @i, whose place is known to be good. */
static bool read_section_header(EifImage *image, unsigned i, Error **errp)
{
    uint64_t offset = ldq_be_p(image->header + HEADER_OFFSETS + i * 8);
    uint64_t size = ldq_be_p(image->header + HEADER_SIZES + i * 8);
    uint8_t *h = image->section_headers[i];
    uint64_t own_size;
    uint16_t type;

    if (!read_fully(image->fd, image->path, h, EIF_SECTION_HEADER_SIZE, offset,
                    errp)) {
        return false;
    }
    type = lduw_be_p(h);
    own_size = ldq_be_p(h + 4);     /* behind the flags, which are unused */

    if (type >= ARRAY_SIZE(section_types) || !section_types[type].name) {
        error_setg(errp, "'%s': section %u has the unknown type %u, types are "
                   "%d to %d", image->path, i, type, EIF_SECTION_KERNEL,
                   EIF_SECTION_METADATA);
        return false;
    }
    if (image->version < section_types[type].version) {
        error_setg(errp, "'%s': section %u is a %s section, which an image of "
                   "version %u cannot have (only from version %u on)",
                   image->path, i, section_types[type].name, image->version,
                   section_types[type].version);
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

/* Count section @i in, and check what its type demands. */
static bool check_section(EifImage *image, unsigned i,
                          unsigned count[EIF_SECTION_METADATA + 1],
                          Error **errp)
{
    const EifSection *section = &image->sections[i];

    if (count[section->type]++ && !section_types[section->type].repeats) {
        error_setg(errp, "'%s': section %u is a second %s section, an image "
                   "has one at most", image->path, i,
                   section_types[section->type].name);
        return false;
    }

    switch (section->type) {
    case EIF_SECTION_KERNEL:
        /* The format does not forbid it, but it cannot be meant. */
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
        /* Cannot overflow: the sections lie in the file side by side. */
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

static bool read_sections(EifImage *image, uint64_t file_size, Error **errp)
{
    static const EifSectionType needed[] = {
        EIF_SECTION_KERNEL, EIF_SECTION_CMDLINE, EIF_SECTION_METADATA,
    };
    unsigned count[EIF_SECTION_METADATA + 1] = { };
    uint64_t end = EIF_HEADER_SIZE;
    unsigned i;

    for (i = 0; i < image->num_sections; i++) {
        if (!check_extent(image, i, file_size, &end, errp) ||
            !read_section_header(image, i, errp) ||
            !check_section(image, i, count, errp)) {
            return false;
        }
    }
    for (i = 0; i < ARRAY_SIZE(needed); i++) {
        /* Metadata became compulsory in the version that brought it. */
        if (!count[needed[i]] &&
            image->version >= section_types[needed[i]].version) {
            error_setg(errp, "'%s' has no %s section among its %u, an image of "
                       "version %u needs one", image->path,
                       section_types[needed[i]].name, image->num_sections,
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
    image->fd = open_file(path, &file_size, errp);
    if (image->fd < 0 ||
        !read_header(image, file_size, errp) ||
        !read_sections(image, file_size, errp)) {
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
    image->added_fd = open_file(path, &size, errp);
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

/*
 * Measuring
 */

static bool gnutls_ok(int ret, const char *what, Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "Could not %s: %s", what, gnutls_strerror(ret));
        return false;
    }
    return true;
}

bool eif_measure(const void *data, size_t size, uint8_t pcr[EIF_PCR_SIZE],
                 Error **errp)
{
    uint8_t extended[2 * EIF_PCR_SIZE] = { };

    return gnutls_ok(gnutls_hash_fast(GNUTLS_DIG_SHA384, data, size,
                                      extended + EIF_PCR_SIZE),
                     "compute SHA-384", errp) &&
           gnutls_ok(gnutls_hash_fast(GNUTLS_DIG_SHA384, extended,
                                      sizeof(extended), pcr),
                     "compute SHA-384", errp);
}

/* Turn the hash of what is measured into a PCR extended by it; ends @hash. */
static bool finish_pcr(gnutls_hash_hd_t *hash, uint8_t pcr[EIF_PCR_SIZE],
                       Error **errp)
{
    uint8_t extended[2 * EIF_PCR_SIZE] = { };

    gnutls_hash_deinit(*hash, extended + EIF_PCR_SIZE);
    *hash = NULL;
    return gnutls_ok(gnutls_hash_fast(GNUTLS_DIG_SHA384, extended,
                                      sizeof(extended), pcr),
                     "compute SHA-384", errp);
}

/* The running hashes; those of an EifResult's PCRs of the same names. */
typedef struct Measurement {
    /* Used by the first thread */
    gnutls_hash_hd_t pcr0;
    gnutls_hash_hd_t pcr1;          /* NULL while the same as pcr0 */
    gnutls_hash_hd_t image_pcr0;    /* NULL while the same as pcr0 */
    /* Used by the second thread */
    gnutls_hash_hd_t pcr2;
} Measurement;

/* One piece of the image, on its way through the ring. */
typedef struct Piece {
    uint8_t *data;
    size_t size;
    EifSectionType type;
    bool first_ramdisk;             /* of the image's own */
    bool added;                     /* by eif_add_ramdisk() */
} Piece;

static bool start_measurement(Measurement *m, Error **errp)
{
    return gnutls_ok(gnutls_hash_init(&m->pcr0, GNUTLS_DIG_SHA384),
                     "start SHA-384", errp) &&
           gnutls_ok(gnutls_hash_init(&m->pcr2, GNUTLS_DIG_SHA384),
                     "start SHA-384", errp);
}

/* Let *@hash go on from what @from has hashed so far, if it has not yet. */
static bool fork_hash(gnutls_hash_hd_t *hash, gnutls_hash_hd_t from,
                      Error **errp)
{
    if (!*hash) {
        *hash = gnutls_hash_copy(from);
    }
    if (!*hash) {
        error_setg(errp, "Could not copy a running SHA-384");
        return false;
    }
    return true;
}

/*
 * The order of what is measured is that of the file.  PCR1 leaves PCR0's way
 * before the second ramdisk.  A command line may still come after that and
 * then belongs to both.
 */
static bool measure_pcr0_pcr1(Measurement *m, const Piece *piece, Error **errp)
{
    bool in_pcr1 = piece->type != EIF_SECTION_RAMDISK || piece->first_ramdisk;

    if (piece->type == EIF_SECTION_SIGNATURE ||
        piece->type == EIF_SECTION_METADATA) {
        return true;
    }
    if (!in_pcr1 && !fork_hash(&m->pcr1, m->pcr0, errp)) {
        return false;
    }
    if (piece->added && !fork_hash(&m->image_pcr0, m->pcr0, errp)) {
        return false;
    }
    if (in_pcr1 && m->pcr1 &&
        !gnutls_ok(gnutls_hash(m->pcr1, piece->data, piece->size),
                   "compute SHA-384", errp)) {
        return false;
    }
    return gnutls_ok(gnutls_hash(m->pcr0, piece->data, piece->size),
                     "compute SHA-384", errp);
}

static bool measure_pcr2(Measurement *m, const Piece *piece, Error **errp)
{
    if (piece->type != EIF_SECTION_RAMDISK || piece->first_ramdisk) {
        return true;
    }
    return gnutls_ok(gnutls_hash(m->pcr2, piece->data, piece->size),
                     "compute SHA-384", errp);
}

static bool finish_measurement(Measurement *m, EifResult *result, Error **errp)
{
    return fork_hash(&m->pcr1, m->pcr0, errp) &&
           fork_hash(&m->image_pcr0, m->pcr0, errp) &&
           finish_pcr(&m->pcr0, result->pcr0, errp) &&
           finish_pcr(&m->pcr1, result->pcr1, errp) &&
           finish_pcr(&m->pcr2, result->pcr2, errp) &&
           finish_pcr(&m->image_pcr0, result->image_pcr0, errp);
}

static void drop_measurement(Measurement *m)
{
    gnutls_hash_hd_t *hashes[] = {
        &m->pcr0, &m->pcr1, &m->pcr2, &m->image_pcr0,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(hashes); i++) {
        if (*hashes[i]) {
            gnutls_hash_deinit(*hashes[i], NULL);
            *hashes[i] = NULL;
        }
    }
}

/*
 * The ring between the thread that reads and those that hash
 */

typedef struct Ring Ring;

typedef struct Hasher {
    Ring *ring;
    bool (*measure)(Measurement *m, const Piece *piece, Error **errp);
    QemuThread thread;
    uint64_t done;                  /* pieces; protected by the ring's lock */
    Error *err;                     /* written before the ring's @failed */
} Hasher;

struct Ring {
    QemuMutex lock;
    QemuCond filled;                /* signalled with @produced, @closed */
    QemuCond freed;                 /* signalled with @done, @failed */
    Piece pieces[RING_PIECES];
    uint64_t produced;              /* pieces; number n is pieces[n % size] */
    bool closed;                    /* no further piece will come */
    bool failed;                    /* the load is over, pieces do not matter */
    Measurement measurement;
    Hasher hashers[2];
};

static void *hasher_thread(void *opaque)
{
    Hasher *hasher = opaque;
    Ring *ring = hasher->ring;

    qemu_mutex_lock(&ring->lock);
    while (!ring->failed) {
        const Piece *piece = &ring->pieces[hasher->done % RING_PIECES];
        bool ok;

        if (hasher->done == ring->produced) {
            if (ring->closed) {
                break;
            }
            qemu_cond_wait(&ring->filled, &ring->lock);
            continue;
        }
        qemu_mutex_unlock(&ring->lock);
        ok = hasher->measure(&ring->measurement, piece, &hasher->err);
        qemu_mutex_lock(&ring->lock);

        hasher->done++;
        ring->failed |= !ok;
        qemu_cond_signal(&ring->freed);
    }
    qemu_mutex_unlock(&ring->lock);
    return NULL;
}

static bool ring_start(Ring *ring, Error **errp)
{
    int i;

    if (!start_measurement(&ring->measurement, errp)) {
        drop_measurement(&ring->measurement);
        return false;
    }
    qemu_mutex_init(&ring->lock);
    qemu_cond_init(&ring->filled);
    qemu_cond_init(&ring->freed);
    for (i = 0; i < RING_PIECES; i++) {
        ring->pieces[i].data = g_malloc(PIECE_SIZE);
    }
    ring->hashers[0].measure = measure_pcr0_pcr1;
    ring->hashers[1].measure = measure_pcr2;
    for (i = 0; i < ARRAY_SIZE(ring->hashers); i++) {
        ring->hashers[i].ring = ring;
        qemu_thread_create(&ring->hashers[i].thread, "eif-hash", hasher_thread,
                           &ring->hashers[i], QEMU_THREAD_JOINABLE);
    }
    return true;
}

/*
 * Wait for a piece that nobody uses any more.  Returns NULL if a hash failed;
 * ring_finish() has the error.
 */
static Piece *ring_next(Ring *ring)
{
    Piece *piece = NULL;

    QEMU_LOCK_GUARD(&ring->lock);
    while (!ring->failed) {
        uint64_t done = MIN(ring->hashers[0].done, ring->hashers[1].done);

        if (ring->produced - done < RING_PIECES) {
            piece = &ring->pieces[ring->produced % RING_PIECES];
            break;
        }
        qemu_cond_wait(&ring->freed, &ring->lock);
    }
    return piece;
}

/* Give the piece from ring_next() to the hashes. */
static void ring_push(Ring *ring)
{
    QEMU_LOCK_GUARD(&ring->lock);
    ring->produced++;
    qemu_cond_broadcast(&ring->filled);
}

/*
 * End the threads: when they have hashed all there is, if the image is
 * @complete in the ring, at once otherwise.  Fails if a hash did, and if the
 * image is not complete; @errp is set in the first case only.
 */
static bool ring_finish(Ring *ring, bool complete, EifResult *result,
                        Error **errp)
{
    Error *err = NULL;
    int i;

    WITH_QEMU_LOCK_GUARD(&ring->lock) {
        ring->closed = true;
        ring->failed |= !complete;
        qemu_cond_broadcast(&ring->filled);
    }
    for (i = 0; i < ARRAY_SIZE(ring->hashers); i++) {
        qemu_thread_join(&ring->hashers[i].thread);
        error_propagate(&err, ring->hashers[i].err); /* the first one stays */
    }
    if (err) {
        error_propagate(errp, err);
        complete = false;
    }
    if (complete) {
        complete = finish_measurement(&ring->measurement, result, errp);
    }

    drop_measurement(&ring->measurement);
    for (i = 0; i < RING_PIECES; i++) {
        g_free(ring->pieces[i].data);
    }
    qemu_cond_destroy(&ring->freed);
    qemu_cond_destroy(&ring->filled);
    qemu_mutex_destroy(&ring->lock);
    return complete;
}

/*
 * Loading
 */

/*
 * Pass @section through the ring.  Returns false with @errp
 * unset if a hash has failed.
 */
static bool load_section(const EifImage *image, const EifSection *section,
                         bool first_ramdisk, const EifSink *sink, Ring *ring,
                         EifResult *result, Error **errp)
{
    bool added = section == &image->added;
    int fd = added ? image->added_fd : image->fd;
    const char *path = added ? image->added_path : image->path;
    uint64_t offset = 0;

    do {
        Piece *piece = ring_next(ring);

        if (!piece) {
            return false;
        }
        piece->size = MIN(PIECE_SIZE, section->size - offset);
        piece->type = section->type;
        piece->first_ramdisk = first_ramdisk;
        piece->added = added;
        if (!read_fully(fd, path, piece->data, piece->size,
                        section->offset + offset, errp)) {
            return false;
        }
        ring_push(ring);

        if (!added) {
            result->crc32 = crc32_z(result->crc32, piece->data, piece->size);
        }
        if (section->type == EIF_SECTION_SIGNATURE) {
            g_byte_array_append(result->signature, piece->data, piece->size);
        }
        if (sink && !sink->data(sink->opaque, section, offset, piece->data,
                                piece->size, errp)) {
            return false;
        }
        offset += piece->size;
    } while (offset < section->size);
    return true;
}

/* Pass the image through the ring.  Like load_section() in its failures. */
static bool load_sections(const EifImage *image, const EifSink *sink,
                          Ring *ring, EifResult *result, Error **errp)
{
    unsigned i, ramdisks = 0;

    result->crc32 = crc32_z(0, image->header, HEADER_CRC32);
    for (i = 0; i < image->num_sections; i++) {
        const EifSection *section = &image->sections[i];
        bool first_ramdisk = section->type == EIF_SECTION_RAMDISK &&
                             ramdisks++ == 0;

        result->crc32 = crc32_z(result->crc32, image->section_headers[i],
                                EIF_SECTION_HEADER_SIZE);
        if (section->type == EIF_SECTION_SIGNATURE) {
            result->signature = g_byte_array_new();
        }
        if (!load_section(image, section, first_ramdisk, sink, ring, result,
                          errp)) {
            return false;
        }
    }
    return !image->added_path ||
           load_section(image, &image->added, false, sink, ring, result, errp);
}

bool eif_load(EifImage *image, const EifSink *sink, EifResult *result,
              Error **errp)
{
    Ring ring = { };
    Error *err = NULL;
    bool ok;

    *result = (EifResult) { };
    if (!ring_start(&ring, errp)) {
        return false;
    }
    ok = load_sections(image, sink, &ring, result, &err);
    ok = ring_finish(&ring, ok, result, err ? NULL : &err);
    if (!ok) {
        eif_result_clear(result);
        error_propagate(errp, err);
    }
    return ok;
}

void eif_result_clear(EifResult *result)
{
    g_clear_pointer(&result->signature, g_byte_array_unref);
    *result = (EifResult) { };
}

bool eif_check_crc(const EifImage *image, const EifResult *result,
                   Error **errp)
{
    if (result->crc32 != image->crc32) {
        error_setg(errp, "'%s' is damaged: its CRC-32 is 0x%08" PRIx32
                   ", its header says 0x%08" PRIx32, image->path,
                   result->crc32, image->crc32);
        return false;
    }
    return true;
}

/*
 * Reading fields of the signature section, in CBOR
 */

/* How messages call @what in the image @path; to be freed. */
static char *part_name(const char *path, const char *what)
{
    return g_strdup_printf("'%s': %s", path, what);
}

/*
 * Read bytes into the GByteArray @out: a byte string, or what serializers make
 * of a list of bytes, an array of integers.
 */
static bool read_bytes(CborReader *r, const char *name, void *out, Error **errp)
{
    CborHead head, item;
    uint8_t byte;

    if (!cbor_next(r, &head, errp)) {
        return false;
    }
    if (head.kind == CBOR_KIND_BYTES) {
        return cbor_read_string(r, &head, out, errp);
    }
    if (head.kind != CBOR_KIND_ARRAY) {
        error_setg(errp, "%s: %s is neither a byte string nor an array",
                   r->what, name);
        return false;
    }
    while (cbor_more(r, &head)) {
        if (!cbor_expect(r, &item, CBOR_KIND_UINT, name, errp)) {
            return false;
        }
        if (item.value > UINT8_MAX) {
            error_setg(errp, "%s: %s has a byte with the value %" PRIu64
                       ", at most 255 is possible", r->what, name, item.value);
            return false;
        }
        byte = item.value;
        g_byte_array_append(out, &byte, 1);
    }
    return true;
}

/* Read an unsigned integer into the uint64_t @out. */
static bool read_uint(CborReader *r, const char *name, void *out, Error **errp)
{
    CborHead item;

    if (!cbor_expect(r, &item, CBOR_KIND_UINT, name, errp)) {
        return false;
    }
    *(uint64_t *)out = item.value;
    return true;
}

/* One of the named fields of a map. */
typedef struct Field {
    const char *name;
    bool (*read)(CborReader *r, const char *name, void *out, Error **errp);
    void *out;
    bool seen;
} Field;

/* Read the value of the field @name, or pass over it if it is none of them. */
static bool read_field(CborReader *r, const GByteArray *name, Field *fields,
                       unsigned num_fields, unsigned depth, Error **errp)
{
    unsigned i;

    for (i = 0; i < num_fields; i++) {
        Field *field = &fields[i];

        if (name->len != strlen(field->name) ||
            memcmp(name->data, field->name, name->len) != 0) {
            continue;
        }
        /* Readers could differ in which one they take. */
        if (field->seen) {
            error_setg(errp, "%s has more than one \"%s\"", r->what,
                       field->name);
            return false;
        }
        field->seen = true;
        return field->read(r, field->name, field->out, errp);
    }
    return cbor_skip(r, depth, errp);
}

/*
 * Read a map with all of @fields, in any order, and maybe others; it lies in
 * @depth arrays and maps.
 */
static bool read_fields(CborReader *r, Field *fields, unsigned num_fields,
                        unsigned depth, Error **errp)
{
    g_autoptr(GByteArray) name = g_byte_array_new();
    CborHead map, key;
    unsigned i;

    if (!cbor_expect(r, &map, CBOR_KIND_MAP, "the item", errp)) {
        return false;
    }
    while (cbor_more(r, &map)) {
        g_byte_array_set_size(name, 0);
        if (!cbor_next(r, &key, errp)) {
            return false;
        }
        if (key.kind == CBOR_KIND_TEXT) {
            if (!cbor_read_string(r, &key, name, errp)) {
                return false;
            }
        } else if (!cbor_skip_rest(r, &key, depth + 1, errp)) {
            return false;
        }
        if (!read_field(r, name, fields, num_fields, depth + 1, errp)) {
            return false;
        }
    }
    for (i = 0; i < num_fields; i++) {
        if (!fields[i].seen) {
            error_setg(errp, "%s has no \"%s\"", r->what, fields[i].name);
            return false;
        }
    }
    return true;
}

/*
 * The signature
 */

#define COSE_TAG_SIGN1          18
#define COSE_SIGN1_ITEMS        4
#define COSE_HEADER_ALG         1

static const struct {
    EifAlgorithm cose;
    const char *name;
    gnutls_ecc_curve_t curve;
    gnutls_sign_algorithm_t sign;
    size_t width;               /* of r and of s, in bytes */
} algorithms[] = {
    { EIF_ALGORITHM_ES256, "ES256", GNUTLS_ECC_CURVE_SECP256R1,
      GNUTLS_SIGN_ECDSA_SHA256, 32 },
    { EIF_ALGORITHM_ES384, "ES384", GNUTLS_ECC_CURVE_SECP384R1,
      GNUTLS_SIGN_ECDSA_SHA384, 48 },
    { EIF_ALGORITHM_ES512, "ES512", GNUTLS_ECC_CURVE_SECP521R1,
      GNUTLS_SIGN_ECDSA_SHA512, 66 },
};

/* A COSE_Sign1 message (RFC 9052, 4.2) */
typedef struct CoseSign1 {
    GByteArray *protected_header;
    unsigned algorithm;         /* an index into algorithms[] */
    GByteArray *payload;
    GByteArray *signature;
} CoseSign1;

static void cose_sign1_clear(CoseSign1 *cose)
{
    g_byte_array_unref(cose->protected_header);
    g_byte_array_unref(cose->payload);
    g_byte_array_unref(cose->signature);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CoseSign1, cose_sign1_clear)

/*
 * The section: an array, of whose items only the first one counts, a map with
 * a certificate in PEM and a serialized COSE_Sign1.
 */
static bool read_signature_section(const char *path, const GByteArray *section,
                                   GByteArray *certificate, GByteArray *cose,
                                   Error **errp)
{
    g_autofree char *name = part_name(path, "the signature section");
    CborReader r = { name, section->data, section->len };
    Field fields[] = {
        { "signing_certificate", read_bytes, certificate },
        { "signature", read_bytes, cose },
    };
    CborHead array;

    if (!cbor_expect(&r, &array, CBOR_KIND_ARRAY, "the item", errp)) {
        return false;
    }
    if (!cbor_more(&r, &array)) {
        error_setg(errp, "'%s': the signature section is an empty array",
                   path);
        return false;
    }
    if (!read_fields(&r, fields, ARRAY_SIZE(fields), 1, errp)) {
        return false;
    }
    while (cbor_more(&r, &array)) {
        if (!cbor_skip(&r, 1, errp)) {
            return false;
        }
    }
    return cbor_end(&r, errp);
}

/*
 * The header must be exactly {1: algorithm}.  More in it would be parameters
 * that the signer wants to be respected, and that nobody here knows.
 */
static bool read_protected_header(const char *path, CoseSign1 *cose,
                                  Error **errp)
{
    g_autofree char *name = part_name(path, "the signature's protected "
                                      "header");
    CborReader r = {
        name, cose->protected_header->data, cose->protected_header->len,
    };
    CborHead map = { }, label, alg;
    unsigned i;

    /* An empty map may be written as nothing at all (RFC 9052, 3). */
    if (r.size && !cbor_expect(&r, &map, CBOR_KIND_MAP, "the item", errp)) {
        return false;
    }
    if (!cbor_more(&r, &map)) {
        error_setg(errp, "%s names no algorithm", r.what);
        return false;
    }
    if (!cbor_expect(&r, &label, CBOR_KIND_UINT, "a label", errp)) {
        return false;
    }
    if (label.value != COSE_HEADER_ALG) {
        error_setg(errp, "%s has a parameter %" PRIu64 ", only %d (the "
                   "algorithm) is allowed", r.what, label.value,
                   COSE_HEADER_ALG);
        return false;
    }
    if (!cbor_expect(&r, &alg, CBOR_KIND_NEGINT, "the algorithm", errp)) {
        return false;
    }
    if (cbor_more(&r, &map)) {
        error_setg(errp, "%s has more parameters than the algorithm", r.what);
        return false;
    }
    for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
        if (alg.value == -1 - algorithms[i].cose) {
            cose->algorithm = i;
            return cbor_end(&r, errp);
        }
    }
    error_setg(errp, "%s has the unsupported algorithm %" PRId64 "%s, "
               "only ES256 (-7), ES384 (-35) and ES512 (-36) are supported",
               r.what, -1 - (int64_t)MIN(alg.value, INT64_MAX),
               alg.value > INT64_MAX ? " or less" : "");
    return false;
}

/* Read the next item of the COSE_Sign1 that began with @array. */
static bool read_sign1_bytes(CborReader *r, CborHead *array, const char *name,
                             GByteArray *out, Error **errp)
{
    CborHead item;

    if (!cbor_more(r, array)) {
        error_setg(errp, "%s is too short an array, it has no %s", r->what,
                   name);
        return false;
    }
    return cbor_expect(r, &item, CBOR_KIND_BYTES, name, errp) &&
           cbor_read_string(r, &item, out, errp);
}

static bool read_unprotected_header(CborReader *r, CborHead *array,
                                    Error **errp)
{
    CborHead map;

    if (!cbor_more(r, array)) {
        error_setg(errp, "%s is too short an array, it has no unprotected "
                   "header", r->what);
        return false;
    }
    if (!cbor_expect(r, &map, CBOR_KIND_MAP, "the unprotected header", errp)) {
        return false;
    }
    if (cbor_more(r, &map)) {
        error_setg(errp, "%s has an unprotected header that is not empty",
                   r->what);
        return false;
    }
    return true;
}

static bool read_cose_sign1(const char *path, const GByteArray *data,
                            CoseSign1 *cose, Error **errp)
{
    g_autofree char *name = part_name(path, "the COSE_Sign1 of the "
                                      "signature section");
    CborReader r = { name, data->data, data->len };
    CborHead head;

    if (!cbor_next(&r, &head, errp)) {
        return false;
    }
    if (head.kind == CBOR_KIND_TAG) {
        if (head.value != COSE_TAG_SIGN1) {
            error_setg(errp, "%s has the tag %" PRIu64 " instead of %d", r.what,
                       head.value, COSE_TAG_SIGN1);
            return false;
        }
        if (!cbor_next(&r, &head, errp)) {
            return false;
        }
    }
    if (head.kind != CBOR_KIND_ARRAY) {
        error_setg(errp, "%s is not an array", r.what);
        return false;
    }
    if (!head.indefinite && head.value != COSE_SIGN1_ITEMS) {
        error_setg(errp, "%s is an array of %" PRIu64 " items instead of %d",
                   r.what, head.value, COSE_SIGN1_ITEMS);
        return false;
    }
    if (!read_sign1_bytes(&r, &head, "protected header",
                          cose->protected_header, errp) ||
        !read_unprotected_header(&r, &head, errp) ||
        !read_sign1_bytes(&r, &head, "payload", cose->payload, errp) ||
        !read_sign1_bytes(&r, &head, "signature", cose->signature, errp)) {
        return false;
    }
    if (cbor_more(&r, &head)) {
        error_setg(errp, "%s is an array of more than %d items", r.what,
                   COSE_SIGN1_ITEMS);
        return false;
    }
    return cbor_end(&r, errp) && read_protected_header(path, cose, errp);
}

/* The payload: a map that says which PCR it is about and its value. */
static bool read_payload(const char *path, const GByteArray *payload,
                         uint8_t pcr0[EIF_PCR_SIZE], Error **errp)
{
    g_autofree char *name = part_name(path, "the signature's payload");
    CborReader r = { name, payload->data, payload->len };
    g_autoptr(GByteArray) value = g_byte_array_new();
    uint64_t index = 0;
    Field fields[] = {
        { "register_index", read_uint, &index },
        { "register_value", read_bytes, value },
    };

    if (!read_fields(&r, fields, ARRAY_SIZE(fields), 0, errp) ||
        !cbor_end(&r, errp)) {
        return false;
    }
    if (index != 0) {
        error_setg(errp, "%s is about register %" PRIu64 " instead of 0",
                   r.what, index);
        return false;
    }
    if (value->len != EIF_PCR_SIZE) {
        error_setg(errp, "%s has a register value of %u bytes instead of %d",
                   r.what, value->len, EIF_PCR_SIZE);
        return false;
    }
    memcpy(pcr0, value->data, EIF_PCR_SIZE);
    return true;
}

/* The certificate in GnuTLS's terms */
typedef struct Certificate {
    gnutls_x509_crt_t crt;
    gnutls_pubkey_t key;
} Certificate;

static void certificate_clear(Certificate *cert)
{
    gnutls_x509_crt_deinit(cert->crt);
    gnutls_pubkey_deinit(cert->key);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Certificate, certificate_clear)

static bool certificate_ok(int ret, const char *path, const char *what,
                           Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "'%s': the signing certificate %s: %s", path, what,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool read_certificate(Certificate *cert, const GByteArray *pem,
                             EifSignature *signature, Error **errp)
{
    const char *path = signature->path;
    gnutls_datum_t text = { pem->data, pem->len };
    gnutls_datum_t der;

    if (!certificate_ok(gnutls_x509_crt_init(&cert->crt), path,
                        "cannot be read", errp) ||
        !certificate_ok(gnutls_pubkey_init(&cert->key), path,
                        "cannot be read", errp) ||
        !certificate_ok(gnutls_x509_crt_import(cert->crt, &text,
                                               GNUTLS_X509_FMT_PEM),
                        path, "is not X.509 in PEM", errp) ||
        !certificate_ok(gnutls_pubkey_import_x509(cert->key, cert->crt, 0),
                        path, "has a key that cannot be used", errp) ||
        !certificate_ok(gnutls_x509_crt_export2(cert->crt, GNUTLS_X509_FMT_DER,
                                                &der),
                        path, "cannot be written as DER", errp)) {
        return false;
    }
    g_byte_array_append(signature->certificate, der.data, der.size);
    gnutls_free(der.data);

    signature->not_before = gnutls_x509_crt_get_activation_time(cert->crt);
    signature->not_after = gnutls_x509_crt_get_expiration_time(cert->crt);
    if (signature->not_before == -1 || signature->not_after == -1) {
        error_setg(errp, "'%s': the signing certificate has no readable "
                   "validity", path);
        return false;
    }
    /* What GnuTLS makes of RFC 5280's "99991231235959Z", in the year 2106 */
    if (signature->not_after == GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION) {
        signature->not_after = INT64_MAX;
    }
    return true;
}

/* GnuTLS would verify with whatever hash the algorithm brings. */
static bool check_curve(const char *path, const Certificate *cert,
                        const CoseSign1 *cose, Error **errp)
{
    gnutls_ecc_curve_t curve;

    if (gnutls_pubkey_get_pk_algorithm(cert->key, NULL) != GNUTLS_PK_ECDSA) {
        error_setg(errp, "'%s': the signing certificate's key is of the type "
                   "%s, only EC keys are supported", path,
                   gnutls_pk_get_name(
                       gnutls_pubkey_get_pk_algorithm(cert->key, NULL)));
        return false;
    }
    if (!certificate_ok(gnutls_pubkey_export_ecc_raw2(cert->key, &curve, NULL,
                                                      NULL, 0),
                        path, "has a key that cannot be used", errp)) {
        return false;
    }
    if (curve != algorithms[cose->algorithm].curve) {
        error_setg(errp, "'%s': the signature's algorithm %s needs a key on "
                   "%s, the signing certificate's key is on %s", path,
                   algorithms[cose->algorithm].name,
                   gnutls_ecc_curve_get_name(algorithms[cose->algorithm].curve),
                   gnutls_ecc_curve_get_name(curve));
        return false;
    }
    return true;
}

/* What is signed: the Sig_structure of RFC 9052, 4.4, without external data. */
static GByteArray *signed_bytes(const CoseSign1 *cose)
{
    GByteArray *out = g_byte_array_new();

    cbor_put_array(out, 4);
    cbor_put_text(out, "Signature1");
    cbor_put_bytes(out, cose->protected_header->data,
                   cose->protected_header->len);
    cbor_put_bytes(out, NULL, 0);
    cbor_put_bytes(out, cose->payload->data, cose->payload->len);
    return out;
}

static bool verify_cose_sign1(const char *path, const CoseSign1 *cose,
                              const Certificate *cert, Error **errp)
{
    g_autoptr(GByteArray) tbs = signed_bytes(cose);
    size_t width = algorithms[cose->algorithm].width;
    gnutls_datum_t data = { tbs->data, tbs->len };
    gnutls_datum_t r, s, der;
    int ret;

    if (cose->signature->len != 2 * width) {
        error_setg(errp, "'%s': the signature has %u bytes, %s has %zu", path,
                   cose->signature->len, algorithms[cose->algorithm].name,
                   2 * width);
        return false;
    }
    r = (gnutls_datum_t) { cose->signature->data, width };
    s = (gnutls_datum_t) { cose->signature->data + width, width };
    ret = gnutls_encode_rs_value(&der, &r, &s);
    if (ret >= 0) {
        ret = gnutls_pubkey_verify_data2(cert->key,
                                         algorithms[cose->algorithm].sign, 0,
                                         &data, &der);
        gnutls_free(der.data);
    }
    if (ret < 0) {
        error_setg(errp, "'%s': the signature is wrong, the key of the signing "
                   "certificate did not make it: %s", path,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

EifSignature *eif_signature_parse(const EifImage *image,
                                  const EifResult *result, Error **errp)
{
    g_autoptr(EifSignature) signature = g_new0(EifSignature, 1);
    g_autoptr(GByteArray) pem = g_byte_array_new();
    g_autoptr(GByteArray) message = g_byte_array_new();
    g_auto(CoseSign1) cose = {
        .protected_header = g_byte_array_new(),
        .payload = g_byte_array_new(),
        .signature = g_byte_array_new(),
    };
    g_auto(Certificate) cert = { };

    signature->path = g_strdup(image->path);
    signature->certificate = g_byte_array_new();
    if (!result->signature) {
        error_setg(errp, "'%s' is not signed", image->path);
        return NULL;
    }
    if (!read_signature_section(image->path, result->signature, pem, message,
                                errp) ||
        !read_cose_sign1(image->path, message, &cose, errp) ||
        !read_certificate(&cert, pem, signature, errp) ||
        !check_curve(image->path, &cert, &cose, errp) ||
        !verify_cose_sign1(image->path, &cose, &cert, errp) ||
        !read_payload(image->path, cose.payload, signature->pcr0, errp)) {
        return NULL;
    }
    signature->algorithm = algorithms[cose.algorithm].cose;
    return g_steal_pointer(&signature);
}

void eif_signature_free(EifSignature *signature)
{
    if (!signature) {
        return;
    }
    g_byte_array_unref(signature->certificate);
    g_free(signature->path);
    g_free(signature);
}

bool eif_signature_covers(const EifSignature *signature,
                          const uint8_t image_pcr0[EIF_PCR_SIZE])
{
    return memcmp(signature->pcr0, image_pcr0, EIF_PCR_SIZE) == 0;
}

/* @time, in seconds since 1970, in the form of RFC 3339, to be freed. */
static char *format_time(int64_t time)
{
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time);

    return utc ? g_date_time_format(utc, "%Y-%m-%dT%H:%M:%SZ")
               : g_strdup_printf("%" PRId64 " s after 1970", time);
}

bool eif_signature_check_validity(const EifSignature *signature, int64_t now,
                                  Error **errp)
{
    g_autofree char *is = format_time(now);

    if (now < signature->not_before) {
        g_autofree char *from = format_time(signature->not_before);

        error_setg(errp, "'%s': the signing certificate is valid only from %s "
                   "on, it is %s", signature->path, from, is);
        return false;
    }
    if (now > signature->not_after) {
        g_autofree char *until = format_time(signature->not_after);

        error_setg(errp, "'%s': the signing certificate expired at %s, it is "
                   "%s", signature->path, until, is);
        return false;
    }
    return true;
}

static char *format_pcr(const uint8_t pcr[EIF_PCR_SIZE])
{
    GString *hex = g_string_new(NULL);
    int i;

    for (i = 0; i < EIF_PCR_SIZE; i++) {
        g_string_append_printf(hex, "%02x", pcr[i]);
    }
    return g_string_free(hex, false);
}

bool eif_verify_signature(const EifImage *image, EifResult *result,
                          int64_t now, Error **errp)
{
    g_autoptr(EifSignature) signature = NULL;

    if (!result->signature) {
        return true;
    }
    signature = eif_signature_parse(image, result, errp);
    if (!signature) {
        return false;
    }
    if (!eif_signature_covers(signature, result->image_pcr0)) {
        g_autofree char *signed_pcr0 = format_pcr(signature->pcr0);
        g_autofree char *pcr0 = format_pcr(result->image_pcr0);

        error_setg(errp, "'%s': the signature covers another image, whose PCR0 "
                   "is %s; this image's is %s", image->path, signed_pcr0, pcr0);
        return false;
    }
    return eif_signature_check_validity(signature, now, errp) &&
           eif_measure(signature->certificate->data,
                       signature->certificate->len, result->pcr8, errp);
}
