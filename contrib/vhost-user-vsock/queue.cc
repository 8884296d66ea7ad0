/*
 * One queue of the guest's for the time of a batch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "queue.hh"

Queue::Queue(VuDev &dev, int index) : dev_(dev), vq_(dev.vq[index])
{
    vu_queue_set_notification(&dev_, &vq_, 0);
}

Queue::~Queue()
{
    if (dev_.broken) {
        return;
    }
    if (!taken_.empty()) {
        vu_queue_rewind(&dev_, &vq_, taken_.size());
    }
    if (used_) {
        vu_queue_flush(&dev_, &vq_, used_);
        if (vq_.call_fd >= 0) {
            vu_queue_notify(&dev_, &vq_);
        }
    }
}

Element *Queue::pop()
{
    return static_cast<Element *>(vu_queue_pop(&dev_, &vq_, sizeof(Element)));
}

const Element *Queue::at(size_t index)
{
    while (taken_.size() <= index) {
        Element *e = pop();

        if (!e && !dev_.broken) {
            /* It may have added one before it saw that it is to tell. */
            vu_queue_set_notification(&dev_, &vq_, 1);
            e = pop();
        }
        if (!e) {
            return nullptr;
        }
        taken_.emplace_back(e);
    }
    return taken_[index].get();
}

void Queue::use(size_t size)
{
    vu_queue_fill(&dev_, &vq_, taken_.front().get(), size, used_++);
    taken_.pop_front();
}

void Queue::give_up(const char *why)
{
    dev_.panic(&dev_, why);
    dev_.broken = true;
}
