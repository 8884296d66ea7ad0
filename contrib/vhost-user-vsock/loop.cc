/*
 * Waiting for descriptors: one loop a guest, in a thread of its own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "loop.hh"

#include <cerrno>
#include <sys/epoll.h>
#include <system_error>

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC))
{
    if (!epoll_) {
        throw std::system_error(errno, std::generic_category(), "epoll");
    }
}

void Loop::watch(int fd, uint32_t events, Callback callback)
{
    uint64_t id = next_id_++;
    epoll_event e = {};

    forget(fd);
    e.events = events;
    e.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e)) {
        throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
    watches_[fd] = {events, id, std::move(callback)};
}

void Loop::change(int fd, uint32_t events)
{
    auto found = watches_.find(fd);

    if (found != watches_.end() && found->second.events != events) {
        epoll_event e = {};

        e.events = events;
        e.data.fd = fd;
        found->second.events = events;
        epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e);
    }
}

void Loop::forget(int fd)
{
    if (watches_.erase(fd)) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    }
}

void Loop::run_once(int timeout)
{
    epoll_event events[64];
    uint64_t before = next_id_;
    int n = epoll_wait(epoll_.get(), events, 64, timeout);

    for (int i = 0; i < n; i++) {
        auto found = watches_.find(events[i].data.fd);

        /* An earlier callback may have closed this one's descriptor, and
         * another one may have its number by now. */
        if (found != watches_.end() && found->second.id < before) {
            Callback callback = found->second.callback;

            callback(events[i].events);
        }
    }
}
