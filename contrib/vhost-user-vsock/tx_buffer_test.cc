/*
 * Tests of tx_buffer.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "tx_buffer.hh"

#include <gtest/gtest.h>
#include <string>

namespace {

class BacklogTest : public testing::Test {
protected:
    /* Appends both, as pieces of one payload. */
    void append(std::string first, std::string second = "")
    {
        const iovec pieces[] = {{first.data(), first.size()},
                                {second.data(), second.size()}};

        backlog.append(Iov(pieces, 2));
    }
    static std::string text(iovec v)
    {
        return {static_cast<const char *>(v.iov_base), v.iov_len};
    }

    Backlog backlog;
};

TEST_F(BacklogTest, BytesInTheirOrder)
{
    EXPECT_TRUE(backlog.empty());
    append("one", " two");
    append(" three");
    EXPECT_FALSE(backlog.empty());
    EXPECT_EQ(text(backlog.bytes()), "one two three");
    backlog.drop(4);
    EXPECT_EQ(text(backlog.bytes()), "two three");
    EXPECT_EQ(backlog.size(), 9u);
    append(" four");
    backlog.drop(9);
    EXPECT_EQ(text(backlog.bytes()), " four");
    backlog.drop(5);
    EXPECT_TRUE(backlog.empty());
}

TEST_F(BacklogTest, AnEmptyPayloadIsNothing)
{
    append("");
    EXPECT_TRUE(backlog.empty());
    EXPECT_EQ(backlog.open_size(), 0u);
}

TEST_F(BacklogTest, MessagesStayApart)
{
    append("on");
    EXPECT_FALSE(backlog.has_message());
    EXPECT_EQ(backlog.open_size(), 2u);
    append("e");
    backlog.end_message(false);
    append("two");
    backlog.end_message(true);
    append("thr");

    ASSERT_TRUE(backlog.has_message());
    EXPECT_EQ(text(backlog.message()), "one");
    EXPECT_FALSE(backlog.ends_record());
    EXPECT_EQ(backlog.open_size(), 3u);
    backlog.drop_message();
    ASSERT_TRUE(backlog.has_message());
    EXPECT_EQ(text(backlog.message()), "two");
    EXPECT_TRUE(backlog.ends_record());
    backlog.drop_message();
    EXPECT_FALSE(backlog.has_message());
    EXPECT_FALSE(backlog.empty());
    append("ee");
    backlog.end_message(true);
    ASSERT_TRUE(backlog.has_message());
    EXPECT_EQ(text(backlog.message()), "three");
    backlog.drop_message();
    EXPECT_TRUE(backlog.empty());
}

TEST_F(BacklogTest, MemoryIsBoundedByWhatIsKept)
{
    constexpr size_t piece = 1000, kept = 64 * piece;

    /* A stream that takes a little at a time, and never all of it */
    for (int i = 0; i < 64; i++) {
        append(std::string(piece, 'x'));
    }
    for (int i = 0; i < 10000; i++) {
        backlog.drop(piece);
        append(std::string(piece, 'y'));
        ASSERT_EQ(backlog.size(), kept);
        ASSERT_LE(backlog.capacity(), 4 * kept) << i;
    }
    EXPECT_EQ(text(backlog.bytes()), std::string(kept, 'y'));
}

TEST_F(BacklogTest, MemoryIsGivenBack)
{
    append(std::string(100000, 'x'));
    backlog.end_message(false);
    EXPECT_GE(backlog.capacity(), 100000u);
    backlog.drop_message();
    EXPECT_EQ(backlog.capacity(), 0u);
    append("and again");
    EXPECT_EQ(text(backlog.bytes()), "and again");
}

} // namespace
