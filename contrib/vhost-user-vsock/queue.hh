/*
 * A batch of elements from one of the guest's queues
 *
 * at() pops elements from libvhost-user when they are first needed, and they
 * are used in order.  The end of the batch publishes all used elements at
 * once, and returns those that were popped but not used.
 *
 * The guest sends no kicks during a batch; they are switched on again when the
 * queue is found empty.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_QUEUE_HH
#define VHOST_USER_VSOCK_QUEUE_HH

#include <array>
#include <cstdlib>
#include <memory>

#include "message.hh"

using Element = VuVirtqElement;

/* How many elements of one queue are processed before the other queue */
constexpr size_t max_batch = 256;

class QueueBatch {
public:
    QueueBatch(VuDev &dev, int queue);
    QueueBatch(const QueueBatch &) = delete;
    QueueBatch &operator=(const QueueBatch &) = delete;
    ~QueueBatch();

    /*
     * The element at `index` of those not yet used; nullptr if the queue has
     * none, or if that is beyond the batch.
     */
    const Element *at(size_t index);
    const Element *first() { return at(0); }

    /* Use the first one, of which `size` bytes were written. */
    void use(size_t size);

    /* The batch is full: the queue may have more. */
    bool exhausted() const { return popped_ == max_batch; }

    /* The queue is broken, and gives no more elements. */
    void fail(const char *why);

private:
    struct Free {
        void operator()(Element *e) const { free(e); }
    };
    Element *pop();

    VuDev &dev_;
    VuVirtq &vq_;
    /* libvhost-user allocates each element. */
    std::array<std::unique_ptr<Element, Free>, max_batch> elements_;
    size_t popped_ = 0, used_ = 0;      /* so many of the first elements */
};

#endif
