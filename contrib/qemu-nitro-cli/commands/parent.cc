/*
 * The command parent
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <algorithm>
#include <cstring>
#include <iostream>

#include "enclave/run_options.hh"
#include "enclave/runtime.hh"
#include "parent/supervisor.hh"
#include "support/arguments.hh"
#include "support/errors.hh"

namespace {

const char *const parent_usage =
    "qemu-nitro-cli parent [--enclave NAME] [--] PROGRAM [ARGUMENT]...\n"
    "\n"
    "Run a program as if on the parent instance of this user's enclaves: its\n"
    "AF_VSOCK sockets reach them, and are reached by them, as CID 3.  The exit\n"
    "status is the program's.\n"
    "\n"
    "  --enclave NAME         only this enclave\n";

/* How many words there are before the program, with "--" */
int words_before_program(int argc, char **argv)
{
    int at = 1;

    while (at < argc && argv[at][0] == '-' && argv[at][1]) {
        if (strcmp(argv[at], "--") == 0) {
            return at + 1;
        }
        at += strcmp(argv[at], "--enclave") == 0 ? 2 : 1;
    }
    return std::min(at, argc);
}

} // namespace

void parent_command(int argc, char **argv)
{
    int before = words_before_program(argc, argv);
    int options = before > 1 && strcmp(argv[before - 1], "--") == 0
        ? before - 1 : before;
    Arguments arguments(options, argv, {{"enclave"}});

    if (arguments.help()) {
        std::cout << parent_usage;
        return;
    }
    if (before >= argc || !*argv[before]) {
        throw Error(Code::missing_argument, "the program to run is missing",
                    "Give it after the options; see qemu-nitro-cli parent"
                    " --help.");
    }
    Runtime runtime;
    std::optional<Enclave> only;
    if (auto name = arguments.single("enclave")) {
        only = runtime.find({}, name);
    }
    Program program({argv + before, argv + argc});
    Descriptor listener = program.take_listener();
    if (!listener) {
        if (only) {
            throw Error(Code::conflicting_argument, "--enclave "
                        + sanitized(only->name)
                        + " under another parent command",
                        "Give it to the outer one.");
        }
        accompany_program(&program);
    }
    Registry registry(runtime, only ? std::optional(only->id)
                                    : std::nullopt);
    serve_program(&program, std::move(listener), &registry);
}
