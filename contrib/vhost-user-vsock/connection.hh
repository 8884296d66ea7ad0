/*
 * One vsock connection: a state machine between a guest and a stream
 *
 *     REQUEST from the guest                A host program connects.
 *             |                                      |
 *    [connecting_stream]                    [connecting_guest]
 *             | The stream is connected.             | sends REQUEST
 *             | sends RESPONSE                       | RESPONSE from the guest
 *             +------------> [established] <---------+
 *                                  |
 *                                  | SHUTDOWN of both directions from the
 *                                  | guest, in one packet or two
 *                                  v
 *                              [closing]
 *                                  | All data is written and received.
 *                                  v
 *                               [closed] sends RST, and is finished
 *
 * When a write to the stream fails, the guest's data is discarded.  The stream
 * is still read until it has nothing more for the guest.  Then RST is sent.
 *
 * [connecting_stream] tries again when a listener's backlog is full, and
 * [closing] asks again whether the stream has sent everything.  Both do so
 * after intervals that grow.
 *
 * Every state can change to [closed]:
 *   - The guest sends RST.  Nothing is sent back.
 *   - The guest breaks the protocol: a second REQUEST, data before RESPONSE or
 *     after its SHUTDOWN, more data than its credit, another type, an unknown
 *     operation.  RST is sent.
 *   - The stream breaks, or cannot be connected.  RST is sent.
 *   - A time-out: 2 s in a connecting state, or 2 s in [closing] in which
 *     nothing could be written.  RST is sent.
 *
 * In [established] each direction can be closed on its own (half-closed).
 * When the stream ends, one SHUTDOWN of sending is sent.  When the guest sends
 * one, the stream is shut down after the last byte is written to it.
 *
 * What is to be sent next is a small set of pending packets.  send_pending()
 * makes them when the guest has receive buffers.  A connection knows neither
 * virtqueues nor descriptors.
 *
 * Memory is bounded.  Data that the stream does not accept waits in the tx
 * buffer, which never has more than `buf_alloc` bytes: that is the guest's
 * credit.  Data for the guest is read from the stream directly into the guest's
 * receive buffers.  A message is copied only if the buffers cannot hold it now.
 * The multiplexer bounds the memory of all connections of a guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_CONNECTION_HH
#define VHOST_USER_VSOCK_CONNECTION_HH

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "packet.hh"
#include "stream.hh"
#include "tx_buffer.hh"

using Clock = std::chrono::steady_clock;

constexpr auto connect_timeout = std::chrono::seconds(2);
constexpr auto shutdown_timeout = std::chrono::seconds(2);
/*
 * Some changes of a stream have no event, so the stream is asked again: first
 * after first_retry, then after twice as long each time, up to last_retry.
 */
constexpr auto first_retry = std::chrono::milliseconds(1);
constexpr auto last_retry = std::chrono::milliseconds(256);
/*
 * Two of the largest packets that Linux sends: while the daemon writes one to
 * the stream, the guest can send the next one.  Both fit in the send buffer of
 * a Unix socket, which has 208 KiB on Linux.
 */
constexpr uint32_t default_buffer_size = 128 * 1024;    /* bytes */

/* The limit of a connection in one turn, so that others do not wait long */
constexpr size_t max_turn_packets = 16;
constexpr size_t max_turn_bytes = 64 * 1024;

/* The largest message to a guest, in bytes */
constexpr size_t max_message_to_guest = 1024 * 1024;

struct Address {
    uint64_t peer_cid;      /* as the guest knows the other end */
    uint32_t peer_port;
    uint64_t guest_cid;
    uint32_t guest_port;
};

/* Why a connection was closed with RST */
enum class ResetReason {
    finished,       /* Both directions were shut down: the usual end. */
    guest,          /* The guest sent RST, or SHUTDOWN while connecting. */
    protocol,       /* The guest broke the protocol. */
    stream,         /* The stream broke, or could not be connected. */
    timeout,
    memory,         /* Data that waits took too much memory. */
};
constexpr size_t reset_reasons = 6;

/* The guest's receive buffers, in the order in which they are used */
class RxBuffers {
public:
    virtual ~RxBuffers() = default;
    /*
     * The space for payload, behind the header, in the buffer at `index` of
     * those that are not used yet; empty if there is no such buffer.
     */
    virtual std::optional<Iov> at(size_t index) = 0;
    /* Write the header into the first buffer, which has the payload already,
     * and give the buffer to the guest. */
    virtual void use(const PacketHeader &header) = 0;
};

class Connection {
public:
    enum class State {
        connecting_stream,
        connecting_guest,
        established,
        closing,
        closed,
    };

