/*
 * Tests of multiplexer.cc and of the heartbeat
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "host.hh"
#include "testing/fake_rx_buffers.hh"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace {

constexpr uint64_t guest = 16;

class MultiplexerTest : public testing::Test {
protected:
    explicit MultiplexerTest(size_t max_memory = default_max_memory)
        : m(loop, guest, default_buffer_size, [this](const PacketHeader &h)
            -> std::unique_ptr<Stream> {
            uint32_t port = h.dst_port;

            if (h.dst_cid != host_cid && h.dst_cid != parent_cid) {
                return nullptr;
            }
            if (port == heartbeat_port) {
                return std::make_unique<HeartbeatStream>([this] { booted++; });
            }
            if (port != 1) {
                return nullptr;
            }
            int pair[2];
            if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) {
                return nullptr;
            }
            peers.emplace_back(pair[0]);
            while (blocked && write(pair[1], filler, sizeof(filler)) > 0) {
                /* until the stream accepts nothing more */
            }
            return std::make_unique<SocketStream>(Descriptor(pair[1]));
        }, nullptr, max_memory)
    {
    }
    void packet(Op op, uint32_t dst_port, uint32_t src_port = 50,
                std::string text = "", uint64_t src = guest, uint64_t dst = 3,
                uint16_t type = type_stream)
    {
        PacketHeader h;

        h.src_cid = src;
        h.src_port = src_port;
        h.dst_cid = dst;
        h.dst_port = dst_port;
        h.op = static_cast<uint16_t>(op);
        h.type = type;
        h.len = text.size();
        h.buf_alloc = 1 << 20;
        m.receive(h, {{text.data(), text.size()}});
    }
    /* The next packet for the guest; op 0 if there is none */
    PacketHeader sent()
    {
        FakeRxBuffers buffers(1, 4096 - packet_header_size);

        if (m.has_pending()) {
            m.send_pending(buffers);
        }
        last = buffers.sent.empty() ? SentPacket() : buffers.sent[0];
        return last.header;
    }
    void expect_sent(Op op) { EXPECT_EQ(sent().op, static_cast<uint16_t>(op)); }

    Loop loop;
    std::vector<Descriptor> peers;
    int booted = 0;
    bool blocked = false;       /* new streams accept no data */
    static constexpr char filler[1024] = {};
    Multiplexer m;
    SentPacket last;
};

TEST_F(MultiplexerTest, Heartbeat)
{
    packet(Op::request, heartbeat_port);
    expect_sent(Op::response);
    packet(Op::rw, heartbeat_port, 50, "\xb7");
    EXPECT_EQ(booted, 1);
    PacketHeader h = sent();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::rw));
    EXPECT_EQ(h.len, 1u);
    EXPECT_EQ(last.payload, "\xb7");
}

TEST_F(MultiplexerTest, AnotherByteIsNoHeartbeat)
{
    packet(Op::request, heartbeat_port);
    expect_sent(Op::response);
    packet(Op::rw, heartbeat_port, 50, "x");
    EXPECT_EQ(booted, 0);
    expect_sent(Op::rst);
}

TEST_F(MultiplexerTest, NobodyListens)
{
    packet(Op::request, 2, 51);
    PacketHeader h = sent();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::rst));
    EXPECT_EQ(h.src_port, 2u);
    EXPECT_EQ(h.dst_port, 51u);
    EXPECT_EQ(m.size(), 0u);
}

/* Connections of the guest and of the host count together. */
TEST_F(MultiplexerTest, NumberOfConnections)
{
    auto stream = [] { return std::make_unique<HeartbeatStream>([] {}); };

    for (uint32_t i = 0; i < max_connections - 2; i++) {
        ASSERT_TRUE(m.open_from(40, i, 1, type_stream, stream()));
        sent();
    }
    EXPECT_TRUE(m.open(1, type_stream, stream()));
    sent();
    packet(Op::request, heartbeat_port, 51);
    expect_sent(Op::response);
    EXPECT_EQ(m.size(), max_connections);
    packet(Op::request, heartbeat_port, 52);
    expect_sent(Op::rst);
    EXPECT_FALSE(m.open(1, type_stream, stream()));
    EXPECT_FALSE(m.open_from(41, 1, 1, type_stream, stream()));
    EXPECT_EQ(m.size(), max_connections);
}

