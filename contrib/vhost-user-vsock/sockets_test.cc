/*
 * Tests of sockets.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sockets.hh"
#include "testing/temporary_directory.hh"

#include <cerrno>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace {

class SocketsTest : public testing::Test {
protected:
    Endpoint endpoint(const std::string &path)
    {
        auto at = unix_endpoint(path, &error);

        EXPECT_TRUE(at) << error;
        return at.value_or(Endpoint());
    }
    bool exists(const std::string &path)
    {
        struct stat st;

        return lstat(path.c_str(), &st) == 0;
    }

    TemporaryFolder folder;
    Sockets sockets;
    std::string error;
    Attempt attempt = Attempt::failed;
};

TEST_F(SocketsTest, PathsThatFit)
{
    constexpr size_t most = sizeof(sockaddr_un::sun_path) - 1;

    EXPECT_TRUE(unix_endpoint(std::string(most, 'a'), &error));
    EXPECT_FALSE(unix_endpoint(std::string(most + 1, 'a'), &error));
    EXPECT_NE(error.find("107 bytes, not 108"), std::string::npos) << error;
    EXPECT_FALSE(unix_endpoint("", &error));
    EXPECT_FALSE(unix_endpoint(std::string("a\0b", 3), &error));
}

TEST_F(SocketsTest, OnlyItsUserMayConnect)
{
    ListeningSocket s = sockets.listen(endpoint(folder / "s"), SOCK_STREAM,
                                       &error);
    struct stat st = {};

    ASSERT_TRUE(s.fd) << error;
    ASSERT_EQ(lstat((folder / "s").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600U);
}

TEST_F(SocketsTest, ItsFileGoesWithIt)
{
    {
        ListeningSocket s = sockets.listen(endpoint(folder / "s"),
                                           SOCK_STREAM, &error);
        EXPECT_TRUE(exists(folder / "s"));
    }
    EXPECT_FALSE(exists(folder / "s"));
}

TEST_F(SocketsTest, AFileOfAnotherStays)
{
    {
        ListeningSocket s = sockets.listen(endpoint(folder / "s"),
                                           SOCK_STREAM, &error);
        /* Kept, so that the new file has another inode */
        rename((folder / "s").c_str(), (folder / "old").c_str());
        std::ofstream(folder / "s") << "of another";
    }
    EXPECT_TRUE(exists(folder / "s"));
}

TEST_F(SocketsTest, ADeadSocketIsReplaced)
{
    ListeningSocket dead = sockets.listen(endpoint(folder / "s"), SOCK_STREAM,
                                          &error);
    dead.fd.reset();
    ListeningSocket s = sockets.listen(endpoint(folder / "s"), SOCK_STREAM,
                                       &error);

    ASSERT_TRUE(s.fd) << error;
    EXPECT_TRUE(sockets.connect(endpoint(folder / "s"), SOCK_STREAM,
                                &attempt));
}

TEST_F(SocketsTest, ALiveOneIsNot)
{
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        std::string path = folder / std::to_string(type);
        ListeningSocket live = sockets.listen(endpoint(path), type, &error);

        ASSERT_TRUE(live.fd) << error;
        EXPECT_FALSE(sockets.listen(endpoint(path), SOCK_STREAM, &error).fd);
        EXPECT_EQ(error, path + ": another program listens here");
        EXPECT_TRUE(sockets.connect(endpoint(path), type, &attempt));
    }
}

TEST_F(SocketsTest, AFileIsNotReplaced)
{
    std::ofstream(folder / "s") << "precious";

    EXPECT_FALSE(sockets.listen(endpoint(folder / "s"), SOCK_STREAM,
                                &error).fd);
    EXPECT_EQ(error, (folder / "s") + ": exists, and is no socket");
    EXPECT_TRUE(exists(folder / "s"));
}

TEST_F(SocketsTest, NoFolder)
{
    EXPECT_FALSE(sockets.listen(endpoint(folder / "none/s"), SOCK_STREAM,
                                &error).fd);
    EXPECT_EQ(error, (folder / "none/s") + ": No such file or directory");
}

TEST_F(SocketsTest, NobodyListens)
{
    EXPECT_FALSE(sockets.connect(endpoint(folder / "s"), SOCK_STREAM,
                                 &attempt));
    EXPECT_EQ(errno, ENOENT);
}

TEST_F(SocketsTest, AFullBacklog)
{
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Endpoint at = endpoint(folder / std::to_string(type));
        ListeningSocket s = sockets.listen(at, type, &error);

        ASSERT_EQ(listen(s.fd.get(), 0), 0);
        Descriptor first = sockets.connect(at, type, &attempt);
        EXPECT_EQ(attempt, Attempt::connected);
        Descriptor second = sockets.connect(at, type, &attempt);
        ASSERT_TRUE(second);
        EXPECT_EQ(attempt, Attempt::backlog_full);
        EXPECT_EQ(sockets.connect_again(second.get(), at),
                  Attempt::backlog_full);

        EXPECT_TRUE(Descriptor(accept(s.fd.get(), nullptr, nullptr)));
        EXPECT_EQ(sockets.connect_again(second.get(), at),
                  Attempt::connected);
        Descriptor third = sockets.connect(at, type, &attempt);
        EXPECT_EQ(attempt, Attempt::backlog_full);
        s.fd.reset();
        EXPECT_EQ(sockets.connect_again(third.get(), at), Attempt::failed);
    }
}

TEST_F(SocketsTest, TcpAddresses)
{
    auto local = tcp_endpoint("", 80, &error);
    auto six = tcp_endpoint("[::1]", 80, &error);

    ASSERT_TRUE(local && six) << error;
    EXPECT_EQ(local->family(), AF_INET);
    EXPECT_EQ(local->text, "tcp:127.0.0.1:80");
    EXPECT_EQ(six->family(), AF_INET6);
    EXPECT_FALSE(tcp_endpoint("256.0.0.1.invalid", 80, &error));
}

} // namespace
