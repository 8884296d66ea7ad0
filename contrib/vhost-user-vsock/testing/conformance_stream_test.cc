/*
 * Conformance: streams, their credit, and the host's end of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>

namespace {

constexpr uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV |
                          VIRTIO_VSOCK_SHUTDOWN_SEND;

/* A thread for the other end of a test's connection */
using Work = std::future<void>;

Work write_in_background(HostSocket &socket, const std::string &data)
{
    return std::async(std::launch::async, [&socket, data] {
        socket.write(data);
    });
}

class Credit : public Conformance {};

TEST_F(Credit, WithoutItNothingIsSent)
{
    Guest guest(socket());
    HostListener listening(listener(50));
    Flow flow(guest, host, 50, 1000);

    flow.buf_alloc = 0;
    ASSERT_TRUE(flow.connect());
    HostSocket socket = listening.accept();
    socket.write("0123456789abcdef");
    for (int i = 0; i < 50; i++) {
        flow.barrier();
    }
    EXPECT_TRUE(guest.arrived().empty());

    flow.buf_alloc = 10;
    flow.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    std::string got;
    while (got.size() < 10) {
        got += flow.expect(VIRTIO_VSOCK_OP_RW).payload;
    }
    EXPECT_EQ(got, "0123456789");
    flow.barrier();
    EXPECT_TRUE(guest.arrived().empty());

    flow.fwd_cnt = 10;
    flow.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    EXPECT_EQ(flow.read(6), "abcdef");
}

/* Flow fails if it receives more than its credit allows. */
TEST_F(Credit, IsNeverExceeded)
{
    for (uint32_t limit : {1u, 2u, 100u, 3000u, 65536u, 1u << 20}) {
        const std::string data = pattern(limit < 10 ? 2000 : 1 << 20);
        Guest guest(socket());
        HostListener listening(listener(50));
        Flow flow(guest, host, 50, 1000);

        flow.buf_alloc = limit;
        ASSERT_TRUE(flow.connect());
        HostSocket socket = listening.accept();
        Work writing = write_in_background(socket, data);
        EXPECT_EQ(flow.read(data.size()), data) << limit;
        writing.get();
    }
}

/* The guest may lower its buf_alloc: the back end may have sent more than that
 * before, but then it must not send more. */
TEST_F(Credit, CanBeLowered)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    socket.write(pattern(1000));
    size_t got = 0;
    while (got < 1000) {
        got += flow.expect(VIRTIO_VSOCK_OP_RW).payload.size();
    }
    flow.buf_alloc = 10;
    flow.barrier();
    socket.write("0123456789abc");
    for (int i = 0; i < 50; i++) {
        flow.barrier();
    }
    EXPECT_TRUE(guest.arrived().empty());

    flow.fwd_cnt = 1000;
    flow.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    std::string text;
    while (text.size() < 10) {
        text += flow.expect(VIRTIO_VSOCK_OP_RW).payload;
    }
    EXPECT_EQ(text, "0123456789");
}

/* The host does not read: the back end buffers a limited amount. */
TEST_F(Credit, IsBoundedForTheGuest)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    const std::string data = pattern(16 << 20);
    size_t sent = 0;

    while (flow.credit()) {
        size_t piece = std::min<size_t>(flow.credit(), 60000);

        flow.write(data.substr(sent, piece));
        sent += piece;
        ASSERT_LT(sent, 8u << 20) << "this is kept without end";
        flow.barrier();
    }

    /* When the host reads, CREDIT_UPDATE is sent without a request. */
    Work writing = std::async(std::launch::async, [&, &f = flow] {
        f.write(std::string_view(data).substr(sent));
    });
    EXPECT_TRUE(socket.read(data.size()) == data);
    writing.get();
}

TEST_F(Credit, OverrunResets)
{
    Guest guest(socket());
    auto [quiet, quiet_host] = open(guest, 999, 49);
    auto [flow, socket] = open(guest);

    /* More than any socket can buffer without a CREDIT_UPDATE */
    flow.overrun(8u << 20);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    quiet.write("x");
    EXPECT_EQ(quiet_host.read(1), "x");
}

TEST_F(Credit, RequestIsAnswered)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.write("12345");
    EXPECT_EQ(socket.read(5), "12345");
    flow.send(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    Header h = flow.expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE).header;
    EXPECT_EQ(h.fwd_cnt, 5u);
    EXPECT_GT(h.buf_alloc, 0u);
    EXPECT_EQ(h.len, 0u);
}

