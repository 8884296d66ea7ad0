/*
 * The connections of one guest, and which of them sends next
 *
 * A packet from the guest goes to its connection.  Connections with something
 * to send wait in a queue and take turns.  So a quiet connection waits for at
 * most one turn of each busy one.
 *
 * The time of an operation does not depend on the number of connections; where
 * there are deadlines, it depends on its logarithm.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_MULTIPLEXER_HH
#define VHOST_USER_VSOCK_MULTIPLEXER_HH

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include "connection.hh"
#include "loop.hh"

constexpr uint64_t host_cid = 2;
constexpr uint64_t parent_cid = 3;      /* an enclave's parent instance */
constexpr uint32_t first_host_port = 1u << 30;
constexpr uint32_t last_host_port = (1u << 31) - 1;
constexpr size_t max_connections = 16384;
constexpr size_t max_resets = 1024;     /* for packets without connection */
/*
 * The memory of data that waits, of all connections of a guest, in bytes: 4096
 * connections can have a full tx buffer.  One that needs more is reset.
 */
constexpr size_t default_max_memory = 512 * 1024 * 1024;
/* A turn is small if it sends no more bytes to the guest. */
constexpr size_t max_sparse_bytes = 1024;
constexpr size_t max_sparse_turns = 64; /* in a row, while others wait */

/* An event of a connection, for the daemon's --events */
struct ConnectionReport {
    enum class Event { opened, closed, refused };

    Event event;
    bool by_guest;              /* the guest opened it */
    Address address;
    uint16_t type;
    uint64_t bytes_from_guest, bytes_to_guest;
};

/* Of all connections of a guest since the daemon started */
struct Counters {
    uint64_t open = 0;                      /* connections, now */
    uint64_t opened_by_guest = 0, opened_by_host = 0, refused = 0;
    uint64_t bytes_from_guest = 0, bytes_to_guest = 0;      /* payload */
    std::array<uint64_t, reset_reasons> resets = {};    /* by ResetReason */
    uint64_t resets_without_connection = 0;
    uint64_t stalls_from_guest = 0, stalls_to_guest = 0;
};

class Multiplexer {
public:
    /* A stream for a connection that the guest asks for; empty: refused */
    using Connect = std::function<std::unique_ptr<Stream>(
        const PacketHeader &request)>;
    using Observe = std::function<void(const ConnectionReport &)>;

    /* `buf_alloc`: the credit of each connection of the guest, in bytes */
    Multiplexer(Loop &loop, uint64_t guest_cid, uint32_t buf_alloc,
                Connect connect, Observe observe = nullptr,
                size_t max_memory = default_max_memory);
    ~Multiplexer();

    /* Does the guest's driver know SEQPACKET? */
    void set_seqpacket(bool known) { seqpacket_ = known; }

    /* A packet from the guest: its header, and the rest of its chain */
    void receive(const PacketHeader &header, const Iov &payload);

    /* May another packet be received? Not while resets wait to be sent. */
    bool can_receive() const { return resets_.size() < max_resets; }

    /*
     * Connect to a port of the guest, from the next free port of the parent,
     * or from a sibling's `peer_cid` and `peer_port`.  Returns false, and
     * closes the stream, if that is not possible.
     */
    bool open(uint32_t guest_port, uint16_t type,
              std::unique_ptr<Stream> stream);
    bool open_from(uint64_t peer_cid, uint32_t peer_port, uint32_t guest_port,
                   uint16_t type, std::unique_ptr<Stream> stream);

    bool has_pending() const
    {
        return !resets_.empty() || !ready_.empty() || !sparse_.empty();
    }

    /* Let connections send in turns, as long as there are buffers. */
    void send_pending(RxBuffers &buffers);

    /* Handle the time-outs that are due. */
    void expire();
    /* Milliseconds until expire() has to be called, or -1 */
    int time_left() const;

    /* Remove all connections: the guest has stopped. */
    void clear();
    size_t size() const { return connections_.size(); }
    Counters counters() const;

private:
    struct Key {
        uint64_t peer_cid;
        uint32_t peer_port, guest_port;
        bool operator==(const Key &) const = default;
    };
    struct Hash {
        size_t operator()(const Key &key) const;
    };
    struct Entry;

    void request(const Key &key, const PacketHeader &header);
    void refuse(const PacketHeader &header);
    void add(const Key &key, std::unique_ptr<Connection> connection);
    void watch(Entry &entry);
    void handle_stream_event(Entry &entry, uint32_t events);
    void update(Entry &entry);
    void charge(Entry &entry);
    void remove(Entry &entry);
    void set_deadline(Entry &entry);
    static void add_traffic(const Connection &connection, Counters *counters);
    void report(ConnectionReport::Event event, const Connection &connection);

    Loop &loop_;
    uint64_t guest_cid_;
    uint32_t buf_alloc_;
    Connect connect_;
    Observe observe_;
    size_t max_memory_, memory_ = 0;    /* bytes */
    bool seqpacket_ = false;
    std::unordered_map<Key, std::unique_ptr<Entry>, Hash> connections_;
    std::list<Entry *> ready_, sparse_;
    size_t sparse_turns_ = 0;           /* in a row, while others waited */
    std::set<std::pair<Clock::time_point, Entry *>> deadlines_;
    std::deque<PacketHeader> resets_;
    uint32_t next_port_ = first_host_port;
    Counters totals_;       /* traffic: of connections that have ended */
};

#endif
