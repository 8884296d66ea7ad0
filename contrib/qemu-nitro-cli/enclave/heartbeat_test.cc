/*
 * Tests of heartbeat.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/heartbeat.hh"

#include "support/test_support.hh"
#include "support/unix_socket.hh"

#include <algorithm>

namespace {

class HeartbeatTest : public DirectoryTest {
protected:
    HeartbeatTest() : heartbeat(path("vsock.sock_9000")) {}

    /* A connection of the guest, after it has sent `text` */
    Descriptor guest(const std::string &text)
    {
        Descriptor fd = connect_unix(path("vsock.sock_9000"));

        EXPECT_TRUE(fd);
        heartbeat.accept();
        EXPECT_TRUE(heartbeat.connection());
        EXPECT_EQ(::write(fd.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
        heartbeat.read_byte();
        return fd;
    }
    /* The data that the guest gets; "" at the end or if there is none */
    static std::string received_by(const Descriptor &fd)
    {
        char data[8];
        ssize_t n = ::read(fd.get(), data, sizeof(data));

        return std::string(data, std::max<ssize_t>(n, 0));
    }

    Heartbeat heartbeat;
};

TEST_F(HeartbeatTest, IsAnswered)
{
    Descriptor fd = guest("\xb7");

    EXPECT_TRUE(heartbeat.received());
    EXPECT_EQ(received_by(fd), "\xb7");
    EXPECT_FALSE(heartbeat.listener());
    EXPECT_FALSE(heartbeat.connection());
    /* Without the socket, the back end answers the next heartbeat. */
    EXPECT_EQ(count(), 0U);
}

TEST_F(HeartbeatTest, OnlyTheFirstByteCounts)
{
    EXPECT_EQ(received_by(guest("\xb7more")), "\xb7");
    EXPECT_TRUE(heartbeat.received());
}

TEST_F(HeartbeatTest, OtherBytes)
{
    for (const char *text : {"\xb6", "\x01", "x\xb7", "GET / HTTP/1.0\r\n"}) {
        EXPECT_EQ(received_by(guest(text)), "") << text;
        EXPECT_FALSE(heartbeat.received()) << text;
        EXPECT_FALSE(heartbeat.connection()) << text;
    }
    EXPECT_EQ(received_by(guest("\xb7")), "\xb7");
}

TEST_F(HeartbeatTest, SilentGuest)
{
    Descriptor silent = connect_unix(path("vsock.sock_9000"));

    heartbeat.accept();
    heartbeat.read_byte();          /* nothing has come yet */
    EXPECT_TRUE(heartbeat.connection());
    silent.reset();
    heartbeat.read_byte();
    EXPECT_FALSE(heartbeat.connection());
    EXPECT_FALSE(heartbeat.received());
    EXPECT_EQ(received_by(guest("\xb7")), "\xb7");
}

TEST_F(HeartbeatTest, NewConnectionTakesThePlace)
{
    Descriptor first = connect_unix(path("vsock.sock_9000"));

    heartbeat.accept();
    EXPECT_EQ(received_by(guest("\xb7")), "\xb7");
    EXPECT_EQ(received_by(first), "");
}

TEST_F(HeartbeatTest, NobodyHasConnected)
{
    heartbeat.accept();
    EXPECT_FALSE(heartbeat.connection());
    EXPECT_TRUE(heartbeat.listener());
}

TEST_F(HeartbeatTest, PathsThatCannotBe)
{
    write("taken", "");
    EXPECT_EQ(code_of([&] { Heartbeat h(path("taken")); }), 36);
    EXPECT_EQ(code_of([&] { Heartbeat h(path("none/x")); }), 36);
    EXPECT_EQ(code_of([&] { Heartbeat h(path(std::string(120, 'x'))); }), 36);
    EXPECT_EQ(code_of([&] { Heartbeat h(""); }), 36);
}

} // namespace
