/*
 * Tests of stream.cc, over real sockets; siblings_test.cc has those between
 * guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "passing.hh"
#include "stream.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>

namespace {

/* A stream over one end of a pair, and the program at the other end */
class StreamTest : public testing::Test {
protected:
    using Greeting = SocketStream::Greeting;

    void start(int type = SOCK_STREAM, Greeting greeting = Greeting::none)
    {
        std::array<int, 2> ends;

        ASSERT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                             ends.data()), 0);
        program = Descriptor(ends[1]);
        stream = std::make_unique<SocketStream>(
            Descriptor(ends[0]), Stream::Status::connected, greeting);
    }
    void send(const std::string &text)
    {
        ASSERT_EQ(::send(program.get(), text.data(), text.size(),
                         MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    /* Data that the program gets; "(end)" at the end, "" if there is none */
    std::string got()
    {
        std::array<char, 100> text;
        ssize_t n = recv(program.get(), text.data(), text.size(), 0);

        return n > 0 ? std::string(text.data(), n) : n == 0 ? "(end)" : "";
    }
    /* Up to `size` bytes in two pieces; an error's name, "(end)" */
    std::string read(size_t size)
    {
        std::string text(size, 0);
        std::array<iovec, 2> iov = {{{text.data(), size / 2},
                                     {text.data() + size / 2,
                                      size - size / 2}}};
        ssize_t n = stream->readv(iov.data(), iov.size());

        if (n < 0) {
            return errno == EAGAIN ? "(later)" : strerror(errno);
        }
        return n ? text.substr(0, n) : "(end)";
    }
    ssize_t write(std::string first, std::string second = "")
    {
        std::array<iovec, 2> iov = {{{first.data(), first.size()},
                                     {second.data(), second.size()}}};

        return stream->writev(iov.data(), iov.size());
    }

    Descriptor program;
    std::unique_ptr<Stream> stream;
};

TEST_F(StreamTest, BytesBothWays)
{
    start();
    EXPECT_EQ(stream->status(), Stream::Status::connected);
    EXPECT_EQ(read(10), "(later)");
    send("from the program");
    EXPECT_EQ(read(9), "from the ");
    EXPECT_EQ(read(9), "program");
    EXPECT_EQ(write("from ", "the guest"), 14);
    EXPECT_EQ(got(), "from the guest");
}

/* Only a read of less than was asked for shows that the socket is empty. */
TEST_F(StreamTest, Drained)
{
    start();
    EXPECT_FALSE(stream->drained());
    send("12345678");
    EXPECT_EQ(read(4), "1234");
    EXPECT_FALSE(stream->drained());
    EXPECT_EQ(read(4), "5678");
    EXPECT_FALSE(stream->drained());
    send("9");
    EXPECT_EQ(read(4), "9");
    EXPECT_TRUE(stream->drained());
}

/* A program's descriptors end a read early; they are not taken. */
TEST_F(StreamTest, DescriptorsOfAProgram)
{
    start();
    ASSERT_EQ(send_with_descriptors(program.get(), "1", 1, {{program.get()}}),
              1);
    send("2");

    EXPECT_EQ(read(4), "1");
    EXPECT_FALSE(stream->drained());
    EXPECT_EQ(read(4), "2");
    /* If the descriptor had been received, the program's end would be open. */
    program.reset();
    EXPECT_EQ(read(4), "(end)");
}

TEST_F(StreamTest, TakesNoMoreThanTheSocketDoes)
{
    const std::string block(4096, 'x');
    size_t taken = 0, given = 0;
    std::string text;
    ssize_t n;

    start();
    while ((n = write(block)) > 0) {
        taken += n;
        ASSERT_LT(taken, size_t(1) << 30);
    }
    EXPECT_EQ(errno, EAGAIN);
    while (!(text = got()).empty()) {
        given += text.size();
    }
    EXPECT_EQ(given, taken);
    EXPECT_GT(write(block), 0);
}

TEST_F(StreamTest, EachWayEndsByItself)
{
    start();
    stream->shutdown(SHUT_WR);
    EXPECT_EQ(got(), "(end)");
    send("still");
    EXPECT_EQ(read(9), "still");
    ::shutdown(program.get(), SHUT_WR);
    EXPECT_EQ(read(9), "(end)");
    EXPECT_EQ(write("x"), -1);
    EXPECT_EQ(errno, EPIPE);
}

TEST_F(StreamTest, GuestTakesNoMore)
{
    start();
    stream->shutdown(SHUT_RD);
    EXPECT_EQ(::send(program.get(), "x", 1, MSG_NOSIGNAL), -1);
    EXPECT_EQ(write("x"), 1);
    EXPECT_EQ(got(), "x");
}

TEST_F(StreamTest, GreetsWhoWaitsForALine)
{
    start();
    stream->guest_accepted(1073741824);
    EXPECT_EQ(got(), "");
    start(SOCK_STREAM, Greeting::line);
    stream->guest_accepted(1073741824);
    EXPECT_EQ(got(), "OK 1073741824\n");
}

/*
 * The guest has closed without reading all data.  The program reads all that
 * the guest has sent and then the end, without an error.
 */
TEST_F(StreamTest, FinishedUnread)
{
    for (int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        start(type);
        EXPECT_EQ(write("one"), 3);
        for (int i = 0; i < 20; i++) {
            send("unread");
            if (type == SOCK_SEQPACKET && i % 3 == 0) {
                send("");
            }
        }
        stream->shutdown(SHUT_RD);
        EXPECT_TRUE(stream->finish());
        stream.reset();
        EXPECT_EQ(got(), "one");
        EXPECT_EQ(got(), "(end)");
    }
}

TEST_F(StreamTest, MessagesAreWhole)
{
    start(SOCK_SEQPACKET);
    EXPECT_EQ(stream->message_size(), -1);
    EXPECT_EQ(errno, EAGAIN);
    send("one");
    send("three");
    EXPECT_EQ(stream->message_size(), 3);
    EXPECT_EQ(stream->message_size(), 3);   /* the message is not removed */
    EXPECT_EQ(read(3), "one");
    EXPECT_EQ(stream->message_size(), 5);
    EXPECT_EQ(read(5), "three");
    EXPECT_EQ(write("to ", "it"), 5);
    EXPECT_EQ(write("again"), 5);
    EXPECT_EQ(got(), "to it");
    EXPECT_EQ(got(), "again");
}

/* The messages of a stream, until it has no more or ends */
class MessageTest : public StreamTest {
protected:
    using Texts = std::vector<std::string>;

    Texts messages()
    {
        Texts all;

        for (int turn = 0; turn < 1000; turn++) {
            ssize_t size = stream->message_size();

            if (size > 0) {
                all.push_back(read(size));
            } else if (size == 0) {
                all.push_back("(end)");
                return all;
            } else if (errno == EAGAIN) {
                return all;
            } else if (errno != EINTR) {
                all.push_back(strerror(errno));
                return all;
            }
        }
        all.push_back("(no end of it)");
        return all;
    }
};

/* An empty message is neither a message nor the end. */
TEST_F(MessageTest, EmptyOnes)
{
    start(SOCK_SEQPACKET);
    send("");
    EXPECT_EQ(messages(), Texts());
    send("");
    send("x");
    EXPECT_EQ(messages(), Texts{"x"});
    program.reset();
    EXPECT_EQ(messages(), Texts{"(end)"});
    EXPECT_EQ(messages(), Texts{"(end)"});
}

/* All orders of up to five messages, empty or not, and either kind of end */
TEST_F(MessageTest, EmptyOnesBeforeTheEnd)
{
    for (unsigned count = 0; count <= 5; count++) {
        for (unsigned order = 0; order < 1u << count; order++) {
            for (bool close : {false, true}) {
                Texts expected;

                start(SOCK_SEQPACKET);
                for (unsigned i = 0; i < count; i++) {
                    bool empty = !(order >> i & 1);

                    send(empty ? "" : "hello");
                    if (!empty) {
                        expected.push_back("hello");
                    }
                }
                expected.push_back("(end)");
                if (close) {
                    program.reset();
                } else {
                    ::shutdown(program.get(), SHUT_WR);
                }
                EXPECT_EQ(messages(), expected)
                    << count << " " << order << " " << close;
            }
        }
    }
}

/* The end comes while empty messages are being discarded. */
TEST_F(MessageTest, ManyEmptyOnesBeforeTheEnd)
{
    for (int count : {max_empty_messages - 1, max_empty_messages,
                      max_empty_messages + 1, 3 * max_empty_messages}) {
        for (bool last : {false, true}) {
            start(SOCK_SEQPACKET);
            for (int i = 0; i < count; i++) {
                send("");
            }
            if (last) {
                send("hello");
            }
            program.reset();
            EXPECT_EQ(messages(), (last ? Texts{"hello", "(end)"}
                                        : Texts{"(end)"})) << count;
        }
    }
}

/* One turn discards a limited number of messages. */
TEST_F(MessageTest, AFloodOfEmptyOnesTakesTurns)
{
    start(SOCK_SEQPACKET);
    for (int i = 0; i < 5 * max_empty_messages; i++) {
        send("");
    }
    send("hello");
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(stream->message_size(), -1);
        EXPECT_EQ(errno, EINTR);
    }
    EXPECT_EQ(stream->message_size(), 5);
}

/*
 * A program closes without reading all data.  The messages that it has sent can
 * be read, and after them its end or its error.
 */
TEST_F(MessageTest, BeforeAReset)
{
    const std::string reset = strerror(ECONNRESET);

    for (bool empty : {false, true}) {
        start(SOCK_SEQPACKET);
        EXPECT_EQ(write("unread"), 6);
        if (empty) {
            send("");
        }
        send("hello");
        program.reset();
        EXPECT_EQ(messages(), (Texts{"hello", reset}));
        EXPECT_EQ(messages(), Texts{reset});
    }
    start(SOCK_SEQPACKET);
    EXPECT_EQ(write("unread"), 6);
    send("hello");
    EXPECT_EQ(stream->message_size(), 5);
    program.reset();     /* between recvmsg(MSG_PEEK) and the read */
    EXPECT_EQ(read(5), "hello");
    EXPECT_EQ(messages(), Texts{reset});
}

TEST_F(StreamTest, BytesBeforeAReset)
{
    start();
    EXPECT_EQ(write("unread"), 6);
    send("hello");
    program.reset();
    EXPECT_EQ(read(9), "hello");
    EXPECT_EQ(read(9), strerror(ECONNRESET));
    EXPECT_EQ(read(9), strerror(ECONNRESET));
}

/* A message of max_message() bytes is written; a much larger one is not. */
TEST_F(StreamTest, LargestMessage)
{
    start(SOCK_SEQPACKET);
    std::string message(stream->max_message(), 'm');

    ASSERT_GE(message.size(), 65536u);
    EXPECT_EQ(write(message), static_cast<ssize_t>(message.size()));
    EXPECT_EQ(write(message), -1);
    EXPECT_EQ(errno, EAGAIN);
    message.resize(message.size() + 2048);
    start(SOCK_SEQPACKET);
    EXPECT_EQ(write(message), -1);
    EXPECT_EQ(errno, EMSGSIZE);
}

/* TCP addresses: one with a listener, and one without */
class ConnectingTest : public testing::Test {
protected:
    ConnectingTest() : listener(tcp())
    {
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(listener.get(), address(), size), 0);
        EXPECT_EQ(getsockname(listener.get(), address(), &size), 0);
    }
    static Descriptor tcp()
    {
        return Descriptor(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK |
                                 SOCK_CLOEXEC, 0));
    }
    sockaddr *address() { return reinterpret_cast<sockaddr *>(&at); }
    SocketStream connect()
    {
        Descriptor fd = tcp();

        if (::connect(fd.get(), address(), size)) {
            EXPECT_EQ(errno, EINPROGRESS);
        }
        pollfd p = {fd.get(), POLLOUT, 0};
        EXPECT_EQ(poll(&p, 1, 30000), 1);
        return SocketStream(std::move(fd), Stream::Status::connecting);
    }

    Descriptor listener;
    sockaddr_in at = {};
    socklen_t size = sizeof(at);
};

