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
#include <string>
#include <sys/types.h>
#include <sys/uio.h>

#include "descriptor_share.hh"
#include "descriptor.hh"

class Stream {
public:
    enum class Status {
        connecting,
        backlog_full,       /* No event tells of a change: ask again later. */
        connected,
        failed,
    };

    Stream() = default;
    Stream(const Stream &) = delete;
    Stream &operator=(const Stream &) = delete;
    virtual ~Stream() = default;

    /* Is the other end there? Asked again at each event on fd(), or later. */
    virtual Status status() { return Status::connected; }

    /*
     * As readv() and writev() of a descriptor that does not block.  For
     * SEQPACKET a message: `iov` has room for all of it, and a write takes all
     * or nothing.
     */
    virtual ssize_t readv(const iovec *iov, int count) = 0;
    virtual ssize_t writev(const iovec *iov, int count) = 0;

    /*
     * After readv() of a stream: nothing is left for now, so that one need not
     * try.  False where that is not known.
     */
    virtual bool drained() const { return false; }

    /*
     * For SEQPACKET: the size of the next message; 0 at the end, -1 as readv.
     * With EINTR there may be one, but to find it is work for a later turn.
     */
    virtual ssize_t message_size() { return 0; }
    /* Does the message just read end a record, and does the next written? */
    virtual bool ends_record() const { return false; }
    virtual void set_ends_record(bool) {}
    /* The largest message that writev() takes, in bytes */
    virtual size_t max_message() const { return SIZE_MAX; }

    /* SHUT_RD: the guest takes no more; SHUT_WR: it sends no more. */
    virtual void shutdown(int how) = 0;

    /*
     * The guest has closed and all is written: may this be closed now, without
     * loss of what the other end has not received?  If not, ask again later.
     */
    virtual bool finish() { return true; }

    /* To wait on, or -1 for a stream that answers by itself */
    virtual int fd() const { return -1; }
    /* For one without a descriptor: is there something to read? */
    virtual bool ready() const { return false; }

    /* The guest has accepted a connection that the host asked for. */
    virtual void accepted(uint32_t) {}
};

/* Empty messages that are discarded in one turn */
constexpr int max_empty_messages = 16;

/* A stream over a socket, of type SOCK_STREAM or SOCK_SEQPACKET */
class SocketStream : public Stream {
public:
    enum class Greeting {
        none,
        line,       /* the other end waits for "OK <port>\n" */
    };

    /* Connect the same socket again, which has failed or found a full backlog:
     * elsewhere, if there is another address. */
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
    void accepted(uint32_t port) override;

    /* What its descriptor is counted by */
    void set_claim(DescriptorClaim claim) { claim_ = std::move(claim); }

protected:
    ssize_t receive(const iovec *iov, int count, int flags);

private:
    DescriptorClaim claim_;     /* given back when the descriptor is closed */
    Descriptor fd_;
    Status status_;
    Greeting greeting_;
    Retry retry_;
    bool drained_ = false;
    bool reset_ = false;        /* The other end was closed with unread data. */

    bool no_more_bytes() const;
    bool is_tcp() const;
    bool discard();
};

/*
 * One end of a pair of sockets between two guests of this daemon.  The end of
 * the guest that is called says first that it has accepted, with a byte or
 * message of its own.  Each message begins with a byte that says whether it
 * ends a record, which a socket would not keep.
 */
class SiblingStream : public SocketStream {
public:
    enum class Role { caller, called };

    SiblingStream(Descriptor fd, Role role, bool messages);
    Status status() override;
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    ssize_t message_size() override;
    size_t max_message() const override;
    bool ends_record() const override { return read_flag_ != 0; }
    void set_ends_record(bool ends) override { written_flag_ = ends; }
    void accepted(uint32_t port) override;

private:
    bool waiting_, messages_;
    uint8_t read_flag_ = 0, written_flag_ = 0;
};

/* Gives heartbeats back; anything else ends it. */
class HeartbeatStream : public Stream {
public:
    explicit HeartbeatStream(std::function<void()> booted);
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    void shutdown(int how) override;
    bool ready() const override { return owed_ || ended_; }

private:
    std::function<void()> booted_;
    size_t owed_ = 0;           /* bytes */
    bool ended_ = false;
};

constexpr uint8_t heartbeat_byte = 0xb7;

#endif
