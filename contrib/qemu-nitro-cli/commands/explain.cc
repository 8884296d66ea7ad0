/*
 * The command explain, which describes the number of an error
 *
 * The numbers are those of AWS's nitro-cli.  The texts are our own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/explain.hh"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "commands/commands.hh"
#include "support/arguments.hh"
#include "support/errors.hh"

namespace {

const char *const explain_usage =
    "qemu-nitro-cli explain --error-code CODE\n"
    "\n"
    "Describe the number of an error.\n"
    "\n"
    "  --error-code CODE      the number in the message, such as E19\n";

const char *const not_used =
    "This is an error of AWS's nitro-cli on EC2. This program does not use it.\n";

const Explanation explanations[] = {
    {0, false, "unspecified error",
     "An error that has no number of its own."},
    {1, true, "missing argument",
     "A required option or its value is missing. --help after the command's"
     "\nname lists the options."},
    {2, true, "conflicting arguments",
     "Two options exclude each other, or an option that can be given only"
     "\nonce is given twice. Leave one of them out."},
    {3, true, "invalid argument",
     "A command or option is unknown, or the value of an option is not"
     "\nallowed: a number is out of range, for example."},
    {4, false, "socket pair failure",
     "The command and the process behind the enclave could not be connected"
     "\nby a pair of sockets."},
    {5, false, "process start failure",
     "The process behind the enclave could not be started."},
    {6, false, "daemon failure",
     "The process behind the enclave could not be put into the background."},
    {7, false, "directory read failure",
     "The directory with the sockets of running enclaves could not be read."},
    {8, false, "unusable connection",
     "A connection to an enclave's process is closed, or was never open."},
    {9, false, "socket close failure",
     "A connection to an enclave's process could not be closed."},
    {10, false, "socket timeout failure",
     "A time limit could not be set on a socket, such as the console's."},
    {11, true, "socket error",
     "No enclave has this id. describe-enclaves lists those that run."},
    {12, false, "epoll failure",
     "A descriptor could not be watched with epoll."},
    {13, false, "inotify failure",
     "A file could not be watched with inotify."},
    {14, false, "invalid command",
     "An enclave's process was sent a command that it does not know."},
    {15, false, "lock failure",
     "A lock on shared data, such as the record of an enclave, could not be"
     "\ntaken."},
    {16, false, "thread failure",
     "A thread ended, and waiting for it failed."},
    {17, true, "JSON that cannot be read",
     "The file given with --config is not a JSON object. The message names"
     "\nthe byte of the error."},
    {18, false, "file permission failure",
     "The mode of the log file could not be changed, because it belongs"
     "\nto another user."},
    {19, true, "file operation failure",
     "A file could not be opened, read, written or renamed. The message has"
     "\nits path and the system's reason; check the path, the permissions, the"
     "\nspace on the disk and the limits of the process."},
    {20, true, "invalid CPU configuration",
     "--cpu-ids names the same CPU twice. Name each once."},
    {21, true, "CPU not available",
     "--cpu-ids names a CPU that this host does not have, or that another"
     "\nenclave has. Name others, or give --cpu-count. NITRO_CLI_CPUS sets the"
     "\nnumber of CPUs that the host is assumed to have."},
    {22, true, "insufficient CPUs",
     "The host has fewer CPUs than the enclave would get, or they are more"
     "\nthan 128, the limit of the machine. Give fewer CPUs. NITRO_CLI_CPUS"
     "\nsets the number of CPUs that the host is assumed to have."},
    {23, true, "malformed CPU id",
     "--cpu-ids is not a list of numbers. Write them with spaces or commas"
     "\nbetween: --cpu-ids 1 3."},
    {24, false, "CPU failure",
     "A range of CPUs is malformed."},
    {25, false, "huge page failure",
     "The system does not have huge pages of the size that is needed."},
    {26, true, "insufficient memory requested",
     "--memory is less than the enclave needs: four times the size of its"
     "\nimage, and at least 64 MiB. Give more."},
    {27, true, "insufficient memory available",
     "--memory is more than the host has, or than the other enclaves of this"
     "\nuser leave. Give less, or end other enclaves."},
    {28, false, "enclave descriptor failure",
     "The driver did not make a new enclave."},
    {29, false, "ioctl failure",
     "A call of the driver failed."},
    {30, false, "image load failure",
     "The driver did not return the address in memory for the image."},
    {31, false, "memory region failure",
     "The driver did not accept a region of memory for the enclave."},
    {32, false, "vCPU failure",
     "The driver did not add a CPU to the enclave."},
    {33, false, "enclave start failure",
     "The driver did not start the enclave."},
    {34, false, "memory overflow",
     "The end of the image is above the highest address."},
    {35, true, "EIF parsing failure",
     "The file is not an enclave image, is damaged, is for another"
     "\narchitecture, or its signature does not verify. Build or fetch it"
     "\nagain."},
    {36, true, "enclave boot failure",
     "The enclave sent no heartbeat: its program ended too early, the kernel"
     "\nstopped, or booting took too long. The message shows the last lines of"
     "\nits console. The command console shows all, with --debug-mode."},
    {37, false, "enclave event failure",
     "Waiting for events of the enclave failed."},
    {38, false, "command not executed",
     "An enclave's process did not describe its enclave when asked."},
    {39, false, "enclave process connection failure",
     "The command could not connect to an enclave's process, to describe its"
     "\nenclave."},
    {40, false, "socket path failure",
     "The path of a socket could not be made from the enclave's id."},
    {41, false, "reply failure",
     "An enclave's process could not send the result of a command."},
    {42, false, "enclave memory failure",
     "The enclave's memory could not be mapped."},
    {43, false, "enclave memory release failure",
     "The enclave's memory could not be unmapped."},
    {44, true, "enclave console connection failure",
     "The console cannot be reached. Only an enclave that was started with"
     "\n--debug-mode or --attach-console has one."},
    {45, false, "console read failure",
     "Reading the enclave's console failed."},
    {46, true, "console write failure",
     "The output of the console could not be written to standard output."},
    {47, false, "integer failure",
     "The CID of the enclave is not a number."},
    {48, true, "EIF building failure",
     "No enclave image can be built from the input: a container image is"
     "\ndamaged or has files that a ramdisk cannot hold, or there is no command"
     "\nto run. The message names the reason."},
    {49, true, "image build failure",
     "docker or podman could not build an image from the directory of"
     "\n--docker-dir. Its own messages are above."},
    {50, true, "image pull failure",
     "Neither docker nor podman is installed, or it does not have the image"
     "\nof --docker-uri and could not pull it. Its own messages are above."
     "\nWithout docker or podman, use --docker-archive or --rootfs."},
    {51, false, "artifacts path not set",
     "Neither NITRO_CLI_ARTIFACTS nor HOME is set, so there is no directory"
     "\nfor files that building an image leaves. This program leaves none."},
    {52, true, "blobs path not set",
     "The kernel, its command line and the init program for images were not"
     "\nfound. Install them with qemu-nitro-cli, or set NITRO_CLI_BLOBS to a"
     "\ndirectory with bzImage, cmdline and init."},
    {53, false, "clock failure",
     "The time between two reads of the console could not be measured."},
    {54, false, "signal masking failure",
     "Signals could not be blocked before the enclave's process was started."},
    {55, false, "signal unmasking failure",
     "Signals could not be unblocked after the enclave's process was"
     "\nstarted."},
    {56, false, "logger failure",
     "The log could not be set up."},
    {57, false, "hash failure",
     "A hash could not be computed."},
    {58, true, "enclave name failure",
     "No enclave has this name, or an enclave cannot have such a name."
     "\ndescribe-enclaves lists those that run."},
    {59, true, "EIF signature check failure",
     "The image's signature covers another image, or its certificate is not"
     "\nvalid now: sign the image again with sign-eif. An attestation document"
     "\nthat does not verify has this number, too."},
    {60, true, "EIF signing failure",
     "The image could not be signed: the certificate or the private key is"
     "\nnot PEM, they do not belong together, or the key is not on the curve"
     "\nP-256, P-384 or P-521."},
};

} // namespace

std::optional<Explanation> explain(const std::string &code)
{
    size_t skip = code.size() > 1 && (code[0] == 'E' || code[0] == 'e');
    size_t digits = code.size() - skip;

    if (digits < 1 || digits > 2 ||
        code.find_first_not_of("0123456789", skip) != std::string::npos) {
        return {};
    }
    auto found = std::ranges::find(explanations, std::stoi(code.substr(skip)),
                                   &Explanation::number);
    if (found == std::end(explanations)) {
        return {};
    }
    return *found;
}

void explain_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"error-code"}});

    if (arguments.help()) {
        std::cout << explain_usage;
        return;
    }
    std::string code = arguments.required("error-code");
    std::optional<Explanation> found = explain(code);
    if (!found) {
        throw Error(Code::invalid_argument, "--error-code " + code
                    + " is not an error of nitro-cli", "Give the number of"
                    " the message, such as E19.");
    }
    fprintf(stderr, "E%02d: %s\n%s\n%s", found->number, found->title,
            found->text, found->is_used ? "" : not_used);
}
