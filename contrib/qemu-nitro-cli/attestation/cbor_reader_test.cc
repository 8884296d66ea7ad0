/*
 * Tests of cbor_reader.cc, with examples of RFC 8949, appendices A and F
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/cbor_reader.hh"

#include <gtest/gtest.h>

namespace {

using Kind = CborItem::Kind;

CborItem read(const Bytes &bytes)
{
    return read_cbor(bytes);
}

TEST(CborReader, Integers)
{
    EXPECT_EQ(read({0x17}).number, 23u);
    EXPECT_EQ(read({0x18, 0x64}).number, 100u);
    EXPECT_EQ(read({0x19, 0x03, 0xe8}).number, 1000u);
    EXPECT_EQ(read({0x1a, 0x00, 0x0f, 0x42, 0x40}).number, 1000000u);
    EXPECT_EQ(read({0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
              .number, UINT64_MAX);
    CborItem negative = read({0x38, 0x22});
    EXPECT_EQ(negative.kind, Kind::negative_integer);
    EXPECT_EQ(negative.number, 34u);
    EXPECT_EQ(read({0x39, 0x03, 0xe7}).number, 999u);
}

TEST(CborReader, Strings)
{
    CborItem bytes = read({0x44, 1, 2, 3, 4}), text = read({0x62, 'a', 'b'});

    EXPECT_EQ(bytes.kind, Kind::bytes);
    EXPECT_EQ(bytes.data, (Bytes{1, 2, 3, 4}));
    EXPECT_EQ(text.kind, Kind::text);
    EXPECT_EQ(text.data, (Bytes{'a', 'b'}));
    EXPECT_EQ(read({0x5f, 0x42, 1, 2, 0x40, 0x41, 3, 0xff}).data,
              (Bytes{1, 2, 3}));
    EXPECT_EQ(read({0x7f, 0x61, 'a', 0xff}).data, (Bytes{'a'}));
}

TEST(CborReader, Nested)
{
    for (const Bytes &bytes : {Bytes{0xa1, 0x61, 'a', 0x82, 1, 0xf6},
                               Bytes{0xbf, 0x61, 'a', 0x9f, 1, 0xf6, 0xff,
                                     0xff}}) {
        CborItem map = read(bytes);

        EXPECT_EQ(map.kind, Kind::map);
        ASSERT_EQ(map.items.size(), 2u);
        EXPECT_EQ(map.items[0].data, (Bytes{'a'}));
        EXPECT_EQ(map.items[1].kind, Kind::array);
        ASSERT_EQ(map.items[1].items.size(), 2u);
        EXPECT_EQ(map.items[1].items[0].number, 1u);
        EXPECT_EQ(map.items[1].items[1].kind, Kind::null);
    }
}

TEST(CborReader, TagsOfEveryWidth)
{
    for (const Bytes &bytes : {Bytes{0xd2, 7}, Bytes{0xd8, 18, 7},
                               Bytes{0xd9, 0, 18, 7}}) {
        CborItem tag = read(bytes);

        EXPECT_EQ(tag.kind, Kind::tag);
        EXPECT_EQ(tag.number, 18u);
        ASSERT_EQ(tag.items.size(), 1u);
        EXPECT_EQ(tag.items[0].number, 7u);
    }
}

TEST(CborReader, OtherItems)
{
    for (const Bytes &bytes : {Bytes{0xf4}, Bytes{0xf5}, Bytes{0xf7},
                               Bytes{0xf0}, Bytes{0xf8, 0xff},
                               Bytes{0xf9, 0x3c, 0}}) {
        EXPECT_EQ(read(bytes).kind, Kind::other);
    }
}

TEST(CborReader, NotWellFormed)
{
    const Bytes bad[] = {
        {}, {0x18}, {0x1b, 1, 2, 3}, {0x61}, {0x42, 0}, {0x5f}, {0x9f},
        {0x9f, 1}, {0xbf, 1, 0xff}, {0xa1, 1}, {0x81, 0xff}, {0xa1, 0xff, 1},
        {0xd2}, {0xd2, 0xff}, {0xff}, {0x1c}, {0xfc}, {0xf8}, {0xf8, 31},
        {0x5f, 0x61, 'a', 0xff}, {0x5f, 0x5f, 0xff, 0xff}, {0x5f, 1, 0xff},
        {0x1f}, {0xdf, 1}, {1, 1}, {0x80, 0x80},
    };

    for (const Bytes &bytes : bad) {
        EXPECT_THROW(read(bytes), CborError)
            << testing::PrintToString(bytes);
    }
}

TEST(CborReader, ClaimedSizesCostNothing)
{
    for (uint8_t kind : {0x5b, 0x7b, 0x9b, 0xbb}) {
        EXPECT_THROW(read({kind, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                           0xff, 0}), CborError);
        EXPECT_THROW(read({kind, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0}),
                     CborError);
    }
}

/* At the limit, one beyond it, and far beyond */
TEST(CborReader, Depth)
{
    for (uint8_t head : {0x81, 0x9f, 0xd2}) {
        Bytes bytes(cbor_depth_max, head);

        bytes.push_back(0);
        if (head == 0x9f) {
            bytes.insert(bytes.end(), cbor_depth_max, 0xff);
        }
        EXPECT_NO_THROW(read(bytes)) << unsigned{head};
        bytes.insert(bytes.begin(), head);
        if (head == 0x9f) {
            bytes.push_back(0xff);
        }
        EXPECT_THROW(read(bytes), CborError) << unsigned{head};
        EXPECT_THROW(read(Bytes(1 << 20, head)), CborError);
    }
}

} // namespace
