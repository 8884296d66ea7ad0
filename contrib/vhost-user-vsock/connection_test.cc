/*
 * Tests of connection.cc, with a stream that a test controls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/fake_rx_buffers.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace {

struct Script {
    std::string to_read, was_written;
    size_t capacity = SIZE_MAX; /* bytes that it accepts */
    bool at_end = false, broken = false;
    bool takes_nothing = false; /* EPIPE, but there may be something to read */
    bool finished = true;       /* finish() */
    bool read_ended = false, write_ended = false;   /* by shutdown() */
    uint32_t accepted_port = 0;
    Stream::Status status = Stream::Status::connected;
    int asked = 0;              /* status() */
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

        for (int i = 0; i < count && s_.capacity && !s_.takes_nothing; i++) {
            size_t n = std::min(iov[i].iov_len, s_.capacity);

            s_.was_written.append(static_cast<char *>(iov[i].iov_base), n);
            s_.capacity -= n;
            size += n;
        }
        if (size) {
            return size;
        }
        errno = s_.broken || s_.takes_nothing ? EPIPE : EAGAIN;
        return -1;
    }
    Status status() override
    {
        s_.asked++;
        return s_.status;
    }
    int fd() const override { return 1000; }    /* any number */
    void shutdown(int how) override
    {
        (how == SHUT_WR ? s_.write_ended : s_.read_ended) = true;
    }
    void guest_accepted(uint32_t port) override { s_.accepted_port = port; }
    bool finish() override { return s_.finished; }

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
        const Address address = {3, 5000, 16, 77};
        auto stream = std::make_unique<FakeStream>(s);

        if (by_guest) {
            c = std::make_unique<Connection>(address, std::move(stream), limit,
                                             from_guest(Op::request));
        } else {
            c = std::make_unique<Connection>(address, std::move(stream), limit,
                                             type_stream);
        }
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
        FakeRxBuffers buffers(1, 2048);

        last = {};
        if (c->has_pending() && c->send_pending(buffers)) {
            last = buffers.sent.at(0);
        }
        return last.header;
    }
    void expect_next(Op op)
    {
        EXPECT_EQ(next().op, static_cast<uint16_t>(op));
    }
    void expect_nothing() { EXPECT_EQ(next().op, 0); }

    Script s;
    uint32_t guest_limit = 4096, guest_forwarded = 0;
    std::unique_ptr<Connection> c;
    SentPacket last;
};

/* The stream fails at once, after an event, or after a full backlog. */
TEST_F(ConnectionTest, AFallbackTakesOver)
{
    using Status = Stream::Status;

    for (Status first : {Status::failed, Status::connecting,
                         Status::backlog_full}) {
        auto stream = std::make_unique<FakeStream>(s);
        Script fallback;

        s.status = first;
        fallback.to_read = "from the fallback";
        stream->set_fallback(std::make_unique<FakeStream>(fallback));
        c = std::make_unique<Connection>(Address{3, 5000, 16, 77},
                                         std::move(stream), limit,
                                         from_guest(Op::request));
        if (first != Status::failed) {
            expect_nothing();
            s.status = Status::failed;
            if (first == Status::connecting) {
                c->stream_writable();
            } else {
                c->expire(*c->deadline());
            }
        }
        expect_next(Op::response);
        expect_next(Op::rw);
        EXPECT_EQ(last.payload, "from the fallback");
        data("hello");
        EXPECT_EQ(fallback.was_written, "hello");
        EXPECT_EQ(s.was_written, "");
    }
}

TEST_F(ConnectionTest, AFallbackMayFailToo)
{
    auto stream = std::make_unique<FakeStream>(s);
    Script fallback;

    s.status = fallback.status = Stream::Status::failed;
    stream->set_fallback(std::make_unique<FakeStream>(fallback));
    c = std::make_unique<Connection>(Address{3, 5000, 16, 77},
                                     std::move(stream), limit,
                                     from_guest(Op::request));
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

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
    EXPECT_EQ(c->state(), Connection::State::connecting_guest);
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
    EXPECT_EQ(c->state(), Connection::State::connecting_guest);
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
    EXPECT_EQ(last.payload, "world");
    expect_nothing();
}

