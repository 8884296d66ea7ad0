/*
 * Tests of file descriptors that close themselves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "descriptor.hh"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace {

bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

Descriptor open_one()
{
    return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

} // namespace

TEST(Descriptor, IsClosedAtItsEnd)
{
    int fd;
    {
        Descriptor d = open_one();

        ASSERT_TRUE(d);
        fd = d.get();
        EXPECT_TRUE(is_open(fd));
    }
    EXPECT_FALSE(is_open(fd));
}

TEST(Descriptor, None)
{
    Descriptor none;

    EXPECT_FALSE(none);
    EXPECT_EQ(none.get(), -1);
    EXPECT_EQ(none.release(), -1);
}

TEST(Descriptor, ZeroIsOne)
{
    Descriptor zero(0);

    EXPECT_TRUE(zero);
    EXPECT_EQ(zero.release(), 0);
}

TEST(Descriptor, AMoveLeavesNone)
{
    Descriptor from = open_one();
    int fd = from.get();
    Descriptor to(std::move(from));

    EXPECT_FALSE(from);                 // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(to.get(), fd);
    EXPECT_TRUE(is_open(fd));
}

TEST(Descriptor, AnAssignmentClosesTheOldOneAtOnce)
{
    Descriptor to = open_one(), from = open_one();
    int old = to.get(), fd = from.get();

    to = std::move(from);
    EXPECT_FALSE(is_open(old));
    EXPECT_FALSE(from);                 // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(to.get(), fd);
    EXPECT_TRUE(is_open(fd));
}

TEST(Descriptor, AnAssignmentToItselfKeepsIt)
{
    Descriptor d = open_one(), &same = d;
    int fd = d.get();

    d = std::move(same);
    EXPECT_EQ(d.get(), fd);
    EXPECT_TRUE(is_open(fd));
}

TEST(Descriptor, ReleaseDoesNotClose)
{
    Descriptor d = open_one();
    int fd = d.release();

    EXPECT_FALSE(d);
    EXPECT_TRUE(is_open(fd));
    d.reset(fd);
    EXPECT_EQ(d.get(), fd);
    d.reset();
    EXPECT_FALSE(d);
    EXPECT_FALSE(is_open(fd));
}
