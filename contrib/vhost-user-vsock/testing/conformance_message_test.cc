/*
 * Conformance: SEQPACKET, which preserves message boundaries, and siblings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

#include <algorithm>
#include <atomic>
#include <future>
#include <sys/socket.h>

namespace {

constexpr uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV |
                          VIRTIO_VSOCK_SHUTDOWN_SEND;
constexpr uint16_t seqpacket = VIRTIO_VSOCK_TYPE_SEQPACKET;
constexpr size_t largest_message = 64 * 1024;      /* bytes, of Linux */

class Seqpacket : public Conformance {
protected:
    Pair open_messages(Guest &guest)
    {
        HostListener listening(listener(50), SOCK_SEQPACKET);
        Flow flow(guest, host, 50, 1000, seqpacket);

        if (!flow.connect()) {
            throw std::runtime_error("the back end refuses messages");
        }
        return {std::move(flow), listening.accept()};
    }
};

const std::vector<size_t> sizes = {1, 2, 43, 44, 45, 100, 3776, 4096, 30000,
                                   60000, 65536};

TEST_F(Seqpacket, GuestsMessagesKeepTheirBounds)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);

    for (size_t size : sizes) {
        flow.write_message(pattern(size, size));
    }
    for (size_t size : sizes) {
        EXPECT_TRUE(socket.read_message(largest_message) ==
                    pattern(size, size)) << size;
    }
}

TEST_F(Seqpacket, HostsMessagesKeepTheirBounds)
{
    for (uint32_t buffer_size : {1u, 100u, 3732u, 65536u}) {
        Guest::Options options;
        options.rx_layout = {vsock_header, buffer_size};
        Guest guest(socket(), options);
        auto [flow, socket] = open_messages(guest);

        for (size_t size : sizes) {
            if (size / buffer_size < 5000) {
                socket.write(pattern(size, size));
                EXPECT_TRUE(flow.read_message() == pattern(size, size))
                    << size << " in buffers of " << buffer_size;
            }
        }
    }
}

/*
 * Linux sends as much of a message as it has credit for, and then waits.  So
 * the back end must send credit for earlier messages before this one is
 * complete.
 */
TEST_F(Seqpacket, MessagesLargerThanTheCreditLeft)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);
    const size_t limit = std::min<size_t>(flow.peer_buf_alloc, largest_message);

    for (size_t first = 1; first < limit; first = first * 2 + 1) {
        flow.write_message(pattern(first, 1));
        EXPECT_TRUE(socket.read_message(limit) == pattern(first, 1));
        flow.write_message(pattern(limit, 2));
        EXPECT_TRUE(socket.read_message(limit) == pattern(limit, 2)) << first;
    }
}

TEST_F(Seqpacket, NoPieceOfAMessageIsRead)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);
    char byte;

    h.len = 5;
    guest.send(h, "begun");
    flow.sent += 5;
    flow.barrier();
    EXPECT_EQ(recv(socket.fd(), &byte, 1, MSG_DONTWAIT), -1);
    flow.write_message(" and ended");
    EXPECT_EQ(socket.read_message(100), "begun and ended");
}

TEST_F(Seqpacket, MessageWithoutEndIsBounded)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);

    flow.overrun(1u << 20);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
    expect_works(guest);
}

TEST_F(Seqpacket, EndsInTheMiddleOfAMessage)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);

    flow.write_message("whole");
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);
    h.len = 5;
    guest.send(h, "begun");
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_EQ(socket.read_message(100), "whole");
    EXPECT_TRUE(socket.at_end());
}

TEST_F(Seqpacket, HostEnds)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);

    socket.write("last");
    socket.close();
    EXPECT_EQ(flow.read_message(), "last");
    EXPECT_TRUE(flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags &
                VIRTIO_VSOCK_SHUTDOWN_SEND);
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

/* An empty message is not sent to the guest, and is not the end. */
TEST_F(Seqpacket, EmptyMessagesOfTheHost)
{
    for (unsigned order = 0; order < 16; order++) {
        for (bool close : {false, true}) {
            Guest guest(socket());
            auto [flow, socket] = open_messages(guest);

            for (int i = 0; i < 4; i++) {
                if (order >> i & 1) {
                    socket.write("hello");
                } else {
                    ASSERT_EQ(send(socket.fd(), "", 0, MSG_NOSIGNAL), 0);
                }
            }
            if (close) {
                socket.close();
            } else {
                socket.shutdown_write();
            }
            for (int i = 0; i < 4; i++) {
                if (order >> i & 1) {
                    EXPECT_EQ(flow.read_message(), "hello") << order;
                }
            }
            EXPECT_EQ(flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags,
                      uint32_t(VIRTIO_VSOCK_SHUTDOWN_SEND)) << order;
        }
    }
}

/* A program that sends only empty messages does not block others. */
TEST_F(Seqpacket, AFloodOfEmptyMessages)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);
    std::atomic<bool> stop = false;
    auto flood = std::async(std::launch::async, [&, fd = socket.fd()] {
        while (!stop) {
            send(fd, "", 0, MSG_NOSIGNAL);
        }
    });

    for (int i = 0; i < 20; i++) {
        expect_works(guest);
    }
    flow.write_message("from the guest");
    EXPECT_EQ(socket.read_message(100), "from the guest");
    stop = true;
    flood.get();
    socket.write("from the host");
    EXPECT_EQ(flow.read_message(), "from the host");
}

