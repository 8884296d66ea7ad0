/*
 * Helpers for tests of sandboxes, which a process cannot leave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_SANDBOX_TESTING_HH
#define NITRO_COMMON_SANDBOX_TESTING_HH

#include <cerrno>
#include <functional>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Does the kernel have this version of Landlock, or a later one? */
inline bool has_landlock(int version = 1)
{
    return syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) >= version;
}

/* Run this in a child; returns its exit status, or -1 if it does not exit. */
inline int in_child(const std::function<int()> &act)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(act());
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The errno with which a call fails in a child that has entered a sandbox; 0 if
 * it succeeds, 255 if `enter` fails */
inline int error_in_sandbox(const std::function<bool()> &enter,
                            const std::function<long()> &call)
{
    return in_child([&] {
        if (!enter()) {
            return 255;
        }
        errno = 0;
        return call() < 0 ? errno : 0;
    });
}

#endif
