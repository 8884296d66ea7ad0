/*
 * Tests of host.cc: real Unix sockets, and others in place of AF_VSOCK ones,
 * which few hosts have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "host.hh"
#include "passing.hh"
#include "testing/fake_rx_buffers.hh"
#include "testing/temporary_directory.hh"

#include <array>
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

constexpr uint64_t guest = 16;

/* An AF_VSOCK address is a Unix socket, whose name is the address's text. */
class FakeSockets : public Sockets {
public:
    explicit FakeSockets(const TemporaryDirectory &directory)
        : directory_(directory) {}
    Endpoint place(const Endpoint &e)
    {
        std::string error;

        return e.family() == AF_VSOCK
            ? unix_endpoint(directory_ / e.text, &error).value_or(e) : e;
    }
    Descriptor connect(const Endpoint &to, int type, Attempt *attempt) override
    {
        return Sockets::connect(place(to), type, attempt);
    }
    ListeningSocket listen(const Endpoint &at, int type,
                           std::string *error) override
    {
        return Sockets::listen(place(at), type, error);
    }
    std::string vsock_missing(uint32_t) override { return missing; }

    std::string missing;

private:
    const TemporaryDirectory &directory_;
};

class HostTest : public testing::Test {
protected:
    HostTest()
        : sockets(directory),
          m(loop, guest, default_buffer_size,
            [](const PacketHeader &) { return nullptr; })
    {
        m.set_seqpacket(true);
    }
    void start()
    {
        host = std::make_unique<Host>(loop, sockets, share, options,
                                      [this] { booted++; });
        ASSERT_TRUE(host->listen(&error)) << error;
        host->attach(&m);
    }
    Endpoint endpoint(const std::string &path)
    {
        return unix_endpoint(path, &error).value_or(Endpoint());
    }
    /* A host program that listens, or that connects */
    ListeningSocket listener(const Endpoint &at, int type = SOCK_STREAM)
    {
        ListeningSocket s = sockets.listen(at, type, &error);

        EXPECT_TRUE(s.fd) << error;
        return s;
    }
    Descriptor program(const Endpoint &to, int type = SOCK_STREAM)
    {
        Attempt attempt;
        Descriptor fd = sockets.connect(to, type, &attempt);

        EXPECT_TRUE(fd) << to.text;
        loop.run_once(0);
        return fd;
    }
    void write(const Descriptor &fd, const std::string &text)
    {
        EXPECT_EQ(::write(fd.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
        loop.run_once(0);
    }
    /* Send the line and, with it, one end of a new pair; returns the other. */
    Descriptor pass_socket(const Descriptor &to, const std::string &line,
                           int type, const std::string &before = "")
    {
        int ends[2];

        EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
        Descriptor ours(ends[0]), passed(ends[1]);
        send(ours.get(), before.data(), before.size(), 0);
        EXPECT_EQ(send_with_descriptors(to.get(), line.data(), line.size(),
                                        {{passed.get()}}),
                  static_cast<ssize_t>(line.size()));
        loop.run_once(0);
        return ours;
    }
    /* Received data; "(end)" at the end, "" if there is none */
    std::string read(const Descriptor &fd)
    {
        std::array<char, 100> text;
        ssize_t n = ::read(fd.get(), text.data(), text.size());

        return n > 0 ? std::string(text.data(), n) : n == 0 ? "(end)" : "";
    }
    /* Has the guest's connection come to this listener? */
    bool reached(const ListeningSocket &s)
    {
        return static_cast<bool>(
            Descriptor(accept(s.fd.get(), nullptr, nullptr)));
    }
    /* The next packet for the guest; op 0 if there is none */
    PacketHeader sent()
    {
        FakeRxBuffers buffers(1, 4096 - packet_header_size);

        if (m.has_pending()) {
            m.send_pending(buffers);
        }
        return buffers.sent.empty() ? PacketHeader() : buffers.sent[0].header;
    }
    void expect_request(uint32_t port, uint16_t type = type_stream)
    {
        PacketHeader h = sent();

        EXPECT_EQ(h.op, static_cast<uint16_t>(Op::request));
        EXPECT_EQ(h.dst_port, port);
        EXPECT_EQ(h.type, type);
        EXPECT_EQ(h.src_cid, parent_cid);
    }
    void answer(const PacketHeader &to, Op op)
    {
        PacketHeader h = reply_to(to, op);

        h.buf_alloc = 1 << 20;
        m.receive(h, {});
    }

    TemporaryDirectory directory;
    FakeSockets sockets;
    Loop loop;
    DescriptorShare share;
    HostOptions options;
    std::string error;
    int booted = 0;
    std::unique_ptr<Host> host;
    Multiplexer m;      /* before host_, whose streams it has */
};

TEST_F(HostTest, AProgramAsksForAPort)
{
    options.uds_path = directory / "v";
    start();
    Descriptor p = program(endpoint(directory / "v"));

    write(p, "conn");
    EXPECT_EQ(sent().op, 0);
    write(p, "ECT 77\nearly");
    PacketHeader request = sent();
    EXPECT_EQ(request.dst_port, 77U);
    EXPECT_EQ(read(p), "");
    answer(request, Op::response);
    EXPECT_EQ(read(p), "OK " + std::to_string(request.src_port) + "\n");
    PacketHeader data = sent();
    EXPECT_EQ(data.op, static_cast<uint16_t>(Op::rw));
    EXPECT_EQ(data.len, 5U);
}

TEST_F(HostTest, AProgramPassesASocket)
{
    options.uds_path = directory / "v";
    start();
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Descriptor p = program(endpoint(directory / "v"));
        Descriptor socket = pass_socket(p, "CONNECT 77\n", type, "filler");
        PacketHeader request = sent();

        EXPECT_EQ(request.type, type == SOCK_STREAM ? type_stream
                                                    : type_seqpacket);
        EXPECT_EQ(read(p), "");
        answer(request, Op::response);
        EXPECT_EQ(read(p), "OK " + std::to_string(request.src_port) + "\n");
        EXPECT_EQ(read(p), "(end)");
        write(socket, "data");
        PacketHeader data = sent();
        EXPECT_EQ(data.op, static_cast<uint16_t>(Op::rw));
        EXPECT_EQ(data.len, 4U);
        EXPECT_EQ(share.used(), 1u);
        m.clear();
        EXPECT_EQ(share.used(), 0u);
    }
}

/* Its end is reset, because the data that filled it was not read. */
TEST_F(HostTest, ARefusedSocketIsReset)
{
    options.uds_path = directory / "v";
    start();
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Descriptor p = program(endpoint(directory / "v"));
        Descriptor socket = pass_socket(p, "CONNECT 77\n", type, "filler");
        int error = 0;
        socklen_t size = sizeof(error);

        answer(sent(), Op::rst);
        EXPECT_EQ(read(p), "(end)");
        EXPECT_EQ(getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error,
                             &size), 0);
        EXPECT_EQ(error, ECONNRESET);
        EXPECT_EQ(share.used(), 0u);
    }
}

