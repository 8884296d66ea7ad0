/*
 * The progress of long operations: a line on a terminal, nothing elsewhere
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_PROGRESS_HH
#define QEMU_NITRO_CLI_SUPPORT_PROGRESS_HH

#include <chrono>
#include <cstdint>
#include <string>

class Progress {
public:
    /* `what` names the operation; `total` is in bytes, or 0 if unknown */
    Progress(std::string what, uint64_t total);
    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;
    /* Removes the line. */
    ~Progress();

    void add(uint64_t bytes);

private:
    using Clock = std::chrono::steady_clock;

    std::string what_;
    uint64_t total_, done_ = 0;
    bool terminal_, shown_ = false;
    Clock::time_point next_;
};

#endif
