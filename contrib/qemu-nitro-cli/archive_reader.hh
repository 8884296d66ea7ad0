/*
 * Reading archives: libarchive, with what it reads and unpacks bounded
 *
 * Nothing is ever written by an archive's names: data goes to a spool.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ARCHIVE_READER_HH
#define QEMU_NITRO_CLI_ARCHIVE_READER_HH

#include <archive.h>
#include <archive_entry.h>
#include <memory>
#include <string>

#include "content.hh"

/* A part of a spool, which can be read as often as one likes */
struct Blob {
    uint64_t position = 0, size = 0;
};

Bytes read_blob(const Spool &spool, const Blob &blob);

/* How much may still be unpacked, whatever the archives say of themselves */
struct UnpackLimit {
    uint64_t bytes = uint64_t{16} << 30;
    uint64_t entries = 1000000;
};

class ArchiveReader {
public:
    /* A tar archive, compressed or not, which stays open meanwhile; `name` is
     * for messages. */
    ArchiveReader(const Descriptor &file, std::string name,
                  UnpackLimit &limit);
    /* What is in a spool: a tar archive, or a compressed stream, one entry */
    enum class Form { tar, stream };
    ArchiveReader(const Spool &spool, const Blob &blob, std::string name,
                  UnpackLimit &limit, Form form);

    /*
     * The next entry, or nullptr after the last; throws for what is broken.
     * Names are its bytes, as they stand in the archive.
     */
    archive_entry *next();

    /* Append the data of the entry to a spool. */
    Blob unpack(Spool &spool);

    /* Throw an Error with what to do; by default that for damage. */
    [[noreturn]] void fail(const std::string &why) const;
    [[noreturn]] void fail(const std::string &why,
                           const char *what_to_do) const;
    ~ArchiveReader();

private:
    struct Source;

    void support_compression();
    void check(int result) const;

    std::string name_;
    UnpackLimit &limit_;
    std::unique_ptr<Source> source_;
    std::unique_ptr<archive, int (*)(archive *)> archive_;
    archive_entry *entry_ = nullptr;
    Bytes head_;                    /* what it begins with */
};

/* What to do about an archive that is damaged */
extern const char *const save_again;

/* Undo a compression, if there is one.  Nothing may be in it. */
Blob decompress(Spool &spool, const Blob &blob, const std::string &name,
                UnpackLimit &limit);

/* "sha256:" and the digest in small letters */
std::string sha256_of(const Spool &spool, const Blob &blob);

#endif