TEST_F(ConnectionTest, NeverSendsMoreThanTheGuestsCredit)
{
    guest_limit = 10;
    open_established();
    s.to_read = std::string(25, 'x');
    c->stream_readable();
    EXPECT_EQ(next().len, 10u);
    expect_nothing();
    EXPECT_EQ(s.to_read.size(), 15u);   /* it stays in the stream */

    guest_forwarded = 4;
    c->receive(from_guest(Op::credit_update), {});
    EXPECT_EQ(next().len, 4u);
    expect_nothing();

    /* The guest may lower its buf_alloc; this is not a credit of 4 GiB. */
    guest_limit = 2;
    c->receive(from_guest(Op::credit_update), {});
    expect_nothing();
}

TEST_F(ConnectionTest, CreditAcrossTheWrap)
{
    /* A guest may start to count with any number: modulo 2^32, 1000 bytes are
     * in flight before anything was sent. */
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
    s.capacity = 0;
    data(std::string(limit, 'x'));
    EXPECT_EQ(c->state(), Connection::State::established);
    data("y");
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, WhatTheStreamDoesNotTakeWaits)
{
    open_established();
    s.capacity = 3;
    data("abcdef");
    EXPECT_EQ(s.was_written, "abc");
    EXPECT_TRUE(c->wants_writable());
    data("ghi");
    s.capacity = 100;
    c->stream_writable();
    EXPECT_EQ(s.was_written, "abcdefghi");
    EXPECT_FALSE(c->wants_writable());
}

