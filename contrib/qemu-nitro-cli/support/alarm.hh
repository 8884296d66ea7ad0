/*
 * A limit for system calls that wait
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_ALARM_HH
#define QEMU_NITRO_CLI_SUPPORT_ALARM_HH

#include <csignal>
#include <sys/time.h>

/*
 * While this object exists, a system call of this thread that waits for so long
 * fails with EINTR.  Later calls fail, too: the signal is repeated, because it
 * may come just before a call.  It uses SIGALRM and the timer of the process.
 */
class Alarm {
public:
    explicit Alarm(int milliseconds)
    {
        constexpr int again_ms = 50;
        struct sigaction action = {};
        itimerval timer = {time_of(again_ms), time_of(milliseconds)};
        sigset_t set;

        action.sa_handler = [](int) {};
        sigaction(SIGALRM, &action, &action_);
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &set, &mask_);
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
    Alarm(const Alarm &) = delete;
    Alarm &operator=(const Alarm &) = delete;
    ~Alarm()
    {
        itimerval none = {};

        setitimer(ITIMER_REAL, &none, nullptr);
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
        sigaction(SIGALRM, &action_, nullptr);
    }

private:
    static timeval time_of(int milliseconds)
    {
        return {milliseconds / 1000, milliseconds % 1000 * 1000};
    }

    struct sigaction action_;
    sigset_t mask_;
};

#endif
