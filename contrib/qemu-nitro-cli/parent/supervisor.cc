/*
 * The process beside the program, which answers its AF_VSOCK system calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/supervisor.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "parent/calls.hh"
#include "support/errors.hh"

namespace {

/* Signals for the program; the terminal sends its own signals to both. */
constexpr std::array passed_on = {
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

Descriptor open_signals()
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (int s : passed_on) {
        sigaddset(&set, s);
    }
    Descriptor signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) {
        throw Error(Code::boot, "signalfd: " + error_text(errno),
                    "Try again.");
    }
    return signals;
}

/* Kept calls use descriptors. */
void allow_descriptors()
{
    rlimit limit = {};

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

class Supervisor {
public:
    explicit Supervisor(pid_t program) : program_(program) {}

    /* Forward pending signals, and check which processes have ended. */
    void on_signals()
    {
        signalfd_siginfo info;

        while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
            int number = static_cast<int>(info.ssi_signo);

            if (number != SIGCHLD && info.ssi_code <= 0 && !status_) {
                kill(program_, number);
            }
        }
        reap();
    }

    int signals() const { return signals_.get(); }

    /* The program's status, once it has ended */
    std::optional<int> status() const { return status_; }

private:
    void reap()
    {
        int status;

        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == program_) {
                status_ = status;
            }
        }
    }

    pid_t program_;
    Descriptor signals_ = open_signals();
    std::optional<int> status_;
};

/* Has the last process with the filter ended? */
bool is_over(const Notifications &notifications)
{
    pollfd p = {notifications.fd(), POLLIN, 0};

    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

/* Serve the other processes in a background process, without a terminal. */
void leave_behind(int status)
{
    if (fork() != 0) {
        end_like(status);
    }
    setsid();
    (void)!chdir("/");
}

/* Serve until the program and all processes that it started have ended. */
int serve(Supervisor *supervisor, Notifications *notifications, Calls *calls)
{
    bool alone = false;         /* the program has ended */

    while (!is_over(*notifications) || !supervisor->status()) {
        std::vector<pollfd> polls = {{supervisor->signals(), POLLIN, 0}};

        if (!is_over(*notifications)) {
            polls.push_back({notifications->fd(), POLLIN, 0});
        }
        calls->add_polls(&polls);
        poll(polls.data(), polls.size(), calls->timeout());
        if (polls[0].revents) {
            supervisor->on_signals();
        }
        if (polls.size() > 1 && polls[1].fd == notifications->fd() &&
            (polls[1].revents & POLLIN)) {
            if (std::optional<Call> call = notifications->receive()) {
                calls->handle(*call);
            }
        }
        calls->progress();
        if (supervisor->status() && !alone && !is_over(*notifications)) {
            leave_behind(*supervisor->status());
            alone = true;
        }
    }
    return *supervisor->status();
}

} // namespace

void serve_program(Program *program, Descriptor listener,
                   Registry *registry)
{
    int status;

    {
        Supervisor supervisor(program->pid());
        Notifications notifications(std::move(listener));
        Calls calls(notifications, *registry);

        /*
         * Processes whose parents end become children of this process.  So
         * their memory can be read even if only that of children can be (Yama).
         */
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        allow_descriptors();
        program->start();
        status = serve(&supervisor, &notifications, &calls);
    }
    registry->end();
    end_like(status);
}

void accompany_program(Program *program)
{
    Supervisor supervisor(program->pid());

    program->start();
    while (!supervisor.status()) {
        pollfd p = {supervisor.signals(), POLLIN, 0};

        poll(&p, 1, -1);
        supervisor.on_signals();
    }
    end_like(*supervisor.status());
}