/* A program closes without reading all data: all that it sent arrives. */
TEST_F(Seqpacket, HostEndsUnread)
{
    Guest guest(socket());
    auto [flow, socket] = open_messages(guest);

    flow.write_message("unread");
    flow.barrier();
    socket.write("first");
    socket.write("last");
    socket.close();
    EXPECT_EQ(flow.read_message(), "first");
    EXPECT_EQ(flow.read_message(), "last");
    flow.expect(VIRTIO_VSOCK_OP_RST);
}

/* SEQPACKET does not reach a stream listener, and the reverse. */
TEST_F(Seqpacket, TypesDoNotMix)
{
    Guest guest(socket());
    {
        HostListener listening(listener(50));
        EXPECT_FALSE(Flow(guest, host, 50, 1000, seqpacket).connect());
    }
    {
        HostListener listening(listener(50), SOCK_SEQPACKET);
        EXPECT_FALSE(Flow(guest, host, 50, 1000).connect());
    }
    auto [flow, socket] = open_messages(guest);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);
    h.type = VIRTIO_VSOCK_TYPE_STREAM;
    h.len = 1;
    guest.send(h, "x");
    EXPECT_EQ(guest.receive().header.op, VIRTIO_VSOCK_OP_RST);
}

class Siblings : public Conformance {
protected:
    Siblings() : a(socket(first)), b(socket(second)) {}

    /* A connection from one guest to the other: both its ends */
    std::pair<Flow, Flow> join(uint32_t from = 1000, uint32_t to = 50,
                               uint16_t type = VIRTIO_VSOCK_TYPE_STREAM)
    {
        Flow client(a, second, to, from, type);

        client.send(VIRTIO_VSOCK_OP_REQUEST);
        Flow server = Flow::accept(b, b.find([&](const Packet &p) {
            return p.header.op == VIRTIO_VSOCK_OP_REQUEST &&
                p.header.src_cid == first && p.header.dst_port == to &&
                p.header.type == type;
        }));
        client.expect(VIRTIO_VSOCK_OP_RESPONSE);
        return {std::move(client), std::move(server)};
    }

    Guest a, b;
};

TEST_F(Siblings, Stream)
{
    auto [client, server] = join();
    const std::string there = pattern(1 << 20, 1), back = pattern(50000, 2);

    /* Each guest has its own thread. */
    auto reading = std::async(std::launch::async, [&, &s = server] {
        std::string got = s.read(there.size());

        s.write(back);
        return got;
    });
    client.write(there);
    EXPECT_TRUE(client.read(back.size()) == back);
    EXPECT_TRUE(reading.get() == there);
    client.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    client.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(server.expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags &
                VIRTIO_VSOCK_SHUTDOWN_SEND);
}

TEST_F(Siblings, Messages)
{
    auto [client, server] = join(1000, 50, seqpacket);

    for (size_t size : sizes) {
        client.write_message(pattern(size, size));
        EXPECT_TRUE(server.read_message() == pattern(size, size)) << size;
        server.write_message(pattern(size, size));
        EXPECT_TRUE(client.read_message() == pattern(size, size)) << size;
    }
}

TEST_F(Siblings, RefusedIsReset)
{
    Flow client(a, second, 50, 1000);

    client.send(VIRTIO_VSOCK_OP_REQUEST);
    Packet request = b.receive();
    Flow(b, request.header.src_cid, request.header.src_port, 50)
        .send(VIRTIO_VSOCK_OP_RST);
    client.expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(Siblings, HostIsNobodysSibling)
{
    /* A connection to a sibling's CID does not reach a host's listener. */
    HostListener listening(listener(50));
    auto [client, server] = join();

    server.write("from a guest");
    EXPECT_EQ(client.read(12), "from a guest");
}

TEST_F(Siblings, OneThatDoesNotReadHoldsTheOtherBack)
{
    auto [client, server] = join();
    const std::string data = pattern(60000);
    size_t sent = 0;

    while (client.credit()) {
        client.write(data.substr(0, std::min<size_t>(client.credit(), 60000)));
        client.barrier();
        sent += 60000;
        ASSERT_LT(sent, 16u << 20) << "this is kept without end";
    }
    expect_works(a);
    expect_works(b);
}

class Lonely : public Conformance {
protected:
    Lonely() : Conformance(",groups=only%") {}
};

TEST_F(Lonely, NoCommonGroup)
{
    Guest a(socket(first)), b(socket(second));

    EXPECT_FALSE(Flow(a, second, 50, 1000).connect());
    EXPECT_FALSE(Flow(b, first, 50, 1000).connect());
    expect_works(a);
    expect_works(b);
}

class Sibling : public Conformance {};

TEST_F(Sibling, ThatIsNotThereOrGoes)
{
    Guest a(socket(first));

    EXPECT_FALSE(Flow(a, second, 50, 1000).connect());
    auto b = std::make_unique<Guest>(socket(second));
    Flow client(a, second, 50, 1000);
    client.send(VIRTIO_VSOCK_OP_REQUEST);
    Flow::accept(*b, b->receive());
    client.expect(VIRTIO_VSOCK_OP_RESPONSE);
    b.reset();
    uint16_t op = client.next().header.op;
    if (op == VIRTIO_VSOCK_OP_SHUTDOWN) {
        client.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        op = client.next().header.op;
    }
    EXPECT_EQ(op, VIRTIO_VSOCK_OP_RST);
    EXPECT_FALSE(Flow(a, second, 50, 1000).connect());
}

} // namespace
