/*
 * Starting a thread, with an error for the user if there are too many
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_THREADS_HH
#define QEMU_NITRO_CLI_SUPPORT_THREADS_HH

#include <system_error>
#include <thread>
#include <utility>

#include "support/errors.hh"

/* A thread for a build.  Takes the arguments of std::thread.  Throws Error if
 * it cannot be started. */
template <typename... Arguments>
std::thread start_thread(Arguments &&...arguments)
{
    try {
        return std::thread(std::forward<Arguments>(arguments)...);
    } catch (const std::system_error &e) {
        throw Error(Code::building, "a thread cannot be started: "
                    + e.code().message(), "Allow this user more processes, or"
                    " try again when fewer of them run.");
    }
}

#endif
