/*
 * A thread that produces bytes ahead of their reader
 *
 * Decompressing a layer takes about as long as processing the result, so both
 * run at the same time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_READ_AHEAD_HH
#define QEMU_NITRO_CLI_IMAGE_READ_AHEAD_HH

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "support/bytes.hh"

class ReadAhead {
public:
    /* Replaces a piece by the next bytes; none at the end.  Runs in the thread.
     * If it throws, next() throws the same exception. */
    using Producer = std::function<void(Bytes &piece)>;

    explicit ReadAhead(Producer producer);
    ReadAhead(const ReadAhead &) = delete;
    ReadAhead &operator=(const ReadAhead &) = delete;
    /* Ends the thread, even if not all was read. */
    ~ReadAhead();

    /* The next piece, empty at the end, in exchange for one that is not
     * needed any more, if any: its memory is used again. */
    Bytes next(Bytes used = {});

private:
    static constexpr size_t max_ready = 4;      /* pieces */

    void run();

    Producer producer_;
    std::mutex lock_;
    std::condition_variable changed_;
    /* the lock protects all of these */
    std::deque<Bytes> ready_, used_;
    std::exception_ptr thrown_;
    bool ended_ = false, stopped_ = false;
    std::thread thread_;
};

#endif
