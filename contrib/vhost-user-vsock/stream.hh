/*
 * The other end of a guest's connection, as the connection sees it
 *
 * A stream of bytes or, for SEQPACKET, of messages.  Nothing here blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_STREAM_HH
#define VHOST_USER_VSOCK_STREAM_HH

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>
#include <utility>

#include "descriptor.hh"
#include "descriptor_share.hh"

class Stream {
public:
    enum class Status {
        connecting,
        backlog_full,       /* No event tells of a change: ask again. */
        connected,
        failed,
    };

    Stream() = default;
    Stream(const Stream &) = delete;
    Stream &operator=(const Stream &) = delete;
    virtual ~Stream() = default;

    /* Is it connected?  Called again at each event on fd(). */
    virtual Status status() { return Status::connected; }

    /* The stream to use instead when this one fails to connect */
    void set_fallback(std::unique_ptr<Stream> stream)
    {
        fallback_ = std::move(stream);
    }
    /* Empty if there is none */
    std::unique_ptr<Stream> take_fallback() { return std::move(fallback_); }

    /*
     * Like readv() and writev() of a descriptor that does not block.  For
     * SEQPACKET, one message: `iov` holds all of it, and a write takes all or
     * nothing.
     */
    virtual ssize_t readv(const iovec *iov, int count) = 0;
    virtual ssize_t writev(const iovec *iov, int count) = 0;

    /*
     * After readv() of a stream: there is no more data now.  False if that is
     * not known.
     */
    virtual bool drained() const { return false; }

    /*
     * For SEQPACKET: the size of the next message, 0 at the end, or -1 as
     * readv() has it.  EINTR means to call it again in a later turn: it has
     * discarded as many empty messages as it may in one turn.
     */
    virtual ssize_t message_size() { return 0; }
    /* Of the last message read, and of the next message written */
    virtual bool ends_record() const { return false; }
    virtual void set_ends_record(bool) {}
    /* The largest message that writev() takes, in bytes */
    virtual size_t max_message() const { return SIZE_MAX; }

    /* SHUT_RD: the guest receives no more; SHUT_WR: it sends no more. */
    virtual void shutdown(int how) = 0;

    /*
     * The guest has closed, and all its data is written.  Can this be closed
     * now without the loss of data that the other end has not received?  If
     * not, call it again later.
     */
    virtual bool finish() { return true; }

    /* The descriptor to wait for, or -1 */
    virtual int fd() const { return -1; }
    /* For a stream without a descriptor: is there something to read? */
    virtual bool has_data() const { return false; }

    /* The guest has accepted a connection that a host program asked for.
     * `port` is the host's end as the guest knows it. */
    virtual void guest_accepted(uint32_t port) { (void)port; }

private:
    std::unique_ptr<Stream> fallback_;
};

/* Empty messages that are discarded in one turn */
constexpr int max_empty_messages = 16;

/* A stream over a socket, of type SOCK_STREAM or SOCK_SEQPACKET */
class SocketStream : public Stream {
public:
    enum class Greeting {
        none,
        line,       /* The other end waits for "OK <port>\n". */
    };

    /*
     * Connect the same socket again, after it has failed or found a full
     * backlog; to the next address of the same name, if there is one.
     */
    using Retry = std::function<Status(int fd)>;

    explicit SocketStream(Descriptor fd, Status status = Status::connected,
                          Greeting greeting = Greeting::none,
                          Retry retry = {});
    Status status() override;
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    bool drained() const override { return drained_; }
    ssize_t message_size() override;
    size_t max_message() const override;
    void shutdown(int how) override;
    bool finish() override;
    int fd() const override { return fd_.get(); }
    void guest_accepted(uint32_t port) override;

    /* The claim on the guest's share that counts this descriptor */
    void set_claim(DescriptorClaim claim) { claim_ = std::move(claim); }

protected:
    ssize_t receive(const iovec *iov, int count, int flags);
    bool discard();

private:
    DescriptorClaim claim_;     /* declared first: given back last */
    Descriptor fd_;
    Status status_;
    Greeting greeting_;
    Retry retry_;
    bool drained_ = false;
    bool reset_ = false;        /* The other end closed with unread data. */

    bool no_more_bytes() const;
    bool is_tcp() const;
};

/*
 * A socket that a host program sent along with its CONNECT line.  The daemon
 * answers at the connection of this line.  Data that the program has written to
 * the passed socket before the answer is discarded.  So a program can fill the
 * socket: then its other end is not writable until the guest accepts, and it is
 * reset if the guest refuses.
 */
class PassedStream : public SocketStream {
public:
    PassedStream(Descriptor passed, Descriptor asked, DescriptorClaim claim);
    void guest_accepted(uint32_t port) override;

private:
    DescriptorClaim asked_claim_;
    Descriptor asked_;          /* where the CONNECT line came */
};

/*
 * One end of a pair of sockets between two guests of this daemon.  The
 * acceptor's end first sends one byte, or message of one byte, when its guest
 * has accepted.  A socket does not keep whether a message ends a record, so
 * each message begins with a byte that says it.
 */
class SiblingStream : public SocketStream {
public:
    enum class Role { initiator, acceptor };

    SiblingStream(Descriptor fd, Role role, bool messages);
    Status status() override;
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    ssize_t message_size() override;
    size_t max_message() const override;
    bool ends_record() const override { return read_flag_ != 0; }
    void set_ends_record(bool ends) override { written_flag_ = ends; }
    void guest_accepted(uint32_t port) override;

private:
    bool connecting_, messages_;
    uint8_t read_flag_ = 0, written_flag_ = 0;
};

/* Echoes heartbeats.  Any other byte is an error. */
class HeartbeatStream : public Stream {
public:
    explicit HeartbeatStream(std::function<void()> booted);
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    void shutdown(int how) override;
    bool has_data() const override { return pending_ || ended_; }

private:
    std::function<void()> booted_;
    size_t pending_ = 0;        /* bytes to echo */
    bool ended_ = false;
};

constexpr uint8_t heartbeat_byte = 0xb7;

#endif
