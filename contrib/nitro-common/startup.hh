/*
 * What each program does before anything else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_STARTUP_HH
#define NITRO_COMMON_STARTUP_HH

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

/*
 * Occupy standard input, output and error if they are closed.  Otherwise a file
 * that the program opens would get such a number, and the program's messages.
 * As before, reading and writing fail with EBADF.  Returns false, with errno
 * set, if that is not possible.
 */
inline bool occupy_standard_descriptors()
{
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) {
        /* open() returns the lowest free descriptor, which is this one. */
        if (fcntl(standard, F_GETFD) < 0 && open("/dev/null", O_PATH) < 0) {
            return false;
        }
    }
    return true;
}

/*
 * Beyond RLIMIT_FSIZE, let write() fail with EFBIG: by default, the signal
 * SIGXFSZ ends the process.  The signal gets a handler, because execve() resets
 * a handler to the default.  If this process got it ignored, it stays so.
 */
inline void catch_file_size_signal()
{
    struct sigaction action = {}, before;

    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    if (sigaction(SIGXFSZ, nullptr, &before) == 0 &&
        before.sa_handler == SIG_DFL) {
        sigaction(SIGXFSZ, &action, nullptr);
    }
}

#endif