TEST_F(MultiplexerTest, NoSuchConnection)
{
    packet(Op::rw, 1, 50, "text");
    expect_sent(Op::rst);
    packet(Op::rst, 1);     /* a reset is not answered */
    EXPECT_EQ(sent().op, 0);
}

TEST_F(MultiplexerTest, WrongSourceIsDropped)
{
    packet(Op::request, 1, 50, "", guest + 1);
    EXPECT_EQ(sent().op, 0);
    EXPECT_TRUE(peers.empty());
}

TEST_F(MultiplexerTest, WrongTypeOrTarget)
{
    packet(Op::request, 1, 50, "", guest, 3, 7);
    EXPECT_EQ(sent().type, 7);
    packet(Op::request, 1, 50, "", guest, 99);
    PacketHeader h = sent();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::rst));
    EXPECT_EQ(h.src_cid, 99u);
    EXPECT_TRUE(peers.empty());
}

TEST_F(MultiplexerTest, AnswersComeFromTheAddressThatWasAsked)
{
    packet(Op::request, 1, 50, "", guest, 2);
    EXPECT_EQ(sent().src_cid, 2u);
    packet(Op::request, 1, 50, "", guest, 3);
    EXPECT_EQ(sent().src_cid, 3u);
    EXPECT_EQ(m.size(), 2u);
}

TEST_F(MultiplexerTest, PayloadCutShort)
{
    PacketHeader h;

    packet(Op::request, 1);
    expect_sent(Op::response);
    h.src_cid = guest;
    h.src_port = 50;
    h.dst_cid = 3;
    h.dst_port = 1;
    h.op = static_cast<uint16_t>(Op::rw);
    h.len = 1000;
    char text[10] = {};
    m.receive(h, {{text, sizeof(text)}});
    expect_sent(Op::rst);
    EXPECT_EQ(m.size(), 0u);
}

TEST_F(MultiplexerTest, ABusyStreamDoesNotStarveAQuietOne)
{
    packet(Op::request, 1, 50);
    packet(Op::request, 1, 51);
    expect_sent(Op::response);
    expect_sent(Op::response);
    std::string much(60000, 'x');
    ASSERT_EQ(write(peers[0].get(), much.data(), much.size()), 60000);
    ASSERT_EQ(write(peers[1].get(), "y", 1), 1);
    loop.run_once(0);

    uint32_t first = sent().dst_port, second = sent().dst_port;
    EXPECT_EQ(first + second, 101u);    /* each connection had a turn */
    EXPECT_EQ(sent().dst_port, 50u);
}

TEST_F(MultiplexerTest, AQuietStreamDoesNotWaitForEachBusyOne)
{
    constexpr uint32_t busy = 10;
    std::string much(60000, 'x');

    for (uint32_t i = 0; i <= busy; i++) {
        packet(Op::request, 1, 50 + i);
        expect_sent(Op::response);
    }
    for (uint32_t i = 0; i < busy; i++) {
        ASSERT_EQ(write(peers[i].get(), much.data(), much.size()), 60000);
    }
    loop.run_once(0);
    for (uint32_t i = 0; i < busy; i++) {
        EXPECT_EQ(sent().dst_port, 50 + i);
    }
    /* It waits for none of the ten, each time. */
    for (uint32_t i = 0; i < 5; i++) {
        ASSERT_EQ(write(peers[busy].get(), "y", 1), 1);
        loop.run_once(0);
        EXPECT_EQ(sent().dst_port, 50 + busy);
        EXPECT_EQ(sent().dst_port, 50 + i);
    }
}

TEST_F(MultiplexerTest, QuietStreamsDoNotStarveABusyOne)
{
    packet(Op::request, 1, 50);
    packet(Op::request, 1, 51);
    expect_sent(Op::response);
    expect_sent(Op::response);
    ASSERT_EQ(write(peers[1].get(), "y", 1), 1);
    loop.run_once(0);
    EXPECT_EQ(sent().dst_port, 51u);
    std::string much(60000, 'x');
    ASSERT_EQ(write(peers[0].get(), much.data(), much.size()), 60000);
    loop.run_once(0);
    EXPECT_EQ(sent().dst_port, 50u);

    size_t turns = 0;
    do {
        ASSERT_EQ(write(peers[1].get(), "y", 1), 1);
        loop.run_once(0);
        turns++;
    } while (turns <= 2 * max_sparse_turns && sent().dst_port != 50);
    EXPECT_EQ(turns, max_sparse_turns + 1);
}

