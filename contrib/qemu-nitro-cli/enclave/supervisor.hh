/*
 * The supervisor: the process behind a running enclave
 *
 * It is the parent of QEMU and of the vsock back end, and the enclave lives as
 * long as all three do: the kernel kills the two when the supervisor ends, and
 * the supervisor ends the enclave when one of them does.  So whatever is killed
 * at whatever time, nothing is left running, and the supervisor's lock tells
 * whether there is an enclave.
 *
 * What it does meanwhile: it answers the boot heartbeat, keeps the console's
 * log and the state file, and ends the enclave at SIGTERM.  Until the enclave
 * has booted it tells run-enclave how far things are, by lines of JSON on a
 * socket; if run-enclave goes away before that, the enclave does too.
 *
 *   {"started": true}      others can see the enclave; comes first, always
 *   {"loaded": true}       QEMU has measured the image and runs it
 *   {"booted": true}       the heartbeat has come; nothing follows
 *   {"failed": TEXT, "console": TEXT, "messages": TEXT}
 *                          all is cleaned up; nothing follows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH

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
