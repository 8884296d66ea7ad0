/*
 * Tests of connection.cc, with a stream that does what it is told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "connection.hh"

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>

namespace {

struct Script {
    std::string to_read, was_written;
    size_t room = SIZE_MAX;     /* bytes that it takes */
    bool at_end = false, write_ended = false, broken = false;
    uint32_t accepted_port = 0;
};

class FakeStream : public Stream {
public:
    explicit FakeStream(Script &script) : s_(script) {}
    ssize_t readv(const iovec *iov, int count) override
    {
        size_t size = 0;

        if (s_.broken) {
            errno = ECONNRESET;
            return -1;
        }
        for (int i = 0; i < count && !s_.to_read.empty(); i++) {
            size_t n = std::min(iov[i].iov_len, s_.to_read.size());

            memcpy(iov[i].iov_base, s_.to_read.data(), n);
            s_.to_read.erase(0, n);
            size += n;
        }
        if (size || s_.at_end) {
            return size;
        }
        errno = EAGAIN;
        return -1;
    }
    ssize_t writev(const iovec *iov, int count) override
    {
        size_t size = 0;

        for (int i = 0; i < count && s_.room; i++) {
            size_t n = std::min(iov[i].iov_len, s_.room);

            s_.was_written.append(static_cast<char *>(iov[i].iov_base), n);
            s_.room -= n;
            size += n;
        }
        if (size) {
            return size;
        }
        errno = s_.broken ? EPIPE : EAGAIN;
        return -1;
    }
    void shutdown_write() override { s_.write_ended = true; }
    void accepted(uint32_t port) override { s_.accepted_port = port; }

private:
    Script &s_;
};

constexpr uint32_t limit = 1000;

class ConnectionTest : public testing::Test {
protected:
    PacketHeader from_guest(Op op, uint32_t len = 0)
    {
        PacketHeader h;

        h.src_cid = 16;
        h.src_port = 77;
        h.dst_cid = 3;
        h.dst_port = 5000;
        h.op = static_cast<uint16_t>(op);
        h.len = len;
        h.buf_alloc = guest_limit;
        h.fwd_cnt = guest_forwarded;
        return h;
    }
    void open(bool by_guest = true)
    {
        PacketHeader h = from_guest(Op::request);

        c = std::make_unique<Connection>(Address{3, 5000, 16, 77},
                                         std::make_unique<FakeStream>(s),
                                         limit, by_guest ? &h : nullptr);
    }
    void open_established()
    {
        open();
        EXPECT_EQ(next().op, static_cast<uint16_t>(Op::response));
    }
    void data(std::string text)
    {
        c->receive(from_guest(Op::rw, text.size()),
                   {{text.data(), text.size()}});
    }
    /* The next packet, or one of op 0 */
    PacketHeader next()
    {
        memset(room, 0, sizeof(room));
        return c->wants_to_send()
            ? c->next({{room, sizeof(room)}}).value_or(PacketHeader())
            : PacketHeader();
    }
    void expect_next(Op op)
    {
        EXPECT_EQ(next().op, static_cast<uint16_t>(op));
    }
    void expect_nothing() { EXPECT_EQ(next().op, 0); }

    Script s;
    uint32_t guest_limit = 4096, guest_forwarded = 0;
    std::unique_ptr<Connection> c;
    char room[2048];
};

TEST_F(ConnectionTest, GuestOpens)
{
    open();
    PacketHeader h = next();

    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::response));
    EXPECT_EQ(h.src_cid, 3u);
    EXPECT_EQ(h.src_port, 5000u);
    EXPECT_EQ(h.dst_cid, 16u);
    EXPECT_EQ(h.dst_port, 77u);
    EXPECT_EQ(h.buf_alloc, limit);
    expect_nothing();
}

TEST_F(ConnectionTest, HostOpens)
{
    open(false);
    EXPECT_EQ(c->state(), Connection::State::connecting);
    expect_next(Op::request);
    EXPECT_TRUE(c->deadline());
    c->receive(from_guest(Op::response), {});
    EXPECT_EQ(c->state(), Connection::State::established);
    EXPECT_EQ(s.accepted_port, 5000u);
    EXPECT_FALSE(c->deadline());
}

TEST_F(ConnectionTest, GuestRefuses)
{
    open(false);
    expect_next(Op::request);
    c->receive(from_guest(Op::rst), {});
    EXPECT_TRUE(c->finished());
    EXPECT_EQ(s.accepted_port, 0u);
}

TEST_F(ConnectionTest, GuestDoesNotAnswer)
{
    open(false);
    expect_next(Op::request);
    c->expire(Clock::now());
    EXPECT_EQ(c->state(), Connection::State::connecting);
    c->expire(Clock::now() + connect_timeout);
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, DataBothWays)
{
    open_established();
    data("hello");
    EXPECT_EQ(s.was_written, "hello");
    s.to_read = "world";
    c->stream_readable();
    PacketHeader h = next();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::rw));
    EXPECT_EQ(h.len, 5u);
    EXPECT_EQ(h.fwd_cnt, 5u);
    EXPECT_STREQ(room, "world");
    expect_nothing();
}

