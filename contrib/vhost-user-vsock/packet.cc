/*
 * A vsock packet: its header, and payload that may be scattered
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "packet.hh"

#include <algorithm>
#include <array>
#include <cstring>

namespace {

template <typename T> void get(const uint8_t *&p, T *value)
{
    *value = 0;
    for (size_t i = 0; i < sizeof(T); i++) {
        *value |= static_cast<T>(*p++) << (8 * i);
    }
}

template <typename T> void put(uint8_t *&p, T value)
{
    for (size_t i = 0; i < sizeof(T); i++) {
        *p++ = value >> (8 * i);
    }
}

} // namespace

size_t iov_size(const Iov &iov)
{
    size_t size = 0;

    for (const iovec &v : iov) {
        size += v.iov_len;
    }
    return size;
}

Iov iov_slice(const Iov &iov, size_t skip, size_t limit)
{
    Iov out;

    for (const iovec &v : iov) {
        size_t drop = std::min(skip, v.iov_len);
        size_t take = std::min(v.iov_len - drop, limit);

        skip -= drop;
        limit -= take;
        if (take) {
            out.push_back({static_cast<uint8_t *>(v.iov_base) + drop, take});
        }
    }
    return out;
}

void iov_copy_out(const Iov &iov, void *data, size_t size)
{
    auto *p = static_cast<uint8_t *>(data);

    for (const iovec &v : iov_slice(iov, 0, size)) {
        memcpy(p, v.iov_base, v.iov_len);
        p += v.iov_len;
    }
}

void iov_copy_in(const Iov &iov, const void *data, size_t size)
{
    auto *p = static_cast<const uint8_t *>(data);

    for (const iovec &v : iov_slice(iov, 0, size)) {
        memcpy(v.iov_base, p, v.iov_len);
        p += v.iov_len;
    }
}

std::optional<PacketHeader> read_header(const Iov &iov)
{
    std::array<uint8_t, packet_header_size> raw;
    const uint8_t *p = raw.data();
    PacketHeader h;

    if (iov_size(iov) < raw.size()) {
        return {};
    }
    iov_copy_out(iov, raw.data(), raw.size());
    get(p, &h.src_cid);
    get(p, &h.dst_cid);
    get(p, &h.src_port);
    get(p, &h.dst_port);
    get(p, &h.len);
    get(p, &h.type);
    get(p, &h.op);
    get(p, &h.flags);
    get(p, &h.buf_alloc);
    get(p, &h.fwd_cnt);
    return h;
}

void write_header(const Iov &iov, const PacketHeader &h)
{
    std::array<uint8_t, packet_header_size> raw;
    uint8_t *p = raw.data();

    put(p, h.src_cid);
    put(p, h.dst_cid);
    put(p, h.src_port);
    put(p, h.dst_port);
    put(p, h.len);
    put(p, h.type);
    put(p, h.op);
    put(p, h.flags);
    put(p, h.buf_alloc);
    put(p, h.fwd_cnt);
    iov_copy_in(iov, raw.data(), raw.size());
}
