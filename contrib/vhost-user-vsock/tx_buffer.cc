/*
 * Data from the guest that is not written to the stream yet
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tx_buffer.hh"

void TxBuffer::append(const Iov &iov)
{
    iov.each([this](const iovec &v) {
        auto *p = static_cast<const uint8_t *>(v.iov_base);

        bytes_.insert(bytes_.end(), p, p + v.iov_len);
        return true;
    });
}

void TxBuffer::end_message(bool ends_record)
{
    uint32_t size = open_size();

    messages_.push_back({size, ends_record});
    complete_size_ += size;
}

/*
 * Remove the first `done` elements when they are half of all or more.  So for
 * each element that is moved, one has been removed.
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

void TxBuffer::drop(size_t bytes)
{
    start_ += bytes;
    forget(&bytes_, &start_);
}

void TxBuffer::drop_message()
{
    size_t size = messages_[first_++].size;

    forget(&messages_, &first_);
    complete_size_ -= size;
    drop(size);
}
