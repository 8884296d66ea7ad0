/*
 * Other processes: naming them safely, finding programs, starting them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_PROCESS_HH
#define QEMU_NITRO_CLI_SUPPORT_PROCESS_HH

#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

/*
 * A process.  Its number is given to another one some time after it has ended,
 * so the time at which it started goes with it.
 */
struct ProcessId {
    pid_t pid = 0;
    uint64_t start = 0;         /* in the kernel's ticks since it booted */
};

/* The process that has this number now; start is 0 if there is none.  Throws
 * Error, as the next two do, if the system does not tell. */
ProcessId process_id(pid_t pid);

/*
 * Send a signal to that process and no other one.  False if it has ended; one
 * that nobody has waited for counts as ended.
 */
bool send_signal(const ProcessId &process, int signal);

/* Kill a process and wait until it is gone; false if it is still there after
 * some seconds. */
bool kill_and_wait(const ProcessId &process);

/*
 * Where this program is: where the link is by which it was called, where each
 * link is that this one leads to, and where the program really is.
 */
std::vector<std::string> own_folders();

/*
 * Where a program of this project is: beside this one, in any of own_folders(),
 * in libexec near there, or in $PATH.  Throws Error if it is nowhere.
 */
std::string find_program(const std::string &name);

/* What a child's descriptors 0, 1 and 2 are, and which others it keeps */
struct ChildFiles {
    int in, out, err;
    std::vector<int> kept;
};

/*
 * Start a program that is killed when this process ends, however that comes.
 * Before it starts, the child calls `confine`, if there is one; if that returns
 * false, the child ends with a message that has errno.  Returns the program's
 * number, or -1 with errno set.
 */
pid_t start_bound(const std::vector<std::string> &command,
                  const ChildFiles &files,
                  const std::function<bool()> &confine = nullptr);

#endif
