/*
 * Reading archives: libarchive, with what it reads and unpacks bounded
 *
 * Nothing is ever written by an archive's names: data goes to a spool.
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

/* A part of a store, which can be read as often as one likes */
struct Blob {
    std::shared_ptr<const Store> store;
    uint64_t position = 0, size = 0;

    Bytes read() const;
    ContentPtr content() const { return store->content(position, size); }
};

/* How much may still be unpacked, whatever the archives say of themselves */
struct UnpackLimit {
    uint64_t bytes = uint64_t{16} << 30;
    uint64_t entries = 1000000;
};

class ArchiveReader {
public:
    /* A tar archive, compressed or not, which can only be read once and stays
     * open meanwhile; `name` is for messages. */
    ArchiveReader(const Descriptor &file, std::string name,
                  UnpackLimit &limit);
    /* An archive, compressed or not, of which parts are skipped */
    static std::unique_ptr<ArchiveReader> open(const Blob &blob,
                                               const std::string &name,
                                               UnpackLimit &limit);
    /* A layer: a tar archive, read from its first byte to the last */
    static std::unique_ptr<ArchiveReader> layer(const Blob &blob,
                                                const std::string &name,
                                                UnpackLimit &limit);

    /*
     * The next entry, or nullptr after the last; throws for what is broken.
     * Names are its bytes, as they stand in the archive.
     */
    archive_entry *next();

    /* The data of the entry: where it is, or unpacked to the spool */
    Blob data(const std::shared_ptr<Spool> &spool);

    /*
     * Of a layer, with what is behind its last entry: the digests of what is
     * stored and of the tar archive, which are the same unless the layer is
     * compressed, as sha256_of() has them; once.
     */
    struct Digests {
        std::string stored, tar;
    };
    Digests digests();

    /* Throw an Error with what to do; by default that for damage. */
    [[noreturn]] void fail(const std::string &why) const;
    [[noreturn]] void fail(const std::string &why,
                           const char *what_to_do) const;
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
    /* The tar archive that a compressed stream holds */
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
    bool is_compressed() const;
    bool is_in_place() const;
    void support_compression();
    void check(int result) const;

    std::string name_;
    UnpackLimit &limit_;
    std::unique_ptr<Source> source_;        /* none for a Descriptor */
    std::unique_ptr<archive, int (*)(archive *)> archive_;
    archive_entry *entry_ = nullptr;
    Bytes head_;                    /* what it begins with */
};

/* What to do about an archive that is damaged */
extern const char *const save_again;

/* "sha256:" and the digest in small letters */
std::string sha256_of(const Blob &blob);

#endif
