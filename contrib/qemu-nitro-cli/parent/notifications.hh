/*
 * System calls of the program that wait for an answer of the supervisor
 *
 * This is seccomp_unotify(2).  A signal can end the wait of a call.  The answer
 * then comes too late: the kernel makes the call again, or the program gets
 * EINTR, as with any call that blocks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_NOTIFICATIONS_HH
#define QEMU_NITRO_CLI_PARENT_NOTIFICATIONS_HH

#include <cstdint>
#include <optional>
#include <sys/types.h>
#include <vector>

#include "descriptor.hh"

struct Call {
    uint64_t id;                /* never that of another call */
    pid_t thread;
    int number;
    uint64_t arguments[6];
};

class Notifications {
public:
    explicit Notifications(Descriptor listener);

    int fd() const { return listener_.get(); }

    /* Can descriptors be given to the program?  Linux 5.14 or later can. */
    bool can_install() const;

    /* Nothing if there is none after all */
    std::optional<Call> receive();

    bool is_waiting(const Call &call) const;

    /* The call fails with this error of Linux or, for 0, returns 0.  False if
     * it is not waiting any more. */
    bool answer(const Call &call, int error);
    /* Let the kernel do what the call says. */
    bool go_on(const Call &call);

    /*
     * Give the program a new descriptor of this file, whose number the call
     * returns.  0, or an error: ENOENT if the call is not waiting any more.
     */
    int install(const Call &call, const Descriptor &file, bool cloexec);

    /* The same at a number that is in use, while the call goes on waiting */
    int replace(const Call &call, const Descriptor &file, int number,
                bool cloexec);

private:
    bool respond(const Call &call, int error, unsigned flags);

    Descriptor listener_;
    std::vector<char> request_, response_;      /* of the kernel's sizes */
};

#endif
