/*
 * qemu-nitro-cli: enclaves without EC2
 *
 * Results are JSON on stdout, in the form of AWS's nitro-cli.  An error is two
 * lines on stderr: the reason, and what to do.  The number of the error is the
 * exit status.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include "commands/commands.hh"
#include "startup.hh"
#include "support/errors.hh"

namespace {

struct Command {
    const char *name, *summary;
    void (*run)(int argc, char **argv);
};

const Command commands[] = {
    {"attestation-root", "print the root of this user's enclaves",
     attestation_root_command},
    {"build-enclave", "make an enclave image", build_enclave_command},
    {"run-enclave", "start an enclave", run_enclave_command},
    {"describe-enclaves", "list the enclaves", describe_enclaves_command},
    {"console", "show an enclave's console", console_command},
    {"terminate-enclave", "end an enclave", terminate_enclave_command},
    {"describe-eif", "describe an image", describe_eif_command},
    {"explain", "describe the number of an error", explain_command},
    {"parent", "run a program of the parent instance", parent_command},
    {"pcr", "measure a certificate or a file", pcr_command},
    {"sign-eif", "sign an image", sign_eif_command},
    {"verify-attestation", "check an attestation document",
     verify_attestation_command},
};

void print_usage()
{
    printf("qemu-nitro-cli COMMAND [OPTION]...\n\n");
    for (const Command &c : commands) {
        printf("  %-22s %s\n", c.name, c.summary);
    }
    printf("\nEach command describes its options with --help.\n");
}

const Command *find_command(const std::string &name)
{
    const Command *found = std::ranges::find(commands, name, &Command::name);

    return found == std::end(commands) ? nullptr : found;
}

/* "help", with or without a command's name */
void run_help(int argc, char **argv)
{
    static char option[] = "--help";
    char *words[] = {argc > 1 ? argv[1] : nullptr, option, nullptr};
    const Command *command = argc > 1 ? find_command(argv[1]) : nullptr;

    if (argc > 1 && !command) {
        throw Error(Code::invalid_argument, std::string(argv[1])
                    + " is not a command", "See qemu-nitro-cli --help.");
    }
    return command ? command->run(2, words) : print_usage();
}

void run(int argc, char **argv)
{
    std::string name = argc > 1 ? argv[1] : "";

    if (const Command *command = find_command(name)) {
        return command->run(argc - 1, argv + 1);
    }
    if (name == "--help" || name == "-h") {
        return print_usage();
    }
    if (name == "help") {
        return run_help(argc - 1, argv + 1);
    }
    if (name == "--version" || name == "-V") {
        printf("qemu-nitro-cli %s\n", QEMU_NITRO_CLI_VERSION);
        return;
    }
    if (name.empty()) {
        throw Error(Code::missing_argument, "no command is given",
                    "See qemu-nitro-cli --help.");
    }
    throw Error(Code::invalid_argument, name + " is not a command",
                "See qemu-nitro-cli --help.");
}

int report(const Error &e)
{
    fprintf(stderr, "[ E%02d ] %s\n%s\n", static_cast<int>(e.code),
            printable(e.what()).c_str(), printable(e.advice).c_str());
    return static_cast<int>(e.code);
}

} // namespace

int main(int argc, char **argv)
{
    try {
        if (!occupy_standard_descriptors()) {
            throw Error(Code::file, "/dev/null: " + error_text(errno),
                        "A standard descriptor is closed, which needs this.");
        }
        catch_file_size_signal();
        run(argc, argv);
        check_output();
        return 0;
    } catch (const Error &e) {
        return report(e);
    } catch (const std::filesystem::filesystem_error &e) {
        return report(Error(Code::file, e.path1().string() + ": "
                            + e.code().message(), "Check this path, and that"
                            " the working directory has not been removed."));
    } catch (const std::exception &e) {
        fprintf(stderr, "qemu-nitro-cli: %s\n", e.what());
        return 1;
    }
}
