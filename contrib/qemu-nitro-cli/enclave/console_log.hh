/*
 * The log of an enclave's console: one writer, any number of readers
 *
 * The supervisor appends what the guest says; a reader follows the file and
 * can neither hold the writer up nor harm the log.  A guest cannot fill the
 * file system, which is the host's memory where it is a tmpfs: beyond a limit,
 * the middle of the file becomes a hole, so that the boot and the latest words
 * are left and every byte keeps its place.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_CONSOLE_LOG_HH
#define QEMU_NITRO_CLI_ENCLAVE_CONSOLE_LOG_HH

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "descriptor.hh"

/* What is kept of a log, in bytes */
struct LogLimits {
    uint64_t head = 1 << 20;            /* at its begin */
    uint64_t tail = 4 << 20;            /* at its end, at least */
    uint64_t slack = 1 << 20;           /* by which the tail may be longer */
};

class ConsoleLog {
public:
    /* Make the file, which must not be there; throws Error. */
    ConsoleLog(const std::string &path, LogLimits limits = {});
    /* Use a file that is open, and empty. */
    explicit ConsoleLog(Descriptor file, LogLimits limits = {})
        : file_(std::move(file)), limits_(limits), hole_end_(limits.head) {}

    /* Append.  Where the file system is full, what comes is lost. */
    void write(const char *data, size_t size);

    /* The last lines, at most `lines`; without control characters. */
    std::string last_lines(unsigned lines) const;

private:
    void make_hole();

    Descriptor file_;
    LogLimits limits_;
    uint64_t size_ = 0, hole_end_;
    bool has_holes_ = true;             /* until the file system refuses */
};

/*
 * Open a file that the user names, for a log of this user's alone: it is made,
 * or emptied.  While it is open, nobody else gets it.  Throws Error if it
 * cannot be that, or is `image`.
 */
Descriptor open_kept_log(const std::string &path, const std::string &image);

class ConsoleReader {
public:
    /* Open the log; throws Error. */
    explicit ConsoleReader(const std::string &path);

    /*
     * Read on, in pieces, to what is now the end; `lost` gets the sizes of
     * holes.  False when `data` returned false.
     */
    bool read_on(const std::function<bool(const char *, size_t)> &data,
                 const std::function<void(uint64_t)> &lost);

    /* Wait until there may be more, at most so long. */
    void wait(int milliseconds);

    /* Whether the log was removed */
    bool removed() const;

private:
    Descriptor file_, notify_;
    uint64_t at_ = 0;
};

/* The last lines of a text, without the control characters in them */
std::string printable_tail(const std::string &text, unsigned lines);

#endif