TEST_F(MultiplexerTest, ATooSmallBufferEndsNothing)
{
    packet(Op::request, 1);
    expect_sent(Op::response);
    ASSERT_EQ(write(peers[0].get(), "text", 4), 4);
    loop.run_once(0);
    FakeRxBuffers buffers(1, 0);
    m.send_pending(buffers);
    ASSERT_EQ(buffers.sent.size(), 1u);
    EXPECT_EQ(buffers.sent[0].header.len, 0u);
    EXPECT_EQ(sent().len, 4u);
}

TEST_F(MultiplexerTest, HostOpensWithPortsOfItsOwn)
{
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    Descriptor program(pair[0]);
    EXPECT_TRUE(m.open(80, type_stream, std::make_unique<SocketStream>(
        Descriptor(pair[1]), Stream::Status::connected,
        SocketStream::Greeting::line)));
    PacketHeader h = sent();
    EXPECT_EQ(h.op, static_cast<uint16_t>(Op::request));
    EXPECT_EQ(h.src_cid, 3u);
    EXPECT_GE(h.src_port, first_host_port);
    EXPECT_LE(h.src_port, last_host_port);

    packet(Op::response, h.src_port, 80);
    char text[32] = {};
    ASSERT_GT(read(program.get(), text, sizeof(text)), 0);
    EXPECT_EQ(text, "OK " + std::to_string(h.src_port) + "\n");
}

TEST_F(MultiplexerTest, ManyOpenedAndClosedLeaveNothing)
{
    for (int i = 0; i < 10000; i++) {
        packet(Op::request, 1, i);
        expect_sent(Op::response);
        packet(Op::rst, 1, i);
        ASSERT_EQ(m.size(), 0u);
        peers.clear();
    }
    EXPECT_FALSE(m.has_pending());
    m.expire();
    EXPECT_EQ(m.time_left(), -1);
}

class LittleMemory : public MultiplexerTest {
protected:
    LittleMemory() : MultiplexerTest(3000) { blocked = true; }
    void connect(uint32_t port)
    {
        packet(Op::request, 1, port);
        expect_sent(Op::response);
    }
};

TEST_F(LittleMemory, AtTheBoundAndOneBeyond)
{
    for (uint32_t port : {50, 51, 52, 53}) {
        connect(port);
    }
    for (uint32_t port : {50, 51, 52}) {
        packet(Op::rw, 1, port, std::string(1000, 'x'));
        EXPECT_EQ(sent().op, 0);
    }
    /* Only the connection that needs more is reset. */
    packet(Op::rw, 1, 53, "y");
    EXPECT_EQ(m.counters().resets,
              (std::array<uint64_t, 6>{0, 0, 0, 0, 0, 0}));
    expect_sent(Op::rst);
    EXPECT_EQ(last.header.dst_port, 53u);
    EXPECT_EQ(m.counters().resets,
              (std::array<uint64_t, 6>{0, 0, 0, 0, 0, 1}));
    EXPECT_EQ(m.size(), 3u);

    /* The others go on, and what they no longer need is free. */
    std::string data;
    char piece[65536];
    for (ssize_t n; (n = recv(peers[0].get(), piece, sizeof(piece),
                              MSG_DONTWAIT)) > 0; loop.run_once(0)) {
        data.append(piece, n);
    }
    EXPECT_EQ(std::ranges::count(data, 'x'), 1000);
    connect(54);
    packet(Op::rw, 1, 54, std::string(1000, 'z'));
    EXPECT_EQ(sent().op, 0);
    EXPECT_EQ(m.size(), 4u);
    /* So is the memory of a connection that ends. */
    packet(Op::rst, 1, 51);
    connect(55);
    packet(Op::rw, 1, 55, std::string(1000, 'z'));
    EXPECT_EQ(sent().op, 0);
    packet(Op::rw, 1, 52, "y");
    expect_sent(Op::rst);
}

