/*
 * What the daemon gives up once its listeners are open
 *
 * The guest and QEMU are not trusted.  If one of them takes over this process,
 * it must not reach more than the daemon itself uses: the sockets that the
 * options name.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_CONFINEMENT_HH
#define VHOST_USER_VSOCK_CONFINEMENT_HH

#include <string>
#include <vector>

#include "device.hh"

/*
 * From here on:
 *   - no file can be opened, made or removed, except that the daemon's own
 *     Unix sockets can be removed (Landlock);
 *   - TCP is used only if an option connects to it, abstract Unix sockets and
 *     signals reach no other process (Landlock);
 *   - only the system calls that serving guests takes are allowed, others fail
 *     with EPERM (seccomp);
 *   - no privileges are gained, no core is dumped, and no other process of
 *     this user can read its memory.
 *
 * Landlock is left out where the kernel has none.  Called before there are
 * threads.  False, and `error` set, if the rest cannot be put in force.
 */
bool confine(const std::vector<VmOptions> &vms, std::string *error);

#endif
