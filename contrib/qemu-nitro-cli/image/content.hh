/*
 * Content that is copied in pieces and not held in memory
 *
 * An image may be as large as the host's memory, and its input is on disk:
 * files of a directory, or parts of an archive.  Content stands for such bytes.
 * It can be copied several times, in pieces.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CONTENT_HH
#define QEMU_NITRO_CLI_IMAGE_CONTENT_HH

#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>

#include "descriptor.hh"
#include "support/bytes.hh"
#include "support/memory.hh"

/* Receives the bytes, piece by piece */
using ByteSink = std::function<void(const uint8_t *data, size_t size)>;

class Content {
public:
    virtual ~Content() = default;
    virtual uint64_t size() const = 0;
    /* Pass exactly size() bytes to the sink, or throw Error. */
    virtual void copy(const ByteSink &sink) const = 0;
};

using ContentPtr = std::shared_ptr<const Content>;

ContentPtr content_of(Bytes data);
ContentPtr content_of(const std::string &text);

/*
 * A regular file, which is open only while it is copied.  Throws Error if it
 * cannot be read.  copy() throws Error if the file has changed.
 */
ContentPtr content_of_file(const std::string &path);

/* All of it in memory; only for small content */
Bytes read_all(const Content &content);

/* Bytes with positions.  Content is a part of a store, and keeps it alive. */
class Store : public std::enable_shared_from_this<Store> {
public:
    virtual ~Store() = default;
    virtual void read(uint64_t position, uint8_t *data, size_t size) const = 0;
    ContentPtr content(uint64_t position, uint64_t size) const;
};

/*
 * A regular file of the user, which is read in place.  read() throws Error if
 * the file has changed.
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
 * Unpacked data: in memory up to a limit, and beyond it in an unnamed file.  So
 * for most images only the result is written to disk.  The kernel frees the
 * space when the program ends for any reason.
 */
class Spool : public Store {
public:
    /*
     * The file is in the directory `dir`, because the result goes there, too.
     * The first `memory` bytes, at most, are in memory.
     */
    static std::shared_ptr<Spool> create(const std::string &dir,
                                         uint64_t memory = spare_memory());

    /* The position of the next content */
    uint64_t begin() const { return end_; }
    /* Write at an offset from begin(); gaps read as zeros. */
    void write(uint64_t offset, const void *data, size_t size);
    /* Return what was written since begin() as content of `size` bytes. */
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
    /* The first memory_size_ bytes are in a memfd: writing to pages of this
     * process takes longer, because each page has to be mapped first. */
    Descriptor memory_;
    std::atomic<uint64_t> memory_size_;     /* another thread may read */
    uint64_t memory_end_ = 0;       /* the end of the data in memory */
    uint64_t end_ = 0;
};

#endif
