/*
 * AWS Nitro Enclaves image files (EIF): measuring and loading
 *
 * The caller's thread reads pieces of the file into a ring of buffers, computes
 * the CRC and calls the sink.  Two other threads hash.  One computes PCR0 and
 * PCR1, which begin with the same bytes, and the other one computes PCR2.
 *
 * Relies on GnuTLS for hashes and on zlib for the CRC.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "hw/core/eif-load.h"
#include "eif-internal.h"

#include <gnutls/crypto.h>
#include <zlib.h>

/*
 * The size of the ring.  With large pieces, passing them between threads costs
 * little.  With several pieces, the hashing threads still have work while the
 * reading thread is not scheduled.
 */
#define RING_PIECES             8
#define PIECE_SIZE              MiB     /* at most */

/*
 * Measuring
 */

static bool eif_hash_ok(int ret, const char *what, Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "Could not %s: %s", what, gnutls_strerror(ret));
        return false;
    }
    return true;
}

bool eif_measure(const void *data, size_t size, uint8_t pcr[NITRO_PCR_SIZE],
                 Error **errp)
{
    uint8_t digest[NITRO_PCR_SIZE];

    memset(pcr, 0, NITRO_PCR_SIZE);
    return eif_hash_ok(gnutls_hash_fast(GNUTLS_DIG_SHA384, data, size, digest),
                       "compute SHA-384", errp) &&
           nitro_pcr_extend(pcr, digest, sizeof(digest), errp);
}

/* Extend @pcr, from zero, with the digest of @hash.  Frees @hash. */
static bool eif_finish_pcr(gnutls_hash_hd_t *hash, uint8_t pcr[NITRO_PCR_SIZE],
                           Error **errp)
{
    uint8_t digest[NITRO_PCR_SIZE];

    gnutls_hash_deinit(*hash, digest);
    *hash = NULL;
    memset(pcr, 0, NITRO_PCR_SIZE);
    return nitro_pcr_extend(pcr, digest, sizeof(digest), errp);
}

/* The running hashes, for the fields of EifResult with the same names */
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

static bool eif_measurement_start(Measurement *m, Error **errp)
{
    return eif_hash_ok(gnutls_hash_init(&m->pcr0, GNUTLS_DIG_SHA384),
                       "start SHA-384", errp) &&
           eif_hash_ok(gnutls_hash_init(&m->pcr2, GNUTLS_DIG_SHA384),
                       "start SHA-384", errp);
}

/* If *@hash is NULL, make it a copy of the running hash @from. */
static bool eif_fork_hash(gnutls_hash_hd_t *hash, gnutls_hash_hd_t from,
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
 * Sections are measured in the order of the file.  From the second ramdisk on,
 * PCR1 differs from PCR0, so the hash is copied there.  If the command line
 * comes after that ramdisk, it goes into both hashes.
 */
static bool eif_measure_pcr0_pcr1(Measurement *m, const Piece *piece,
                                  Error **errp)
{
    bool in_pcr1 = piece->type != EIF_SECTION_RAMDISK || piece->first_ramdisk;

    if (piece->type == EIF_SECTION_SIGNATURE ||
        piece->type == EIF_SECTION_METADATA) {
        return true;
    }
    if (!in_pcr1 && !eif_fork_hash(&m->pcr1, m->pcr0, errp)) {
        return false;
    }
    if (piece->added && !eif_fork_hash(&m->image_pcr0, m->pcr0, errp)) {
        return false;
    }
    if (in_pcr1 && m->pcr1 &&
        !eif_hash_ok(gnutls_hash(m->pcr1, piece->data, piece->size),
                     "compute SHA-384", errp)) {
        return false;
    }
    return eif_hash_ok(gnutls_hash(m->pcr0, piece->data, piece->size),
                       "compute SHA-384", errp);
}

static bool eif_measure_pcr2(Measurement *m, const Piece *piece, Error **errp)
{
    if (piece->type != EIF_SECTION_RAMDISK || piece->first_ramdisk) {
        return true;
    }
    return eif_hash_ok(gnutls_hash(m->pcr2, piece->data, piece->size),
                       "compute SHA-384", errp);
}

static bool eif_measurement_finish(Measurement *m, EifResult *result,
                                   Error **errp)
{
    return eif_fork_hash(&m->pcr1, m->pcr0, errp) &&
           eif_fork_hash(&m->image_pcr0, m->pcr0, errp) &&
           eif_finish_pcr(&m->pcr0, result->pcr0, errp) &&
           eif_finish_pcr(&m->pcr1, result->pcr1, errp) &&
           eif_finish_pcr(&m->pcr2, result->pcr2, errp) &&
           eif_finish_pcr(&m->image_pcr0, result->image_pcr0, errp);
}

static void eif_measurement_drop(Measurement *m)
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
 * The ring passes pieces from the reading thread to the hashing threads.
 */

typedef struct Ring Ring;

typedef struct Hasher {
    Ring *ring;
    bool (*measure)(Measurement *m, const Piece *piece, Error **errp);
    GThread *thread;
    uint64_t done;                  /* pieces; protected by the ring's lock */
    Error *err;                     /* written before the ring's @failed */
} Hasher;

struct Ring {
    QemuMutex lock;
    QemuCond filled;                /* signalled with @produced, @closed */
    QemuCond freed;                 /* signalled with @done, @failed */
    size_t piece_size;              /* of the data of each piece, in bytes */
    Piece pieces[RING_PIECES];
    uint64_t produced;              /* pieces; number n is pieces[n % size] */
    bool closed;                    /* no further piece will come */
    bool failed;                    /* the load failed: ignore the pieces */
    Measurement measurement;
    Hasher hashers[2];
};

static void *eif_hasher_thread(void *opaque)
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

/*
 * End the threads.  If the whole image has passed through the ring (@complete),
 * wait until they have hashed all of it; otherwise end them at once.  Fails and
 * sets @errp if hashing failed.  Fails and leaves @errp unset if the image is
 * not @complete.
 */
static bool eif_ring_finish(Ring *ring, bool complete, EifResult *result,
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
        if (ring->hashers[i].thread) {
            g_thread_join(ring->hashers[i].thread);
        }
        error_propagate(&err, ring->hashers[i].err); /* keeps the first one */
    }
    if (err) {
        error_propagate(errp, err);
        complete = false;
    }
    if (complete) {
        complete = eif_measurement_finish(&ring->measurement, result, errp);
    }

    eif_measurement_drop(&ring->measurement);
    for (i = 0; i < RING_PIECES; i++) {
        g_free(ring->pieces[i].data);
    }
    qemu_cond_destroy(&ring->freed);
    qemu_cond_destroy(&ring->filled);
    qemu_mutex_destroy(&ring->lock);
    return complete;
}

