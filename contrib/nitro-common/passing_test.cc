/*
 * Tests of descriptors that are passed over a Unix socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "passing.hh"

#include <array>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

namespace {

class PassingTest : public testing::Test {
protected:
    PassingTest()
    {
        int fds[2] = {-1, -1};

        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        a.reset(fds[0]);
        b.reset(fds[1]);
    }
    static ptrdiff_t open_descriptors()
    {
        using Files = std::filesystem::directory_iterator;

        return std::distance(Files("/proc/self/fd"), Files());
    }
    std::string receive(Descriptor *passed, int flags = MSG_DONTWAIT)
    {
        char text[16];
        ssize_t n = receive_with_descriptor(b.get(), text, sizeof(text), flags,
                                            passed);

        return n < 0 ? "failed" : std::string(text, n);
    }

    Descriptor a, b;
    Descriptor null{open("/dev/null", O_RDONLY | O_CLOEXEC)};
    Descriptor passed;
};

} // namespace

TEST_F(PassingTest, One)
{
    EXPECT_EQ(send_with_descriptors(a.get(), "one", 3, {{null.get()}}), 3);
    EXPECT_EQ(receive(&passed), "one");
    ASSERT_TRUE(passed);
    EXPECT_NE(passed.get(), null.get());
    EXPECT_EQ(fcntl(passed.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(PassingTest, None)
{
    EXPECT_EQ(send_with_descriptors(a.get(), "none", 4, {}), 4);
    EXPECT_EQ(receive(&passed), "none");
    EXPECT_FALSE(passed);
}

TEST_F(PassingTest, NoMoreThanOneIsTaken)
{
    for (size_t count = 2; count < 8; count++) {
        std::vector<int> many(count, null.get());
        ptrdiff_t before = open_descriptors();

        EXPECT_EQ(send_with_descriptors(a.get(), "x", 1, many), 1);
        EXPECT_EQ(receive(&passed), "x");
        EXPECT_EQ(open_descriptors(), before + 1) << count;
        EXPECT_TRUE(passed);
        passed.reset();
        EXPECT_EQ(open_descriptors(), before) << count;
    }
}

TEST_F(PassingTest, Failures)
{
    EXPECT_EQ(receive(&passed), "failed");      /* nothing was received */
    EXPECT_EQ(errno, EAGAIN);
    a.reset();
    EXPECT_EQ(receive(&passed), "");
    EXPECT_EQ(send_with_descriptors(b.get(), "x", 1, {{null.get()}}), -1);
    EXPECT_EQ(errno, EPIPE);
}
