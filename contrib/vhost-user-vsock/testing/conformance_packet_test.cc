/*
 * Conformance: addresses, operations, and the descriptors of packets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

namespace {

class Packets : public Conformance {};

TEST_F(Packets, GuestLearnsItsCid)
{
    Guest a(socket(first)), b(socket(second));

    EXPECT_EQ(a.cid(), first);
    EXPECT_EQ(b.cid(), second);
    EXPECT_TRUE(a.features() >> VIRTIO_F_VERSION_1 & 1);
}

TEST_F(Packets, ConnectToNothingIsReset)
{
    Guest guest(socket());

    EXPECT_FALSE(Flow(guest, host, 4444, 1000).connect());
    expect_works(guest);
}

TEST_F(Packets, ResetHasTheAddressesOfWhatItAnswers)
{
    Guest guest(socket());
    Flow flow(guest, host, 4444, 1000);

    flow.send(VIRTIO_VSOCK_OP_RW);
    Header h = guest.receive().header;
    EXPECT_EQ(h.op, VIRTIO_VSOCK_OP_RST);
    EXPECT_EQ(h.type, VIRTIO_VSOCK_TYPE_STREAM);
    EXPECT_EQ(h.src_cid, host);
    EXPECT_EQ(h.src_port, 4444u);
    EXPECT_EQ(h.dst_cid, first);
    EXPECT_EQ(h.dst_port, 1000u);
    EXPECT_EQ(h.len, 0u);
}

/* CID 2 and CID 3 are both the host.  Each answers with its own CID. */
TEST_F(Packets, HostAndParentAreTwoNamesOfOne)
{
    Guest guest(socket());
    auto [a, a_host] = open(guest, 1000, 50, host);
    auto [b, b_host] = open(guest, 1000, 50, parent);

    a.write("to two");
    b.write("to three");
    EXPECT_EQ(a_host.read(6), "to two");
    EXPECT_EQ(b_host.read(8), "to three");
    b_host.write("three");
    a_host.write("two");
    EXPECT_EQ(a.read(3), "two");
    EXPECT_EQ(b.read(5), "three");
}

/* A wrong source CID: there is no answer, not even a RST. */
TEST_F(Packets, WrongSourceIsDropped)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    for (uint64_t cid : {uint64_t(0), host, parent, second, uint64_t(99),
                         uint64_t(UINT32_MAX),
                         first + (uint64_t(1) << 32)}) {
        for (uint16_t op : {VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RW,
                            VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_SHUTDOWN}) {
            Header h = flow.header(op, VIRTIO_VSOCK_SHUTDOWN_SEND |
                                   VIRTIO_VSOCK_SHUTDOWN_RCV);
            h.src_cid = cid;
            guest.send(h);
        }
    }
    flow.barrier();
    EXPECT_TRUE(guest.arrived().empty());
    flow.write("still here");
    EXPECT_EQ(socket.read(10), "still here");
}

TEST_F(Packets, UnknownDestinationIsReset)
{
    Guest guest(socket());

    for (uint64_t cid : {uint64_t(0), uint64_t(1), first, uint64_t(99),
                         uint64_t(UINT32_MAX),
                         host + (uint64_t(1) << 32)}) {
        HostListener listening(listener(50));
        Flow flow(guest, cid, 50, 1000);
        EXPECT_FALSE(flow.connect()) << cid;
    }
    expect_works(guest);
}

TEST_F(Packets, UnknownTypeIsReset)
{
    Guest guest(socket());
    HostListener listening(listener(50));

    for (uint16_t type : {0, 3, 7, 0xffff}) {
        Flow flow(guest, host, 50, 1000);
        Header h = flow.header(VIRTIO_VSOCK_OP_REQUEST);
        h.type = type;
        guest.send(h);
        EXPECT_EQ(guest.receive().header.op, VIRTIO_VSOCK_OP_RST) << type;
    }
    expect_works(guest);
}

