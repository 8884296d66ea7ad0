/*
 * One queue of the guest's for the time of a batch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "queue.hh"

Batch::Batch(VuDev &dev, int queue) : dev_(dev), vq_(dev.vq[queue])
{
    vu_queue_set_notification(&dev_, &vq_, 0);
}

Batch::~Batch()
{
    if (dev_.broken) {
        return;
    }
    if (taken_ > used_) {
        vu_queue_rewind(&dev_, &vq_, taken_ - used_);
    }
    if (used_) {
        vu_queue_flush(&dev_, &vq_, used_);
        if (vq_.call_fd >= 0) {
            vu_queue_notify(&dev_, &vq_);
        }
    }
}

Element *Batch::pop()
{
    return static_cast<Element *>(vu_queue_pop(&dev_, &vq_, sizeof(Element)));
}

const Element *Batch::at(size_t index)
{
    size_t wanted = used_ + index;

    if (dev_.broken || wanted >= max_batch) {
        return nullptr;
    }
    while (taken_ <= wanted) {
        Element *e = pop();

        if (!e && !dev_.broken) {
            /* It may have added one before it saw that it is to tell. */
            vu_queue_set_notification(&dev_, &vq_, 1);
            e = pop();
        }
        if (!e) {
            return nullptr;
        }
        elements_[taken_++].reset(e);
    }
    return elements_[wanted].get();
}

void Batch::use(size_t size)
{
    vu_queue_fill(&dev_, &vq_, elements_[used_].get(), size, used_);
    elements_[used_++].reset();
}

void Batch::give_up(const char *why)
{
    dev_.panic(&dev_, why);
    dev_.broken = true;
}
