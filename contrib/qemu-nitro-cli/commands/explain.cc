/*
 * The command explain
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <cstdio>
#include <iostream>

#include "commands/explanations.hh"
#include "support/arguments.hh"
#include "support/common.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli explain --error-code CODE\n"
    "\n"
    "Tell what an error's number means.\n"
    "\n"
    "  --error-code CODE      as in the message: E19\n";

const char *const not_used =
    "This is an error of AWS's nitro-cli on EC2; it does not come up here.\n";

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
                    + " is none of nitro-cli's", "Give it as the message"
                    " has it, like E19.");
    }
    fprintf(stderr, "E%02d: %s\n%s\n%s", found->number, found->title,
            found->text, found->is_used ? "" : not_used);
}
