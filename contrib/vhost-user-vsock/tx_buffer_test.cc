/*
 * Tests of tx_buffer.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tx_buffer.hh"

#include <gtest/gtest.h>
#include <string>

namespace {

class TxBufferTest : public testing::Test {
protected:
    /* Appends both, as pieces of one payload. */
    void append(std::string first, std::string second = "")
    {
        const iovec pieces[] = {{first.data(), first.size()},
                                {second.data(), second.size()}};

        buffer.append(Iov(pieces, 2));
    }
    static std::string text(iovec v)
    {
        return {static_cast<const char *>(v.iov_base), v.iov_len};
    }

    TxBuffer buffer;
};

TEST_F(TxBufferTest, BytesInTheirOrder)
{
    EXPECT_TRUE(buffer.empty());
    append("one", " two");
    append(" three");
    EXPECT_FALSE(buffer.empty());
    EXPECT_EQ(text(buffer.bytes()), "one two three");
    buffer.drop(4);
    EXPECT_EQ(text(buffer.bytes()), "two three");
    EXPECT_EQ(buffer.size(), 9u);
    append(" four");
    buffer.drop(9);
    EXPECT_EQ(text(buffer.bytes()), " four");
    buffer.drop(5);
    EXPECT_TRUE(buffer.empty());
}

TEST_F(TxBufferTest, AnEmptyPayloadIsNothing)
{
    append("");
    EXPECT_TRUE(buffer.empty());
    EXPECT_EQ(buffer.open_size(), 0u);
}

TEST_F(TxBufferTest, MessagesStayApart)
{
    append("on");
    EXPECT_FALSE(buffer.has_message());
    EXPECT_EQ(buffer.open_size(), 2u);
    append("e");
    buffer.end_message(false);
    append("two");
    buffer.end_message(true);
    append("thr");

    ASSERT_TRUE(buffer.has_message());
    EXPECT_EQ(text(buffer.message()), "one");
    EXPECT_FALSE(buffer.ends_record());
    EXPECT_EQ(buffer.open_size(), 3u);
    buffer.drop_message();
    ASSERT_TRUE(buffer.has_message());
    EXPECT_EQ(text(buffer.message()), "two");
    EXPECT_TRUE(buffer.ends_record());
    buffer.drop_message();
    EXPECT_FALSE(buffer.has_message());
    EXPECT_FALSE(buffer.empty());
    append("ee");
    buffer.end_message(true);
    ASSERT_TRUE(buffer.has_message());
    EXPECT_EQ(text(buffer.message()), "three");
    buffer.drop_message();
    EXPECT_TRUE(buffer.empty());
}

TEST_F(TxBufferTest, MemoryIsBoundedByWhatIsKept)
{
    constexpr size_t piece = 1000, kept = 64 * piece;

    /* A stream that takes a little at a time, and never all of it */
    for (int i = 0; i < 64; i++) {
        append(std::string(piece, 'x'));
    }
    for (int i = 0; i < 10000; i++) {
        buffer.drop(piece);
        append(std::string(piece, 'y'));
        ASSERT_EQ(buffer.size(), kept);
        ASSERT_LE(buffer.capacity(), 4 * kept) << i;
    }
    EXPECT_EQ(text(buffer.bytes()), std::string(kept, 'y'));
}

TEST_F(TxBufferTest, MemoryIsGivenBack)
{
    append(std::string(100000, 'x'));
    buffer.end_message(false);
    EXPECT_GE(buffer.capacity(), 100000u);
    buffer.drop_message();
    EXPECT_EQ(buffer.capacity(), 0u);
    append("and again");
    EXPECT_EQ(text(buffer.bytes()), "and again");
}

} // namespace
