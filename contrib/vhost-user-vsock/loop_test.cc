/*
 * Tests of loop.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "loop.hh"

#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <thread>

#include "testing/temporary_directory.hh"

namespace {

using std::chrono::milliseconds;

constexpr int max_wait = 30000;     /* ms; enough for a slow machine */

struct Pipe {
    Pipe()
    {
        std::array<int, 2> ends;

        EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
        out = Descriptor(ends[0]);
        in = Descriptor(ends[1]);
    }
    void fill() { EXPECT_EQ(write(in.get(), "x", 1), 1); }

    Descriptor out, in;
};

class LoopTest : public testing::Test {
protected:
    /* Watch the end of a pipe, and count its events. */
    void count(const Pipe &pipe, int *counter, uint32_t events = EPOLLIN)
    {
        EXPECT_TRUE(loop.watch(pipe.out.get(), events,
                               [counter](uint32_t) { ++*counter; }));
    }

    Loop loop;
    Pipe a, b;
    int called_a = 0, called_b = 0;
};

TEST_F(LoopTest, CallsForWhatHasHappenedAlone)
{
    count(a, &called_a);
    count(b, &called_b);
    loop.run_once(0);
    EXPECT_EQ(called_a + called_b, 0);
    b.fill();
    loop.run_once(max_wait);
    EXPECT_EQ(called_a, 0);
    EXPECT_EQ(called_b, 1);
}

TEST_F(LoopTest, PassesTheEvents)
{
    uint32_t seen = 0;

    EXPECT_TRUE(loop.watch(a.out.get(), EPOLLIN,
                           [&seen](uint32_t events) { seen = events; }));
    a.in.reset();
    loop.run_once(max_wait);
    EXPECT_TRUE(seen & EPOLLHUP);
}

TEST_F(LoopTest, OtherEventsCanBeWaitedFor)
{
    count(a, &called_a, 0);
    a.fill();
    loop.run_once(0);
    EXPECT_EQ(called_a, 0);
    loop.change(a.out.get(), EPOLLIN);
    loop.run_once(max_wait);
    EXPECT_EQ(called_a, 1);
    /* A descriptor that is not watched is ignored. */
    loop.change(b.out.get(), EPOLLIN);
    loop.change(9999, EPOLLIN);
}

TEST_F(LoopTest, WhatIsForgottenIsNotCalled)
{
    count(a, &called_a);
    a.fill();
    loop.forget(a.out.get());
    loop.forget(b.out.get());
    loop.forget(9999);
    loop.run_once(0);
    EXPECT_EQ(called_a, 0);
    count(a, &called_a);    /* again */
    loop.run_once(max_wait);
    EXPECT_EQ(called_a, 1);
}

/* Both are readable; the first callback forgets and closes the other. */
TEST_F(LoopTest, ForgettingWhatEpollHasToldOf)
{
    int calls = 0;

    for (auto [mine, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
        EXPECT_TRUE(loop.watch(mine->out.get(), EPOLLIN,
                               [&calls, other, this](uint32_t) {
                                   calls++;
                                   loop.forget(other->out.get());
                                   other->out.reset();
                               }));
        mine->fill();
    }
    loop.run_once(max_wait);
    EXPECT_EQ(calls, 1);
}

/* A running callback is not freed until it returns. */
TEST_F(LoopTest, ACallbackMayForgetItself)
{
    std::string owned = "a string that is longer than what fits in place";
    std::string seen;
    int fd = a.out.get();

    EXPECT_TRUE(loop.watch(fd, EPOLLIN, [&seen, owned, fd, this](uint32_t) {
        loop.forget(fd);
        seen = owned;
    }));
    a.fill();
    loop.run_once(max_wait);
    EXPECT_EQ(seen, owned);
    seen.clear();
    loop.run_once(0);
    EXPECT_EQ(seen, "");
}

/* A descriptor that is closed and opened again in one round is a new one. */
TEST_F(LoopTest, ACallbackMayWatchWhatItForgot)
{
    int again = 0, fd = a.out.get();

    EXPECT_TRUE(loop.watch(fd, EPOLLIN, [&again, fd, this](uint32_t) {
        loop.forget(fd);
        EXPECT_TRUE(loop.watch(fd, EPOLLIN, [&again](uint32_t) { again++; }));
    }));
    a.fill();
    loop.run_once(max_wait);
    EXPECT_EQ(again, 0);
    loop.run_once(max_wait);
    EXPECT_EQ(again, 1);
}

TEST_F(LoopTest, WhatCannotBeWatched)
{
    TemporaryDirectory directory;
    Descriptor file(open((directory / "file").c_str(), O_RDWR | O_CREAT, 0600));

    EXPECT_FALSE(loop.watch(file.get(), EPOLLIN, [](uint32_t) {}));
    EXPECT_EQ(errno, EPERM);
    EXPECT_FALSE(loop.watch(-1, EPOLLIN, [](uint32_t) {}));
    count(a, &called_a);
    EXPECT_FALSE(loop.watch(a.out.get(), EPOLLIN, [](uint32_t) {}));
    a.fill();               /* the first one is still there */
    loop.run_once(max_wait);
    EXPECT_EQ(called_a, 1);
}

TEST_F(LoopTest, TasksInTheOrderOfTheirTimes)
{
    std::string order;

    loop.after(milliseconds(3), [&order] { order += "c"; });
    loop.after(milliseconds(1), [&order] { order += "a"; });
    loop.after(milliseconds(2), [&order] { order += "b"; });
    while (order.size() < 3) {
        loop.run_once(-1);
    }
    EXPECT_EQ(order, "abc");
    loop.run_once(0);
    EXPECT_EQ(order, "abc");    /* each once */
}

TEST_F(LoopTest, ATaskIsNotEarly)
{
    constexpr milliseconds delay(20);
    auto start = Clock::now();
    bool ran = false;

    loop.after(delay, [&ran] { ran = true; });
    while (!ran) {
        loop.run_once(-1);
    }
    EXPECT_GE(Clock::now() - start, delay);
}

TEST_F(LoopTest, ATaskMayAskForAnother)
{
    bool ran = false;

    loop.after(milliseconds(0), [&ran, this] {
        loop.after(milliseconds(0), [&ran] { ran = true; });
    });
    while (!ran) {
        loop.run_once(-1);
    }
}

/* A loop that waits for ever is woken by another thread's task. */
TEST_F(LoopTest, PostsOfOtherThreads)
{
    constexpr int each = 1000, threads = 4;
    std::vector<std::thread> others;
    auto mine = std::this_thread::get_id();
    int ran = 0;

    for (int i = 0; i < threads; i++) {
        others.emplace_back([&ran, mine, this] {
            for (int j = 0; j < each; j++) {
                loop.post([&ran, mine] {
                    EXPECT_EQ(std::this_thread::get_id(), mine);
                    ran++;
                });
            }
        });
    }
    while (ran < each * threads) {
        loop.run_once(-1);
    }
    for (std::thread &other : others) {
        other.join();
    }
    EXPECT_EQ(ran, each * threads);
}

} // namespace
