/*
 * Bytes that a thread of its own makes, ahead of who reads them
 *
 * Decompressing a layer takes about as long as reading what comes out of it.
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
    /* Puts the next bytes in place of what a piece has, none at the end; is
     * called in the thread, and what it throws next() throws. */
    using Producer = std::function<void(Bytes &piece)>;

    explicit ReadAhead(Producer producer);
    ReadAhead(const ReadAhead &) = delete;
    ReadAhead &operator=(const ReadAhead &) = delete;
    /* Ends the thread, whether all was read or not. */
    ~ReadAhead();

    /* The next piece, valid until the next call; empty at the end */
    const Bytes &next();

private:
    static constexpr size_t max_ready = 4;      /* pieces */

    void run();

    Producer producer_;
    Bytes current_;
    std::mutex lock_;
    std::condition_variable changed_;
    /* all of these under the lock */
    std::deque<Bytes> ready_, used_;
    std::exception_ptr thrown_;
    bool ended_ = false, stopped_ = false;
    std::thread thread_;
};

#endif
