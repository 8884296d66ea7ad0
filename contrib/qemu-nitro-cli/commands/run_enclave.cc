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

const char *const usage =
    "qemu-nitro-cli run-enclave --eif-path FILE --memory MIB --cpu-count N"
    " [OPTION]...\n"
    "qemu-nitro-cli run-enclave --config FILE [--attach-console]\n"
    "\n"
    "Start an enclave, wait until it has booted, and describe it.\n"
    "\n"
    "  --eif-path FILE        the enclave image\n"
    "  --memory MIB           its memory, at least four times the image; with a\n"
    "                         suffix M, G or T if not in MiB\n"
    "  --cpu-count N          how many CPUs it has, at most the host's\n"
    "  --cpu-ids ID...        the same, by ids; the host's CPUs stay shared\n"
    "  --enclave-cid CID      its vsock address; 0, as without: a free one\n"
    "  --enclave-name NAME    default: the file's, without .eif; a number is\n"
    "                         appended if there is one of that name\n"
    "  --debug-mode           let its console be read; its attested PCRs are\n"
    "                         zero then\n"
    "  --attach-console       debug mode, and show the console until Ctrl-C or\n"
    "                         the enclave's end\n"
    "  --parent-role ARN      the IAM role of the parent instance, which PCR3\n"
    "                         measures\n"
    "  --parent-id ID         the id of the parent instance, which PCR4 measures\n"
    "  --console-log FILE     keep what the console says, in debug mode or not\n"
    "  --connect PORT:unix:PATH, PORT:tcp:HOST:PORT\n"
    "                         where the enclave's connection to PORT of its\n"
    "                         parent goes; can be repeated\n"
    "  --listen unix:PATH:PORT, seqpacket:PATH:PORT, tcp:ADDRESS:PORT:PORT\n"
    "                         what connects there is connected to the enclave's\n"
    "                         port, the last; can be repeated\n"
    "  --forward-cid CID      its other connections go to AF_VSOCK address CID,\n"
    "                         1 for this host, and not to Unix sockets\n"
    "  --forward-listen P+P   AF_VSOCK ports whose connections go to the enclave\n"
    "  --vsock-proxy-config FILE\n"
    "                         refuse a --connect to a TCP port that this allow\n"
    "                         list of AWS's vsock-proxy does not have\n"
    "  --config FILE          all of this from JSON: eif_path, memory_mib,\n"
    "                         cpu_count or cpu_ids, enclave_cid, enclave_name,\n"
    "                         debug_mode, attach_console, parent_role,\n"
    "                         parent_id, console_log, connect, listen,\n"
    "                         forward_cid, forward_listen, vsock_proxy_config\n"
    "\n"
    "NITRO_CLI_ACCEL=kvm|tcg in the environment chooses QEMU's accelerator;\n"
    "without it, KVM is taken where it works.  NITRO_CLI_BOOT_TIMEOUT is how\n"
    "many seconds the enclave may take to boot.  NITRO_CLI_CPUS is how many CPUs\n"
    "the host counts as having, for --cpu-count and --cpu-ids.\n"
    "NITRO_CLI_SANDBOX=off leaves QEMU unconfined.\n";

/* nitro-cli's own line, which scripts look for, and the path for programs of
 * the parent */
void print_start(const Enclave &enclave, const EnclaveFolder &folder,
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
                              : folder.vsock()) << "\n";
}

} // namespace

void run_enclave_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, run_option_list());

    if (arguments.help()) {
        std::cout << usage;
        return;
    }
    RunOptions options = run_options(arguments);
    Runtime runtime;
    Enclave enclave = run_enclave(options, runtime);

    print_start(enclave, runtime.folder(enclave.id),
                options.vsock.forward_cid);
    try {
        print_json(enclave.run_info());
    } catch (const Error &) {
        /* Nobody has come to know of it. */
        send_signal(enclave.supervisor, SIGTERM);
        throw;
    }
    if (options.attach_console) {
        show_console(enclave, runtime, {});
    }
}
