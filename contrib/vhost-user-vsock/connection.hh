/*
 * One vsock connection: a state machine between the guest and a stream
 *
 *            guest's REQUEST                 our REQUEST
 *                  |                              |
 *                  |                        [connecting] --2 s, RST--> [dead]
 *                  |                              | RESPONSE
 *                  +-------> [established] <------+
 *                                  |
 *                   the guest's SHUTDOWN of both ways
 *                                  |
 *                             [closing] --all written, RST, or 2 s--> [dead]
 *
 * What it wants to say next is a small set of pending packets, which next()
 * makes one at a time when there is room in the guest's queue; it knows
 * neither queues nor descriptors.
 *
 * Memory is bounded: what the stream does not take waits in a buffer of
 * `limit` bytes, which is also the credit that the guest is given.  What goes
 * to the guest is read from the stream straight into the guest's buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_CONNECTION_HH
#define VHOST_USER_VSOCK_CONNECTION_HH

#include <chrono>
#include <memory>
#include <string>

#include "packet.hh"

using Clock = std::chrono::steady_clock;

constexpr auto connect_timeout = std::chrono::seconds(2);
constexpr auto shutdown_timeout = std::chrono::seconds(2);
constexpr uint32_t default_buffer_size = 64 * 1024;     /* bytes */

/* The host's end of a connection */
class Stream {
public:
    virtual ~Stream() = default;
    /* As readv() and writev() of a descriptor that does not block */
    virtual ssize_t readv(const iovec *iov, int count) = 0;
    virtual ssize_t writev(const iovec *iov, int count) = 0;
    virtual void shutdown_write() = 0;
    /* To wait on, or -1 for a stream that answers by itself */
    virtual int fd() const { return -1; }
    /* For one without a descriptor: is there something to read? */
    virtual bool ready() const { return false; }
    /* The guest has accepted a connection that the host asked for. */
    virtual void accepted(uint32_t) {}
};

struct Address {
    uint64_t host_cid;      /* as the guest knows the host: 2 or 3 */
    uint32_t host_port;
    uint64_t guest_cid;
    uint32_t guest_port;
};

class Connection {
public:
    enum class State { connecting, established, closing, dead };

    /* By the guest's `request`, or asked for by the host if there is none */
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t limit, const PacketHeader *request);

    /* A packet of the guest's, with its payload of header.len bytes */
    void receive(const PacketHeader &header, const Iov &payload);

    void stream_readable() { readable_ = true; }
    void stream_writable() { flush(); }

    /* Has it anything to say? */
    bool wants_to_send() const;

    /*
     * The next packet for the guest, with payload read into `room`; nothing
     * if it turns out that there is none.
     */
    std::optional<PacketHeader> next(const Iov &room);

    /* What to wait for on the stream's descriptor */
    bool wants_readable() const;
    bool wants_writable() const { return buffered() && state_ != State::dead; }

    /* Ends what has lasted too long. */
    void expire(Clock::time_point now);
    std::optional<Clock::time_point> deadline() const { return deadline_; }

    void reset();
    State state() const { return state_; }
    /* Nothing is left to do or to say. */
    bool finished() const { return state_ == State::dead && !rst_; }
    const Address &address() const { return address_; }
    Stream &stream() { return *stream_; }

private:
    PacketHeader header(Op op);
    uint32_t credit() const;
    size_t buffered() const { return buffer_.size() - buffer_start_; }
    void take(const PacketHeader &header, const Iov &payload);
    void guest_shutdown(uint32_t flags);
    void flush();
    void written(size_t bytes);
    void close();

    Address address_;
    std::unique_ptr<Stream> stream_;
    State state_;
    std::optional<Clock::time_point> deadline_;

    /* what to say */
    bool request_ = false, response_ = false, rst_ = false, update_ = false;
    uint32_t shutdown_ = 0, shutdown_sent_ = 0;

    /* guest to host */
    uint32_t limit_;                /* bytes */
    std::vector<uint8_t> buffer_;
    size_t buffer_start_ = 0;
    uint32_t received_ = 0;         /* bytes, modulo 2^32, as all counts */
    uint32_t forwarded_ = 0;
    uint32_t forwarded_told_ = 0;
    uint32_t guest_shutdown_ = 0;

    /* host to guest */
    bool readable_ = false;
    uint32_t sent_ = 0;
    uint32_t guest_limit_ = 0;
    uint32_t guest_forwarded_ = 0;
};

#endif
