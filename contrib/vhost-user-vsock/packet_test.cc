/*
 * Tests of packet.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "packet.hh"

#include <cstring>
#include <gtest/gtest.h>
#include <string>

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
    Iov iov = {{const_cast<uint8_t *>(wire), sizeof(wire)}};
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
        Iov iov = {{copy, cut}, {nullptr, 0}, {copy + cut, sizeof(wire) - cut}};
        uint8_t out[sizeof(wire)] = {};
        Iov target = {{out, sizeof(wire) - cut},
                      {out + sizeof(wire) - cut, cut}};

        ASSERT_TRUE(read_header(iov));
        write_header(target, *read_header(iov));
        EXPECT_EQ(memcmp(out, wire, sizeof(wire)), 0) << cut;
    }
}

TEST(Packet, ShortOneHasNoHeader)
{
    Iov iov = {{const_cast<uint8_t *>(wire), sizeof(wire) - 1}};

    EXPECT_FALSE(read_header(iov));
    EXPECT_FALSE(read_header({}));
}

TEST(Packet, Slices)
{
    char a[] = "abc", b[] = "defgh";
    Iov iov = {{a, 3}, {b, 5}};
    auto text = [](const Iov &v) {
        std::string s;
        for (const iovec &e : v) {
            s.append(static_cast<char *>(e.iov_base), e.iov_len);
        }
        return s;
    };

    EXPECT_EQ(text(iov_slice(iov, 0)), "abcdefgh");
    EXPECT_EQ(text(iov_slice(iov, 2, 3)), "cde");
    EXPECT_EQ(text(iov_slice(iov, 3, 1)), "d");
    EXPECT_EQ(text(iov_slice(iov, 8)), "");
    EXPECT_EQ(text(iov_slice(iov, 100)), "");
    EXPECT_EQ(iov_size(iov), 8u);
}

} // namespace
