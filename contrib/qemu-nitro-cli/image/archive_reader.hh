/*
 * Reading archives with libarchive, within limits
 *
 * No file is created under a name of the archive: data goes to a spool.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_ARCHIVE_READER_HH
#define QEMU_NITRO_CLI_IMAGE_ARCHIVE_READER_HH

#include <archive.h>
#include <archive_entry.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "descriptor.hh"
#include "image/content.hh"
#include "support/bytes.hh"

/* A part of a store, which can be read several times */
struct Blob {
    std::shared_ptr<const Store> store;
    uint64_t position = 0, size = 0;

    Bytes read() const;
    ContentPtr content() const { return store->content(position, size); }
};

/* The rest of what may be unpacked, independent of sizes in the archives */
struct UnpackLimit {
    uint64_t bytes = uint64_t{16} << 30;
    uint64_t entries = 1000000;
    /* bytes of all names that are kept in memory */
    uint64_t names = uint64_t{256} << 20;
};

class ArchiveReader {
public:
    /* A tar archive, compressed or not, which can be read only once.  The
     * caller keeps it open.  `name` is for messages. */
    ArchiveReader(const Descriptor &file, std::string name,
                  UnpackLimit &limit);
    /* An archive, compressed or not; the reader can skip parts of it */
    static std::unique_ptr<ArchiveReader> open(const Blob &blob,
                                               const std::string &name,
                                               UnpackLimit &limit);
    /* A layer: a tar archive, read from its first byte to the last */
    static std::unique_ptr<ArchiveReader> layer(const Blob &blob,
                                                const std::string &name,
                                                UnpackLimit &limit);

    /*
     * The next entry, or nullptr after the last one.  Throws if the archive is
     * damaged.  Names are the bytes in the archive, without conversion.
     */
    archive_entry *next();

    /* Count an entry, and the bytes of a name that the caller keeps.  Throws
     * Error if there are too many.  next() counts the archive's own entries. */
    void count_entry() const;
    void count_name(uint64_t bytes) const;

    /* The data of the entry: in the archive, or unpacked to the spool */
    Blob data(const std::shared_ptr<Spool> &spool);

    /*
     * Read a layer to its end, including bytes after its last entry.  Returns
     * the digests of the stored bytes and of the tar archive, in the form of
     * sha256_of().  They are the same unless the layer is compressed.  Call
     * this only once.
     */
    struct Digests {
        std::string stored, tar;
    };
    Digests digests();

    /* Throw an Error with this advice; the default is for damaged archives. */
    [[noreturn]] void fail(const std::string &why) const;
    [[noreturn]] void fail(const std::string &why,
                           const char *advice) const;
    ~ArchiveReader();

private:
    struct Source;
    struct BlobSource;
    struct UnpackedSource;
    struct Stream;
    struct ArchiveStream;
    struct FastGzip;
    enum class Form { archive, tar, stream };
    struct Block {
        std::span<const uint8_t> data;
        uint64_t offset;                /* of the data in the entry */
    };

    ArchiveReader(const Blob &blob, std::string name, UnpackLimit &limit,
                  Form form);
    /* The tar archive in a compressed stream */
    ArchiveReader(std::unique_ptr<Stream> stream, const Blob &blob,
                  std::string name, UnpackLimit &limit);

    static std::unique_ptr<ArchiveReader> fast(const Blob &blob,
                                               const std::string &name,
                                               UnpackLimit &limit,
                                               bool is_hashed);
    void open_source(bool can_skip);
    std::optional<Block> next_block();
    void read_piece(Bytes &piece);
    void charge(uint64_t bytes);
    Blob unpack(const std::shared_ptr<Spool> &spool);
    void check_names() const;
    bool is_compressed() const;
    bool is_in_place() const;
    void support_compression();
    void check(int result) const;

    std::string name_;
    UnpackLimit &limit_;
    std::unique_ptr<Source> source_;        /* none for a Descriptor */
    std::unique_ptr<archive, int (*)(archive *)> archive_;
    archive_entry *entry_ = nullptr;
    Bytes head_;                    /* its first bytes */
};

/* Advice for a damaged archive, and for a layer with an entry that no image
 * can have */
extern const char *const save_again, *const fix_layer;

/* "sha256:" and the digest in small letters */
std::string sha256_of(const Blob &blob);

#endif
