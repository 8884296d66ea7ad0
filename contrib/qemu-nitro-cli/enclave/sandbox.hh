/*
 * The sandbox of QEMU: only files and sockets of its own enclave
 *
 * A guest that takes over its QEMU must not have access to the user's files, to
 * other enclaves or to the user's other processes.  So QEMU starts
 *   - in a mount namespace that has only the paths below (mount_namespaces(7),
 *     user_namespaces(7)): QEMU cannot connect to a socket without a path,
 *   - under Landlock: it opens only these files, does not use TCP, and cannot
 *     send signals to other processes or trace them,
 *   - without core dumps, which would contain its keys.
 * QEMU's own option -sandbox takes away system calls, among them those that
 * would start a program or mount a file system.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_SANDBOX_HH
#define QEMU_NITRO_CLI_ENCLAVE_SANDBOX_HH

#include <string>
#include <vector>

struct Sandbox {
    bool namespaces = true;                 /* false: only Landlock */
    std::vector<std::string> readable;      /* files and directories */
    std::vector<std::string> directories;   /* visible, for their sockets */
    std::vector<std::string> devices;
};

/* Can a program get a mount namespace here?  Containers and some distributions
 * forbid it, so this tries it. */
bool namespaces_available();

/* The paths that any program needs: libraries, their configuration, information
 * about CPUs and memory, /dev/null and random numbers */
Sandbox sandbox_of_programs();

/*
 * Enter the sandbox permanently.  A child calls this before it executes its
 * program.  Paths that do not exist are ignored.  Without Landlock in the
 * kernel, only the namespace is entered.  Returns false, with errno set, on
 * failure.
 */
bool enter_sandbox(const Sandbox &sandbox);

#endif