TEST_F(ConnectionTest, NeverSendsMoreThanTheGuestHasRoomFor)
{
    guest_limit = 10;
    open_established();
    s.to_read = std::string(25, 'x');
    c->stream_readable();
    EXPECT_EQ(next().len, 10u);
    expect_nothing();
    EXPECT_FALSE(c->wants_readable());

    guest_forwarded = 4;
    c->receive(from_guest(Op::credit_update), {});
    EXPECT_EQ(next().len, 4u);
    expect_nothing();

    /* It may take back what it gave; that is no credit of 4 GiB. */
    guest_limit = 2;
    c->receive(from_guest(Op::credit_update), {});
    expect_nothing();
}

TEST_F(ConnectionTest, CreditAcrossTheWrap)
{
    /* A guest may begin to count anywhere: 1000 bytes are in flight, modulo
     * 2^32, before anything was sent. */
    guest_limit = 1500;
    guest_forwarded = -1000u;
    open_established();
    s.to_read = std::string(2000, 'x');
    c->stream_readable();
    EXPECT_EQ(next().len, 500u);
    expect_nothing();

    guest_forwarded = 0;        /* the wrap */
    c->receive(from_guest(Op::credit_update), {});
    EXPECT_EQ(next().len, 1000u);
    guest_forwarded = 1500;
    c->receive(from_guest(Op::credit_update), {});
    EXPECT_EQ(next().len, 500u);
}

TEST_F(ConnectionTest, BeyondItsCreditTheGuestIsReset)
{
    open_established();
    s.room = 0;
    data(std::string(limit, 'x'));
    EXPECT_EQ(c->state(), Connection::State::established);
    data("y");
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, WhatTheStreamDoesNotTakeWaits)
{
    open_established();
    s.room = 3;
    data("abcdef");
    EXPECT_EQ(s.was_written, "abc");
    EXPECT_TRUE(c->wants_writable());
    data("ghi");
    s.room = 100;
    c->stream_writable();
    EXPECT_EQ(s.was_written, "abcdefghi");
    EXPECT_FALSE(c->wants_writable());
}

TEST_F(ConnectionTest, TellsOfRoomBeforeTheGuestStalls)
{
    open_established();
    data(std::string(limit / 2 - 1, 'x'));
    expect_nothing();
    data("x");
    PacketHeader h = next();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::credit_update));
    EXPECT_EQ(h.fwd_cnt, limit / 2);
    expect_nothing();
    c->receive(from_guest(Op::credit_request), {});
    expect_next(Op::credit_update);
}

TEST_F(ConnectionTest, HostEndsItsWay)
{
    open_established();
    s.to_read = "last";
    s.at_end = true;
    c->stream_readable();
    EXPECT_EQ(next().len, 4u);
    PacketHeader h = next();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::shutdown));
    EXPECT_EQ(h.flags, shutdown_send);
    data("still");      /* the other way is open */
    EXPECT_EQ(s.was_written, "still");
    expect_nothing();
    PacketHeader bye = from_guest(Op::shutdown);
    bye.flags = shutdown_both;
    c->receive(bye, {});
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, GuestEndsItsWay)
{
    open_established();
    PacketHeader h = from_guest(Op::shutdown);
    h.flags = shutdown_send;
    c->receive(h, {});
    EXPECT_TRUE(s.write_ended);
    s.to_read = "answer";
    c->stream_readable();
    EXPECT_EQ(next().len, 6u);
    data("more");       /* after it has said that there is none */
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, WritesAllBeforeItEnds)
{
    open_established();
    s.room = 0;
    data("late");
    PacketHeader h = from_guest(Op::shutdown);
    h.flags = shutdown_both;
    c->receive(h, {});
    EXPECT_EQ(c->state(), Connection::State::closing);
    expect_nothing();
    s.room = 100;
    c->stream_writable();
    EXPECT_EQ(s.was_written, "late");
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, DoesNotCloseForEver)
{
    open_established();
    s.room = 0;
    data("late");
    PacketHeader h = from_guest(Op::shutdown);
    h.flags = shutdown_both;
    c->receive(h, {});
    c->expire(Clock::now() + shutdown_timeout);
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, BrokenStream)
{
    open_established();
    s.broken = true;
    c->stream_readable();
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, OutOfTurn)
{
    for (Op op : {Op::request, Op::response, static_cast<Op>(99)}) {
        open_established();
        c->receive(from_guest(op), {});
        expect_next(Op::rst);
    }
    open(false);
    data("too early");
    expect_next(Op::rst);
    EXPECT_EQ(s.was_written, "");
}

} // namespace
