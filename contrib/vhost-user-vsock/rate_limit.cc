/*
 * A limit on how often something happens, and the lines on standard error that
 * one guest causes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "rate_limit.hh"

#include <algorithm>

bool RateLimit::take(Time now)
{
    Time due = std::max(next_, now);

    if (due - now > most_ahead_) {
        return false;
    }
    next_ = due + interval_;
    return true;
}

std::string MessageLimit::lines(const std::string &message,
                                RateLimit::Time now)
{
    std::string prefix = "vhost-user-vsock: guest "
        + std::to_string(guest_cid_) + ": ";
    std::string text;

    if (!limit_.take(now)) {
        left_out_++;
        return "";
    }
    if (left_out_) {
        text = prefix + std::to_string(left_out_)
            + (left_out_ == 1 ? " message was" : " messages were")
            + " left out here\n";
        left_out_ = 0;
    }
    return text + prefix + message + "\n";
}
