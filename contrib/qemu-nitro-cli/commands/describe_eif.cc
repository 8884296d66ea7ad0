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

const char *const describe_eif_usage =
    "qemu-nitro-cli describe-eif --eif-path FILE\n"
    "\n"
    "Print an enclave image's measurements, its signer, whether its CRC is\n"
    "right, and its metadata.\n"
    "\n"
    "  --eif-path FILE        the image\n";

} // namespace

void describe_eif_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"eif-path"}});

    if (arguments.help()) {
        std::cout << describe_eif_usage;
        return;
    }
    print_json(describe_eif(arguments.required("eif-path")));
}
