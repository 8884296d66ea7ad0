/*
 * Tests of restarts.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/restarts.hh"

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;

class RestartsTest : public testing::Test {
protected:
    /* Start the program, and end it after `life`.  Returns the delay until the
     * next start, or -1 ms for never. */
    std::chrono::milliseconds run(bool works, Restarts::Clock::duration life)
    {
        restarts.started(now);
        if (works) {
            restarts.works();
        }
        now += life;
        auto next = restarts.ended(now);
        return next ? std::chrono::ceil<std::chrono::milliseconds>(*next - now)
                    : -1ms;
    }

    Restarts restarts;
    Restarts::Clock::time_point now{1h};
};

TEST_F(RestartsTest, DelayDoubles)
{
    for (auto delay : {50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms,
                       3200ms, 3200ms}) {
        EXPECT_EQ(run(true, 1s), delay);
    }
}

TEST_F(RestartsTest, LongRunStartsAnew)
{
    run(true, 0s);
    EXPECT_EQ(run(true, 10s), 50ms);
    EXPECT_EQ(run(true, 10s - 1ms), 100ms);
    EXPECT_EQ(run(true, 1h), 50ms);
}

TEST_F(RestartsTest, GivenUpAfterFailuresInARow)
{
    EXPECT_EQ(run(true, 1s), 50ms);
    for (unsigned i = 1; i < Restarts::max_failures; i++) {
        EXPECT_GT(run(false, 20s), 0ms) << i;
    }
    EXPECT_EQ(run(false, 20s), -1ms);
}

/* A program that works in between is always started again. */
TEST_F(RestartsTest, SuccessForgivesFailures)
{
    for (unsigned i = 0; i < 10 * Restarts::max_failures; i++) {
        EXPECT_GT(run(i % Restarts::max_failures == 0, 1s), 0ms) << i;
    }
}

} // namespace