TEST_F(HostTest, WhatIsPassedMustBeAConnection)
{
    options.uds_path = directory / "v";
    start();
    Descriptor p = program(endpoint(directory / "v"));
    Descriptor socket = pass_socket(p, "CONNECT 77\n", SOCK_DGRAM);

    EXPECT_EQ(read(p), "(end)");
    EXPECT_EQ(m.size(), 0U);
    EXPECT_EQ(share.used(), 0u);
}

/* A socket needs a claim of its own. */
TEST_F(HostTest, APassedSocketCounts)
{
    options.uds_path = directory / "v";
    start();
    share.set_limit(1);
    Descriptor p = program(endpoint(directory / "v"));
    Descriptor socket = pass_socket(p, "CONNECT 77\n", SOCK_STREAM);

    EXPECT_EQ(read(p), "(end)");
    EXPECT_EQ(m.size(), 0U);
    EXPECT_EQ(share.used(), 0u);
}

TEST_F(HostTest, TheFallbackIsSecond)
{
    options.uds_path = directory / "v";
    options.uds_fallback = directory / "f";
    start();
    EXPECT_FALSE(host->connect(5, type_stream));
    ListeningSocket second = listener(endpoint(directory / "f_5"));
    EXPECT_TRUE(host->connect(5, type_stream));
    EXPECT_TRUE(reached(second));
    ListeningSocket first = listener(endpoint(directory / "v_5"));
    EXPECT_TRUE(host->connect(5, type_stream));
    EXPECT_TRUE(reached(first));
    EXPECT_FALSE(reached(second));
}

