/*
 * An event loop on epoll: one for each guest, in a thread of its own
 *
 * A callback may watch and forget any descriptor, also its own.  After
 * forget(), a callback is not called again, even if epoll has already returned
 * its event; it is freed at the end of run_once().  Only post() may be called
 * by other threads.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_LOOP_HH
#define VHOST_USER_VSOCK_LOOP_HH

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "descriptor.hh"

using Clock = std::chrono::steady_clock;

class Loop {
public:
    using Callback = std::function<void(uint32_t events)>;
    using Task = std::function<void()>;

    Loop();

    /*
     * Call `callback` when one of the EPOLL* `events` happens on `fd`, which
     * is not watched yet.  False, with errno set, if it cannot be watched, for
     * example because it is a regular file.
     */
    bool watch(int fd, uint32_t events, Callback callback);
    /* Wait for other events on `fd`, if it is watched. */
    void change(int fd, uint32_t events);
    void forget(int fd);

    /* Call `task` once, when `delay` has passed. */
    void after(std::chrono::milliseconds delay, Task task);

    /* Call `task` in the loop's own thread, soon; from any thread. */
    void post(Task task);

    /* Wait up to `timeout` ms, or without limit for -1, and call back. */
    void run_once(int timeout);

private:
    struct Watch {
        int fd;
        uint32_t events;
        bool forgotten;
        Callback callback;
    };
    void run_posted();
    int run_timers(int timeout);

    Descriptor epoll_, wake_;
    std::vector<std::unique_ptr<Watch>> watches_;   /* by descriptor */
    std::vector<std::unique_ptr<Watch>> forgotten_;
    std::multimap<Clock::time_point, Task> timers_;
    std::mutex mutex_;              /* of posted_ */
    std::vector<Task> posted_;
};

#endif
