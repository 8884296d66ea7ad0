/*
 * Waiting for descriptors: one loop a guest, in a thread of its own
 *
 * A callback may watch and forget any descriptor, its own among them: what is
 * forgotten is not called again, though epoll has told of it already, and is
 * freed when the round is over.  Only post() may be called by other threads.
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
     * was not watched before.  False, with errno, if it cannot be watched (a
     * plain file, say).
     */
    bool watch(int fd, uint32_t events, Callback callback);
    /* Wait for other events on a descriptor, if it is watched. */
    void change(int fd, uint32_t events);
    void forget(int fd);

    /* Call `task` once, when `delay` has passed. */
    void after(std::chrono::milliseconds delay, Task task);

    /* Call `task` in the loop's own thread, soon; from any thread. */
    void post(Task task);

    /* Wait for up to `timeout` ms, or for ever with -1, and call back. */
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
