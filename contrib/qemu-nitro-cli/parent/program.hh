/*
 * The program that runs as if on the parent instance: its start and its end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_PROGRAM_HH
#define QEMU_NITRO_CLI_PARENT_PROGRAM_HH

#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "descriptor.hh"

/*
 * A child process with the filter (filter.hh) in force.  It waits until start()
 * is called, or ends with this object.
 */
class Program {
public:
    /*
     * `words` are the program, which is searched for in $PATH, and its
     * arguments.  Throws Error if it cannot be run, or if the system does not
     * support this.
     */
    explicit Program(std::vector<std::string> words);
    Program(const Program &) = delete;
    Program &operator=(const Program &) = delete;
    ~Program();

    pid_t pid() const { return pid_; }

    /* The descriptor with the notifications.  It is empty under another parent
     * command, whose supervisor also answers the calls of this program. */
    Descriptor take_listener() { return std::move(listener_); }

    /* Run the program.  Throws Error if that fails. */
    void start();

private:
    void end_child();
    [[noreturn]] void be_child(int fd, const sigset_t &mask);
    /* `fd` is the number of the descriptor in the child. */
    void receive_listener(int fd);

    std::vector<std::string> words_;
    pid_t pid_ = -1;
    Descriptor channel_, listener_;
};

/* End in the same way as the program, with its status from waitpid(): by the
 * same signal, or with the same number. */
[[noreturn]] void end_like(int status);

#endif
