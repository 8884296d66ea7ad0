/*
 * The log of an enclave's console: one writer, any number of readers
 *
 * The supervisor appends the guest's output.  Readers follow the file; they
 * cannot block the writer or change the log.  A guest cannot fill the file
 * system, which may be a tmpfs in the host's memory: above a limit, the middle
 * of the file becomes a hole.  So the first and the last output is kept, and
 * each byte keeps its offset.
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

/* The parts of a log that are kept, in bytes */
struct LogLimits {
    uint64_t head = 1 << 20;            /* at the start */
    uint64_t tail = 4 << 20;            /* at the end, at least */
    uint64_t slack = 1 << 20;           /* the end may be longer by so much */
    uint64_t all = 64 << 20;            /* on file systems without holes */
};

class ConsoleLog {
public:
    /* Create the file, which must not exist.  Throws Error. */
    ConsoleLog(const std::string &path, LogLimits limits = {});
    /* Use a file that is open, and empty. */
    explicit ConsoleLog(Descriptor file, LogLimits limits = {})
        : file_(std::move(file)), limits_(limits), hole_end_(limits.head) {}

    /* Append.  Returns false, with errno set, if a part of the text is lost,
     * for example because the file system is full. */
    bool write(const char *data, size_t size);

    /* The last lines, at most `lines`, without control characters */
    std::string last_lines(unsigned lines) const;

private:
    void make_hole();

    Descriptor file_;
    LogLimits limits_;
    uint64_t size_ = 0, hole_end_;
    bool has_holes_ = true;             /* does the file system have holes? */
};

/*
 * Open the file of --console-log: it is created or emptied, and only this user
 * can read it.  While it is open, no other enclave can use it.  Throws Error if
 * this fails, or if the file is `image`.
 */
Descriptor open_user_log(const std::string &path, const std::string &image);

class ConsoleReader {
public:
    /* Open the log; throws Error. */
    explicit ConsoleReader(const std::string &path);

    /*
     * Read from the current position to the end, in pieces.  `lost` gets the
     * sizes of holes.
     */
    void read_on(const std::function<void(const char *, size_t)> &data,
                 const std::function<void(uint64_t)> &lost);

    /* Wait until there may be more to read, at most so long. */
    void wait(int milliseconds);

    /* Has the log been removed? */
    bool removed() const;

private:
    Descriptor file_, notify_;
    uint64_t at_ = 0;
};

/* The last lines of a text, without the control characters in them */
std::string printable_tail(const std::string &text, unsigned lines);

#endif