/* More than 4 GiB: all counts wrap. */
TEST_F(Credit, WrapsFromTheGuest)
{
    constexpr uint64_t total = (1ull << 32) + (8 << 20);
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    uint64_t got = 0;
    Work reading = std::async(std::launch::async, [&, fd = socket.fd()] {
        std::vector<char> buffer(1 << 20);
        while (got < total) {
            ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
            if (n <= 0) {
                break;
            }
            got += n;
        }
    });

    for (uint64_t sent = 0; sent < total;) {
        uint32_t size = std::min<uint64_t>({flow.credit(), largest_packet,
                                            total - sent});
        if (!size) {
            flow.expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
            continue;
        }
        while (!guest.can_send()) {
            ASSERT_TRUE(guest.wait());
        }
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);
        h.len = size;
        guest.send_filler(h);
        flow.sent += size;
        sent += size;
    }
    flow.write("the end");      /* is sent after the count has wrapped */
    reading.get();
    EXPECT_EQ(got, total + 7 - socket.read(total + 7 - got).size());
}

TEST_F(Credit, WrapsFromTheHost)
{
    constexpr uint64_t total = (1ull << 32) + (8 << 20);
    Guest::Options options;
    options.rx_layout = {vsock_header, largest_packet};
    Guest guest(socket(), options);
    auto [flow, socket] = open(guest);
    Work writing = std::async(std::launch::async, [&, &s = socket] {
        const std::string block(1 << 20, 'x');
        for (uint64_t sent = 0; sent < total; sent += block.size()) {
            s.write(block);
        }
        s.write("the end");
    });

    for (uint64_t got = 0; got < total;) {
        uint64_t left = total - got;
        got += flow.read(std::min<uint64_t>(left, 100000)).size();
    }
    EXPECT_EQ(flow.read(7), "the end");
    writing.get();
}

class Streams : public Conformance {};

TEST_F(Streams, BothWaysAtOnce)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    const std::string there = pattern(4 << 20, 1), back = pattern(4 << 20, 2);
    Work writing = write_in_background(socket, back);
    std::future<std::string> reading = std::async(
        std::launch::async, [&, &s = socket] { return s.read(there.size()); });

    flow.write(there);
    EXPECT_TRUE(flow.read(back.size()) == back);
    EXPECT_TRUE(reading.get() == there);
    writing.get();
}

TEST_F(Streams, GuestClosesItsHalfFirst)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.write("request");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    EXPECT_EQ(socket.read(7), "request");
    EXPECT_TRUE(socket.at_end());
    socket.write("answer");
    EXPECT_EQ(flow.read(6), "answer");
    socket.close();
    EXPECT_TRUE(flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags &
                VIRTIO_VSOCK_SHUTDOWN_SEND);
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(Streams, HostClosesItsHalfFirst)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    socket.write("request");
    socket.shutdown_write();
    EXPECT_EQ(flow.read(7), "request");
    EXPECT_EQ(flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags,
              uint32_t(VIRTIO_VSOCK_SHUTDOWN_SEND));
    flow.write("answer");
    EXPECT_EQ(socket.read(6), "answer");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    EXPECT_TRUE(socket.at_end());
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(Streams, SendingAfterItsHalfIsClosedResets)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    EXPECT_TRUE(socket.at_end());
    flow.write("more");
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

/* The guest has shut down receiving: the host's data is discarded. */
TEST_F(Streams, GuestEndsReceiving)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV);
    flow.barrier();
    try {
        socket.write("unwanted");
    } catch (const std::runtime_error &) {
        /* The host's program may see that its data is not read. */
    }
    for (int i = 0; i < 20; i++) {
        flow.barrier();
    }
    EXPECT_TRUE(guest.arrived().empty());
    flow.write("last words");
    EXPECT_EQ(socket.read(10), "last words");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
}

/* Both flags at once, and in two packets */
TEST_F(Streams, ShutdownOfBothIsFlushedThenReset)
{
    const std::string data = pattern(30000);

    for (const std::vector<uint32_t> &steps : std::vector<
             std::vector<uint32_t>>{{both}, {VIRTIO_VSOCK_SHUTDOWN_RCV,
                                             VIRTIO_VSOCK_SHUTDOWN_SEND}}) {
        Guest guest(socket());
        auto [flow, socket] = open(guest);

        flow.write(data);
        for (uint32_t flags : steps) {
            flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, flags);
        }
        flow.expect(VIRTIO_VSOCK_OP_RST);
        EXPECT_EQ(socket.read(data.size()), data);
        EXPECT_TRUE(socket.at_end());

        /* The connection is removed: its ports can be used again. */
        auto [again, again_host] = open(guest);
        again.write("x");
        EXPECT_EQ(again_host.read(1), "x");
    }
}

