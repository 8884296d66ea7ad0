/*
 * The command run-enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <csignal>
#include <iostream>

#include "enclave/console.hh"
#include "enclave/launch.hh"
#include "support/errors.hh"
#include "support/json.hh"

namespace {

const char *const run_enclave_usage =
    "qemu-nitro-cli run-enclave --eif-path FILE --memory MIB --cpu-count N"
    " [OPTION]...\n"
    "qemu-nitro-cli run-enclave --config FILE [--attach-console]\n"
    "\n"
    "Start an enclave, wait until it has booted, and describe it.\n"
    "\n"
    "  --eif-path FILE        the enclave image\n"
    "  --memory MIB           its memory, at least four times the image; with a\n"
    "                         suffix M, G or T if not in MiB\n"
    "  --cpu-count N          the number of CPUs, at most the host's\n"
    "  --cpu-ids ID...        the CPUs by their ids; they are shared with the host\n"
    "  --enclave-cid CID      its vsock address; 0, the default, is a free one\n"
    "  --enclave-name NAME    default: the file's name without .eif; a number\n"
    "                         is appended if another enclave has the name\n"
    "  --debug-mode           make its console readable; its attested PCRs are\n"
    "                         then zero\n"
    "  --attach-console       debug mode, and show the console until Ctrl-C or\n"
    "                         the enclave's end\n"
    "  --parent-role ARN      the IAM role of the parent instance, which PCR3\n"
    "                         measures\n"
    "  --parent-id ID         the id of the parent instance, which PCR4 measures\n"
    "  --console-log FILE     write the console's output to FILE, also without\n"
    "                         debug mode\n"
    "  --connect PORT:unix:PATH, PORT:tcp:HOST:PORT\n"
    "                         connect the enclave's connections to the first\n"
    "                         PORT of its parent to this socket; repeatable\n"
    "  --listen unix:PATH:PORT, seqpacket:PATH:PORT, tcp:ADDRESS:PORT:PORT\n"
    "                         listen there, and connect these connections to\n"
    "                         the last PORT, of the enclave; repeatable\n"
    "  --forward-cid CID      its other connections go to AF_VSOCK address CID\n"
    "                         (1: this host) instead of Unix sockets\n"
    "  --forward-listen P+P   AF_VSOCK ports whose connections go to the enclave\n"
    "  --vsock-proxy-config FILE\n"
    "                         refuse a --connect to a TCP port that this allow\n"
    "                         list of AWS's vsock-proxy does not have\n"
    "  --config FILE          read all of this from JSON: eif_path, memory_mib,\n"
    "                         cpu_count or cpu_ids, enclave_cid, enclave_name,\n"
    "                         debug_mode, attach_console, parent_role,\n"
    "                         parent_id, console_log, connect, listen,\n"
    "                         forward_cid, forward_listen, vsock_proxy_config\n"
    "\n"
    "These variables are read from the environment.  NITRO_CLI_ACCEL=kvm|tcg\n"
    "chooses QEMU's accelerator; the default is KVM if it works here.\n"
    "NITRO_CLI_BOOT_TIMEOUT is the number of seconds that the enclave may take\n"
    "to boot.  NITRO_CLI_CPUS is the number of CPUs that --cpu-count and\n"
    "--cpu-ids assume the host has.  NITRO_CLI_SANDBOX=off runs QEMU without\n"
    "confinement.\n";

/* Print the line of AWS's nitro-cli, which scripts look for, and the path of
 * the vsock for programs of the parent. */
void print_start(const Enclave &enclave, const EnclaveDirectory &directory,
                 std::optional<uint64_t> forward_cid)
{
    std::string ids;

    for (uint64_t id : enclave.cpu_ids) {
        ids += (ids.empty() ? "" : ", ") + std::to_string(id);
    }
    std::cerr << "Started enclave with enclave-cid: " << enclave.cid
              << ", memory: " << enclave.memory_mib << " MiB, cpu-ids: ["
              << ids << "]\n"
              << "Its vsock: "
              << (forward_cid ? "AF_VSOCK, CID " + std::to_string(*forward_cid)
                              : directory.vsock()) << "\n";
}

} // namespace

void run_enclave_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, run_option_list());

    if (arguments.help()) {
        std::cout << run_enclave_usage;
        return;
    }
    RunOptions options = run_options(arguments);
    Runtime runtime;
    /* Without a reader of its output, this command has to end the enclave. */
    auto before = signal(SIGPIPE, SIG_IGN);
    Enclave enclave = run_enclave(options, runtime);

    print_start(enclave, runtime.directory(enclave.id),
                options.vsock.forward_cid);
    try {
        print_json(enclave.run_info());
    } catch (const Error &) {
        /* The caller has not got the enclave's id, so end it. */
        send_signal(enclave.supervisor, SIGTERM);
        throw;
    }
    signal(SIGPIPE, before);
    if (options.attach_console) {
        show_console(enclave, runtime, {});
    }
}
