/*
 * A batch of elements from one of the guest's queues
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "queue.hh"

QueueBatch::QueueBatch(VuDev &dev, int queue) : dev_(dev), vq_(dev.vq[queue])
{
    vu_queue_set_notification(&dev_, &vq_, 0);
}

QueueBatch::~QueueBatch()
{
    if (dev_.broken) {
        return;
    }
    if (popped_ > used_) {
        vu_queue_rewind(&dev_, &vq_, popped_ - used_);
    }
    if (used_) {
        vu_queue_flush(&dev_, &vq_, used_);
        if (vq_.call_fd >= 0) {
            vu_queue_notify(&dev_, &vq_);
        }
    }
}

Element *QueueBatch::pop()
{
    return static_cast<Element *>(vu_queue_pop(&dev_, &vq_, sizeof(Element)));
}

const Element *QueueBatch::at(size_t index)
{
    size_t wanted = used_ + index;

    if (dev_.broken || wanted >= max_batch) {
        return nullptr;
    }
    while (popped_ <= wanted) {
        Element *e = pop();

        if (!e && !dev_.broken) {
            /* The guest may have added one before it saw this. */
            vu_queue_set_notification(&dev_, &vq_, 1);
            e = pop();
        }
        if (!e) {
            return nullptr;
        }
        elements_[popped_++].reset(e);
    }
    return elements_[wanted].get();
}

void QueueBatch::use(size_t size)
{
    vu_queue_fill(&dev_, &vq_, elements_[used_].get(), size, used_);
    elements_[used_++].reset();
}

void QueueBatch::fail(const char *why)
{
    dev_.panic(&dev_, why);
    dev_.broken = true;
}