/* The host does not read the guest's last data: the connection times out. */
TEST_F(Streams, ShutdownThatIsNotFlushedEnds)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    const std::string data = pattern(60000);

    while (flow.credit()) {
        flow.write(data.substr(0, std::min<size_t>(flow.credit(), 60000)));
        flow.barrier();
    }
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    expect_works(guest);
}

TEST_F(Streams, ResetInMidStream)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    std::string data = pattern(1 << 20);
    Work writing = std::async(std::launch::async, [&, &s = socket] {
        try {
            s.write(data);
        } catch (std::runtime_error &) {
            /* as expected */
        }
    });

    flow.read(100000);
    flow.send(VIRTIO_VSOCK_OP_RST);
    writing.get();
    EXPECT_TRUE(socket.at_end());
    auto [again, again_host] = open(guest, 2000, 51);
    again.write("x");
    EXPECT_EQ(again_host.read(1), "x");
}

TEST_F(Streams, HostClosesFirst)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    const std::string data = pattern(50000);

    socket.write(data);
    socket.close();
    EXPECT_EQ(flow.read(data.size()), data);
    flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

/* The program closes without reading: the guest gets a RST. */
TEST_F(Streams, HostClosesUnread)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.write("not wanted");
    flow.barrier();
    socket.close();
    for (;;) {
        uint16_t op = flow.next().header.op;
        if (op == VIRTIO_VSOCK_OP_RST) {
            break;
        }
        ASSERT_EQ(op, VIRTIO_VSOCK_OP_SHUTDOWN);
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    }
    expect_works(guest);
}

TEST_F(Streams, WritingToAHostThatIsGoneResets)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    socket.close();
    flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
    flow.write("anybody there?");
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

/* A stream that never ends does not block the packets of another one. */
TEST_F(Streams, BusyOneDoesNotStarveAQuietOne)
{
    Guest guest(socket());
    HostListener listening(listener(50));
    Flow busy(guest, host, 50, 1000);
    busy.buf_alloc = 1u << 31;
    ASSERT_TRUE(busy.connect());
    HostSocket busy_host = listening.accept();
    auto [quiet, quiet_host] = open(guest, 2000, 51);
    std::atomic<bool> done = false;
    Work writing = std::async(std::launch::async, [&] {
        const std::string block(1 << 16, 'x');
        try {
            while (!done) {
                busy_host.write(block);
            }
        } catch (std::runtime_error &) {
            /* the guest's reset ends it */
        }
    });

    for (int round = 0; round < 20; round++) {
        size_t others = 0;
        bool heard = false;

        quiet_host.write("x");
        while (!heard) {
            guest.poll([&](const Header &h, std::string_view) {
                heard = heard || h.dst_port == 2000;
                others += h.dst_port == 1000;
            });
            ASSERT_LT(others, 20000u);
            ASSERT_TRUE(heard || guest.wait());
        }
    }
    done = true;
    busy.send(VIRTIO_VSOCK_OP_RST);
    writing.get();
}

/* With many busy connections, each has a turn before one has a second. */
TEST_F(Streams, ManyBusyOnesTakeTurns)
{
    constexpr uint32_t busy = 50;
    constexpr size_t size = 150000;         /* bytes: 41 packets of Linux's */
    /* A turn has 16 packets; what the buffers hold already comes first. */
    constexpr size_t bound = 64 + busy * 16 + 100;
    Guest guest(socket());
    std::vector<HostSocket> sockets;
    HostListener listening(listener(50));
    std::set<uint32_t> heard;
    size_t packets = 0;

    for (uint32_t i = 0; i < busy; i++) {
        Flow flow(guest, host, 50, 1000 + i);
        flow.buf_alloc = 1u << 31;
        ASSERT_TRUE(flow.connect());
        sockets.push_back(listening.accept());
    }
    auto [quiet, quiet_host] = open(guest, 2000, 51);
    for (HostSocket &s : sockets) {
        s.write(std::string(size, 'x'));
    }
    quiet_host.write("x");
    while (heard.size() < busy + 1) {
        size_t had = guest.poll([&](const Header &h, std::string_view) {
            heard.insert(h.dst_port);
            packets += heard.size() < busy + 1;
        });
        ASSERT_TRUE(had || guest.wait());
    }
    EXPECT_LT(packets, bound);
}

