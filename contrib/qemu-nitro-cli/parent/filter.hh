/*
 * The filter that passes system calls of the program to the supervisor
 *
 * Only those that may be about an AF_VSOCK socket.  A filter sees the
 * arguments, but neither what a descriptor is nor what a pointer points to.  So
 * these calls come for other sockets too, and the kernel goes on with them:
 *
 *   bind, connect     with an address of 16 bytes, as those of AF_VSOCK and
 *                     IPv4 have, or of 128, which is struct sockaddr_storage
 *   accept, accept4   that ask for the other end's address
 *   getsockname, getpeername
 *   getsockopt        of SO_DOMAIN and SO_ERROR
 *
 * Reading, writing, waiting and closing do not come.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_FILTER_HH
#define QEMU_NITRO_CLI_PARENT_FILTER_HH

#include "seccomp_filter.hh"

/* Throws Error if libseccomp fails. */
SeccompFilter make_filter();

/*
 * Install the filter for this process and its children.  Afterwards, they
 * cannot get privileges from a set-uid program (no_new_privs).  Returns the
 * descriptor with the notifications, or a negative errno: -EBUSY if such a
 * filter is already installed.
 */
int load_filter(const SeccompFilter &filter);

#endif
