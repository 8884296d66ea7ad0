/*
 * One vsock connection: a state machine between a guest and a stream
 *
 *     the guest's REQUEST                     the host's wish
 *             |                                      |
 *         [waiting]                            [connecting] says REQUEST
 *             | the stream is connected              | RESPONSE
 *             | says RESPONSE                        |
 *             +------------> [established] <---------+
 *                                  |
 *                                  | the guest's SHUTDOWN of both ways,
 *                                  | in one packet or two
 *                                  v
 *                              [closing]
 *                                  | all is written and received
 *                                  v
 *                               [dead] says RST, and is finished
 *
 * A stream that cannot be written to any more is read as long as it has
 * something for the guest, whose data is discarded; then RST is sent.
 *
 * After growing intervals, [waiting] tries a full backlog again, and [closing]
 * asks whether the stream has sent all.
 *
 * From every state to [dead]:
 *   - the guest's RST: nothing is said
 *   - what the guest may not do now (a second REQUEST, data before RESPONSE
 *     or after its SHUTDOWN, more data than its credit, another type, an
 *     unknown operation), or the stream breaks or cannot be had: says RST
 *   - [waiting] and [connecting] for 2 s, [closing] for 2 s in which nothing
 *     could be written: says RST
 *
 * In [established] each way ends by itself.  When the stream ends, SHUTDOWN of
 * sending is said, once; when the guest says that it sends no more, the stream
 * is told as soon as all is written.
 *
 * What it wants to say is a small set of packets, which say() makes in its
 * turn, when the guest has buffers; it knows neither queues nor descriptors.
 *
 * Memory is bounded.  What the stream does not take waits, but never more than
 * `limit` bytes, which is also the credit that the guest is given.  What goes
 * to the guest is read from the stream straight into the guest's buffers; only
 * of a message for which they have no room now is a copy kept.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_CONNECTION_HH
#define VHOST_USER_VSOCK_CONNECTION_HH

#include <algorithm>
#include <chrono>
#include <memory>

#include "tx_buffer.hh"
#include "packet.hh"
#include "stream.hh"

using Clock = std::chrono::steady_clock;

constexpr auto connect_timeout = std::chrono::seconds(2);
constexpr auto shutdown_timeout = std::chrono::seconds(2);
/* How long to wait before a stream is asked again that has no event for it:
 * twice as long each time, up to the second of these */
constexpr auto first_retry = std::chrono::milliseconds(1);
constexpr auto last_retry = std::chrono::milliseconds(256);
/*
 * Two of the largest packets that Linux sends: while one is written to the
 * stream, the guest has the next one under way.  The send buffer of a Unix
 * socket, 208 KiB of Linux, still takes both.
 */
constexpr uint32_t default_buffer_size = 128 * 1024;    /* bytes */

/* What one connection may say in a turn, so that others have theirs soon */
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

/* A guest's buffers for what is said to it, in the order in which they go */
class Rooms {
public:
    virtual ~Rooms() = default;
    /*
     * What the buffer has behind the header, for the one at `index` of those
     * not yet used; nothing if there is none.
     */
    virtual std::optional<Iov> at(size_t index) = 0;
    /* Use the first one for a packet whose payload is in it. */
    virtual void use(const PacketHeader &header) = 0;
};

class Connection {
public:
    enum class State { waiting, connecting, established, closing, dead };

    /* Asked for by the guest, in `request` */
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t limit, const PacketHeader &request);
    /* Asked for by the host; `type` is a type_* */
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t limit, uint16_t type);

    /* A packet of the guest's, with its payload of header.len bytes */
    void receive(const PacketHeader &header, const Iov &payload);

    /* Events of the stream's descriptor, told when they come (by edges) */
    void stream_readable(bool ended = false);
    void stream_writable();
    /* Is the second of them of interest? */
    bool wants_writable() const;

    /* Has it anything to say? */
    bool wants_to_say() const;

    /*
     * Take a turn.  There is at least one buffer.  Returns the number of
     * packets, which is 0 if it turns out that there is nothing to say.
     */
    size_t say(Rooms &rooms);

    /* Ends what has lasted too long, and tries again what is to be retried. */
    void expire(Clock::time_point now);
    /* When that is due next */
    std::optional<Clock::time_point> deadline() const
    {
        return retry_ ? std::min(*retry_, *deadline_) : deadline_;
    }

    void reset();
    State state() const { return state_; }
    /* Nothing is left to do or to say. */
    bool finished() const { return state_ == State::dead && !rst_; }
    /* Has it ever been established? */
    bool opened() const { return opened_; }

    const Address &address() const { return address_; }
    uint16_t type() const { return type_; }
    bool by_guest() const { return by_guest_; }
    Stream &stream() { return *stream_; }
    uint64_t bytes_from_guest() const { return bytes_from_guest_; }
    uint64_t bytes_to_guest() const { return bytes_to_guest_; }
    size_t memory() const { return backlog_.capacity() + message_.capacity(); }

private:
    Connection(const Address &address, std::unique_ptr<Stream> stream,
               uint32_t limit, uint16_t type, bool by_guest);
    bool messages() const { return type_ == type_seqpacket; }
    void establish();
    void ask_stream(Clock::time_point now);
    void retry_after(Clock::time_point now);
    void stream_changed();

    /* guest to stream */
    void take(const PacketHeader &header, const Iov &payload);
    size_t write_through(const PacketHeader &header, const Iov &payload);
    bool write_waiting();
    void write_failed();
    void flush();
    void finish(Clock::time_point now);
    void forwarded(size_t bytes);
    void tell_of_room();
    void guest_shutdown(uint32_t flags);

    /* stream to guest */
    bool can_read() const;
    uint32_t credit() const;
    PacketHeader header(Op op);
    size_t say_one(Rooms &rooms, Op op, uint32_t flags = 0);
    static void gather(Rooms &rooms, size_t packets, size_t bytes,
                       IovArray *all);
    size_t say_data(Rooms &rooms);
    size_t say_message(Rooms &rooms);
    size_t say_rest(Rooms &rooms);
    size_t use(Rooms &rooms, size_t bytes, uint32_t last_flags);
    void read_failed(ssize_t result);

    Address address_;
    std::unique_ptr<Stream> stream_;
    uint16_t type_;
    bool by_guest_, opened_ = false;
    State state_;
    std::optional<Clock::time_point> deadline_;
    std::optional<Clock::time_point> retry_;    /* in [waiting], [closing] */
    Clock::duration retry_interval_ = first_retry;

    /* what to say */
    bool request_ = false, response_ = false, rst_ = false, update_ = false;
    bool end_ = false, end_said_ = false;   /* SHUTDOWN of sending */

    /* guest to stream; all counts are in bytes, modulo 2^32 */
    uint32_t limit_;
    Backlog backlog_;
    uint32_t received_ = 0, forwarded_ = 0, forwarded_told_ = 0;
    uint32_t guest_shutdown_ = 0;
    bool write_ended_ = false, write_broken_ = false;
    uint64_t bytes_from_guest_ = 0;

    /* stream to guest */
    bool readable_ = false, stream_ended_ = false;
    size_t burst_ = 1;              /* packets that the last read had need of */
    uint32_t sent_ = 0, guest_limit_ = 0, guest_forwarded_ = 0;
    uint32_t needed_credit_ = 1;    /* bytes of the next message */
    std::vector<uint8_t> message_;  /* the rest of one, from message_start_ */
    size_t message_start_ = 0;
    bool message_ends_record_ = false;
    uint64_t bytes_to_guest_ = 0;
};

#endif