/* A program that does not read blocks only its own connection. */
TEST_F(Streams, OnesThatStandStillHoldUpNoOther)
{
    Guest guest(socket());
    auto [unread, deaf_host] = open(guest, 1000, 50);
    HostListener listening(listener(52));
    Flow closed(guest, host, 52, 3000);
    const std::string data = pattern(1 << 20);

    closed.buf_alloc = 1000;        /* and never more */
    ASSERT_TRUE(closed.connect());
    HostSocket eager_host = listening.accept();
    eager_host.write(data.substr(0, 100000));
    while (unread.credit()) {
        Header h = unread.header(VIRTIO_VSOCK_OP_RW);
        h.len = std::min(unread.credit(), largest_packet);
        guest.send(h, std::string(h.len, 'x'));
        unread.sent += h.len;
        /* Data that was not written to the host by now will not be written. */
        unread.barrier();
    }

    auto [flow, host_socket] = open(guest, 2000, 51);
    for (int i = 0; i < 3; i++) {
        Work writing = std::async(std::launch::async, [&, &flow = flow] {
            flow.write(data);
        });
        EXPECT_EQ(host_socket.read(data.size()), data);
        writing.get();
        host_socket.write(data.substr(0, 100000));
        EXPECT_EQ(flow.read(100000), data.substr(0, 100000));
    }
    EXPECT_EQ(closed.read(1000), data.substr(0, 1000));
}

/* Each of them gets an answer of some kind. */
TEST_F(Streams, FloodOfConnects)
{
    constexpr uint32_t flood = 20000;
    Guest guest(socket());
    HostListener listening(listener(50));
    std::vector<int> answers(flood);
    uint32_t answered = 0;
    auto take = [&](const Header &h, std::string_view) {
        ASSERT_LT(h.dst_port, flood);
        ASSERT_TRUE(h.op == VIRTIO_VSOCK_OP_RESPONSE ||
                    h.op == VIRTIO_VSOCK_OP_RST) << h.op;
        answered += answers[h.dst_port]++ == 0;
    };

    for (uint32_t port = 0; port < flood; port++) {
        Flow flow(guest, host, port % 2 ? 50 : 51, port);
        while (!guest.can_send()) {
            ASSERT_TRUE(guest.wait());
            guest.poll(take);
        }
        flow.send(VIRTIO_VSOCK_OP_REQUEST);
        guest.poll(take);
    }
    while (answered < flood) {
        ASSERT_TRUE(guest.poll(take) || guest.wait()) << answered;
    }
    for (uint32_t port = 0; port < flood; port++) {
        Flow flow(guest, host, port % 2 ? 50 : 51, port);
        flow.send(VIRTIO_VSOCK_OP_RST);
        guest.poll(take);
    }
    expect_works(guest);
    expect_other_works();
}

TEST_F(Streams, ThousandAtOnce)
{
    Guest guest(socket());
    std::vector<Pair> pairs;

    for (uint32_t i = 0; i < 1000; i++) {
        pairs.push_back(open(guest, 1000 + i));
    }
    for (uint32_t i = 0; i < 1000; i++) {
        pairs[i].flow.write("to " + std::to_string(100000 + i));
        pairs[i].socket.write("from " + std::to_string(100000 + i));
    }
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT_EQ(pairs[i].socket.read(9), "to " + std::to_string(100000 + i));
        EXPECT_EQ(pairs[i].flow.read(11),
                  "from " + std::to_string(100000 + i));
    }
}

class FullBacklog : public Conformance,
                    public testing::WithParamInterface<uint16_t> {
protected:
    int socket_type() const
    {
        return GetParam() == VIRTIO_VSOCK_TYPE_STREAM ? SOCK_STREAM
                                                      : SOCK_SEQPACKET;
    }
};

