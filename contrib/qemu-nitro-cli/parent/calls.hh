/*
 * The system calls of AF_VSOCK sockets
 *
 * The program's AF_VSOCK socket is really a Unix socket, from socket() on, so
 * that the program can read, write, poll, duplicate and pass it on without this
 * process.  Calls with an address come here.  This process takes a copy of the
 * program's descriptor for the time of the call.
 *
 * connect() to an enclave: the socket is connected to a listener of this
 * process, and the other end is passed to the back end of the enclave
 * (--uds-path in vhost-user-vsock's manual).  A non-blocking socket is filled
 * with data before.  So it is not writable until the enclave has accepted, when
 * the back end discards that data; and it has the error ECONNRESET if the back
 * end closes the other end instead.
 *
 * bind() binds the socket to a path that back ends know (registry.hh).
 * listen() does not come here.  accept() finds the enclave's address in the
 * name of the other end (vsock_name.hh).
 *
 * No call makes this process wait: an accept() or connect() that does not end
 * at once is kept, and answered later.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_CALLS_HH
#define QEMU_NITRO_CLI_PARENT_CALLS_HH

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <poll.h>
#include <vector>

#include "parent/notifications.hh"
#include "parent/registry.hh"
#include "parent/socket_table.hh"

class Calls {
public:
    Calls(Notifications &notifications, Registry &registry);

    /* Answer a call, or keep it to answer it later. */
    void handle(const Call &call);

    /* The descriptors that the kept calls wait for */
    void add_polls(std::vector<pollfd> *polls) const;

    /* How long to wait for them at most, in milliseconds; -1 without a limit */
    int timeout() const;

    /* Continue with the kept calls, if that is possible now. */
    void progress();

private:
    using Clock = std::chrono::steady_clock;

    struct Accepting {
        Call call;
        Descriptor listener;
        Descriptor end;                 /* of the thread; may be empty */
        std::optional<Clock::time_point> deadline;
    };
    struct Connecting {
        uint64_t cookie;
        Descriptor socket, control;     /* control: to the back end */
        bool filled;
        std::optional<Call> call;   /* the waiting call of a blocking socket */
        Clock::time_point start, deadline;
    };
    /* The socket in an argument of a call, and its entry in the table */
    struct Subject {
        Descriptor socket;
        uint64_t cookie = 0;
        VsockSocket *entry = nullptr;   /* null if it is not in the table */
    };
    using Attempt = std::list<Connecting>::iterator;

    void socket(const Call &call);
    void bind(const Call &call);
    void connect(const Call &call);
    void accept(const Call &call);
    void name(const Call &call, bool of_peer);
    void get_option(const Call &call);
    void set_option(const Call &call);
    void control(const Call &call);

    Subject subject(const Call &call);
    VsockSocket *adopt(const Descriptor &socket);
    std::optional<Subject> fresh_socket(const Call &call,
                                        const Subject &subject);
    int connect_to_parent(const Subject &subject, const VsockAddress &to);
    int start_connecting(const Call &call, Subject *subject,
                         const VsockAddress &to);
    Attempt attempt_of(uint64_t cookie);
    void settle(uint64_t cookie);
    bool advance(Attempt attempt);
    void finish(Attempt attempt, int error, uint32_t port);
    bool try_accept(const Call &call, const Descriptor &listener, int flags);
    void forget_gone();

    int get_socket_option(const Call &call, Subject *subject);
    int get_vsock_option(const Call &call, const VsockSocket &entry);
    int set_vsock_option(const Call &call, VsockSocket *entry);

    Notifications &notifications_;
    Registry &registry_;
    SocketTable table_;
    std::list<Accepting> accepting_;
    std::list<Connecting> connecting_;
    uint32_t next_local_port_;
};

#endif
