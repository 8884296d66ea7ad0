/*
 * Bytes that are copied out rather than held in memory
 *
 * An image may be as large as the machine's memory, and what it is made of is
 * on disk already: files of a folder, parts of an archive.  Content is such
 * bytes; it is copied in pieces, as often as somebody asks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CONTENT_HH
#define QEMU_NITRO_CLI_IMAGE_CONTENT_HH

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "descriptor.hh"
#include "support/bytes.hh"
#include "support/memory.hh"

/* Gets the bytes, piece after piece */
using ByteSink = std::function<void(const uint8_t *data, size_t size)>;

class Content {
public:
    virtual ~Content() = default;
    virtual uint64_t size() const = 0;
    /* Give exactly size() bytes to the sink, or throw Error. */
    virtual void copy(const ByteSink &sink) const = 0;
};

using ContentPtr = std::shared_ptr<const Content>;

ContentPtr content_of(Bytes data);
ContentPtr content_of(const std::string &text);

/*
 * A regular file, opened only while it is copied; throws Error if it cannot
 * be read, now or, if it has changed meanwhile, later.
 */
ContentPtr content_of_file(const std::string &path);

/* All of it in memory; for what is known to be small */
Bytes read_all(const Content &content);

/* Bytes at positions, which contents can be parts of and keep alive */
class Store : public std::enable_shared_from_this<Store> {
public:
    virtual ~Store() = default;
    virtual void read(uint64_t position, uint8_t *data, size_t size) const = 0;
    ContentPtr content(uint64_t position, uint64_t size) const;
};

/*
 * A regular file of the user's that is used where it is.  To read it throws
 * Error if it has changed since.
 */
class FileStore : public Store {
public:
    /* `file` is open as `path`; it may be closed afterwards. */
    FileStore(const Descriptor &file, std::string path);

    uint64_t size() const { return size_; }
    void read(uint64_t position, uint8_t *data, size_t size) const override;

private:
    Descriptor file_;
    std::string path_;
    uint64_t size_;
    timespec changed_;
};

/*
 * What was unpacked: in memory as far as that is to spare, and else in a file
 * without a name, so that most images are written to disk once, as the result.
 * Its room is free again when nothing refers to it any more, however the
 * program ends.
 */
class Spool : public Store {
public:
    /*
     * With a file in the directory `dir`, which has room for the result too.
     * At most the first `memory` bytes are kept in memory.
     */
    static std::shared_ptr<Spool> create(const std::string &dir,
                                         uint64_t memory = spare_memory());

    /* Where the next content begins */
    uint64_t begin() const { return end_; }
    /* Write at an offset from there; what is left out reads as zeros. */
    void write(uint64_t offset, const void *data, size_t size);
    /* What was written since begin() is content of `size` bytes. */
    ContentPtr finish(uint64_t size);

    void read(uint64_t position, uint8_t *data, size_t size) const override;

private:
    Spool(Descriptor file, std::string dir, uint64_t memory);
    size_t write_to_memory(uint64_t position, const uint8_t *data,
                           size_t size);
    void read_from(const Descriptor &file, uint64_t position, uint8_t *data,
                   size_t size) const;

    Descriptor file_;
    std::string dir_;
    /* The first memory_size_ bytes are in a file of memory: writing to pages
     * of this process takes longer, as each has to be mapped first. */
    Descriptor memory_;
    uint64_t memory_size_;
    uint64_t memory_end_ = 0;       /* behind what is in memory */
    uint64_t end_ = 0;
};

#endif
