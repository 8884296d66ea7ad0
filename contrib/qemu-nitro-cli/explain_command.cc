/*
 * The command explain
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.hh"

#include <cstdio>
#include <iostream>

#include "arguments.hh"
#include "explain.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli explain --error-code CODE\n"
    "\n"
    "Tell what an error's number means.\n"
    "\n"
    "  --error-code CODE      as in the message: E19\n";

} // namespace

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
                    + " is none of this program's", "Give it as the message"
                    " has it, like E19.");
    }
    fprintf(stderr, "E%02d: %s\n%s\n", static_cast<int>(found->code),
            found->title, found->text);
}
