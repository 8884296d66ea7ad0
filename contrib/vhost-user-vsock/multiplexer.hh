/*
 * The connections of one guest, and who of them speaks next
 *
 * Packets of the guest are given to their connection.  Connections that have
 * something to say stand in a queue and say one packet a turn, so that a busy
 * stream does not keep a quiet one waiting.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_MULTIPLEXER_HH
#define VHOST_USER_VSOCK_MULTIPLEXER_HH

#include <deque>
#include <functional>
#include <map>
#include <tuple>

#include "connection.hh"
#include "loop.hh"

constexpr uint64_t host_cid = 2;
constexpr uint64_t parent_cid = 3;      /* an enclave's parent instance */
constexpr uint32_t first_host_port = 1u << 30;
constexpr uint32_t last_host_port = (1u << 31) - 1;
constexpr size_t max_connections = 16384;
constexpr size_t max_resets = 1024;     /* for packets of no connection */

class Multiplexer {
public:
    /* A stream for the guest's connection to a port; empty: refused */
    using Connect = std::function<std::unique_ptr<Stream>(uint32_t port)>;

    Multiplexer(Loop &loop, uint64_t guest_cid, uint32_t limit,
                Connect connect);
    ~Multiplexer();

    /* A packet of the guest's: header, and what follows it in the chain */
    void receive(const PacketHeader &header, const Iov &payload);

    /* May another packet be received? Not while resets wait to be sent. */
    bool can_receive() const { return resets_.size() < max_resets; }

    /* The host asks for a connection to a port of the guest's. */
    bool open(uint32_t guest_port, std::unique_ptr<Stream> stream);

    bool wants_to_send() const { return !resets_.empty() || !ready_.empty(); }

    /* Write the next packet to `room`; its size, or 0 if there is none. */
    size_t send(const Iov &room);

    /* End what has lasted too long; ms until that is due again, or -1. */
    int expire();

    /* Forget all connections: the guest is gone. */
    void clear();
    size_t size() const { return connections_.size(); }

private:
    /* host's CID and port, guest's port */
    using Key = std::tuple<uint64_t, uint32_t, uint32_t>;
    struct Entry {
        std::unique_ptr<Connection> connection;
        bool queued = false, watched = false;
    };

    void request(const Key &key, const PacketHeader &header);
    void refuse(const PacketHeader &header);
    void add(const Key &key, std::unique_ptr<Connection> connection);
    void update(const Key &key);

    Loop &loop_;
    uint64_t guest_cid_;
    uint32_t limit_;
    Connect connect_;
    std::map<Key, Entry> connections_;
    std::deque<Key> ready_;
    std::deque<PacketHeader> resets_;
    uint32_t next_port_ = first_host_port;
};

#endif
