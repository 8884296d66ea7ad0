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

    TemporaryDirectory directory;
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
    ListeningSocket s = sockets.listen(endpoint(directory / "s"), SOCK_STREAM,
                                       &error);
    struct stat st = {};

    ASSERT_TRUE(s.fd) << error;
    ASSERT_EQ(lstat((directory / "s").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600U);
}

TEST_F(SocketsTest, ItsFileGoesWithIt)
{
    {
        ListeningSocket s = sockets.listen(endpoint(directory / "s"),
                                           SOCK_STREAM, &error);
        EXPECT_TRUE(exists(directory / "s"));
    }
    EXPECT_FALSE(exists(directory / "s"));
}

TEST_F(SocketsTest, AFileOfAnotherStays)
{
    {
        ListeningSocket s = sockets.listen(endpoint(directory / "s"),
                                           SOCK_STREAM, &error);
        /* Kept, so that the new file has another inode */
        rename((directory / "s").c_str(), (directory / "old").c_str());
        std::ofstream(directory / "s") << "of another";
    }
    EXPECT_TRUE(exists(directory / "s"));
}

TEST_F(SocketsTest, ADeadSocketIsReplaced)
{
    ListeningSocket dead = sockets.listen(endpoint(directory / "s"),
                                          SOCK_STREAM,
                                          &error);
    dead.fd.reset();
    ListeningSocket s = sockets.listen(endpoint(directory / "s"), SOCK_STREAM,
                                       &error);

    ASSERT_TRUE(s.fd) << error;
    EXPECT_TRUE(sockets.connect(endpoint(directory / "s"), SOCK_STREAM,
                                &attempt));
}

TEST_F(SocketsTest, ALiveOneIsNot)
{
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        std::string path = directory / std::to_string(type);
        ListeningSocket live = sockets.listen(endpoint(path), type, &error);

        ASSERT_TRUE(live.fd) << error;
        EXPECT_FALSE(sockets.listen(endpoint(path), SOCK_STREAM, &error).fd);
        EXPECT_EQ(error, path + ": another program listens on this socket;"
                  " stop it, or use another path");
        EXPECT_TRUE(sockets.connect(endpoint(path), type, &attempt));
    }
}

TEST_F(SocketsTest, AFileIsNotReplaced)
{
    std::ofstream(directory / "s") << "precious";

    EXPECT_FALSE(sockets.listen(endpoint(directory / "s"), SOCK_STREAM,
                                &error).fd);
    EXPECT_EQ(error, (directory / "s") + ": the file exists and is not a"
              " socket; remove it, or use another path");
    EXPECT_TRUE(exists(directory / "s"));
}

TEST_F(SocketsTest, NoDirectory)
{
    EXPECT_FALSE(sockets.listen(endpoint(directory / "none/s"), SOCK_STREAM,
                                &error).fd);
    EXPECT_EQ(error, (directory / "none/s") + ": No such file or directory");
}

TEST_F(SocketsTest, NobodyListens)
{
    EXPECT_FALSE(sockets.connect(endpoint(directory / "s"), SOCK_STREAM,
                                 &attempt));
    EXPECT_EQ(errno, ENOENT);
}

TEST_F(SocketsTest, AFullBacklog)
{
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Endpoint at = endpoint(directory / std::to_string(type));
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
