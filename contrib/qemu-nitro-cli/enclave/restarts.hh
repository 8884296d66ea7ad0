/*
 * Delays before a program that died is started again
 *
 * The first restart is immediate.  If the program dies again soon, the delay
 * doubles, so that a program that dies at each start uses little CPU.  After
 * several failed starts in a row, the program is not started again.
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
    /* If the program ran for so long, the next delay is first_delay again. */
    static constexpr std::chrono::seconds long_run{10};
    static constexpr unsigned max_failures = 8;     /* in a row */

    /* The program has been started. */
    void started(Clock::time_point now) { start_ = now; works_ = false; }
    /* The program works: it is ready to serve. */
    void works() { works_ = true; failures_ = 0; }
    /* The program has ended.  Returns when to start it again, or nothing. */
    std::optional<Clock::time_point> ended(Clock::time_point now);

private:
    Clock::time_point start_{};
    std::chrono::milliseconds delay_ = first_delay;
    unsigned failures_ = 0;
    bool works_ = false;
};

#endif
