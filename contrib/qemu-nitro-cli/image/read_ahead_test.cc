/*
 * Tests of read_ahead.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/read_ahead.hh"

#include <atomic>
#include <gtest/gtest.h>

#include "support/errors.hh"

namespace {

TEST(ReadAhead, AllInOrder)
{
    int made = 0;
    ReadAhead pieces([&](Bytes &piece) {
        piece.assign(made < 100 ? 3 : 0, made);
        made++;
    });

    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(pieces.next(), Bytes(3, i));
    }
    EXPECT_TRUE(pieces.next().empty());
    EXPECT_TRUE(pieces.next().empty());
}

/* The reader gets the bytes before the error first. */
TEST(ReadAhead, Throws)
{
    int made = 0;
    ReadAhead pieces([&](Bytes &piece) {
        if (made++) {
            throw Error(Code::file, "what", "advice");
        }
        piece.assign(1, 1);
    });

    EXPECT_EQ(pieces.next(), Bytes(1, 1));
    EXPECT_THROW(pieces.next(), Error);
    EXPECT_THROW(pieces.next(), Error);
}

/* The thread stops at its limit, and ends without a reader. */
TEST(ReadAhead, IsBounded)
{
    std::atomic<int> made = 0;

    {
        ReadAhead pieces([&](Bytes &piece) {
            made++;
            piece.assign(1, 0);
        });
        pieces.next();
    }
    EXPECT_GE(made, 1);
    EXPECT_LE(made, 7);
}

} // namespace