TEST_F(HostTest, AListenerSeesWhichGuestItIs)
{
    sockaddr_un un = {};
    socklen_t size = sizeof(un);

    options.uds_path = directory / "v";
    start();
    ListeningSocket there = listener(endpoint(directory / "v_5"));
    auto stream = host->connect(5, type_stream, {16, 1025});
    Descriptor fd(accept(there.fd.get(), reinterpret_cast<sockaddr *>(&un),
                         &size));

    ASSERT_TRUE(fd);
    auto name = parse_vsock_name(
        {un.sun_path, size - offsetof(sockaddr_un, sun_path)});
    ASSERT_TRUE(name);
    EXPECT_EQ(name->cid, 16u);
    EXPECT_EQ(name->port, 1025u);
}

TEST_F(HostTest, ARefusedProgramReadsNothing)
{
    options.uds_path = directory / "v";
    start();
    Descriptor p = program(endpoint(directory / "v"));

    write(p, "CONNECT 77\n");
    answer(sent(), Op::rst);
    EXPECT_EQ(read(p), "(end)");
}

TEST_F(HostTest, WhatIsNoCommandIsClosed)
{
    options.uds_path = directory / "v";
    start();
    for (const char *text : {"CONNECT\n", "CONNECT 4294967295\n", "GET /\n",
                             "CONNECT -1\n", "CONNECT 1 \n",
                             "CONNECT 00000000000000000000001\n"}) {
        Descriptor p = program(endpoint(directory / "v"));

        write(p, text);
        EXPECT_EQ(read(p), "(end)") << text;
    }
    EXPECT_EQ(m.size(), 0U);
}

TEST_F(HostTest, ProgramsThatHaveNotAskedYetAreBounded)
{
    std::vector<Descriptor> waiting;
    rlimit descriptors;

    /* The test must not end because of too few descriptors. */
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    descriptors.rlim_cur = descriptors.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    options.uds_path = directory / "v";
    start();
    for (size_t i = 0; i < max_pending_commands; i++) {
        waiting.push_back(program(endpoint(directory / "v")));
    }
    EXPECT_EQ(share.used(), max_pending_commands);
    EXPECT_EQ(read(program(endpoint(directory / "v"))), "(end)");
    EXPECT_EQ(share.used(), max_pending_commands);
    /* Those that wait are served, and make room for others. */
    write(waiting[0], "CONNECT 7\n");
    expect_request(7);
    Descriptor another = program(endpoint(directory / "v"));
    write(another, "CONNECT 8\n");
    expect_request(8);
}

/* When the share is used up, both kinds are refused, and others continue. */
TEST_F(HostTest, AShareOfDescriptors)
{
    options.uds_path = directory / "v";
    options.listens = {{endpoint(directory / "a"), SOCK_STREAM, 1}};
    start();
    share.set_limit(3);
    ListeningSocket there = listener(endpoint(directory / "v_5"));
    Descriptor a = program(endpoint(directory / "a"));
    Descriptor v = program(endpoint(directory / "v"));
    auto stream = host->connect(5, type_stream);

    expect_request(1);
    EXPECT_TRUE(stream);
    EXPECT_EQ(share.used(), 3u);
    EXPECT_FALSE(host->connect(5, type_stream));
    EXPECT_EQ(read(program(endpoint(directory / "a"))), "(end)");
    EXPECT_EQ(read(program(endpoint(directory / "v"))), "(end)");
    EXPECT_EQ(share.used(), 3u);

    write(v, "CONNECT 7\n");
    expect_request(7);
    EXPECT_EQ(share.used(), 3u);
    EXPECT_EQ(read(a), "");
    stream.reset();
    EXPECT_EQ(share.used(), 2u);
    EXPECT_TRUE(host->connect(5, type_stream));
    m.clear();
    EXPECT_EQ(share.used(), 0u);
    EXPECT_EQ(read(a), "(end)");
    EXPECT_EQ(read(v), "(end)");
}

