/*
 * Waiting for descriptors: one loop a guest, in a thread of its own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_LOOP_HH
#define VHOST_USER_VSOCK_LOOP_HH

#include <cstdint>
#include <functional>
#include <map>
#include <unistd.h>

/* A descriptor that closes itself */
class Fd {
public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    Fd(Fd &&other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd()
    {
        if (fd_ >= 0) {
            close(fd_);
        }
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_;
};

class Loop {
public:
    using Callback = std::function<void(uint32_t events)>;

    Loop();
    /* Call `callback` when one of the EPOLL* `events` happens on `fd`. */
    void watch(int fd, uint32_t events, Callback callback);
    /* Wait for other events on a descriptor that is watched. */
    void change(int fd, uint32_t events);
    void forget(int fd);
    /* Wait for up to `timeout` ms, or for ever with -1, and call back. */
    void run_once(int timeout);

private:
    struct Watch {
        uint32_t events;
        uint64_t id;
        Callback callback;
    };
    Fd epoll_;
    uint64_t next_id_ = 0;
    std::map<int, Watch> watches_;
};

#endif