TEST_F(ConnectingTest, WhereSomeoneListens)
{
    ASSERT_EQ(listen(listener.get(), 1), 0);
    SocketStream stream = connect();

    EXPECT_EQ(stream.status(), Stream::Status::connected);
    EXPECT_EQ(stream.status(), Stream::Status::connected);
}

TEST_F(ConnectingTest, WhereNobodyDoes)
{
    SocketStream stream = connect();

    EXPECT_EQ(stream.status(), Stream::Status::failed);
    EXPECT_EQ(stream.status(), Stream::Status::failed);
}

/* With TCP, nothing is left to send when it is closed. */
TEST_F(ConnectingTest, FinishedUnread)
{
    const std::string block(4096, 'x');
    std::array<char, 4096> data;
    iovec iov = {const_cast<char *>(block.data()), block.size()};
    size_t written = 0, got = 0;
    ssize_t n;

    ASSERT_EQ(listen(listener.get(), 1), 0);
    auto stream = std::unique_ptr<SocketStream>(new SocketStream(connect()));
    ASSERT_EQ(stream->status(), Stream::Status::connected);
    Descriptor program(accept4(listener.get(), nullptr, nullptr,
                               SOCK_NONBLOCK));
    while ((n = stream->writev(&iov, 1)) > 0) {
        written += n;
    }
    EXPECT_EQ(send(program.get(), "unread", 6, MSG_NOSIGNAL), 6);
    stream->shutdown(SHUT_RD);
    EXPECT_FALSE(stream->finish());
    EXPECT_EQ(send(program.get(), "more", 4, MSG_NOSIGNAL), 4);
    while (stream) {
        if (stream->finish()) {
            stream.reset();
        }
        while ((n = recv(program.get(), data.data(), data.size(), 0)) > 0) {
            got += n;
        }
        EXPECT_TRUE(n == 0 || errno == EAGAIN);
        usleep(1000);
    }
    EXPECT_EQ(got, written);
    EXPECT_EQ(n, 0);
}

