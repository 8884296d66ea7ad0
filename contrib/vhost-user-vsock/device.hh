/*
 * The vhost-user device: the other end of QEMU's vhost-user-vsock
 *
 * Listens for QEMU, speaks vhost-user with it through libvhost-user, and moves
 * packets between the guest's queues and the multiplexer.  libvhost-user
 * trusts its peer; so every message is read and checked here before it sees
 * it.  When QEMU goes away, the next one is waited for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_DEVICE_HH
#define VHOST_USER_VSOCK_DEVICE_HH

#include <string>

#include "host.hh"

struct VmOptions {
    std::string socket;             /* where QEMU connects */
    std::string uds_path;
    uint64_t guest_cid = 4;
    uint32_t buffer_size = default_buffer_size;     /* bytes */
    bool heartbeat = true;
};

/*
 * Serve one guest until `stop` (a descriptor) can be read.  The listeners are
 * open already: what can go wrong has gone wrong before.
 */
void serve(const VmOptions &options, Fd listener, Fd uds_listener, int stop);

#endif
