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
 * A child process that has the filter (filter.hh) in force and waits, until it
 * is let go or this object ends.
 */
class Program {
public:
    /*
     * `words` are the program, to be searched for in $PATH, and its arguments.
     * Throws Error if it cannot be run, or the system does not support this.
     */
    explicit Program(std::vector<std::string> words);
    Program(const Program &) = delete;
    Program &operator=(const Program &) = delete;
    ~Program();

    pid_t pid() const { return pid_; }

    /* Where the notifications come from; empty under another "parent", whose
     * supervisor answers this program's calls too. */
    Descriptor take_listener() { return std::move(listener_); }

    /* Run it; throws Error if that fails. */
    void start();

private:
    void end_child();
    [[noreturn]] void be_child(int fd, const sigset_t &mask);
    /* `fd` is a descriptor of the child's. */
    void receive_listener(int fd);

    std::vector<std::string> words_;
    pid_t pid_ = -1;
    Descriptor channel_, listener_;
};

/* End as the program did, whose status is from waitpid(): by the same signal,
 * or with the same number. */
[[noreturn]] void end_like(int status);

#endif
