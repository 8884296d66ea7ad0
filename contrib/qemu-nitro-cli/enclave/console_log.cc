/*
 * The log of an enclave's console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/console_log.hh"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "support/errors.hh"

namespace {

constexpr uint64_t page = 4096;

Error file_error(const std::string &path)
{
    return Error(Code::console, path + ": " + error_text(errno),
                 "Check with describe-enclaves that the enclave is there.");
}

} // namespace

ConsoleLog::ConsoleLog(const std::string &path, LogLimits limits)
    : file_(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)),
      limits_(limits), hole_end_(limits.head)
{
    if (!file_) {
        throw file_error(path);
    }
}

Descriptor open_user_log(const std::string &path, const std::string &image)
{
    const char *advice = "Give a file of your own with --console-log.";
    struct stat st, other;
    auto fail = [&](const std::string &why) {
        throw Error(Code::file, "--console-log " + path + ": " + why, advice);
    };
    /* Do not wait for the reader of a FIFO. */
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY
                         | O_NONBLOCK, 0600));

    if (!file || fstat(file.get(), &st)) {
        fail(error_text(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        fail("this is not a regular file");
    }
    if (stat(image.c_str(), &other) == 0 && other.st_dev == st.st_dev &&
        other.st_ino == st.st_ino) {
        fail("this is the enclave image");
    }
    if (flock(file.get(), LOCK_EX | LOCK_NB)) {
        fail(errno == EWOULDBLOCK ? "another enclave writes its console there"
                                  : error_text(errno));
    }
    if (fchmod(file.get(), 0600) || ftruncate(file.get(), 0)) {
        fail(error_text(errno));
    }
    return file;
}

bool ConsoleLog::write(const char *data, size_t size)
{
    if (!has_holes_ && size_ >= limits_.all) {
        errno = EFBIG;
        return false;
    }
    ssize_t n = 0;

    while (size && (n = pwrite(file_.get(), data, size, size_)) > 0) {
        data += n;
        size -= n;
        size_ += n;
    }
    if (has_holes_ && size_ > hole_end_ + limits_.tail + limits_.slack) {
        make_hole();
    }
    return size == 0;
}

void ConsoleLog::make_hole()
{
    uint64_t end = (size_ - limits_.tail) / page * page;

    if (fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  hole_end_, end - hole_end_)) {
        has_holes_ = false;
    }
    hole_end_ = end;
}

std::string ConsoleLog::last_lines(unsigned lines) const
{
    std::string text(std::min(size_, 4 * page), '\0');
    ssize_t n = pread(file_.get(), text.data(), text.size(),
                      size_ - text.size());

    text.resize(std::max(n, ssize_t{0}));
    return printable_tail(text, lines);
}

ConsoleReader::ConsoleReader(const std::string &path)
    : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)),
      notify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK))
{
    if (!file_) {
        throw file_error(path);
    }
    /* If this fails, wait() only takes longer. */
    inotify_add_watch(notify_.get(), path.c_str(), IN_MODIFY | IN_ATTRIB);
}

void ConsoleReader::read_on(
    const std::function<void(const char *, size_t)> &data,
    const std::function<void(uint64_t)> &lost)
{
    char piece[16 * page];

    for (;;) {
        off_t next = lseek(file_.get(), at_, SEEK_DATA);

        if (next > 0 && static_cast<uint64_t>(next) > at_) {
            lost(next - at_);
            at_ = next;
        }
        bool at_end = next < 0 && errno == ENXIO;
        ssize_t n = pread(file_.get(), piece, sizeof(piece), at_);
        if (n <= 0 || at_end) {
            return;
        }
        /* A hole reads as zeros, also one that was made meanwhile. */
        off_t hole = lseek(file_.get(), at_, SEEK_HOLE);
        if (hole >= 0) {
            n = std::min<int64_t>(n, hole - static_cast<int64_t>(at_));
        }
        at_ += n;
        if (n) {
            data(piece, n);
        }
    }
}

void ConsoleReader::wait(int milliseconds)
{
    char events[page];
    pollfd notified = {notify_.get(), POLLIN, 0};

    if (poll(&notified, 1, milliseconds) > 0) {
        while (read(notify_.get(), events, sizeof(events)) > 0) {
            /* Discard the events: it is enough that there was one. */
        }
    }
}

bool ConsoleReader::removed() const
{
    struct stat st;

    return fstat(file_.get(), &st) || st.st_nlink == 0;
}

std::string printable_tail(const std::string &text, unsigned lines)
{
    std::string clean;

    for (char c : text) {
        if (c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f)) {
            clean += c;
        }
    }
    while (clean.ends_with('\n')) {
        clean.pop_back();
    }
    size_t begin = clean.size();
    while (begin && (clean[begin - 1] != '\n' || --lines)) {
        begin--;
    }
    return clean.substr(begin);
}