/* The program accepts one after the other, so all are connected. */
TEST_P(FullBacklog, Waits)
{
    constexpr uint32_t count = 50;
    Guest guest(socket());
    HostListener listening(listener(50), socket_type());
    std::vector<Flow> flows;

    ASSERT_EQ(listen(listening.fd(), 5), 0);
    for (uint32_t i = 0; i < count; i++) {
        flows.emplace_back(guest, host, 50, 1000 + i, GetParam());
        flows.back().send(VIRTIO_VSOCK_OP_REQUEST);
    }
    std::vector<HostSocket> sockets;
    for (uint32_t i = 0; i < count; i++) {
        sockets.push_back(listening.accept());
    }
    for (Flow &flow : flows) {
        flow.expect(VIRTIO_VSOCK_OP_RESPONSE);
    }
    for (HostSocket &s : sockets) {
        s.write("welcome");
    }
    for (Flow &flow : flows) {
        EXPECT_EQ(flow.read(7), "welcome");
    }
}

/* No program accepts: connections outside of the backlog time out. */
TEST_P(FullBacklog, Ends)
{
    Guest guest(socket());
    HostListener listening(listener(50), socket_type());
    Flow first(guest, host, 50, 1000, GetParam());
    Flow second(guest, host, 50, 1001, GetParam());
    Flow third(guest, host, 50, 1002, GetParam());

    ASSERT_EQ(listen(listening.fd(), 0), 0);
    EXPECT_TRUE(first.connect());
    second.send(VIRTIO_VSOCK_OP_REQUEST);
    third.send(VIRTIO_VSOCK_OP_REQUEST);
    expect_works(guest);
    third.send(VIRTIO_VSOCK_OP_RST);
    second.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(guest.arrived().empty());
    HostSocket socket = listening.accept();
    socket.write("welcome");
    EXPECT_EQ(first.read(7), "welcome");
}

INSTANTIATE_TEST_SUITE_P(, FullBacklog,
                         testing::Values(VIRTIO_VSOCK_TYPE_STREAM,
                                         VIRTIO_VSOCK_TYPE_SEQPACKET));

class FromHost : public Conformance {};

TEST_F(FromHost, Connects)
{
    Guest guest(socket());
    std::set<uint32_t> ports;

    for (int i = 0; i < 20; i++) {
        auto [flow, socket] = open_from_host(guest);

        EXPECT_GE(flow.host_port, 1u << 30);
        EXPECT_LT(flow.host_port, 1u << 31);
        ports.insert(flow.host_port);
        flow.write("from the guest");
        EXPECT_EQ(socket.read(14), "from the guest");
        socket.write("from the host");
        EXPECT_EQ(flow.read(13), "from the host");
        socket.close();
        flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        flow.expect(VIRTIO_VSOCK_OP_RST);
    }
    EXPECT_EQ(ports.size(), 20u);
}

TEST_F(FromHost, ComesFromTheParent)
{
    Guest guest(socket());
    auto [flow, socket] = open_from_host(guest);

    EXPECT_EQ(flow.host_cid, parent);
}

TEST_F(FromHost, CommandInPiecesAndInAnyCase)
{
    Guest guest(socket());

    for (const char *command : {"CONNECT 80\n", "connect 80\n",
                                "ConNecT 80\n"}) {
        HostSocket socket(uds());
        for (const char *p = command; *p; p++) {
            socket.write(std::string_view(p, 1));
        }
        Flow flow = Flow::accept(guest, guest.receive());
        EXPECT_EQ(flow.guest_port, 80u);
        EXPECT_EQ(socket.read_line().substr(0, 3), "OK ");
        flow.send(VIRTIO_VSOCK_OP_RST);
    }
}

/* The guest gets all data that follows the command. */
TEST_F(FromHost, CommandWithDataBehindIt)
{
    Guest guest(socket());
    HostSocket socket(uds());
    const std::string data = pattern(5000);

    socket.write("CONNECT 80\n" + data);
    Flow flow = Flow::accept(guest, guest.receive());
    EXPECT_EQ(flow.read(data.size()), data);
    EXPECT_EQ(socket.read_line().substr(0, 3), "OK ");
}

