/*
 * The table of the program's AF_VSOCK sockets
 *
 * A socket is known by its cookie, a number that no other socket has (SO_COOKIE
 * of socket(7)).  So it does not matter which process has it, as which
 * descriptor, and how it got there.  Nothing tells that a socket was closed:
 * entries without a socket are removed from time to time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_SOCKET_TABLE_HH
#define QEMU_NITRO_CLI_PARENT_SOCKET_TABLE_HH

#include <chrono>
#include <cstdint>
#include <deque>
#include <set>
#include <sys/types.h>
#include <unordered_map>

#include "parent/address.hh"

/* The defaults of Linux */
constexpr uint64_t default_buffer_size = 256 * 1024;
constexpr uint64_t min_buffer_size = 128;
constexpr std::chrono::microseconds default_connect_timeout{2000000};

struct VsockSocket {
    enum class State {
        unconnected,        /* perhaps bound, perhaps listening */
        connecting,
        connected,
        failed,             /* The Unix socket cannot be connected again. */
    };

    ino_t inode = 0;        /* of the Unix socket, in /proc/net/unix */
    int type = 0;           /* SOCK_STREAM, SOCK_SEQPACKET */
    State state = State::unconnected;
    VsockAddress local, remote;
    int error = 0;          /* for SO_ERROR */
    /* The last call had an effect, but a signal prevented its answer: the
     * program makes the call again. */
    bool answer_lost = false;
    std::deque<Descriptor> accepted;        /* the same for accept() */
    uint64_t buffer_size = default_buffer_size;
    uint64_t min_buffer = min_buffer_size, max_buffer = default_buffer_size;
    std::chrono::microseconds connect_timeout = default_connect_timeout;
};

class SocketTable {
public:
    /* The cookie of any socket; 0 on failure */
    static uint64_t cookie(const Descriptor &socket);

    /* Returns null if the socket is not in the table. */
    VsockSocket *find(uint64_t cookie);

    /* Add a Unix socket of `type`.  This may remove other entries, and pointers
     * to them become invalid. */
    VsockSocket &add(const Descriptor &socket, int type);

    void remove(uint64_t cookie) { sockets_.erase(cookie); }
    size_t size() const { return sockets_.size(); }

private:
    void forget_closed();

    std::unordered_map<uint64_t, VsockSocket> sockets_;
    size_t forget_at_ = 1024;       /* entries */
};

#endif