TEST_F(Packets, UnknownOperationResetsItsConnectionAlone)
{
    Guest guest(socket());
    auto [quiet, quiet_host] = open(guest, 999, 49);

    for (uint16_t op : {0, 8, 100, 0xffff}) {
        auto [flow, socket] = open(guest);

        flow.send(op);
        flow.expect(VIRTIO_VSOCK_OP_RST);
        EXPECT_TRUE(socket.at_end());
    }
    quiet.write("x");
    EXPECT_EQ(quiet_host.read(1), "x");
}

TEST_F(Packets, SecondRequestResets)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.send(VIRTIO_VSOCK_OP_REQUEST);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
    expect_works(guest);
}

TEST_F(Packets, UnaskedResponseResets)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    flow.send(VIRTIO_VSOCK_OP_RESPONSE);
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());

    /* and one for no connection at all */
    Flow(guest, host, 51, 1001).send(VIRTIO_VSOCK_OP_RESPONSE);
    EXPECT_EQ(guest.receive().header.op, VIRTIO_VSOCK_OP_RST);
}

/* If a RST was answered with a RST, this would never end. */
TEST_F(Packets, ResetIsNotAnswered)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    Flow(guest, host, 4444, 1001).send(VIRTIO_VSOCK_OP_RST);
    Flow(guest, 99, 4444, 1001).send(VIRTIO_VSOCK_OP_RST);
    flow.barrier();
    EXPECT_TRUE(guest.arrived().empty());
}

TEST_F(Packets, LengthBeyondTheBufferResetsItsConnectionAlone)
{
    Guest guest(socket());
    auto [quiet, quiet_host] = open(guest, 999, 49);

    for (uint32_t excess : {1u, 4096u, 0xffffu, 0x7fffffffu, 0xfffffff0u}) {
        auto [flow, socket] = open(guest);
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);

        h.len = 5 + excess;
        guest.send(h, "short");
        flow.expect(VIRTIO_VSOCK_OP_RST);
        EXPECT_TRUE(socket.at_end()) << excess;
    }
    quiet.write("x");
    EXPECT_EQ(quiet_host.read(1), "x");
}

TEST_F(Packets, WhatFollowsTheLengthIsNotSent)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);

    h.len = 4;
    guest.send(h, "ping, and more");
    flow.sent += 4;
    flow.write("pong");
    EXPECT_EQ(socket.read(8), "pingpong");
}

TEST_F(Packets, EmptyPacketsAreTaken)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);

    for (int i = 0; i < 1000; i++) {
        flow.send(VIRTIO_VSOCK_OP_RW);
    }
    flow.write("x");
    EXPECT_EQ(socket.read(1), "x");
}

TEST_F(Packets, TooShortForAHeader)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    uint64_t at = guest.memory().allocate(64);

    for (uint32_t length : {1u, 20u, 43u}) {
        guest.send_chain({{at, length, false}});
    }
    /* a whole header, where the device may only write */
    guest.send_chain({{at, 64, true}});
    flow.barrier();
    flow.write("x");
    EXPECT_EQ(socket.read(1), "x");
}

/* A chain is a stream of bytes: the sizes of its descriptors do not matter. */
class Layout : public Conformance,
               public testing::WithParamInterface<bool /* indirect */> {
protected:
    Guest::Options options() const
    {
        Guest::Options o;

        o.indirect = GetParam();
        return o;
    }
};

TEST_P(Layout, HeaderSplitAnywhere)
{
    Guest guest(socket(), options());
    auto [flow, socket] = open(guest);
    std::string sent;

    for (uint32_t cut = 1; cut <= vsock_header; cut++) {
        std::string data = pattern(100, cut);
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);

        h.len = data.size();
        guest.send(h, data, {cut});
        flow.sent += data.size();
        sent += data;
    }
    EXPECT_EQ(socket.read(sent.size()), sent);
}

TEST_P(Layout, HeaderInSingleBytes)
{
    Guest guest(socket(), options());
    auto [flow, socket] = open(guest);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);

    h.len = 9;
    guest.send(h, "in pieces", std::vector<uint32_t>(50, 1));
    flow.sent += 9;
    EXPECT_EQ(socket.read(9), "in pieces");
}

