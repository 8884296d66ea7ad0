/*
 * An event loop on epoll: one for each guest, in a thread of its own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "loop.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>

Loop::Loop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    if (!epoll_ || !wake_ ||
        !watch(wake_.get(), EPOLLIN | EPOLLET,
               [this](uint32_t) { run_posted(); })) {
        throw std::system_error(errno, std::generic_category(), "epoll");
    }
}

bool Loop::watch(int fd, uint32_t events, Callback callback)
{
    auto watch = std::make_unique<Watch>(
        Watch{fd, events, false, std::move(callback)});
    epoll_event e = {};

    e.events = events;
    e.data.ptr = watch.get();
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e)) {
        return false;
    }
    if (watches_.size() <= static_cast<size_t>(fd)) {
        watches_.resize(fd + 1);
    }
    watches_[fd] = std::move(watch);
    return true;
}

void Loop::change(int fd, uint32_t events)
{
    Watch *watch = static_cast<size_t>(fd) < watches_.size()
        ? watches_[fd].get() : nullptr;

    if (watch && watch->events != events) {
        epoll_event e = {};

        e.events = events;
        e.data.ptr = watch;
        watch->events = events;
        epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e);
    }
}

void Loop::forget(int fd)
{
    if (static_cast<size_t>(fd) < watches_.size() && watches_[fd]) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
        watches_[fd]->forgotten = true;
        forgotten_.push_back(std::move(watches_[fd]));
    }
}

void Loop::after(std::chrono::milliseconds delay, Task task)
{
    timers_.emplace(Clock::now() + delay, std::move(task));
}

void Loop::post(Task task)
{
    {
        std::scoped_lock lock(mutex_);
        posted_.push_back(std::move(task));
    }
    eventfd_write(wake_.get(), 1);
}

void Loop::run_posted()
{
    std::vector<Task> tasks;

    {
        std::scoped_lock lock(mutex_);
        tasks.swap(posted_);
    }
    for (Task &task : tasks) {
        task();
    }
}

/*
 * Run the timers that are due.  Returns how long to wait for the next, in ms:
 * 0 after a task, because it may have changed what the caller waits for.
 */
int Loop::run_timers(int timeout)
{
    while (!timers_.empty()) {
        auto wait = timers_.begin()->first - Clock::now();

        if (wait > Clock::duration::zero()) {
            int ms = 1 + std::chrono::duration_cast<std::chrono::milliseconds>(
                wait).count();

            return timeout < 0 ? ms : std::min(ms, timeout);
        }
        Task task = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        task();
        timeout = 0;
    }
    return timeout;
}

void Loop::run_once(int timeout)
{
    std::array<epoll_event, 1024> events;
    int n = epoll_wait(epoll_.get(), events.data(), events.size(),
                       run_timers(timeout));

    for (int i = 0; i < n; i++) {
        auto *watch = static_cast<Watch *>(events[i].data.ptr);

        if (!watch->forgotten) {
            watch->callback(events[i].events);
        }
    }
    forgotten_.clear();
    if (n >= 0) {
        run_timers(0);
    }
}
