/*
 * Events for other programs, as JSON objects, one on each line
 *
 * Each line has "event" and "guest_cid" (a number).  The events:
 *
 *   guest-connected      QEMU has connected
 *   guest-disconnected   QEMU has disconnected
 *   booted               the guest's first heartbeat since it started
 *   opened               a connection is established
 *   closed               an established connection has ended
 *   refused              a connection was not established
 *   counters             see below
 *
 * opened, closed and refused also have:
 *
 *   by                   "guest", or "host" (also for a sibling): which asked
 *   type                 "stream" or "seqpacket"
 *   peer_cid, peer_port  the other end, as the guest addresses it
 *   guest_port           the guest's end
 *
 * and `closed` has bytes_from_guest and bytes_to_guest, the payload in bytes.
 * counters comes when it is asked for, by SIGUSR1.  It has numbers since the
 * daemon started: open (connections now), opened_by_guest, opened_by_host,
 * refused, bytes_from_guest, bytes_to_guest, and as objects
 *
 *   resets               why connections were closed with RST: "finished" (the
 *                        usual end), "guest", "protocol", "stream", "timeout";
 *                        and "no_connection", for packets without one
 *   credit_stalls        "from_guest" and "to_guest": how often a sender had
 *                        used up its credit
 *
 * Readers have to ignore keys and events that they do not know.
 *
 * A write never blocks.  If the reader is too slow, or the disk is full, events
 * are dropped, and {"event":"lost","count":N} comes before the next one.  Every
 * line is complete: if a part of it was written, the rest comes first.
 *
 * A regular file takes all, so a guest that connects again and again could fill
 * the disk.  A file gets at most 1000 events of each guest at once, and then
 * 100 each second.  More are dropped, but not counters, which a user asked for.
 * A pipe or a socket takes only what its reader reads, and has no such limit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_EVENTS_HH
#define VHOST_USER_VSOCK_EVENTS_HH

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "descriptor.hh"
#include "multiplexer.hh"
#include "rate_limit.hh"

class Events {
public:
    using Now = std::function<RateLimit::Time()>;

    explicit Events(Now now = std::chrono::steady_clock::now)
        : now_(std::move(now)) {}

    /* Set where to write, before any thread runs.  Until then, nowhere. */
    void write_to(Descriptor fd);

    /* An event of a guest.  Any thread may call these two. */
    void guest(const char *event, uint64_t guest_cid);
    void connection(const ConnectionReport &report);
    /* Without write_to(), this goes to standard output. */
    void counters(const Counters &counters, uint64_t guest_cid);

private:
    bool allows(uint64_t guest_cid);
    void write_line(const std::string &line);
    void write_line_of(uint64_t guest_cid, const std::string &line);
    bool write_or_keep(const std::string &line);

    const Now now_;
    Descriptor fd_;
    bool is_limited_ = false;   /* writes to a regular file */
    std::map<uint64_t, RateLimit> limits_;      /* by the guest's CID */
    std::string rest_;          /* of a line that was written in part */
    std::mutex mutex_;
    uint64_t lost_ = 0;
};

/*
 * Open where events are written to: the number of an open descriptor, or the
 * path of a listening Unix socket, a FIFO, or a file, which is appended to.
 * On failure, an empty descriptor, and `error` set.
 */
Descriptor open_events(const std::string &where, std::string *error);

#endif
