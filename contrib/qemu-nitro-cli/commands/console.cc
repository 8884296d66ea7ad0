/*
 * The command console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <iostream>

#include "enclave/console.hh"
#include "support/arguments.hh"
#include "support/errors.hh"

namespace {

const char *const console_usage =
    "qemu-nitro-cli console --enclave-id ID | --enclave-name NAME [OPTION]...\n"
    "\n"
    "Show the console of an enclave in debug mode, from its first line, until\n"
    "the enclave ends; Ctrl-C leaves it running.  Two lines of nitro-cli's come\n"
    "first.\n"
    "\n"
    "  --disconnect-timeout S for so many seconds\n";

constexpr uint64_t max_seconds = UINT32_MAX;

} // namespace

void console_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"enclave-id"}, {"enclave-name"},
                                     {"disconnect-timeout"}});
    std::optional<uint64_t> seconds;

    if (arguments.help()) {
        std::cout << console_usage;
        return;
    }
    if (auto text = arguments.single("disconnect-timeout")) {
        seconds = parse_number("--disconnect-timeout", *text, max_seconds);
    }
    Runtime runtime;
    Enclave enclave = runtime.find(arguments.single("enclave-id"),
                                   arguments.single("enclave-name"));
    if (!enclave.debug_mode) {
        throw Error(Code::console, enclave.name + " is not in debug mode, and"
                    " has no console",
                    "Run it with --debug-mode or --attach-console.");
    }
    show_console(enclave, runtime, seconds);
}
