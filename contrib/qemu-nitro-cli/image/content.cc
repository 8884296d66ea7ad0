/*
 * Content that is copied in pieces and not held in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/content.hh"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "support/errors.hh"
#include "support/files.hh"

namespace {

constexpr size_t content_piece_size = 1 << 20;

class MemoryContent : public Content {
public:
    explicit MemoryContent(Bytes data) : data_(std::move(data)) {}
    uint64_t size() const override { return data_.size(); }
    void copy(const ByteSink &sink) const override
    {
        sink(data_.data(), data_.size());
    }

private:
    Bytes data_;
};

[[noreturn]] void fail(const std::string &path, const std::string &why)
{
    throw Error(Code::file, path + ": " + why,
                "Check that the file exists and can be read.");
}

/* Fail after a read of `size` bytes that returned `n`. */
void check_all_read(const std::string &path, ssize_t n, size_t size)
{
    if (n < 0) {
        fail(path, error_text(errno));
    }
    if (static_cast<size_t>(n) < size) {
        fail(path, "the file became shorter while it was read");
    }
}

class FileContent : public Content {
public:
    explicit FileContent(std::string path) : path_(std::move(path))
    {
        struct stat st;

        open_file(&st);
        device_ = st.st_dev;
        inode_ = st.st_ino;
        size_ = st.st_size;
    }
    uint64_t size() const override { return size_; }
    void copy(const ByteSink &sink) const override
    {
        struct stat st;
        Descriptor file = open_file(&st);
        Bytes piece(std::min<uint64_t>(content_piece_size, size_));

        if (st.st_dev != device_ || st.st_ino != inode_ ||
            static_cast<uint64_t>(st.st_size) != size_) {
            fail(path_, "the file changed while it was read");
        }
        for (uint64_t left = size_; left;) {
            size_t size = std::min<uint64_t>(piece.size(), left);
            ssize_t n = read_fully(file.get(), piece.data(), size);

            check_all_read(path_, n, size);
            sink(piece.data(), n);
            left -= n;
        }
    }

private:
    /* With O_NONBLOCK, opening a FIFO does not wait for a writer. */
    Descriptor open_file(struct stat *st) const
    {
        Descriptor file(open(path_.c_str(),
                             O_RDONLY | O_CLOEXEC | O_NONBLOCK));

        if (!file || fstat(file.get(), st)) {
            fail(path_, error_text(errno));
        }
        if (!S_ISREG(st->st_mode)) {
            fail(path_, S_ISDIR(st->st_mode) ? error_text(EISDIR)
                                             : "not a regular file");
        }
        return file;
    }

    std::string path_;
    dev_t device_;
    ino_t inode_;
    uint64_t size_;
};

class StoredContent : public Content {
public:
    StoredContent(std::shared_ptr<const Store> store, uint64_t position,
                  uint64_t size)
        : store_(std::move(store)), position_(position), size_(size) {}
    uint64_t size() const override { return size_; }
    void copy(const ByteSink &sink) const override
    {
        Bytes piece(std::min<uint64_t>(content_piece_size, size_));

        for (uint64_t done = 0; done < size_;) {
            size_t n = std::min<uint64_t>(piece.size(), size_ - done);

            store_->read(position_ + done, piece.data(), n);
            sink(piece.data(), n);
            done += n;
        }
    }

private:
    std::shared_ptr<const Store> store_;
    uint64_t position_, size_;
};

} // namespace

ContentPtr content_of(Bytes data)
{
    return std::make_shared<MemoryContent>(std::move(data));
}

ContentPtr content_of(const std::string &text)
{
    return content_of(Bytes(text.begin(), text.end()));
}

ContentPtr content_of_file(const std::string &path)
{
    return std::make_shared<FileContent>(path);
}

Bytes read_all(const Content &content)
{
    Bytes all;

    all.reserve(content.size());
    content.copy([&](const uint8_t *data, size_t size) {
        all.insert(all.end(), data, data + size);
    });
    return all;
}

ContentPtr Store::content(uint64_t position, uint64_t size) const
{
    return std::make_shared<StoredContent>(shared_from_this(), position, size);
}

FileStore::FileStore(const Descriptor &file, std::string path)
    : file_(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)), path_(std::move(path))
{
    struct stat st;

    if (!file_ || fstat(file_.get(), &st)) {
        fail(path_, error_text(errno));
    }
    size_ = st.st_size;
    changed_ = st.st_mtim;
}

void FileStore::read(uint64_t position, uint8_t *data, size_t size) const
{
    struct stat st;

    check_all_read(path_, pread_fully(file_.get(), data, size, position),
                   size);
    /* Check that the file has not changed since it was checked. */
    if (fstat(file_.get(), &st) ||
        static_cast<uint64_t>(st.st_size) != size_ ||
        st.st_mtim.tv_sec != changed_.tv_sec ||
        st.st_mtim.tv_nsec != changed_.tv_nsec) {
        fail(path_, "the file changed while it was read");
    }
}

std::shared_ptr<Spool> Spool::create(const std::string &dir, uint64_t memory)
{
    Descriptor file = make_nameless_file(dir);

    if (!file) {
        throw Error(Code::file, dir + ": " + error_text(errno),
                    "Give a directory that exists and can be written to with"
                    " --output-file.");
    }
    return std::shared_ptr<Spool>(new Spool(std::move(file), dir, memory));
}

Spool::Spool(Descriptor file, std::string dir, uint64_t memory)
    : file_(std::move(file)), dir_(std::move(dir)),
      memory_(memfd_create("qemu-nitro-cli", MFD_CLOEXEC)),
      memory_size_(memory_ ? memory : 0) {}

/* Write the part that belongs in memory.  Returns the number of its bytes. */
size_t Spool::write_to_memory(uint64_t position, const uint8_t *data,
                              size_t size)
{
    if (position >= memory_size_) {
        return 0;
    }
    size = std::min<uint64_t>(size, memory_size_ - position);
    if (pwrite_fully(memory_.get(), data, size, position) >= 0) {
        memory_end_ = std::max(memory_end_, position + size);
        return size;
    }
    /* There is no more memory: write the rest to the file. */
    if (position < memory_end_) {
        throw Error(Code::building, "unpacking to memory: "
                    + error_text(errno), "Try again with more memory.");
    }
    memory_size_ = position;
    return 0;
}

void Spool::write(uint64_t offset, const void *data, size_t size)
{
    auto bytes = static_cast<const uint8_t *>(data);
    uint64_t position = end_ + offset;
    size_t done = write_to_memory(position, bytes, size);

    if (pwrite_fully(file_.get(), bytes + done, size - done,
                     position + done) < 0) {
        throw Error(Code::file, dir_ + ": unpacking: " + error_text(errno),
                    "Make room there, or write the image elsewhere.");
    }
}

ContentPtr Spool::finish(uint64_t size)
{
    uint64_t begin = end_;

    end_ += size;
    return content(begin, size);
}

void Spool::read(uint64_t position, uint8_t *data, size_t size) const
{
    size_t n = position < memory_size_
        ? std::min<uint64_t>(size, memory_size_ - position) : 0;

    read_from(memory_, position, data, n);
    read_from(file_, position + n, data + n, size - n);
}

void Spool::read_from(const Descriptor &file, uint64_t position, uint8_t *data,
                      size_t size) const
{
    ssize_t n = pread_fully(file.get(), data, size, position);

    if (n < 0) {
        fail(dir_, "what was unpacked: " + error_text(errno));
    }
    /* Bytes beyond the end are zeros, which were not written. */
    std::fill(data + n, data + size, 0);
}