TEST_F(FromHost, BadCommandsAreClosedWithoutAWord)
{
    Guest guest(socket());
    auto [flow, live] = open(guest);

    for (const std::string &command : {
            std::string("\n"), std::string("CONNECT\n"),
            std::string("CONNECT \n"), std::string("CONNECT x\n"),
            std::string("CONNECT 80x\n"), std::string("CONNECT 0x50\n"),
            std::string("CONNECT -1\n"), std::string("CONNECT +80\n"),
            std::string("CONNECT 4294967296\n"),
            std::string("CONNECT 99999999999999999999\n"),
            std::string("CONNECTED 80\n"), std::string("HELLO 80\n"),
            std::string("GET / HTTP/1.1\r\n"), std::string("OK 80\n"),
            std::string("CONNECT 80\0\n", 12), std::string("CONNECT80\n"),
            std::string("CONNECT 80 then more than 32 bytes\n"),
            std::string(32, 'x'), std::string(4096, 'x'),
            std::string(4096, '\0')}) {
        HostSocket socket(uds());
        socket.write(command);
        EXPECT_TRUE(socket.at_end()) << command;
    }
    flow.barrier();
    EXPECT_TRUE(guest.arrived().empty());
}

/* A program that closes in the middle of its command is removed. */
TEST_F(FromHost, HalfACommand)
{
    Guest guest(socket());
    expect_works(guest);
    size_t before = back_end_->descriptors();

    for (int i = 0; i < 2000; i++) {
        HostSocket socket(uds());
        socket.write(std::string("CONNECT 8").substr(0, i % 9));
    }
    {
        HostSocket socket(uds());
        socket.write("CONNECT");
        socket.shutdown_write();
        EXPECT_TRUE(socket.at_end());
    }
    open_from_host(guest).flow.send(VIRTIO_VSOCK_OP_RST);
    expect_works(guest);
    for (int i = 0; i < 100 && back_end_->descriptors() > before; i++) {
        usleep(10000);
    }
    EXPECT_LE(back_end_->descriptors(), before);
}

/* A connection without a command is closed after the time-out. */
TEST_F(FromHost, NoCommand)
{
    Guest guest(socket());
    auto [flow, live] = open_from_host(guest);
    std::vector<HostSocket> silent;

    for (const char *text : {"", "", "C", "CONNECT 80", "CONNECT "}) {
        silent.emplace_back(uds());
        silent.back().write(text);
    }
    HostSocket late(uds());
    late.write("CONNECT ");
    late.write("80\n");
    for (HostSocket &s : silent) {
        EXPECT_TRUE(s.at_end());
    }
    EXPECT_TRUE(late.at_end());     /* The guest did not answer. */
    live.write("still");
    EXPECT_EQ(flow.read(5), "still");
}

TEST_F(FromHost, RefusedIsClosedWithoutAWord)
{
    Guest guest(socket());
    HostSocket socket(uds());

    socket.write("CONNECT 80\n");
    Packet request = guest.receive();
    EXPECT_EQ(request.header.op, VIRTIO_VSOCK_OP_REQUEST);
    Flow(guest, request.header.src_cid, request.header.src_port, 80)
        .send(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
}

/* The guest does not answer: both ends are closed. */
TEST_F(FromHost, UnansweredEnds)
{
    Guest guest(socket());
    HostSocket socket(uds());

    socket.write("CONNECT 80\n");
    Packet request = guest.receive();
    Flow flow(guest, request.header.src_cid, request.header.src_port, 80);
    EXPECT_TRUE(socket.at_end());
    flow.expect(VIRTIO_VSOCK_OP_RST);

    /* An answer after the time-out is ignored. */
    flow.send(VIRTIO_VSOCK_OP_RESPONSE);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    expect_works(guest);
}

TEST_F(FromHost, GoneBeforeTheAnswer)
{
    Guest guest(socket());
    HostSocket socket(uds());

    socket.write("CONNECT 80\n");
    Packet request = guest.receive();
    socket.close();
    Flow flow(guest, request.header.src_cid, request.header.src_port, 80);
    flow.send(VIRTIO_VSOCK_OP_RESPONSE);
    uint16_t op = flow.next().header.op;
    EXPECT_TRUE(op == VIRTIO_VSOCK_OP_RST || op == VIRTIO_VSOCK_OP_SHUTDOWN);
    expect_works(guest);
}

/* With credit but before RESPONSE, the back end must not send. */
TEST_F(FromHost, DataBeforeTheAnswerResets)
{
    Guest guest(socket());
    HostSocket socket(uds());

    socket.write("CONNECT 80\n");
    Packet request = guest.receive();
    Flow flow(guest, request.header.src_cid, request.header.src_port, 80);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);
    h.len = 5;
    guest.send(h, "early");
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
}

TEST_F(FromHost, WithoutAGuestItIsClosed)
{
    HostSocket socket(uds());

    try {
        socket.write("CONNECT 80\n");
    } catch (std::runtime_error &) {
        /* closed already */
    }
    EXPECT_TRUE(socket.at_end());
}

