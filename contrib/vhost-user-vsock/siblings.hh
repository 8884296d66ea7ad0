/*
 * Guests of one daemon that may connect to each other
 *
 * Two guests that share a group are siblings.  A connection between siblings
 * is a pair of sockets, with one end in each guest's thread.  So each end is a
 * connection like any other, with its own credit.  The threads share only a
 * table, which does not change while they run.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_SIBLINGS_HH
#define VHOST_USER_VSOCK_SIBLINGS_HH

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "loop.hh"
#include "packet.hh"
#include "stream.hh"

constexpr size_t max_pending_requests = 1024;      /* to one guest */

/* A guest asks for a connection to another guest. */
struct SiblingRequest {
    uint64_t from_cid;
    uint32_t from_port, to_port;
    uint16_t type;
    std::unique_ptr<Stream> stream;     /* the acceptor's end */
};

class Siblings {
public:
    using Accept = std::function<void(SiblingRequest &)>;

    /*
     * Add a guest, before any thread runs.  `accept` is called in the thread
     * of `loop`; if it does not take the request's stream, that is closed.
     * `share` is for the connections that this guest asks for.
     */
    void add(uint64_t cid, const std::set<std::string> &groups, Loop &loop,
             DescriptorShare &share, const Accept &accept);

    /*
     * The guest `from_cid` asks for a connection.  Returns its end, or nullptr
     * if there is no such sibling.
     */
    std::unique_ptr<Stream> connect(uint64_t from_cid,
                                 const PacketHeader &request);

private:
    struct Guest {
        std::set<std::string> groups;
        Loop &loop;
        DescriptorShare &share;
        Accept accept;
        std::atomic<size_t> pending = 0;
        Guest(std::set<std::string> g, Loop &l, DescriptorShare &s, Accept a)
            : groups(std::move(g)), loop(l), share(s), accept(std::move(a)) {}
    };
    std::map<uint64_t, Guest> guests_;
};

#endif
