/*
 * What a stream did not take at once
 *
 * Bytes in their order, of at most a connection's credit; and for SEQPACKET
 * where each message ends.  Memory is at most four times the bytes kept, for
 * they are moved seldom and it grows by doubling, and is given back when all
 * has been written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TX_BUFFER_HH
#define VHOST_USER_VSOCK_TX_BUFFER_HH

#include <cstdint>
#include <vector>

#include "packet.hh"

class Backlog {
public:
    struct Message {
        uint32_t size : 31;         /* bytes */
        uint32_t ends_record : 1;
    };

    void append(const Iov &iov);
    /* The message that was appended last is complete. */
    void end_message(bool ends_record);

    bool empty() const { return start_ == bytes_.size(); }
    bool has_message() const { return first_ < messages_.size(); }
    /* Bytes that belong to no complete message */
    size_t open_size() const { return size() - closed_; }

    /* All that waits, or the first complete message of it */
    iovec bytes() { return {bytes_.data() + start_, size()}; }
    iovec message()
    {
        return {bytes_.data() + start_, messages_[first_].size};
    }
    bool ends_record() const { return messages_[first_].ends_record; }

    void drop(size_t bytes);
    void drop_message();

    size_t size() const { return bytes_.size() - start_; }
    size_t capacity() const { return bytes_.capacity(); }

private:
    std::vector<uint8_t> bytes_;
    size_t start_ = 0;              /* what is before it has been written */
    std::vector<Message> messages_;
    size_t first_ = 0;              /* the first that is not written */
    size_t closed_ = 0;             /* bytes in messages_ */
};

#endif