TEST_F(FromHost, SocketsAreTheOwnersAlone)
{
    for (const std::string &path : {socket(), uds()}) {
        struct stat st;

        ASSERT_EQ(stat(path.c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 0777, 0600u) << path;
    }
}

/* Data arrives if written right after connect(), or right before close(). */
class FirstBytes : public Conformance,
                   public testing::WithParamInterface<uint16_t> {
protected:
    bool messages() const { return GetParam() == VIRTIO_VSOCK_TYPE_SEQPACKET; }
    int socket_type() const { return messages() ? SOCK_SEQPACKET
                                                : SOCK_STREAM; }
    void write(Flow &flow, std::string_view data)
    {
        messages() ? flow.write_message(data) : flow.write(data);
    }
    std::string read(Flow &flow, size_t size)
    {
        return messages() ? flow.read_message() : flow.read(size);
    }
    /* Read the rest of a host program's data; does it end without an error? */
    static std::string rest(HostSocket &socket)
    {
        std::string all;
        std::array<char, 4096> data;
        ssize_t n;

        while ((n = recv(socket.fd(), data.data(), data.size(), 0)) > 0) {
            all.append(data.data(), n);
        }
        return all + (n == 0 ? "(end)" : "(error)");
    }
};

INSTANTIATE_TEST_SUITE_P(, FirstBytes,
                         testing::Values(VIRTIO_VSOCK_TYPE_STREAM,
                                         VIRTIO_VSOCK_TYPE_SEQPACKET));

/* The guest closes before the program has accepted. */
TEST_P(FirstBytes, OfTheGuest)
{
    Guest guest(socket());
    HostListener listening(listener(50), socket_type());

    for (uint32_t i = 0; i < 20; i++) {
        Flow flow(guest, host, 50, 1000 + i, GetParam());

        ASSERT_TRUE(flow.connect());
        write(flow, "first");
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        flow.expect(VIRTIO_VSOCK_OP_RST);
        HostSocket socket = listening.accept();
        EXPECT_EQ(rest(socket), "first(end)");
    }
}

/* The same, and the guest has not read the program's data. */
TEST_P(FirstBytes, OfTheGuestWithUnreadData)
{
    Guest guest(socket());
    HostListener listening(listener(50), socket_type());
    Flow flow(guest, host, 50, 1000, GetParam());

    flow.buf_alloc = 0;
    ASSERT_TRUE(flow.connect());
    HostSocket socket = listening.accept();
    socket.write("unread");
    socket.write("unread too");
    flow.barrier();
    write(flow, "first");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_EQ(rest(socket), "first(end)");
}

/* The program writes and closes as soon as it has accepted. */
TEST_P(FirstBytes, OfTheHost)
{
    Guest guest(socket());
    HostListener listening(listener(50), socket_type());

    for (uint32_t i = 0; i < 20; i++) {
        Flow flow(guest, host, 50, 1000 + i, GetParam());

        flow.send(VIRTIO_VSOCK_OP_REQUEST);
        {
            HostSocket socket = listening.accept();
            socket.write("first");
        }
        flow.expect(VIRTIO_VSOCK_OP_RESPONSE);
        EXPECT_EQ(read(flow, 5), "first");
        flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        flow.expect(VIRTIO_VSOCK_OP_RST);
    }
}

/* The same, but it has not read the guest's data, and the guest still sends. */
TEST_P(FirstBytes, OfTheHostWithUnreadData)
{
    for (bool writes_on : {false, true}) {
        Guest guest(socket());
        HostListener listening(listener(50), socket_type());
        Flow flow(guest, host, 50, 1000, GetParam());

        flow.buf_alloc = 0;
        ASSERT_TRUE(flow.connect());
        HostSocket socket = listening.accept();
        write(flow, "unread");
        flow.barrier();
        socket.write("first");
        socket.close();
        if (writes_on) {
            write(flow, "for nobody");
            write(flow, "for nobody");
            flow.barrier();
        }
        flow.buf_alloc = 1000;
        flow.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        EXPECT_EQ(read(flow, 5), "first");
        flow.expect(VIRTIO_VSOCK_OP_RST);
    }
}

/* The program writes, and may close, before it has read "OK". */
TEST_F(FromHost, FirstBytesBeforeOk)
{
    const std::string data = pattern(50000);
    Guest guest(socket());

    for (bool closes : {false, true}) {
        for (bool guest_writes : {false, true}) {
            HostSocket socket(uds());

            socket.write("CONNECT 80\n" + data);
            if (closes) {
                socket.close();
            }
            Packet request = guest.find([](const Packet &p) {
                return p.header.op == VIRTIO_VSOCK_OP_REQUEST;
            });
            Flow flow(guest, request.header.src_cid, request.header.src_port,
                      80);
            flow.buf_alloc = 0;
            flow.account(request.header);
            flow.send(VIRTIO_VSOCK_OP_RESPONSE);
            if (guest_writes) {
                flow.write("welcome");
                flow.barrier();
            }
            flow.buf_alloc = 1 << 20;
            flow.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
            EXPECT_TRUE(flow.read(data.size()) == data);
            if (closes) {
                flow.expect(guest_writes ? VIRTIO_VSOCK_OP_RST
                                         : VIRTIO_VSOCK_OP_SHUTDOWN);
            } else {
                EXPECT_EQ(socket.read_line().substr(0, 3), "OK ");
                EXPECT_EQ(socket.read(guest_writes ? 7 : 0),
                          guest_writes ? "welcome" : "");
            }
            flow.send(VIRTIO_VSOCK_OP_RST);
        }
    }
}

/* The guest writes at once and closes, with the program's data unread. */
TEST_F(FromHost, FirstBytesOfTheGuest)
{
    Guest guest(socket());

    for (uint32_t i = 0; i < 20; i++) {
        HostSocket socket(uds());

        socket.write("CONNECT 80\nunread");
        Packet request = guest.find([](const Packet &p) {
            return p.header.op == VIRTIO_VSOCK_OP_REQUEST;
        });
        Flow flow(guest, request.header.src_cid, request.header.src_port, 80);
        flow.buf_alloc = 0;
        flow.account(request.header);
        flow.send(VIRTIO_VSOCK_OP_RESPONSE);
        flow.write("first");
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        flow.expect(VIRTIO_VSOCK_OP_RST);
        EXPECT_EQ(socket.read_line().substr(0, 3), "OK ");
        EXPECT_EQ(socket.read(5), "first");
        char byte;
        EXPECT_EQ(recv(socket.fd(), &byte, 1, 0), 0);
    }
}

class Heartbeat : public Conformance {};

TEST_F(Heartbeat, IsGivenBack)
{
    Guest guest(socket());

    for (uint64_t to : {parent, host}) {
        Flow flow(guest, to, 9000, 1000);
        ASSERT_TRUE(flow.connect());
        flow.write("\xb7");
        EXPECT_EQ(flow.read(1), "\xb7");
        flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        flow.expect(VIRTIO_VSOCK_OP_RST);
    }
}

TEST_F(Heartbeat, AnythingElseEndsIt)
{
    Guest guest(socket());

    for (const char *data : {"\xb6", "\xb7\xb7x", "hello"}) {
        Flow flow(guest, parent, 9000, 1000);
        ASSERT_TRUE(flow.connect());
        flow.write(data);
        while (flow.next().header.op != VIRTIO_VSOCK_OP_RST) {
        }
    }
    expect_works(guest);
}

TEST_F(Heartbeat, HostProgramTakesPrecedence)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest, 1000, 9000, parent);

    flow.write("hello");
    EXPECT_EQ(socket.read(5), "hello");
}

/* The listener is closed while the guest's connection waits at its backlog. */
TEST_F(Heartbeat, TakesOverWhenTheProgramEnds)
{
    Guest guest(socket());
    auto program = std::make_unique<HostListener>(listener(9000));
    ASSERT_EQ(listen(program->fd(), 0), 0);
    HostSocket first(listener(9000));
    Flow flow(guest, parent, 9000, 1000);

    flow.send(VIRTIO_VSOCK_OP_REQUEST);
    expect_works(guest);
    program.reset();
    flow.expect(VIRTIO_VSOCK_OP_RESPONSE);
    flow.write("\xb7");
    EXPECT_EQ(flow.read(1), "\xb7");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    expect_works(guest);
}

class HeartbeatOff : public Conformance {
protected:
    HeartbeatOff() : Conformance(",heartbeat=off") {}
};

TEST_F(HeartbeatOff, IsAPortLikeAnyOther)
{
    Guest guest(socket());

    EXPECT_FALSE(Flow(guest, parent, 9000, 1000).connect());
}

} // namespace