/* A socket that has not started to connect is not connected. */
TEST_F(ConnectingTest, StillConnecting)
{
    std::array<int, 2> ends;
    const std::array<char, 4096> block = {};

    /* Like one whose other end has not answered, it is not writable. */
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         0, ends.data()), 0);
    Descriptor other(ends[1]);
    while (send(ends[0], block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
    SocketStream stream(Descriptor(ends[0]), Stream::Status::connecting);
    EXPECT_EQ(stream.status(), Stream::Status::connecting);
}

class HeartbeatTest : public testing::Test {
protected:
    ssize_t write(std::string text)
    {
        iovec iov = {text.data(), text.size()};

        return stream.writev(&iov, 1);
    }
    /* Read the echo into a buffer of `size` bytes, in two pieces. */
    ssize_t read(size_t size)
    {
        std::string text(size, 0);
        std::array<iovec, 2> iov = {{{text.data(), 1},
                                     {text.data() + 1, size - 1}}};
        ssize_t n = stream.readv(iov.data(), iov.size());

        for (ssize_t i = 0; i < n; i++) {
            EXPECT_EQ(text[i], '\xb7');
        }
        return n;
    }

    int booted = 0;
    HeartbeatStream stream{[this] { booted++; }};
};

TEST_F(HeartbeatTest, GivesBackWhatItGot)
{
    EXPECT_FALSE(stream.has_data());
    EXPECT_EQ(read(4), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(write("\xb7"), 1);
    EXPECT_EQ(booted, 1);
    EXPECT_TRUE(stream.has_data());
    EXPECT_EQ(read(4), 1);
    EXPECT_FALSE(stream.has_data());
    EXPECT_EQ(write("\xb7\xb7\xb7"), 3);
    EXPECT_EQ(read(2), 2);
    EXPECT_TRUE(stream.has_data());
    EXPECT_EQ(read(2), 1);
    EXPECT_EQ(read(2), -1);
}

TEST_F(HeartbeatTest, TakesNothingElse)
{
    EXPECT_EQ(write("\xb7x"), -1);
    EXPECT_NE(errno, EAGAIN);
    EXPECT_EQ(booted, 0);
    EXPECT_FALSE(stream.has_data());
    EXPECT_EQ(write(""), 0);
    EXPECT_EQ(booted, 0);
}

/* When the guest has shut down sending, it gets the rest and then the end. */
TEST_F(HeartbeatTest, EndsWithTheGuest)
{
    EXPECT_EQ(write("\xb7"), 1);
    stream.shutdown(SHUT_RD);
    stream.shutdown(SHUT_WR);
    EXPECT_EQ(read(4), 1);
    EXPECT_TRUE(stream.has_data());
    EXPECT_EQ(read(4), 0);
}

} // namespace