/* A port without a listener accepts none. */
TEST_F(HostTest, FailedConnectionsGiveTheirDescriptorsBack)
{
    options.uds_path = directory / "v";
    start();
    share.set_limit(1);
    for (int i = 0; i < 3; i++) {
        EXPECT_FALSE(host->connect(5, type_stream));
        Descriptor p = program(endpoint(directory / "v"));

        write(p, "nonsense\n");
        EXPECT_EQ(read(p), "(end)");
        EXPECT_EQ(share.used(), 0u);
    }
}

TEST_F(HostTest, ListenersGoToTheirPorts)
{
    options.listens = {{endpoint(directory / "a"), SOCK_STREAM, 1},
                       {endpoint(directory / "b"), SOCK_SEQPACKET, 2}};
    start();

    Descriptor a = program(endpoint(directory / "a"));
    expect_request(1);
    Descriptor b = program(endpoint(directory / "b"), SOCK_SEQPACKET);
    expect_request(2, type_seqpacket);
}

TEST_F(HostTest, WithoutAGuestListenersClose)
{
    options.listens = {{endpoint(directory / "a"), SOCK_STREAM, 1}};
    start();
    host->attach(nullptr);

    EXPECT_EQ(read(program(endpoint(directory / "a"))), "(end)");
}

TEST_F(HostTest, GuestReachesThePortsSocket)
{
    options.uds_path = directory / "v";
    start();
    ListeningSocket stream = listener(endpoint(directory / "v_5"));
    ListeningSocket packets = listener(endpoint(directory / "v_6"),
                                       SOCK_SEQPACKET);

    EXPECT_TRUE(host->connect(5, type_stream));
    EXPECT_TRUE(reached(stream));
    EXPECT_TRUE(host->connect(6, type_seqpacket));
    EXPECT_TRUE(reached(packets));
    EXPECT_FALSE(host->connect(5, type_seqpacket));
    EXPECT_FALSE(host->connect(6, type_stream));
    EXPECT_FALSE(host->connect(7, type_stream));
}

/* It is connected when the program has accepted others. */
TEST_F(HostTest, AFullBacklog)
{
    using Status = Stream::Status;

    options.uds_path = directory / "v";
    start();
    for (uint32_t port : {5u, heartbeat_port}) {
        ListeningSocket there = listener(endpoint(directory / "v_"
                                                  + std::to_string(port)));
        ASSERT_EQ(listen(there.fd.get(), 0), 0);
        auto first = host->connect(port, type_stream);
        auto second = host->connect(port, type_stream);
        auto third = host->connect(port, type_stream);

        ASSERT_TRUE(first && second && third);
        EXPECT_EQ(first->status(), Status::connected);
        EXPECT_EQ(second->status(), Status::backlog_full);
        EXPECT_EQ(second->status(), Status::backlog_full);
        EXPECT_TRUE(reached(there));
        EXPECT_EQ(second->status(), Status::connected);
        EXPECT_EQ(third->status(), Status::backlog_full);
        EXPECT_TRUE(reached(there));
        EXPECT_EQ(third->status(), Status::connected);
    }
    EXPECT_EQ(booted, 0);
}

/* The program ends before it has accepted. */
TEST_F(HostTest, AFullBacklogThatGoesAway)
{
    options.uds_path = directory / "v";
    start();
    for (uint32_t port : {5u, heartbeat_port}) {
        ListeningSocket there = listener(endpoint(directory / "v_"
                                                  + std::to_string(port)));
        ASSERT_EQ(listen(there.fd.get(), 0), 0);
        auto first = host->connect(port, type_stream);
        auto second = host->connect(port, type_stream);

        ASSERT_TRUE(first && second);
        EXPECT_EQ(second->status(), Stream::Status::backlog_full);
        there = ListeningSocket();
        EXPECT_EQ(second->status(), Stream::Status::failed);
        auto fallback = second->take_fallback();
        ASSERT_EQ(fallback != nullptr, port == heartbeat_port);
        if (fallback) {
            EXPECT_EQ(fallback->status(), Stream::Status::connected);
        }
        EXPECT_FALSE(second->take_fallback());
    }
}

