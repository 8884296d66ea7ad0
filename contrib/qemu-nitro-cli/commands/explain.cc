/*
 * The command explain: what the number of an error means
 *
 * The numbers are those of AWS's nitro-cli, the words are not.
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

const char *const usage =
    "qemu-nitro-cli explain --error-code CODE\n"
    "\n"
    "Tell what an error's number means.\n"
    "\n"
    "  --error-code CODE      as in the message: E19\n";

const char *const not_used =
    "This is an error of AWS's nitro-cli on EC2; it does not come up here.\n";

const Explanation explanations[] = {
    {0, false, "unspecified error",
     "Something failed for which there is no number."},
    {1, true, "missing argument",
     "An option that the command cannot do without was not given, or was"
     "\ngiven without its value. --help after the command's name lists them."},
    {2, true, "conflicting arguments",
     "Two options exclude each other, or one that counts once is there"
     "\ntwice. Leave one of them out."},
    {3, true, "invalid argument",
     "A command or option is unknown, or a value is not of the kind that the"
     "\noption takes: a number out of its range, for example."},
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
     "A connection to an enclave's process was used that is closed, or was"
     "\nnever open."},
    {9, false, "socket close failure",
     "A connection to an enclave's process could not be closed."},
    {10, false, "socket timeout failure",
     "A time limit could not be set on a socket, such as the console's."},
    {11, true, "socket error",
     "No enclave has the id that was given, so there is nothing to talk to."
     "\ndescribe-enclaves lists those that run."},
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
     "The file given with --config is not a JSON object. The message has the"
     "\nbyte at which reading ended."},
    {18, false, "file permission failure",
     "The mode of the log file could not be changed, because somebody else"
     "\nowns it."},
    {19, true, "file operation failure",
     "A file could not be opened, read, written or renamed. The message has"
     "\nits path and the system's reason; check the path, the permissions, the"
     "\nspace on the disk and the limits of the process."},
    {20, true, "invalid CPU configuration",
     "--cpu-ids names the same CPU twice. Name each once."},
    {21, true, "CPU not available",
     "--cpu-ids names a CPU that this host has not, or that another enclave"
     "\nhas. Name others, or give --cpu-count. NITRO_CLI_CPUS says how many"
     "\nCPUs the host counts as having."},
    {22, true, "insufficient CPUs",
     "More CPUs are asked for than the host has, or than the machine can"
     "\nhave, which is 128. Ask for less; NITRO_CLI_CPUS says how many the"
     "\nhost counts as having."},
    {23, true, "malformed CPU id",
     "--cpu-ids is not a list of numbers. Write them with spaces or commas"
     "\nbetween: --cpu-ids 1 3."},
    {24, false, "CPU failure",
     "A range of CPUs has a form that ranges do not have."},
    {25, false, "huge page failure",
     "Memory was wanted in huge pages of a size that the system has not."},
    {26, true, "insufficient memory requested",
     "The enclave was given less memory than it needs: four times the size"
     "\nof its image, and no less than 64 MiB. Give more with --memory."},
    {27, true, "insufficient memory available",
     "The enclave was given more memory than the host has, or than other"
     "\nenclaves of this user leave. Give it less, or end others."},
    {28, false, "enclave descriptor failure",
     "The driver did not make a new enclave."},
    {29, false, "ioctl failure",
     "A call of the driver failed."},
    {30, false, "image load failure",
     "The driver did not tell where in memory the image goes."},
    {31, false, "memory region failure",
     "The driver did not take a region of memory for the enclave."},
    {32, false, "vCPU failure",
     "The driver did not add a CPU to the enclave."},
    {33, false, "enclave start failure",
     "The driver did not start the enclave."},
    {34, false, "memory overflow",
     "The image reaches beyond the highest address that there is."},
    {35, true, "EIF parsing failure",
     "The file is no enclave image, is damaged, is for another architecture,"
     "\nor its signature does not verify. Build or fetch it again."},
    {36, true, "enclave boot failure",
     "The enclave did not tell that it has booted: its program ended early,"
     "\nthe kernel stopped, or it took too long. The last lines of its console"
     "\nare shown; --debug-mode and console show all of them."},
    {37, false, "enclave event failure",
     "Waiting for events of the enclave failed."},
    {38, false, "command not executed",
     "An enclave's process did not describe its enclave when asked."},
    {39, false, "enclave process connection failure",
     "An enclave's process could not be connected to, to describe its"
     "\nenclave."},
    {40, false, "socket path failure",
     "No path of a socket could be made from the enclave's id."},
    {41, false, "reply failure",
     "An enclave's process could not send back how a command went."},
    {42, false, "enclave memory failure",
     "The enclave's memory could not be mapped."},
    {43, false, "enclave memory release failure",
     "The enclave's memory could not be unmapped."},
    {44, true, "enclave console connection failure",
     "The console cannot be reached. Only an enclave that was started with"
     "\n--debug-mode or --attach-console has one."},
    {45, false, "console read failure",
     "Reading the enclave's console failed."},
    {46, false, "console write failure",
     "What the console says could not be written out."},
    {47, false, "integer failure",
     "The CID of the enclave whose console is wanted is no number."},
    {48, true, "EIF building failure",
     "What was given cannot become an enclave image: a container image is"
     "\ndamaged or has what a ramdisk cannot hold, or there is no command to"
     "\nrun. The message names the part."},
    {49, true, "image build failure",
     "docker or podman could not build an image from the folder given with"
     "\n--docker-dir; its own messages stand above."},
    {50, true, "image pull failure",
     "docker or podman is not there, or does not have the image given with"
     "\n--docker-uri and could not pull it; its own messages stand above."
     "\nWithout an engine, use --docker-archive or --rootfs."},
    {51, false, "artifacts path not set",
     "NITRO_CLI_ARTIFACTS is not set, and HOME neither: there is no"
     "\ndirectory for what building an image leaves behind. Nothing is left"
     "\nbehind here."},
    {52, true, "blobs path not set",
     "The kernel, its command line and the init program that every image is"
     "\nbuilt around were not found. Install them with qemu-nitro-cli, or set"
     "\nNITRO_CLI_BLOBS to a folder with bzImage, cmdline and init."},
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
     "A hash could not be started, or fed."},
    {58, true, "enclave name failure",
     "No enclave has this name, or the name is not one that an enclave can"
     "\nhave. describe-enclaves lists those that run."},
    {59, true, "EIF signature check failure",
     "The image's signature is not its own, or its certificate is not valid"
     "\nnow: sign it again with sign-eif. An attestation document that does"
     "\nnot verify has this number too."},
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
        std::cout << usage;
        return;
    }
    std::string code = arguments.required("error-code");
    std::optional<Explanation> found = explain(code);
    if (!found) {
        throw Error(Code::invalid_argument, "--error-code " + code
                    + " is none of nitro-cli's", "Give it as the message"
                    " has it, like E19.");
    }
    fprintf(stderr, "E%02d: %s\n%s\n%s", found->number, found->title,
            found->text, found->is_used ? "" : not_used);
}
