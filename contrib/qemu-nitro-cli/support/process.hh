/*
 * Other processes: identifying them, finding programs, starting them
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
 * A process.  The kernel can reuse its number after it has ended, so its start
 * time also identifies it.
 */
struct ProcessId {
    pid_t pid = 0;
    uint64_t start = 0;         /* in the kernel's ticks since it booted */
};

/* The process with this number; start is 0 if there is none.  This and the next
 * two functions throw Error if it is not known whether the process runs. */
ProcessId process_id(pid_t pid);

/*
 * Send a signal to this process and to no other one.  Returns false if it has
 * ended, also if it is a zombie.
 */
bool send_signal(const ProcessId &process, int signal);

/* Kill a process and wait until it has ended.  Returns false if it still runs
 * after some seconds. */
bool kill_and_wait(const ProcessId &process);

/*
 * The directories of this program: that of the link that was executed, those of
 * the links that it refers to, and that of the program's file.
 */
std::vector<std::string> program_directories();

/*
 * The path of a program of this project: in one of program_directories(), in
 * libexec near there, or in $PATH.  Throws Error if it is not found.
 */
std::string find_program(const std::string &name);

/* A child's descriptors 0, 1 and 2, and others that it keeps */
struct ChildFiles {
    int in, out, err;
    std::vector<int> kept;
};

/*
 * Start a program that the kernel kills when this process ends for any reason.
 * The child first calls `confine`, if it is set.  If that returns false, the
 * child ends with a message about errno.  Returns the program's process number,
 * or -1 with errno set.
 */
pid_t start_bound(const std::vector<std::string> &command,
                  const ChildFiles &files,
                  const std::function<bool()> &confine = nullptr);

#endif
