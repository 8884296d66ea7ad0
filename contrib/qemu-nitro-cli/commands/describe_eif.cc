/*
 * The command describe-eif
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <iostream>

#include "image/description.hh"
#include "support/arguments.hh"
#include "support/json.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli describe-eif --eif-path FILE\n"
    "\n"
    "Tell what an enclave image is: its measurements, who signed it, whether\n"
    "it is whole, and what its builder wrote down.\n"
    "\n"
    "  --eif-path FILE        the image\n";

} // namespace

void describe_eif_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"eif-path"}});

    if (arguments.help()) {
        std::cout << usage;
        return;
    }
    print_json(describe_eif(arguments.required("eif-path")));
}
