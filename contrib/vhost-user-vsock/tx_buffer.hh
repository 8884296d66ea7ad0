/*
 * Data from the guest that is not written to the stream yet
 *
 * For SEQPACKET, it also keeps where each message ends.  The guest's credit
 * bounds the number of bytes.  The memory is at most four times that: it grows
 * by doubling, and written bytes are removed only when they are half of all.
 * It is freed when all bytes have been written.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TX_BUFFER_HH
#define VHOST_USER_VSOCK_TX_BUFFER_HH

#include <cstdint>
#include <vector>

#include "packet.hh"

class TxBuffer {
public:
    struct Message {
        uint32_t size : 31;         /* bytes */
        uint32_t ends_record : 1;
    };

    void append(const Iov &iov);
    /* The last appended data ends a message. */
    void end_message(bool ends_record);

    bool empty() const { return start_ == bytes_.size(); }
    bool has_message() const { return first_ < messages_.size(); }
    /* Bytes of the message that is not complete yet */
    size_t open_size() const { return size() - complete_size_; }

    /* All bytes, or the first complete message */
    iovec bytes() { return {bytes_.data() + start_, size()}; }
    iovec message()
    {
        return {bytes_.data() + start_, messages_[first_].size};
    }
    bool ends_record() const { return messages_[first_].ends_record; }

    void drop(size_t bytes);
    void drop_message();

    size_t size() const { return bytes_.size() - start_; }
    /* Its memory, in bytes */
    size_t capacity() const
    {
        return bytes_.capacity() + messages_.capacity() * sizeof(Message);
    }

private:
    std::vector<uint8_t> bytes_;
    size_t start_ = 0;              /* the first byte not written yet */
    std::vector<Message> messages_;
    size_t first_ = 0;              /* the first message not written yet */
    size_t complete_size_ = 0;      /* bytes of complete messages */
};

#endif
