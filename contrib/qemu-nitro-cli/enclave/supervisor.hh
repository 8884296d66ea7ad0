/*
 * The supervisor: the process behind a running enclave
 *
 * It is the parent of QEMU and of the vsock back end.  The kernel kills both
 * when the supervisor ends, and the supervisor ends the enclave when QEMU ends.
 * So nothing is left running, whatever is killed, and the supervisor's lock
 * tells whether there is an enclave.
 *
 * A back end that dies while the enclave boots ends the enclave.  Later it is
 * started again (restarts.hh): QEMU connects to the new one, and the guest's
 * connections are reset.
 *
 * The supervisor answers the boot heartbeat, keeps the console's log and the
 * state file, and ends the enclave at SIGTERM.  Until the enclave has booted,
 * it sends its progress to run-enclave, as lines of JSON on a socket.  If
 * run-enclave ends before that, the supervisor ends the enclave.
 *
 *   {"started": true}      others can see the enclave; comes first, always
 *   {"loaded": true}       QEMU has measured the image and runs it
 *   {"booted": true}       the heartbeat has come; nothing follows
 *   {"failed": TEXT, "console": TEXT, "silent": BOOL, "messages": TEXT}
 *                          all is cleaned up; nothing follows.  "silent": the
 *                          enclave ended before any output on its console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH

#include <string>

#include "descriptor.hh"
#include "enclave/enclave.hh"
#include "enclave/runtime.hh"
#include "enclave/vsock_options.hh"

struct LaunchPlan {
    Enclave enclave;
    std::string image;              /* absolute path */
    std::string qemu, backend;      /* paths of the programs */
    std::string accelerator;        /* kvm or tcg */
    std::string parent_role;        /* ARN, or empty */
    VsockOptions vsock;
    std::string root_certificate, root_key; /* paths; empty: QEMU's own */
    int boot_seconds;               /* how long the heartbeat may take */
    /* Whether QEMU reaches its own enclave's files alone (sandbox.hh), and
     * whether that takes namespaces too */
    bool is_confined = false, has_namespaces = false;
};

/* The files of the supervisor */
struct SupervisorFiles {
    Descriptor lock;                /* of the enclave's folder, held */
    Descriptor progress;            /* the socket to run-enclave */
    Descriptor console_log;         /* of the user's; may be none */
};

/*
 * Run an enclave to its end.  Called in a process of its own that has no other
 * descriptors than `files`.  The result is the exit status.
 */
int supervise(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files);

#endif