TEST_F(ConnectionTest, SendsCreditBeforeTheGuestStalls)
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
    data("still");      /* the other direction is open */
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
    data("more");       /* after its SHUTDOWN */
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, WritesAllBeforeItEnds)
{
    open_established();
    s.capacity = 0;
    data("late");
    PacketHeader h = from_guest(Op::shutdown);
    h.flags = shutdown_both;
    c->receive(h, {});
    EXPECT_EQ(c->state(), Connection::State::closing);
    expect_nothing();
    s.capacity = 100;
    c->stream_writable();
    EXPECT_EQ(s.was_written, "late");
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, DoesNotCloseForEver)
{
    open_established();
    s.capacity = 0;
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

/* The guest gets the data that was written before the other end closed. */
TEST_F(ConnectionTest, ReadsAllOfAStreamThatTakesNothing)
{
    for (bool waits : {false, true}) {
        s = {};
        guest_limit = 4;
        guest_forwarded = 0;
        open_established();
        s.capacity = waits ? 0 : 100;
        data("taken");
        s.to_read = "goodbye";
        s.takes_nothing = true;
        s.at_end = true;
        if (waits) {
            c->stream_writable();
        } else {
            data("not taken");
        }
        EXPECT_EQ(next().len, 4u);
        EXPECT_EQ(last.payload, "good");
        EXPECT_EQ(last.header.fwd_cnt, waits ? 5u : 14u);
        data(std::string(limit, 'x'));      /* discarded without waiting */
        guest_forwarded = 4;
        c->receive(from_guest(Op::credit_update), {});
        EXPECT_EQ(next().len, 3u);
        EXPECT_EQ(last.payload, "bye");
        EXPECT_FALSE(c->wants_writable());
        guest_forwarded = 7;
        c->receive(from_guest(Op::credit_update), {});
        expect_next(Op::rst);
        EXPECT_TRUE(c->finished());
    }
}

TEST_F(ConnectionTest, TakesNothingAndHasNothing)
{
    open_established();
    s.takes_nothing = true;
    data("x");
    expect_next(Op::rst);

    /* Or the guest has shut down receiving */
    for (uint32_t flags : {shutdown_receive, shutdown_both}) {
        open_established();
        s.to_read = "unwanted";
        data("x");
        PacketHeader h = from_guest(Op::shutdown);
        h.flags = flags;
        c->receive(h, {});
        expect_next(Op::rst);
    }
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

/* States and their transitions */

TEST_F(ConnectionTest, WaitsUntilTheStreamIsConnected)
{
    s.status = Stream::Status::connecting;
    open();
    EXPECT_EQ(c->state(), Connection::State::connecting_stream);
    EXPECT_TRUE(c->wants_writable());
    expect_nothing();
    s.status = Stream::Status::connected;
    c->stream_writable();
    EXPECT_EQ(c->state(), Connection::State::established);
    expect_next(Op::response);
    EXPECT_FALSE(c->deadline());
}

TEST_F(ConnectionTest, StreamThatCannotBeHad)
{
    s.status = Stream::Status::connecting;
    open();
    s.status = Stream::Status::failed;
    c->stream_writable();
    expect_next(Op::rst);
    EXPECT_FALSE(c->opened());
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, StreamThatDoesNotAnswer)
{
    s.status = Stream::Status::connecting;
    open();
    c->expire(Clock::now() + connect_timeout);
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

/* The stream is tried again after retry intervals, not at events. */
TEST_F(ConnectionTest, AFullBacklogIsTriedAgain)
{
    s.status = Stream::Status::backlog_full;
    open();
    auto now = Clock::now();

    for (int i = 0; i < 100; i++) {
        c->stream_readable();
        c->stream_writable();
    }
    EXPECT_EQ(s.asked, 1);
    while (c->state() == Connection::State::connecting_stream) {
        int before = s.asked;

        ASSERT_TRUE(c->deadline());
        EXPECT_LE(*c->deadline() - now, last_retry);
        now = *c->deadline();
        c->expire(now - std::chrono::microseconds(1));
        EXPECT_EQ(s.asked, before);
        c->expire(now);
        ASSERT_LT(s.asked, 20);
    }
    EXPECT_GT(s.asked, 5);
    expect_next(Op::rst);
    EXPECT_FALSE(c->deadline());
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, AFullBacklogThatDrains)
{
    for (bool failed : {false, true}) {
        s.status = Stream::Status::backlog_full;
        open();
        expect_nothing();
        c->expire(*c->deadline());
        expect_nothing();
        s.status = failed ? Stream::Status::failed
                          : Stream::Status::connected;
        c->expire(*c->deadline());
        expect_next(failed ? Op::rst : Op::response);
        EXPECT_FALSE(c->deadline());
    }
}

TEST_F(ConnectionTest, AFullBacklogAndTheGuestGivesUp)
{
    s.status = Stream::Status::backlog_full;
    open();
    c->receive(from_guest(Op::rst), {});
    EXPECT_TRUE(c->finished());
    EXPECT_FALSE(c->deadline());
}

TEST_F(ConnectionTest, DataWhileItWaits)
{
    s.status = Stream::Status::connecting;
    open();
    data("too early");
    expect_next(Op::rst);
}

TEST_F(ConnectionTest, GuestResetsInEveryState)
{
    for (int state = 0; state < 4; state++) {
        s = {};
        s.status = state == 0 ? Stream::Status::connecting
                              : Stream::Status::connected;
        open(state != 1);
        if (state == 3) {
            PacketHeader h = from_guest(Op::shutdown);

            expect_next(Op::response);
            s.capacity = 0;
            data("late");
            h.flags = shutdown_both;
            c->receive(h, {});
            EXPECT_EQ(c->state(), Connection::State::closing);
        }
        c->receive(from_guest(Op::rst), {});
        EXPECT_TRUE(c->finished()) << state;
        expect_nothing();
        c->receive(from_guest(Op::request), {});
        expect_nothing();
    }
}

TEST_F(ConnectionTest, BothWaysEndOneAfterTheOther)
{
    PacketHeader h = from_guest(Op::shutdown);

    open_established();
    h.flags = shutdown_receive;
    c->receive(h, {});
    EXPECT_TRUE(s.read_ended);
    s.to_read = "unwanted";
    c->stream_readable();
    expect_nothing();
    data("still");
    EXPECT_EQ(s.was_written, "still");
    h.flags = shutdown_send;
    c->receive(h, {});
    expect_next(Op::rst);
    EXPECT_TRUE(c->finished());
}

TEST_F(ConnectionTest, ShutdownBeforeItIsOpen)
{
    PacketHeader h = from_guest(Op::shutdown);

    open(false);
    expect_next(Op::request);
    h.flags = shutdown_both;
    c->receive(h, {});
    expect_next(Op::rst);
    EXPECT_EQ(s.accepted_port, 0u);
}

TEST_F(ConnectionTest, ProgressWhileItClosesGivesTime)
{
    PacketHeader h = from_guest(Op::shutdown);

    open_established();
    s.capacity = 0;
    data("a lot");
    h.flags = shutdown_both;
    c->receive(h, {});
    auto before = *c->deadline();
    s.capacity = 1;
    c->stream_writable();
    EXPECT_GT(*c->deadline(), before);
    EXPECT_EQ(c->state(), Connection::State::closing);
}

/* It is checked again, for a limited time, whether it can be closed. */
TEST_F(ConnectionTest, WaitsUntilAllIsSent)
{
    for (bool comes : {false, true}) {
        PacketHeader h = from_guest(Op::shutdown);

        s = {};
        open_established();
        data("last");
        s.finished = false;
        h.flags = shutdown_both;
        c->receive(h, {});
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(c->state(), Connection::State::closing);
            c->expire(*c->deadline());
            expect_nothing();
        }
        s.finished = comes;
        for (int i = 0; i < 100 && c->deadline(); i++) {
            c->expire(*c->deadline());
        }
        expect_next(Op::rst);
        EXPECT_TRUE(c->finished());
    }
}

TEST_F(ConnectionTest, AnotherType)
{
    open_established();
    PacketHeader h = from_guest(Op::credit_update);
    h.type = type_seqpacket;
    c->receive(h, {});
    PacketHeader rst = next();
    EXPECT_EQ(rst.op, static_cast<uint16_t>(Op::rst));
    EXPECT_EQ(rst.type, type_stream);
}

/* Many buffers: a turn uses several of them, but not all. */
TEST_F(ConnectionTest, TurnIsBounded)
{
    guest_limit = 1 << 30;
    open_established();
    s.to_read = std::string(1 << 20, 'x');
    c->stream_readable();
    size_t total = 0;
    for (int turn = 0; turn < 10; turn++) {
        FakeRxBuffers buffers(100, 1000);

        ASSERT_GT(c->send_pending(buffers), 0u);
        EXPECT_LE(buffers.sent.size(), max_turn_packets);
        for (const SentPacket &one : buffers.sent) {
            EXPECT_EQ(one.header.len, one.payload.size());
            total += one.header.len;
        }
    }
    EXPECT_EQ(total, (1u << 20) - s.to_read.size());
}

/* Messages */

struct MessageScript {
    std::deque<std::string> to_read;
    int turns = 0;      /* without result, before there is one */
    std::vector<std::pair<std::string, bool>> was_written;
    bool full = false;
};

class FakeMessages : public Stream {
public:
    explicit FakeMessages(MessageScript &script) : s_(script) {}
    ssize_t message_size() override
    {
        if (s_.to_read.empty() || s_.turns) {
            errno = s_.turns ? EINTR : EAGAIN;
            s_.turns -= s_.turns > 0;
            return -1;
        }
        return s_.to_read.front().size();
    }
    ssize_t readv(const iovec *iov, int count) override
    {
        std::string message = s_.to_read.front();
        size_t at = 0;

        s_.to_read.pop_front();
        for (int i = 0; i < count; i++) {
            size_t n = std::min(iov[i].iov_len, message.size() - at);

            memcpy(iov[i].iov_base, message.data() + at, n);
            at += n;
        }
        return at;
    }
    ssize_t writev(const iovec *iov, int count) override
    {
        std::string message;

        if (s_.full) {
            errno = EAGAIN;
            return -1;
        }
        for (int i = 0; i < count; i++) {
            message.append(static_cast<char *>(iov[i].iov_base),
                           iov[i].iov_len);
        }
        s_.was_written.push_back({message, ends_});
        return message.size();
    }
    void set_ends_record(bool ends) override { ends_ = ends; }
    void shutdown(int) override {}
    int fd() const override { return 1000; }

private:
    MessageScript &s_;
    bool ends_ = false;
};

class MessagesTest : public testing::Test {
protected:
    MessagesTest()
        : c({3, 5000, 16, 77}, std::make_unique<FakeMessages>(s), limit,
            packet(Op::request))
    {
        EXPECT_EQ(turn(1, 100).at(0).header.op,
                  static_cast<uint16_t>(Op::response));
    }
    PacketHeader packet(Op op, uint32_t flags = 0, uint32_t len = 0)
    {
        PacketHeader h;

        h.src_cid = 16;
        h.src_port = 77;
        h.dst_cid = 3;
        h.dst_port = 5000;
        h.type = type_seqpacket;
        h.op = static_cast<uint16_t>(op);
        h.flags = flags;
        h.len = len;
        h.buf_alloc = guest_limit;
        h.fwd_cnt = forwarded;
        return h;
    }
    void data(std::string text, uint32_t flags)
    {
        c.receive(packet(Op::rw, flags, text.size()),
                  {{text.data(), text.size()}});
    }
    std::vector<SentPacket> turn(size_t count, size_t size)
    {
        FakeRxBuffers buffers(count, size);

        while (buffers.at(0) && c.has_pending() && c.send_pending(buffers)) {
        }
        return buffers.sent;
    }

    MessageScript s;
    uint32_t guest_limit = 4096, forwarded = 0;
    Connection c;
};

TEST_F(MessagesTest, AMessageOfOnePacket)
{
    data("one", end_of_message);
    data("two", end_of_message | end_of_record);
    EXPECT_EQ(s.was_written, (std::vector<std::pair<std::string, bool>>{
        {"one", false}, {"two", true}}));
}

TEST_F(MessagesTest, AMessageOfSeveralPackets)
{
    data("on", 0);
    data("e", 0);
    EXPECT_TRUE(s.was_written.empty());
    data("!", end_of_message);
    ASSERT_EQ(s.was_written.size(), 1u);
    EXPECT_EQ(s.was_written[0].first, "one!");
}

TEST_F(MessagesTest, AnEmptyPacketEndsAMessage)
{
    data("one", 0);
    data("", end_of_message | end_of_record);
    data("", end_of_message);       /* an empty message, which is discarded */
    data("two", end_of_message);
    EXPECT_EQ(s.was_written, (std::vector<std::pair<std::string, bool>>{
        {"one", true}, {"two", false}}));
}

TEST_F(MessagesTest, MessagesThatWaitStayApart)
{
    s.full = true;
    data("one", end_of_message);
    data("two", end_of_message | end_of_record);
    EXPECT_TRUE(c.wants_writable());
    s.full = false;
    c.stream_writable();
    EXPECT_EQ(s.was_written, (std::vector<std::pair<std::string, bool>>{
        {"one", false}, {"two", true}}));
    EXPECT_FALSE(c.wants_writable());
}

TEST_F(MessagesTest, LargerThanItsCreditIsReset)
{
    data(std::string(limit, 'x'), 0);
    data("y", end_of_message);
    EXPECT_EQ(turn(1, 100).at(0).header.op, static_cast<uint16_t>(Op::rst));
}

TEST_F(MessagesTest, ToTheGuest)
{
    s.to_read = {"first", std::string(250, 'x'), "last"};
    c.stream_readable();
    std::vector<SentPacket> sent = turn(10, 100);
    ASSERT_EQ(sent.size(), 5u);
    EXPECT_EQ(sent[0].payload, "first");
    EXPECT_EQ(sent[0].header.flags, end_of_message);
    EXPECT_EQ(sent[1].header.len, 100u);
    EXPECT_EQ(sent[1].header.flags, 0u);
    EXPECT_EQ(sent[2].header.flags, 0u);
    EXPECT_EQ(sent[3].header.len, 50u);
    EXPECT_EQ(sent[3].header.flags, end_of_message);
    EXPECT_EQ(sent[4].payload, "last");
}

/* Finding a message can take several turns, without an event between them. */
TEST_F(MessagesTest, FoundInALaterTurn)
{
    FakeRxBuffers buffers(1, 100);

    s.to_read = {"late"};
    s.turns = 2;
    c.stream_readable();
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(c.send_pending(buffers), 0u);
        EXPECT_TRUE(c.has_pending());
    }
    EXPECT_EQ(c.send_pending(buffers), 1u);
    EXPECT_EQ(buffers.sent[0].payload, "late");
}

/* A message that needs more buffers is continued when there are more. */
TEST_F(MessagesTest, InPiecesAsThereAreBuffers)
{
    s.to_read = {std::string(250, 'x')};
    c.stream_readable();
    EXPECT_EQ(turn(1, 100).at(0).header.flags, 0u);
    EXPECT_EQ(turn(1, 100).at(0).header.flags, 0u);
    EXPECT_EQ(turn(1, 100).at(0).header.flags, end_of_message);
    EXPECT_TRUE(turn(1, 100).empty());
}

TEST_F(MessagesTest, WaitsForTheCreditOfAWholeOne)
{
    guest_limit = 300;
    c.receive(packet(Op::credit_update), {});
    s.to_read = {std::string(200, 'x'), std::string(200, 'y')};
    c.stream_readable();
    EXPECT_EQ(turn(10, 1000).size(), 1u);
    EXPECT_EQ(s.to_read.size(), 1u);
    forwarded = 200;
    c.receive(packet(Op::credit_update), {});
    EXPECT_EQ(turn(10, 1000).size(), 1u);
    EXPECT_TRUE(s.to_read.empty());
}

TEST_F(MessagesTest, ThatCanNeverBeGivenIsReset)
{
    s.to_read = {std::string(guest_limit + 1, 'x')};
    c.stream_readable();
    EXPECT_EQ(turn(10, 1000).at(0).header.op, static_cast<uint16_t>(Op::rst));
}

} // namespace
