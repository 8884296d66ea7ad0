/*
 * A thread that produces bytes ahead of their reader
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/read_ahead.hh"

#include "support/threads.hh"

ReadAhead::ReadAhead(Producer producer)
    : producer_(std::move(producer)),
      thread_(start_thread(&ReadAhead::run, this)) {}

ReadAhead::~ReadAhead()
{
    {
        std::lock_guard guard(lock_);
        stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void ReadAhead::run()
{
    std::unique_lock guard(lock_);

    while (!ended_) {
        changed_.wait(guard, [this] {
            return stopped_ || ready_.size() < max_ready;
        });
        if (stopped_) {
            return;
        }
        Bytes piece;
        if (!used_.empty()) {
            piece = std::move(used_.back());
            used_.pop_back();
        }
        guard.unlock();
        std::exception_ptr thrown;
        try {
            producer_(piece);
        } catch (...) {
            thrown = std::current_exception();
        }
        guard.lock();
        thrown_ = thrown;
        ended_ = thrown || piece.empty();
        if (!ended_) {
            ready_.push_back(std::move(piece));
        }
        changed_.notify_all();
    }
}

Bytes ReadAhead::next(Bytes used)
{
    std::unique_lock guard(lock_);
    Bytes piece;

    if (used.capacity()) {
        used_.push_back(std::move(used));
    }
    changed_.wait(guard, [this] { return ended_ || !ready_.empty(); });
    if (!ready_.empty()) {
        piece = std::move(ready_.front());
        ready_.pop_front();
        changed_.notify_all();
    } else if (thrown_) {
        std::rethrow_exception(thrown_);
    }
    return piece;
}