    /* A connection that the guest asks for with `request` */
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t buf_alloc, const PacketHeader &request);
    /* A connection that the host asks for; `type` is a type_* */
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t buf_alloc, uint16_t type);

    /* A packet from the guest, with its payload of header.len bytes */
    void receive(const PacketHeader &header, const Iov &payload);

    /* Events of the stream's descriptor, which is watched edge-triggered */
    void stream_readable(bool ended = false);
    void stream_writable();
    /* Does stream_writable() have to be called? */
    bool wants_writable() const;

    /* Is there a packet to send? */
    bool has_pending() const;

    /*
     * Send packets, for one turn, into at least one receive buffer.  Returns
     * how many: 0 if the stream turns out to have no data.
     */
    size_t send_pending(RxBuffers &buffers);

    /* Close after a time-out, or try again what is due to be tried again. */
    void expire(Clock::time_point now);
    /* When expire() has to be called next */
    std::optional<Clock::time_point> deadline() const
    {
        return retry_ ? std::min(*retry_, *deadline_) : deadline_;
    }

    void reset(ResetReason reason);
    State state() const { return state_; }
    /* Nothing is left to do or to send. */
    bool finished() const { return state_ == State::closed && !pending_rst_; }
    /* Has it ever been established? */
    bool opened() const { return opened_; }

    const Address &address() const { return address_; }
    uint16_t type() const { return type_; }
    bool by_guest() const { return by_guest_; }
    Stream &stream() { return *stream_; }
    uint64_t bytes_from_guest() const { return bytes_from_guest_; }
    uint64_t bytes_to_guest() const { return bytes_to_guest_; }
    /* Empty until it is reset */
    std::optional<ResetReason> reset_reason() const { return reset_reason_; }
    /* How often the sender had used up its credit, and so had to wait */
    uint64_t stalls_from_guest() const { return stalls_from_guest_; }
    uint64_t stalls_to_guest() const { return stalls_to_guest_; }
    /* The memory of the data that waits, in bytes */
    size_t memory() const
    {
        return tx_buffer_.capacity() + message_.capacity();
    }

private:
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t buf_alloc, uint16_t type, bool by_guest);
    bool messages() const { return type_ == type_seqpacket; }
    void establish();
    void check_stream(Clock::time_point now);
    void retry_after(Clock::time_point now);
    void handle_stream_change();

    /* Guest to stream */
    void receive_data(const PacketHeader &header, const Iov &payload);
    size_t write_directly(const PacketHeader &header, const Iov &payload);
    bool write_pending();
    void write_failed();
    void flush();
    void finish(Clock::time_point now);
    void count_forwarded(size_t bytes);
    void update_credit();
    void guest_shutdown(uint32_t flags);

    /* Stream to guest */
    bool can_read() const;
    uint32_t credit() const;
    PacketHeader header(Op op);
    size_t send_control(RxBuffers &buffers, Op op, uint32_t flags = 0);
    static void gather(RxBuffers &buffers, size_t packets, size_t bytes,
                       IovArray *all);
    size_t send_data(RxBuffers &buffers);
    size_t send_message(RxBuffers &buffers);
    size_t send_rest_of_message(RxBuffers &buffers);
    size_t send_payload(RxBuffers &buffers, size_t bytes,
                        uint32_t last_flags);
    void read_failed(ssize_t result);

    Address address_;
    std::unique_ptr<Stream> stream_;
    std::unique_ptr<Stream> failed_stream_;     /* whose fallback stream_ is */
    uint16_t type_;
    bool by_guest_, opened_ = false;
    State state_;
    std::optional<ResetReason> reset_reason_;
    std::optional<Clock::time_point> deadline_;
    std::optional<Clock::time_point> retry_;    /* in [waiting], [closing] */
    Clock::duration retry_interval_ = first_retry;

    /* Packets to send; the only SHUTDOWN that is sent is of sending. */
    bool pending_request_ = false, pending_response_ = false;
    bool pending_rst_ = false, pending_credit_update_ = false;
    bool pending_shutdown_ = false, shutdown_sent_ = false;

    /*
     * Guest to stream.  All counts are in bytes, modulo 2^32, and have the
     * names that virtio 1.2, 5.10.6.3, and Linux give them: received from the
     * guest, forwarded to the stream, and the last fwd_cnt that was sent.
     */
    uint32_t buf_alloc_;
    TxBuffer tx_buffer_;
    uint32_t rx_cnt_ = 0, fwd_cnt_ = 0, last_fwd_cnt_ = 0;
    uint32_t guest_shutdown_ = 0;
    bool write_closed_ = false;     /* SHUT_WR is done */
    bool write_broken_ = false;     /* a write has failed */
    uint64_t bytes_from_guest_ = 0, stalls_from_guest_ = 0;

    /* Stream to guest */
    bool readable_ = false, stream_ended_ = false;
    size_t burst_ = 1;              /* receive buffers for the next read */
    uint32_t tx_cnt_ = 0;           /* sent to the guest */
    uint32_t guest_buf_alloc_ = 0, guest_fwd_cnt_ = 0;
    uint32_t needed_credit_ = 1;    /* bytes of the next message */
    std::vector<uint8_t> message_;  /* is sent from message_start_ on */
    size_t message_start_ = 0;
    bool message_ends_record_ = false;
    uint64_t bytes_to_guest_ = 0, stalls_to_guest_ = 0;
};

#endif
