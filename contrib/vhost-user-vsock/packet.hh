/*
 * A vsock packet: its header, and payload that may be scattered
 *
 * Format: virtio 1.2, 5.10.6.  The header is 44 bytes, little-endian; a chain
 * of descriptors is a stream of bytes, so that the header may be split.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_PACKET_HH
#define VHOST_USER_VSOCK_PACKET_HH

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sys/uio.h>
#include <vector>

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
    uint32_t fwd_cnt = 0;       /* bytes that left it, modulo 2^32 */
};

using Iov = std::vector<iovec>;

/* The bytes in all of `iov` */
size_t iov_size(const Iov &iov);

/* `iov` without its first `skip` bytes, and at most `limit` bytes of that */
Iov iov_slice(const Iov &iov, size_t skip, size_t limit = SIZE_MAX);

/* Copy from or to the beginning of `iov`, which has at least `size` bytes. */
void iov_copy_out(const Iov &iov, void *data, size_t size);
void iov_copy_in(const Iov &iov, const void *data, size_t size);

/* The header at the beginning of `iov`; nothing if that is too short. */
std::optional<PacketHeader> read_header(const Iov &iov);

/* `iov` has at least packet_header_size bytes. */
void write_header(const Iov &iov, const PacketHeader &header);

#endif
