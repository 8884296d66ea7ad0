/*
 * Tests of rate_limit.cc, with times of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rate_limit.hh"

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;

const RateLimit::Time start = RateLimit::Time(1h);

TEST(RateLimit, AtOnceAndEachSecond)
{
    RateLimit limit(3, 10);

    for (bool expected : {true, true, true, false, false}) {
        EXPECT_EQ(limit.take(start), expected);
    }
    EXPECT_FALSE(limit.take(start + 100ms - 1ns));
    EXPECT_TRUE(limit.take(start + 100ms));
    EXPECT_FALSE(limit.take(start + 100ms));
    /* After a pause it is as at the start, and not more. */
    for (bool expected : {true, true, true, false}) {
        EXPECT_EQ(limit.take(start + 1h), expected);
    }
}

TEST(RateLimit, Messages)
{
    const std::string line = "vhost-user-vsock: guest 16: why\n";
    MessageLimit limit(16);

    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(limit.lines("why", start), line);
    }
    EXPECT_EQ(limit.lines("why", start), "");
    EXPECT_EQ(limit.lines("why", start + 999ms), "");
    EXPECT_EQ(limit.lines("why", start + 1s),
              "vhost-user-vsock: guest 16: 2 messages were left out here\n"
              + line);
    EXPECT_EQ(limit.lines("why", start + 1s), "");
    EXPECT_EQ(limit.lines("why", start + 2s),
              "vhost-user-vsock: guest 16: 1 message was left out here\n"
              + line);
    EXPECT_EQ(limit.lines("why", start + 3s), line);
}

} // namespace
