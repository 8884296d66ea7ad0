/*
 * A vsock packet: its header, and payload in any number of pieces
 *
 * Format: virtio 1.2, 5.10.6.  The header is 44 bytes, little-endian.  A
 * descriptor chain is a stream of bytes, so even the header may be split.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_PACKET_HH
#define VHOST_USER_VSOCK_PACKET_HH

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <sys/uio.h>

constexpr size_t packet_header_size = 44;   /* bytes */

enum class Op : uint16_t {
    request = 1,
    response = 2,
    rst = 3,
    shutdown = 4,
    rw = 5,
    credit_update = 6,
    credit_request = 7,
};

constexpr uint16_t type_stream = 1;
constexpr uint16_t type_seqpacket = 2;

constexpr uint32_t shutdown_receive = 1;    /* will receive no more */
constexpr uint32_t shutdown_send = 2;       /* will send no more */
constexpr uint32_t shutdown_both = 3;

/* Flags of RW packets of type_seqpacket */
constexpr uint32_t end_of_message = 1;
constexpr uint32_t end_of_record = 2;

struct PacketHeader {
    uint64_t src_cid = 0;
    uint64_t dst_cid = 0;
    uint32_t src_port = 0;
    uint32_t dst_port = 0;
    uint32_t len = 0;           /* bytes of payload */
    uint16_t type = type_stream;
    uint16_t op = 0;
    uint32_t flags = 0;
    uint32_t buf_alloc = 0;     /* bytes of the sender's receive buffer */
    uint32_t fwd_cnt = 0;       /* bytes that have left it, modulo 2^32 */
};

/*
 * Bytes in several pieces, or a part of them.  It only refers to the iovecs,
 * so a part of a queue element needs no memory of its own.
 */
class Iov {
public:
    Iov() = default;
    Iov(const iovec *pieces, size_t count);
    /* One piece; the iovec has to outlive this. */
    Iov(const iovec &piece) : Iov(&piece, 1) {}

    size_t size() const { return size_; }       /* bytes */

    /* At most `limit` bytes, after the first `skip` bytes */
    Iov slice(size_t skip, size_t limit = SIZE_MAX) const;

    /* Call `function` with each piece that is not empty, until it returns
     * false. */
    template <typename Function> void each(const Function &function) const
    {
        size_t skip = skip_, left = size_;

        for (size_t i = 0; left; i++) {
            size_t size = std::min(pieces_[i].iov_len - skip, left);
            auto *at = static_cast<uint8_t *>(pieces_[i].iov_base) + skip;

            if (size && !function(iovec{at, size})) {
                return;
            }
            left -= size;
            skip = 0;
        }
    }

    /* Copy from or to the beginning, of at least `size` bytes. */
    void copy_out(void *data, size_t size) const;
    void copy_in(const void *data, size_t size) const;

private:
    const iovec *pieces_ = nullptr;
    size_t skip_ = 0;           /* bytes of the first piece left out */
    size_t size_ = 0;
};

/* Pieces for one system call */
struct IovArray {
    /* One less than IOV_MAX, because a stream may add one of its own */
    static constexpr size_t most = 1023;

    /* Append up to `limit` bytes; false if there are more pieces than fit. */
    bool append(const Iov &iov, size_t limit = SIZE_MAX);

    std::span<const iovec> span() const { return {pieces, count}; }

    iovec pieces[most];         /* Only the first `count` are initialized. */
    size_t count = 0;
    size_t size = 0;            /* bytes */
};

/* A packet in the other direction of the same connection, without payload */
inline PacketHeader reply_to(const PacketHeader &h, Op op)
{
    PacketHeader reply;

    reply.src_cid = h.dst_cid;
    reply.src_port = h.dst_port;
    reply.dst_cid = h.src_cid;
    reply.dst_port = h.src_port;
    reply.type = h.type;
    reply.op = static_cast<uint16_t>(op);
    return reply;
}

/* The header at the beginning of `iov`; empty if that is too short */
std::optional<PacketHeader> read_header(const Iov &iov);

/* `iov` must have at least packet_header_size bytes. */
void write_header(const Iov &iov, const PacketHeader &header);

#endif
