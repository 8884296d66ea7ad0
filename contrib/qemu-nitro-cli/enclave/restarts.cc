/*
 * Delays before a program that died is started again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/restarts.hh"

#include <algorithm>

std::optional<Restarts::Clock::time_point>
Restarts::ended(Clock::time_point now)
{
    if (!works_ && ++failures_ >= max_failures) {
        return {};
    }
    if (works_ && now - start_ >= long_run) {
        delay_ = first_delay;
    }
    Clock::time_point next = now + delay_;
    delay_ = std::min(2 * delay_, max_delay);
    return next;
}
