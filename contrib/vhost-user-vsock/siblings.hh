/*
 * Guests of one daemon that may connect to each other
 *
 * Two guests that share a group are siblings.  A guest's connection to a
 * sibling's CID is a pair of sockets, one end in each guest's thread, so that
 * each end is a connection like any other, with its own credit, and threads
 * share no more than a table that does not change once they run.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_SIBLINGS_HH
#define VHOST_USER_VSOCK_SIBLINGS_HH

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "loop.hh"
#include "packet.hh"
#include "stream.hh"

constexpr size_t max_pending_calls = 1024;      /* to one guest */

/* A guest wants to be connected to another. */
struct SiblingCall {
    uint64_t from_cid;
    uint32_t from_port, to_port;
    uint16_t type;
    std::unique_ptr<Stream> stream;     /* the called guest's end */
};

class Siblings {
public:
    using Take = std::function<void(SiblingCall &)>;

    /*
     * A guest that can be called.  `take` is called in the thread of `loop`;
     * what it does not take of the call is closed.  All are added before a
     * thread runs.  `share` is for the calls that this guest makes.
     */
    void add(uint64_t cid, const std::set<std::string> &groups, Loop &loop,
             DescriptorShare &share, const Take &take);

    /*
     * For the guest `from_cid` that asks for a connection: its end, or
     * nothing if there is no such sibling.
     */
    std::unique_ptr<Stream> call(uint64_t from_cid,
                                 const PacketHeader &request);

private:
    struct Guest {
        std::set<std::string> groups;
        Loop &loop;
        DescriptorShare &share;
        Take take;
        std::atomic<size_t> pending = 0;
        Guest(std::set<std::string> g, Loop &l, DescriptorShare &s, Take t)
            : groups(std::move(g)), loop(l), share(s), take(std::move(t)) {}
    };
    std::map<uint64_t, Guest> guests_;
};

#endif
