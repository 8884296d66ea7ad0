/*
 * What a stream did not take at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tx_buffer.hh"

void Backlog::append(const Iov &iov)
{
    iov.each([this](const iovec &v) {
        auto *p = static_cast<const uint8_t *>(v.iov_base);

        bytes_.insert(bytes_.end(), p, p + v.iov_len);
        return true;
    });
}

void Backlog::end_message(bool ends_record)
{
    uint32_t size = open_size();

    messages_.push_back({size, ends_record});
    closed_ += size;
}

/*
 * Forget the first `done` of all: at once if that is all, else when it is half,
 * so that each is moved once at most, for one that has gone.
 */
template <typename T> static void forget(std::vector<T> *all, size_t *done)
{
    if (*done == all->size()) {
        std::vector<T>().swap(*all);
        *done = 0;
    } else if (*done >= all->size() - *done) {
        all->erase(all->begin(), all->begin() + *done);
        *done = 0;
    }
}

void Backlog::drop(size_t bytes)
{
    start_ += bytes;
    forget(&bytes_, &start_);
}

void Backlog::drop_message()
{
    size_t size = messages_[first_++].size;

    forget(&messages_, &first_);
    closed_ -= size;
    drop(size);
}
