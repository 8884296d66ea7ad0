/*
 * Reading and checking vhost-user messages
 *
 * Format: QEMU, docs/interop/vhost-user.rst.  libvhost-user believes sizes,
 * numbers of regions and descriptors, and indexes of queues; here nothing is
 * believed, and what is not used is refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_MESSAGE_HH
#define VHOST_USER_VSOCK_MESSAGE_HH

#define VIRTIO_RING_NO_LEGACY
extern "C" {
#include "libvhost-user.h"
}

constexpr uint32_t max_queue_size = 1024;   /* descriptors */

/* What is wrong with a message, or nullptr */
const char *check_message(const VhostUserMsg &message);

/* A vu_read_msg_cb: false, with the descriptors closed, if it is refused */
bool read_message(VuDev *dev, int socket, VhostUserMsg *message);

#endif
