/*
 * One queue of the guest's for the time of a batch
 *
 * Elements are taken from libvhost-user as they are looked at, and used in
 * their order.  At the end of the batch the guest learns of all that were used
 * at once, and what was only looked at goes back.
 *
 * While a batch lasts, the guest need not say that it has added something;
 * it is asked to again when the queue was found empty.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_QUEUE_HH
#define VHOST_USER_VSOCK_QUEUE_HH

#include <cstdlib>
#include <deque>
#include <memory>

#include "message.hh"

using Element = VuVirtqElement;

class Queue {
public:
    Queue(VuDev &dev, int index);
    Queue(const Queue &) = delete;
    Queue &operator=(const Queue &) = delete;
    ~Queue();

    /* The one at `index` of those not yet used; nullptr if there is none */
    const Element *at(size_t index);
    const Element *first() { return at(0); }

    /* Use the first one, of which `size` bytes were written. */
    void use(size_t size);

    /* The queue is broken: there is no more to have of it. */
    void give_up(const char *why);

private:
    struct Free {
        void operator()(Element *e) const { free(e); }
    };
    Element *pop();

    VuDev &dev_;
    VuVirtq &vq_;
    std::deque<std::unique_ptr<Element, Free>> taken_;
    unsigned int used_ = 0;
};

#endif
