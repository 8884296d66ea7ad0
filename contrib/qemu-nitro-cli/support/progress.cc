/*
 * The progress of long operations
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/progress.hh"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <unistd.h>

namespace {

/* A shorter operation needs no line. */
constexpr std::chrono::milliseconds interval(200);

} // namespace

Progress::Progress(std::string what, uint64_t total)
    : what_(std::move(what)), total_(total),
      terminal_(isatty(STDERR_FILENO)), next_(Clock::now() + interval)
{
}

Progress::~Progress()
{
    if (shown_) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
    }
}

void Progress::add(uint64_t bytes)
{
    done_ += bytes;
    if (!terminal_ || Clock::now() < next_) {
        return;
    }
    next_ = Clock::now() + interval;
    shown_ = true;
    fprintf(stderr, "\r\033[K%s: ", what_.c_str());
    if (total_) {
        fprintf(stderr, "%d %%", static_cast<int>(std::min(
                    100.0, 100.0 * done_ / total_)));
    } else {
        fprintf(stderr, "%" PRIu64 " MiB", done_ >> 20);
    }
    fflush(stderr);
}
