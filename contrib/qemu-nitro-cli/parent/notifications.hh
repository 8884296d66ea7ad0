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
    uint64_t id;                /* no other call has this id */
    pid_t thread;
    int number;
    uint64_t arguments[6];
};

class Notifications {
public:
    explicit Notifications(Descriptor listener);

    int fd() const { return listener_.get(); }

    /* Can descriptors be installed in the program?  This needs Linux 5.14. */
    bool can_install() const;

    /* Returns nothing if there is no notification after all. */
    std::optional<Call> receive();

    bool is_waiting(const Call &call) const;

    /* Make the call fail with this errno, or return 0 if `error` is 0.  Returns
     * false if the call is no longer waiting. */
    bool answer(const Call &call, int error);
    /* Let the kernel execute the call. */
    bool go_on(const Call &call);

    /*
     * Give the program a new descriptor of this file, and return its number
     * from the call.  Returns 0, or an errno: ENOENT if the call is no longer
     * waiting.
     */
    int install(const Call &call, const Descriptor &file, bool cloexec);

    /* The same with a number that is in use; the call keeps waiting. */
    int replace(const Call &call, const Descriptor &file, int number,
                bool cloexec);

private:
    bool respond(const Call &call, int error, unsigned flags);

    Descriptor listener_;
    std::vector<char> request_, response_;      /* the kernel determines
                                                   their sizes */
};

#endif