/* No piece is larger than the largest section, to save memory. */
static size_t eif_piece_size(const EifImage *image)
{
    uint64_t largest = MAX(1, image->added_path ? image->added.size : 0);
    unsigned i;

    for (i = 0; i < image->num_sections; i++) {
        largest = MAX(largest, image->sections[i].size);
    }
    return MIN(largest, PIECE_SIZE);
}

static bool eif_ring_start(Ring *ring, size_t piece_size, Error **errp)
{
    g_autoptr(GError) gerr = NULL;
    int i;

    if (!eif_measurement_start(&ring->measurement, errp)) {
        eif_measurement_drop(&ring->measurement);
        return false;
    }
    qemu_mutex_init(&ring->lock);
    qemu_cond_init(&ring->filled);
    qemu_cond_init(&ring->freed);
    ring->piece_size = piece_size;
    for (i = 0; i < RING_PIECES; i++) {
        ring->pieces[i].data = g_malloc(piece_size);
    }
    ring->hashers[0].measure = eif_measure_pcr0_pcr1;
    ring->hashers[1].measure = eif_measure_pcr2;
    for (i = 0; i < ARRAY_SIZE(ring->hashers); i++) {
        ring->hashers[i].ring = ring;
        /* If this fails, it returns; qemu_thread_create() would end QEMU. */
        ring->hashers[i].thread = g_thread_try_new("eif-hash",
                                                   eif_hasher_thread,
                                                   &ring->hashers[i], &gerr);
        if (!ring->hashers[i].thread) {
            error_setg(errp, "Could not start a thread to measure the image:"
                       " %s", gerr->message);
            eif_ring_finish(ring, false, NULL, NULL);
            return false;
        }
    }
    return true;
}

/*
 * Wait for a piece that both hashing threads have finished.  Returns NULL if
 * hashing failed; eif_ring_finish() returns the error.
 */
static Piece *eif_ring_next(Ring *ring)
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

/* Pass the piece from eif_ring_next() to the hashing threads. */
static void eif_ring_push(Ring *ring)
{
    QEMU_LOCK_GUARD(&ring->lock);
    ring->produced++;
    qemu_cond_broadcast(&ring->filled);
}

/*
 * Loading
 */

/*
 * Pass @section through the ring.  If hashing has failed, returns false and
 * leaves @errp unset: eif_ring_finish() returns that error.
 */
static bool eif_load_section(const EifImage *image, const EifSection *section,
                             bool first_ramdisk, const EifSink *sink,
                             Ring *ring, EifResult *result, Error **errp)
{
    bool added = section == &image->added;
    int fd = added ? image->added_fd : image->fd;
    const char *path = added ? image->added_path : image->path;
    uint64_t offset = 0;

    do {
        Piece *piece = eif_ring_next(ring);

        if (!piece) {
            return false;
        }
        piece->size = MIN(ring->piece_size, section->size - offset);
        piece->type = section->type;
        piece->first_ramdisk = first_ramdisk;
        piece->added = added;
        if (!eif_read_fully(fd, path, piece->data, piece->size,
                            section->offset + offset, errp)) {
            return false;
        }
        eif_ring_push(ring);

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

/* Pass the image through the ring.  Fails in the way of eif_load_section(). */
static bool eif_load_sections(const EifImage *image, const EifSink *sink,
                              Ring *ring, EifResult *result, Error **errp)
{
    unsigned i, ramdisks = 0;

    result->crc32 = crc32_z(0, image->header, EIF_HEADER_CRC32);
    for (i = 0; i < image->num_sections; i++) {
        const EifSection *section = &image->sections[i];
        bool first_ramdisk = section->type == EIF_SECTION_RAMDISK &&
                             ramdisks++ == 0;

        result->crc32 = crc32_z(result->crc32, image->section_headers[i],
                                EIF_SECTION_HEADER_SIZE);
        if (section->type == EIF_SECTION_SIGNATURE) {
            result->signature = g_byte_array_new();
        }
        if (!eif_load_section(image, section, first_ramdisk, sink, ring, result,
                              errp)) {
            return false;
        }
    }
    return !image->added_path ||
           eif_load_section(image, &image->added, false, sink, ring, result,
                            errp);
}

bool eif_load(EifImage *image, const EifSink *sink, EifResult *result,
              Error **errp)
{
    Ring ring = { };
    Error *err = NULL;
    bool ok;

    *result = (EifResult) { };
    if (!eif_ring_start(&ring, eif_piece_size(image), errp)) {
        return false;
    }
    ok = eif_load_sections(image, sink, &ring, result, &err);
    ok = eif_ring_finish(&ring, ok, result, err ? NULL : &err);
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
