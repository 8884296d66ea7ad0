/*
 * When a program that died is started again
 *
 * The first time at once.  If it dies again soon, the delay doubles, so that a
 * program that dies at each start takes no CPU worth mentioning.  After some
 * starts in a row that failed, it is given up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_RESTARTS_HH
#define QEMU_NITRO_CLI_ENCLAVE_RESTARTS_HH

#include <chrono>
#include <optional>

class Restarts {
public:
    using Clock = std::chrono::steady_clock;

    static constexpr std::chrono::milliseconds first_delay{50};
    static constexpr std::chrono::milliseconds max_delay{3200};
    /* A program that ran for so long starts anew with the first delay. */
    static constexpr std::chrono::seconds long_run{10};
    static constexpr unsigned max_failures = 8;     /* in a row */

    /* The program has been started. */
    void started(Clock::time_point now) { start_ = now; works_ = false; }
    /* It does what it is for. */
    void works() { works_ = true; failures_ = 0; }
    /* It has ended: when to start it again, or never. */
    std::optional<Clock::time_point> ended(Clock::time_point now);

private:
    Clock::time_point start_{};
    std::chrono::milliseconds delay_ = first_delay;
    unsigned failures_ = 0;
    bool works_ = false;
};

#endif
