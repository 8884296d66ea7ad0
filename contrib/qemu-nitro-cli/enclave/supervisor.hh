/*
 * The supervisor: the process behind a running enclave
 *
 * It is the parent of QEMU and of the vsock back end.  The kernel kills both
 * when the supervisor ends, and the supervisor ends the enclave when QEMU ends.
 * So no process is left, whichever of them is killed, and the enclave runs as
 * long as the supervisor holds its lock.
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
 *   {"started": true}      other commands can see the enclave; always the first
 *   {"loaded": true}       QEMU has measured the image and runs it
 *   {"booted": true}       the heartbeat was received; always the last
 *   {"failed": TEXT, "console": TEXT, "silent": BOOL, "messages": TEXT}
 *                          the enclave has ended and its files are removed;
 *                          always the last.  "silent": the enclave ended
 *                          before any output on its console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_SUPERVISOR_HH

#include <optional>
#include <string>

#include "descriptor.hh"
#include "enclave/enclave.hh"
#include "enclave/runtime.hh"
#include "enclave/vsock_options.hh"
#include "support/bytes.hh"

struct LaunchPlan {
    Enclave enclave;
    std::optional<Bytes> metadata;  /* the section of the image */
    std::string image;              /* absolute path */
    std::string qemu, backend;      /* paths of the programs */
    std::string accelerator;        /* kvm or tcg */
    std::string parent_role;        /* ARN, or empty */
    VsockOptions vsock;
    std::string root_certificate, root_key; /* paths; empty: QEMU's own */
    int boot_seconds;               /* how long the heartbeat may take */
    /* Does QEMU run in a sandbox (sandbox.hh), and does the sandbox also use
     * namespaces? */
    bool is_confined = false, has_namespaces = false;
};

/* The files of the supervisor */
struct SupervisorFiles {
    Descriptor lock;                /* of the enclave's directory, locked */
    Descriptor progress;            /* the socket to run-enclave */
    Descriptor console_log;         /* of --console-log; may be empty */
};

/*
 * Run an enclave to its end.  Called in a process of its own that has no other
 * descriptors than `files`.  The result is the exit status.
 */
int supervise(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files);

#endif
