/*
 * What QEMU can reach: the files and sockets of its own enclave
 *
 * A guest that takes over its QEMU must not get at the user's files, at other
 * enclaves or at the user's other processes.  So QEMU starts
 *   - in a mount namespace with nothing but the paths below
 *     (mount_namespaces(7), user_namespaces(7)): what has no path cannot be
 *     connected to,
 *   - under Landlock: it opens only these, does not use TCP, and sends no
 *     signals to other processes and traces none,
 *   - without core dumps, in which its keys would be.
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
    bool namespaces = true;                 /* false: Landlock alone */
    std::vector<std::string> readable;      /* files and directories */
    std::vector<std::string> directories;   /* to be seen, for their sockets */
    std::vector<std::string> devices;
};

/* Whether a program can be given a mount namespace here, which is tried:
 * containers and some distributions forbid it. */
bool namespaces_available();

/* The paths that any program needs: libraries, their configuration, what the
 * system tells of CPUs and memory, /dev/null and random numbers */
Sandbox sandbox_of_programs();

/*
 * Enter it, for good: called in a child, before it executes its program.  A
 * path that is not there is left out.  Without Landlock in the kernel, the
 * namespace alone is entered.  False, with errno set, if it fails.
 */
bool enter_sandbox(const Sandbox &sandbox);

#endif
