/*
 * Reading and checking vhost-user messages
 *
 * Format: QEMU, docs/interop/vhost-user.rst.  libvhost-user does not check
 * sizes, the numbers of regions and descriptors, the indexes of queues, or
 * that a queue lies in mapped memory.  All that is checked here, and requests
 * that are not needed are refused.  One thing cannot be checked: that the peer
 * does not shorten a file whose memory it shares.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_MESSAGE_HH
#define VHOST_USER_VSOCK_MESSAGE_HH

#define VIRTIO_RING_NO_LEGACY
extern "C" {
#include <cstdint>

#include "libvhost-user.h"
}

constexpr uint32_t max_queue_size = 1024;   /* descriptors */

/* The queues of a vsock device that its back end has (virtio 1.2, 5.10.2) */
enum { rx_queue, tx_queue, num_queues };

/* The error in a message, or nullptr */
const char *check_message(const VhostUserMsg &message, uint32_t queue_size);

/*
 * The error in the addresses of a queue, or nullptr.  `queue_address` has the
 * peer's addresses, `num` is the queue's size.
 */
const char *check_queue(const VuDev &dev,
                        const vhost_vring_addr &queue_address, uint32_t num);

/* The same for a queue that the library has mapped */
const char *check_mapped_queue(const VuDev &dev, const VuVirtq &queue);

/* Reads a message without blocking. */
class MessageReader {
public:
    enum class Result {
        incomplete,         /* Call read() again when there is more. */
        complete,           /* Call take(). */
        closed,             /* The peer has closed the connection. */
        refused,            /* error() says why. */
    };

    /* `queue_size`: the largest queue that is accepted */
    explicit MessageReader(uint32_t queue_size) : queue_size_(queue_size) {}
    MessageReader(const MessageReader &) = delete;
    MessageReader &operator=(const MessageReader &) = delete;
    ~MessageReader();

    Result read(int socket);
    const char *error() const { return error_; }

    /* The complete message; the caller owns its descriptors. */
    VhostUserMsg take();

    /* Discard a part of a message, before another peer connects. */
    void reset();

private:
    Result refuse(const char *why);
    bool receive(int socket, size_t until, Result *result);
    void close_descriptors();

    uint32_t queue_size_;
    VhostUserMsg message_ = {};
    size_t have_ = 0;       /* bytes */
    const char *error_ = nullptr;
};

#endif
