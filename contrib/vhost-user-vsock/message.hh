/*
 * Reading and checking vhost-user messages
 *
 * Format: QEMU, docs/interop/vhost-user.rst.  libvhost-user believes sizes,
 * numbers of regions and descriptors, indexes of queues, and that a queue lies
 * in memory that is mapped; here nothing is believed, and what is not used is
 * refused.  One thing has to be: that the peer does not shorten a file whose
 * memory it shares.
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

/* What is wrong with a message by itself, or nullptr */
const char *check_message(const VhostUserMsg &message, uint32_t queue_size);

/*
 * What is wrong with a queue's place in memory, or nullptr.  `queue_address`
 * are where the peer has it, `num` is its size.
 */
const char *check_queue(const VuDev &dev,
                        const vhost_vring_addr &queue_address, uint32_t num);

/* The same of a queue that the library has: is it still where it has it? */
const char *check_mapped_queue(const VuDev &dev, const VuVirtq &queue);

/* Collects a message without waiting for the rest of it. */
class MessageReader {
public:
    enum class Result {
        incomplete,         /* call again when there is more */
        complete,           /* take it */
        gone,               /* the peer has closed */
        refused,            /* wrong() says why */
    };

    /* `queue_size`: the largest that is taken */
    explicit MessageReader(uint32_t queue_size) : queue_size_(queue_size) {}
    MessageReader(const MessageReader &) = delete;
    MessageReader &operator=(const MessageReader &) = delete;
    ~MessageReader();

    Result read(int socket);
    const char *wrong() const { return wrong_; }

    /* The complete message; its descriptors are the taker's from now on. */
    VhostUserMsg take();

    /* Forget what is there: another peer begins. */
    void reset();

private:
    Result refuse(const char *why);
    bool receive(int socket, size_t until, Result *result);
    void close_descriptors();

    uint32_t queue_size_;
    VhostUserMsg message_ = {};
    size_t have_ = 0;       /* bytes */
    const char *wrong_ = nullptr;
};

#endif
