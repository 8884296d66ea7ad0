/*
 * The process beside the program, which answers its AF_VSOCK system calls
 *
 * It is the program's parent process, and the command that the user sees:
 * signals sent to it go to the program, and it ends as the program does.  It
 * serves processes that the program has started as long as they run.  If they
 * outlive the program, the supervisor continues as a process in the background.
 *
 * If the supervisor is killed, their AF_VSOCK calls fail with ENOSYS; open
 * connections stay open.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_SUPERVISOR_HH
#define QEMU_NITRO_CLI_PARENT_SUPERVISOR_HH

#include "parent/program.hh"
#include "parent/registry.hh"

/*
 * Serve the program, with the notifications from `listener`, and end in the
 * same way as the program.  Throws Error if this cannot start.
 */
[[noreturn]] void serve_program(Program *program, Descriptor listener,
                                Registry *registry);

/* The same, if another supervisor answers the calls */
[[noreturn]] void accompany_program(Program *program);

#endif
