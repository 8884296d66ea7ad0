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

#include <array>
#include <cstdlib>
#include <memory>

#include "message.hh"

using Element = VuVirtqElement;

/* Elements of one queue before another has its turn */
constexpr size_t max_batch = 256;

class Batch {
public:
    Batch(VuDev &dev, int queue);
    Batch(const Batch &) = delete;
    Batch &operator=(const Batch &) = delete;
    ~Batch();

    /*
     * The one at `index` of those not yet used; nullptr if there is none, or
     * if that is more than a batch has.
     */
    const Element *at(size_t index);
    const Element *first() { return at(0); }

    /* Use the first one, of which `size` bytes were written. */
    void use(size_t size);

    /* It gave all that it may give: there may be more in the queue. */
    bool exhausted() const { return taken_ == max_batch; }

    /* The queue is broken: there is no more to have of it. */
    void give_up(const char *why);

private:
    struct Free {
        void operator()(Element *e) const { free(e); }
    };
    Element *pop();

    VuDev &dev_;
    VuVirtq &vq_;
    /* The library allocates an element, and knows no other way. */
    std::array<std::unique_ptr<Element, Free>, max_batch> elements_;
    size_t taken_ = 0, used_ = 0;       /* the first so many of them */
};

#endif
