/*
 * The sandbox of the daemon, after its listeners are open
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
 * Enter the sandbox permanently:
 *   - The process cannot open, make or remove files, but it can remove its own
 *     Unix sockets (Landlock).
 *   - It can use TCP only if an option connects to it, and cannot connect to
 *     abstract Unix sockets of other processes or send them signals (Landlock).
 *   - System calls that serving guests does not need fail with EPERM (seccomp).
 *   - It cannot gain privileges and dumps no core, and no other process of
 *     this user can read its memory.
 *
 * Without Landlock in the kernel, the other rules still apply.  Call this
 * before starting threads.  Returns false, with `error` set, if another rule
 * fails.
 */
bool confine(const std::vector<VmOptions> &vms, std::string *error);

#endif
