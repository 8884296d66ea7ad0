/*
 * Files that are read whole, directories of this user alone, and locks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/files.hh"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "support/alarm.hh"
#include "support/errors.hh"

namespace {

const char *const read_advice = "Check that the file exists and can be read.";

/* Call `step` with the number of finished bytes until all `size` are finished,
 * or until it returns 0 at the end of the file. */
template <typename Step> ssize_t repeat(size_t size, Step step)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = step(done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        done += n;
    }
    return done;
}

} // namespace

ssize_t read_fully(int fd, void *data, size_t size)
{
    return repeat(size, [&](size_t done) {
        return read(fd, static_cast<uint8_t *>(data) + done, size - done);
    });
}

ssize_t pread_fully(int fd, void *data, size_t size, off_t position)
{
    return repeat(size, [&](size_t done) {
        return pread(fd, static_cast<uint8_t *>(data) + done, size - done,
                     position + done);
    });
}

ssize_t pwrite_fully(int fd, const void *data, size_t size, off_t position)
{
    return repeat(size, [&](size_t done) {
        return pwrite(fd, static_cast<const uint8_t *>(data) + done,
                      size - done, position + done);
    });
}

std::optional<Bytes> read_optional_file(const std::string &path)
{
    constexpr size_t max_size = 16 << 20;
    /* On the stack: most files are small, and some commands read many. */
    std::array<uint8_t, 16 << 10> piece;
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes data;

    if (!file && errno == ENOENT) {
        return {};
    }
    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno), read_advice);
    }
    while (data.size() <= max_size) {
        ssize_t n = read_fully(file.get(), piece.data(), piece.size());

        if (n < 0) {
            throw Error(Code::file, path + ": " + error_text(errno),
                        read_advice);
        }
        data.insert(data.end(), piece.data(), piece.data() + n);
        if (static_cast<size_t>(n) < piece.size() && data.size() <= max_size) {
            return data;
        }
    }
    throw Error(Code::file, path + ": more than "
                + std::to_string(max_size >> 20) + " MiB",
                "Check that this is the right file.");
}

Bytes read_file(const std::string &path)
{
    std::optional<Bytes> data = read_optional_file(path);

    if (!data) {
        throw Error(Code::file, path + ": " + error_text(ENOENT), read_advice);
    }
    return *std::move(data);
}

TemporaryFile make_temporary_file(const std::string &directory)
{
    TemporaryFile made{Descriptor(open(directory.c_str(), O_TMPFILE | O_RDWR
                                       | O_CLOEXEC, 0600)), ""};

    if (!made.file) {
        /* Not every file system has files without a name. */
        made.path = directory + temporary_name;
        made.file.reset(mkostemp(made.path.data(), O_CLOEXEC));
        if (!made.file) {
            made.path.clear();
        }
    }
    return made;
}

Descriptor make_nameless_file(const std::string &directory)
{
    TemporaryFile made = make_temporary_file(directory);

    if (!made.path.empty()) {
        unlink(made.path.c_str());
    }
    return std::move(made.file);
}

void make_private_directory(const std::string &path)
{
    struct stat st;

    if (mkdir(path.c_str(), 0700) && errno != EEXIST) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that this directory can be made.");
    }
    if (lstat(path.c_str(), &st) || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077)) {
        throw Error(Code::file, path + ": this is not a directory of "
                    + "user " + std::to_string(geteuid()) + " alone",
                    "Remove it, or give it to that user with mode 0700.");
    }
}

/* The kernel gives the lock to waiting processes one after the other. */
bool take_lock(const Descriptor &file, int operation, int milliseconds)
{
    auto end = std::chrono::steady_clock::now()
        + std::chrono::milliseconds(milliseconds);
    auto take = [&](int how) {
        if (flock(file.get(), operation | how) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            throw Error(Code::file, "a lock: " + error_text(errno),
                        "Try again.");
        }
        return false;
    };

    if (take(LOCK_NB)) {
        return true;
    }
    if (milliseconds <= 0) {
        return false;
    }
    Alarm alarm(milliseconds);
    while (!take(0)) {
        if (std::chrono::steady_clock::now() >= end) {
            return false;
        }
    }
    return true;
}

Descriptor lock_file(const std::string &path, int milliseconds)
{
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC
                         | O_NOFOLLOW, 0600));

    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that this file can be written.");
    }
    if (!take_lock(file, LOCK_EX, milliseconds)) {
        return Descriptor();
    }
    return file;
}

