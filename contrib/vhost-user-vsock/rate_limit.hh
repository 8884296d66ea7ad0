/*
 * A limit on how often something happens, and the lines on standard error that
 * one guest causes
 *
 * A guest, or a program in place of QEMU, can cause a line again and again.  So
 * that it cannot fill the disk, lines are left out and counted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_RATE_LIMIT_HH
#define VHOST_USER_VSOCK_RATE_LIMIT_HH

#include <chrono>
#include <cstdint>
#include <string>

class RateLimit {
public:
    using Time = std::chrono::steady_clock::time_point;

    /* `at_once` can happen at the same time, and then so many each second. */
    constexpr RateLimit(unsigned at_once, unsigned each_second)
        : interval_(std::chrono::nanoseconds(std::chrono::seconds(1))
                    / each_second),
          most_ahead_(interval_ * (at_once - 1)) {}

    /* May it happen now?  If it may, it is counted. */
    bool take(Time now);

private:
    std::chrono::nanoseconds interval_, most_ahead_;
    Time next_;         /* when it would be due, if it happened evenly */
};

/* Messages of the daemon on one guest: 10 at once, and then one each second */
class MessageLimit {
public:
    explicit MessageLimit(uint64_t guest_cid) : guest_cid_(guest_cid) {}

    /* The lines to print for a message: none if there are too many, and one
     * more after some were left out. */
    std::string lines(const std::string &message, RateLimit::Time now);

private:
    uint64_t guest_cid_, left_out_ = 0;
    RateLimit limit_{10, 1};
};

#endif