TEST_F(HostTest, ConnectGoesFirst)
{
    options.uds_path = directory / "v";
    options.connects.emplace(5, endpoint(directory / "elsewhere"));
    start();
    ListeningSocket there = listener(endpoint(directory / "elsewhere"));
    ListeningSocket usual = listener(endpoint(directory / "v_5"));

    EXPECT_TRUE(host->connect(5, type_stream));
    EXPECT_TRUE(reached(there));
    EXPECT_FALSE(reached(usual));
}

TEST_F(HostTest, ForwardsToAfVsock)
{
    options.forward_cid = 1;
    start();
    ListeningSocket there = listener(vsock_endpoint(1, 5));

    EXPECT_TRUE(host->connect(5, type_stream));
    EXPECT_TRUE(reached(there));
    EXPECT_FALSE(host->connect(6, type_stream));
}

TEST_F(HostTest, ForwardsFromAfVsock)
{
    options.forward_cid = 1;
    options.forward_listen = {5, 6};
    start();

    Descriptor p = program(vsock_endpoint(1, 6));
    expect_request(6);
}

TEST_F(HostTest, HostWithoutAfVsock)
{
    options.forward_cid = 1;
    sockets.missing = "it is not here";
    Host h(loop, sockets, share, options, [] {});

    EXPECT_FALSE(h.listen(&error));
    EXPECT_EQ(error, "forward-cid=1: it is not here");
}

TEST_F(HostTest, HeartbeatIsAnsweredWhereNobodyListens)
{
    options.uds_path = directory / "v";
    start();
    uint8_t byte = heartbeat_byte;
    iovec one = {&byte, 1};
    auto stream = host->connect(heartbeat_port, type_stream);

    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->writev(&one, 1), 1);
    EXPECT_EQ(booted, 1);
    byte = 0;
    EXPECT_EQ(stream->readv(&one, 1), 1);
    EXPECT_EQ(byte, heartbeat_byte);

    EXPECT_FALSE(host->connect(heartbeat_port, type_seqpacket));
}

TEST_F(HostTest, AProgramForTheHeartbeatGoesFirst)
{
    options.uds_path = directory / "v";
    start();
    ListeningSocket there = listener(endpoint(directory / "v_9000"));
    uint8_t byte = heartbeat_byte;
    iovec one = {&byte, 1};
    auto stream = host->connect(heartbeat_port, type_stream);

    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->status(), Stream::Status::connected);
    EXPECT_EQ(stream->writev(&one, 1), 1);
    EXPECT_EQ(booted, 0);
    Descriptor p(accept(there.fd.get(), nullptr, nullptr));
    EXPECT_EQ(read(p), "\xb7");
}

TEST_F(HostTest, HeartbeatOff)
{
    options.heartbeat = false;
    start();
    EXPECT_FALSE(host->connect(heartbeat_port, type_stream));
}

/* As where a name is that of ::1 and of 127.0.0.1, and one has a listener */
TEST_F(HostTest, OtherAddressesOfAName)
{
    auto one = tcp_endpoint("::1", 1, &error);
    auto other = tcp_endpoint("127.0.0.1", 0, &error);
    ASSERT_TRUE(one && other) << error;
    ListeningSocket l = listener(*other);
    ASSERT_TRUE(l.fd) << error;
    socklen_t size = sizeof(other->address);
    ASSERT_EQ(getsockname(l.fd.get(),
                          reinterpret_cast<sockaddr *>(&other->address),
                          &size), 0);
    one->others = {*tcp_endpoint("127.0.0.1", 1, &error), *other};
    options.connects.emplace(5, *one);
    one->others.pop_back();
    options.connects.emplace(6, *one);
    start();

    auto stream = host->connect(5, type_stream);
    ASSERT_TRUE(stream);
    for (int i = 0; i < 1000 &&
         stream->status() == Stream::Status::connecting; i++) {
        usleep(1000);
    }
    EXPECT_EQ(stream->status(), Stream::Status::connected);
    EXPECT_TRUE(reached(l));

    stream = host->connect(6, type_stream);
    for (int i = 0; stream && i < 1000 &&
         stream->status() == Stream::Status::connecting; i++) {
        usleep(1000);
    }
    EXPECT_TRUE(!stream || stream->status() == Stream::Status::failed);
}

} // namespace
