/*
 * Tests of packet.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "packet.hh"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

/* A header as virtio 1.2, 5.10.6 lays it out */
const uint8_t wire[packet_header_size] = {
    0x04, 0, 0, 0, 0, 0, 0, 0x80,   0x03, 0, 0, 0, 0, 0, 0, 0,
    0x78, 0x56, 0x34, 0x12,         0x28, 0x23, 0, 0,
    0x05, 0, 0, 0,                  0x01, 0,        0x05, 0,
    0x03, 0, 0, 0,                  0, 0, 0x04, 0,  0xff, 0xff, 0xff, 0xff,
};

TEST(Packet, HeaderFromTheWire)
{
    const iovec iov = {const_cast<uint8_t *>(wire), sizeof(wire)};
    std::optional<PacketHeader> h = read_header(iov);

    ASSERT_TRUE(h);
    EXPECT_EQ(h->src_cid, 0x8000000000000004u);
    EXPECT_EQ(h->dst_cid, 3u);
    EXPECT_EQ(h->src_port, 0x12345678u);
    EXPECT_EQ(h->dst_port, 9000u);
    EXPECT_EQ(h->len, 5u);
    EXPECT_EQ(h->type, type_stream);
    EXPECT_EQ(h->op, static_cast<uint16_t>(Op::rw));
    EXPECT_EQ(h->flags, 3u);
    EXPECT_EQ(h->buf_alloc, 0x40000u);
    EXPECT_EQ(h->fwd_cnt, 0xffffffffu);
}

TEST(Packet, HeaderOverDescriptorsOfAnySize)
{
    for (size_t cut = 0; cut <= sizeof(wire); cut++) {
        uint8_t copy[sizeof(wire)];
        memcpy(copy, wire, sizeof(wire));
        const iovec source[] = {{copy, cut}, {nullptr, 0},
                                {copy + cut, sizeof(wire) - cut}};
        Iov iov(source, 3);
        uint8_t out[sizeof(wire)] = {};
        const iovec target[] = {{out, sizeof(wire) - cut},
                                {out + sizeof(wire) - cut, cut}};

        ASSERT_TRUE(read_header(iov));
        write_header(Iov(target, 2), *read_header(iov));
        EXPECT_EQ(memcmp(out, wire, sizeof(wire)), 0) << cut;
    }
}

TEST(Packet, ShortOneHasNoHeader)
{
    const iovec iov = {const_cast<uint8_t *>(wire), sizeof(wire) - 1};

    EXPECT_FALSE(read_header(iov));
    EXPECT_FALSE(read_header(Iov()));
}

TEST(Packet, Slices)
{
    char a[] = "abc", b[] = "defgh";
    const iovec pieces[] = {{nullptr, 0}, {a, 3}, {a, 0}, {b, 5}, {b, 0}};
    Iov iov(pieces, std::size(pieces));
    auto text = [](const Iov &v) {
        std::string s;
        v.each([&s](const iovec &e) {
            EXPECT_GT(e.iov_len, 0u);
            s.append(static_cast<char *>(e.iov_base), e.iov_len);
            return true;
        });
        EXPECT_EQ(s.size(), v.size());
        return s;
    };
    const std::string all = "abcdefgh";

    for (size_t skip = 0; skip <= 9; skip++) {
        for (size_t limit = 0; limit <= 9; limit++) {
            std::string expected = skip < 8 ? all.substr(skip, limit) : "";
            Iov part = iov.slice(skip, limit);

            EXPECT_EQ(text(part), expected);
            EXPECT_EQ(text(part.slice(1)), expected.substr(
                std::min<size_t>(1, expected.size())));
        }
    }
    EXPECT_EQ(text(iov), all);
    EXPECT_EQ(text(iov.slice(SIZE_MAX)), "");
    EXPECT_EQ(iov.size(), 8u);
    EXPECT_EQ(text(Iov()), "");
    EXPECT_EQ(text(Iov().slice(1)), "");
}

TEST(Packet, ArraysForSystemCalls)
{
    char a[] = "abc";
    std::vector<iovec> pieces(IovArray::most, {a, 1});
    IovArray all;

    EXPECT_TRUE(all.append(Iov(pieces.data(), pieces.size()), 10));
    EXPECT_EQ(all.count, 10u);
    EXPECT_EQ(all.size, 10u);
    EXPECT_FALSE(all.append(Iov(pieces.data(), pieces.size())));
    EXPECT_EQ(all.count, IovArray::most);
    EXPECT_EQ(all.size, IovArray::most);
    EXPECT_TRUE(all.append(Iov()));
    EXPECT_FALSE(all.append(pieces[0]));
    EXPECT_EQ(all.count, IovArray::most);
}

} // namespace
