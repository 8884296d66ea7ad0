/*
 * A vsock packet: its header, and payload in any number of pieces
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

Iov::Iov(const iovec *pieces, size_t count) : pieces_(pieces)
{
    for (size_t i = 0; i < count; i++) {
        size_ += pieces[i].iov_len;
    }
}

Iov Iov::slice(size_t skip, size_t limit) const
{
    Iov part;

    if (skip < size_) {
        part = *this;
        part.size_ = std::min(size_ - skip, limit);
        for (part.skip_ += skip; part.skip_ >= part.pieces_->iov_len;) {
            part.skip_ -= part.pieces_++->iov_len;
        }
    }
    return part;
}

void Iov::copy_out(void *data, size_t size) const
{
    auto *p = static_cast<uint8_t *>(data);

    slice(0, size).each([&p](const iovec &v) {
        memcpy(p, v.iov_base, v.iov_len);
        p += v.iov_len;
        return true;
    });
}

void Iov::copy_in(const void *data, size_t size) const
{
    auto *p = static_cast<const uint8_t *>(data);

    slice(0, size).each([&p](const iovec &v) {
        memcpy(v.iov_base, p, v.iov_len);
        p += v.iov_len;
        return true;
    });
}

bool IovArray::append(const Iov &iov, size_t limit)
{
    bool fits = true;

    iov.slice(0, limit).each([this, &fits](const iovec &v) {
        fits = count < most;
        if (fits) {
            pieces[count++] = v;
            size += v.iov_len;
        }
        return fits;
    });
    return fits;
}

std::optional<PacketHeader> read_header(const Iov &iov)
{
    std::array<uint8_t, packet_header_size> raw;
    const uint8_t *p = raw.data();
    PacketHeader h;

    if (iov.size() < raw.size()) {
        return {};
    }
    iov.copy_out(raw.data(), raw.size());
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
    iov.copy_in(raw.data(), raw.size());
}