/* A header and pages: what Linux 6.12 sends for 64 KiB */
TEST_P(Layout, PayloadInFragments)
{
    Guest guest(socket(), options());
    auto [flow, socket] = open(guest);
    std::vector<uint32_t> layout(17, 4096);
    std::string sent = pattern(65536), got;

    layout[0] = vsock_header;
    for (size_t round = 0; round < 8; round++) {
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);

        while (flow.credit() < sent.size()) {
            flow.expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        }
        h.len = sent.size();
        guest.send(h, sent, layout);
        flow.sent += sent.size();
        EXPECT_EQ(socket.read(sent.size()), sent);
    }
}

TEST_P(Layout, ReceiveBuffersOfAnyShape)
{
    const std::vector<std::vector<uint32_t>> layouts = {
        {44, 4096},                                 /* Linux before 6.2 */
        {44, 1},
        {43, 2},
        {1, 43, 100},
        {45},                                       /* a byte a packet */
        std::vector<uint32_t>(60, 1),
        {65536 + 44},
        {44, 1 << 18},
        {20, 24, 4096, 4096, 4096, 4096},
    };
    const std::string data = pattern(20000);

    for (const std::vector<uint32_t> &layout : layouts) {
        Guest::Options o = options();

        o.rx_layout = layout;
        o.rx_buffers = 100;
        Guest guest(socket(), o);
        auto [flow, socket] = open(guest);
        socket.write(data);
        EXPECT_EQ(flow.read(data.size()), data) << layout.size();
        socket.shutdown_write();
        flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
    }
}

/* Such buffers can hold packets without payload, but data waits for ever. */
TEST_P(Layout, ReceiveBuffersForHeadersOnly)
{
    Guest::Options o = options();

    o.rx_layout = {44};
    Guest guest(socket(), o);
    auto [flow, socket] = open(guest);
    socket.write("no room");
    for (int i = 0; i < 100; i++) {
        flow.barrier();
    }
    flow.write("x");
    EXPECT_EQ(socket.read(1), "x");
    flow.send(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
}

/* Buffers that cross the boundary of two memory regions */
TEST_F(Packets, BuffersAcrossRegions)
{
    Guest::Options o;

    o.regions = 8;
    o.rx_buffers = 0;
    o.rx_layout = {300 * 1024};
    Guest guest(socket(), o);
    guest.post(100);
    auto [flow, socket] = open(guest);
    const std::string data = pattern(200 * 1024);
    for (size_t at = 0; at < 100; at++) {
        socket.write(data.substr(0, 50000));
        ASSERT_EQ(flow.read(50000), data.substr(0, 50000)) << at;
    }

    /* and a packet that is in two */
    uint64_t border = Memory::guest_base + o.memory / 8;
    for (size_t before : {1u, 43u, 44u, 45u, 60u}) {
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);
        uint64_t at = border - before;

        h.len = 100;
        memcpy(guest.memory().at(at), &h, vsock_header);
        memcpy(guest.memory().at(at + vsock_header), data.data(), h.len);
        guest.send_chain({{at, vsock_header + h.len, false}});
        flow.sent += h.len;
        EXPECT_EQ(socket.read(100), data.substr(0, 100)) << before;
        flow.barrier();
    }
}

TEST_P(Layout, SmallRing)
{
    Guest::Options o = options();

    o.queue_size = 2;
    o.rx_layout = {60};
    o.rx_buffers = 1;
    Guest guest(socket(), o);
    auto [flow, socket] = open(guest);
    const std::string data = pattern(5000);
    socket.write(data);
    EXPECT_EQ(flow.read(data.size()), data);
    flow.write(data, 7);
    EXPECT_EQ(socket.read(data.size()), data);
}

TEST_P(Layout, WithoutEventIndex)
{
    Guest::Options o = options();

    o.event_index = false;
    Guest guest(socket(), o);
    auto [flow, socket] = open(guest);
    const std::string data = pattern(100000);
    for (int i = 0; i < 10; i++) {
        socket.write(data);
        EXPECT_EQ(flow.read(data.size()), data);
        flow.write(data, 1000);
        EXPECT_EQ(socket.read(data.size()), data);
    }
}

INSTANTIATE_TEST_SUITE_P(, Layout, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &layout) {
                             return layout.param ? "Indirect" : "Direct";
                         });

} // namespace
