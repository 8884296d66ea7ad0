/*
 * The sandbox of an enclave's supervisor
 *
 * The supervisor reads what QEMU, the guest and the back end send.  If one of
 * them takes over this process, it must not have access to the user's files or
 * to other enclaves.  So the supervisor enters this sandbox when QEMU runs.  It
 * still starts the vsock back end again, which then runs in this sandbox, too,
 * before it enters its own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_SANDBOX_HH
#define QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_SANDBOX_HH

#include <string>
#include <vector>

struct SupervisorSandbox {
    std::string enclave;        /* its directory, with its state and sockets */
    std::string runtime;        /* the directory of all enclaves */
    std::string programs;       /* the directory of the vsock back end */
    std::vector<std::string> socket_directories;    /* the back end listens */
    bool uses_tcp = false;      /* the back end does */
};

/*
 * Enter the sandbox permanently:
 *   - The process changes only files of its enclave, and reads only these,
 *     programs with their libraries, /proc and the files that the C library
 *     needs to look up a host's name (Landlock).
 *   - In the directory of all enclaves it takes the lock, and removes empty
 *     directories.
 *   - It cannot trace other processes, mount file systems, make namespaces, or
 *     use keys and other interfaces of the kernel that neither it nor the back
 *     end needs (seccomp).
 *   - It gains no privileges and dumps no core, and no other process of this
 *     user can read its memory.
 *
 * Without Landlock in the kernel, the other rules still apply.  Returns false,
 * with errno set, if another rule fails.
 */
bool enter_supervisor_sandbox(const SupervisorSandbox &sandbox);

#endif
