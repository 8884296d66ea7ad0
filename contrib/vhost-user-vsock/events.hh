/*
 * What happens, as one JSON object a line, for programs
 *
 * Each line has "event" and "guest_cid" (a number).  The events:
 *
 *   guest-connected      QEMU has connected; its guest may use the device soon
 *   guest-disconnected   QEMU has gone
 *   booted               the guest's first heartbeat since it started
 *   opened               a connection is established
 *   closed               an established connection has ended
 *   refused              a connection was asked for, and is not to be
 *
 * The last three have besides:
 *
 *   by                   "guest" or "host" (or a sibling): who asked for it
 *   type                 "stream" or "seqpacket"
 *   peer_cid, peer_port  the other end, as the guest addresses it
 *   guest_port           the guest's end
 *
 * and `closed` has bytes_from_guest and bytes_to_guest, the payload in bytes.
 * Readers pass over keys and events that they do not know.
 *
 * Writing never waits: an event for which the reader has no room is left out,
 * and before the next one comes {"event":"lost","count":N}.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_EVENTS_HH
#define VHOST_USER_VSOCK_EVENTS_HH

#include <cstdint>
#include <mutex>
#include <string>

#include "descriptor.hh"
#include "multiplexer.hh"

class Events {
public:
    /* Where to write, before any thread runs; at first nowhere */
    void write_to(Descriptor fd) { fd_ = std::move(fd); }

    /* An event of the guest itself; any thread may call these. */
    void guest(const char *event, uint64_t guest_cid);
    void connection(const ConnectionReport &report);

private:
    void write_line(const std::string &line);
    bool write_now(const std::string &line);

    Descriptor fd_;
    std::mutex mutex_;
    uint64_t lost_ = 0;
};

/*
 * `where` is the number of an open descriptor, or a path: of a Unix socket,
 * which is connected to, of a FIFO, or of a file, which is appended to.  On
 * failure, none, and `error` set.
 */
Descriptor open_events(const std::string &where, std::string *error);

#endif