/* Reasons in the order of ResetReason */
TEST_F(MultiplexerTest, CountsEachResetByItsReason)
{
    /* finished */
    packet(Op::request, 1, 50);
    expect_sent(Op::response);
    packet(Op::rw, 1, 50, "hello");
    ASSERT_EQ(write(peers[0].get(), "abc", 3), 3);
    loop.run_once(0);
    expect_sent(Op::rw);
    PacketHeader h;
    h.src_cid = guest;
    h.src_port = 50;
    h.dst_cid = 3;
    h.dst_port = 1;
    h.op = static_cast<uint16_t>(Op::shutdown);
    h.flags = shutdown_both;
    m.receive(h, {});
    expect_sent(Op::rst);
    /* guest */
    packet(Op::request, 1, 51);
    expect_sent(Op::response);
    packet(Op::rst, 1, 51);
    /* protocol */
    packet(Op::request, 1, 52);
    expect_sent(Op::response);
    packet(Op::request, 1, 52);
    expect_sent(Op::rst);
    /* stream */
    packet(Op::request, heartbeat_port, 53);
    expect_sent(Op::response);
    packet(Op::rw, heartbeat_port, 53, "no heartbeat");
    expect_sent(Op::rst);
    /* packets without connection; a RST is not answered */
    packet(Op::rw, 1, 54, "lost");
    expect_sent(Op::rst);
    packet(Op::rst, 1, 54);
    /* refused */
    packet(Op::request, 2, 55);
    expect_sent(Op::rst);
    /* open */
    packet(Op::request, 1, 56);
    expect_sent(Op::response);
    packet(Op::rw, 1, 56, "hi");

    Counters c = m.counters();
    EXPECT_EQ(c.open, 1u);
    EXPECT_EQ(c.opened_by_guest, 5u);
    EXPECT_EQ(c.opened_by_host, 0u);
    EXPECT_EQ(c.refused, 1u);
    EXPECT_EQ(c.bytes_from_guest, 5u + 12 + 2);
    EXPECT_EQ(c.bytes_to_guest, 3u);
    EXPECT_EQ(c.resets, (std::array<uint64_t, 6>{1, 1, 1, 1, 0, 0}));
    EXPECT_EQ(c.resets_without_connection, 1u);
    m.clear();
    EXPECT_EQ(m.counters().open, 0u);
    EXPECT_EQ(m.counters().bytes_from_guest, 5u + 12 + 2);
    EXPECT_EQ(m.counters().resets, c.resets);
}

TEST_F(MultiplexerTest, CountsTimeouts)
{
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    Descriptor program(pair[0]);
    ASSERT_TRUE(m.open(80, type_stream, std::make_unique<SocketStream>(
        Descriptor(pair[1]))));
    expect_sent(Op::request);
    while (m.size()) {
        loop.run_once(m.time_left());
        m.expire();
        sent();
    }
    EXPECT_EQ(m.counters().resets, (std::array<uint64_t, 6>{0, 0, 0, 0, 1, 0}));
    EXPECT_EQ(m.counters().refused, 1u);
    EXPECT_EQ(m.counters().opened_by_host, 0u);
}

/* Either sender uses up its credit. */
TEST_F(MultiplexerTest, CountsCreditStalls)
{
    packet(Op::request, 1);
    expect_sent(Op::response);
    const std::string block(default_buffer_size, 'x');
    PacketHeader h;
    h.src_cid = guest;
    h.src_port = 50;
    h.dst_cid = 3;
    h.dst_port = 1;
    h.op = static_cast<uint16_t>(Op::rw);
    h.len = 1000;
    h.buf_alloc = 10;
    /* The program does not read: its socket's buffer fills, and then ours. */
    uint32_t used = 0, credit = default_buffer_size;
    while (credit) {
        h.len = std::min<uint32_t>(credit, 64 << 10);
        iovec v = {const_cast<char *>(block.data()), h.len};
        m.receive(h, v);
        used += h.len;
        PacketHeader update = sent();
        if (update.op) {
            credit = update.buf_alloc - (used - update.fwd_cnt);
        } else {
            credit -= h.len;
        }
    }
    EXPECT_GE(m.counters().stalls_from_guest, 1u);
    EXPECT_EQ(m.counters().stalls_to_guest, 0u);

    /* The guest has room for 10 bytes. */
    ASSERT_EQ(write(peers[0].get(), "more than ten bytes", 19), 19);
    loop.run_once(0);
    EXPECT_EQ(sent().len, 10u);
    EXPECT_EQ(m.counters().stalls_to_guest, 1u);
}

TEST(Command, Parsing)
{
    EXPECT_EQ(parse_connect("CONNECT 80"), 80u);
    EXPECT_EQ(parse_connect("connect 4294967294"), 4294967294u);
    for (const char *bad : {"", "CONNECT", "CONNECT ", "CONNECT x",
                            "CONNECT -1", "CONNECT 4294967295",
                            "CONNECT 80 ", "CONNECT 99999999999", "GET /"}) {
        EXPECT_FALSE(parse_connect(bad)) << bad;
    }
}

} // namespace
