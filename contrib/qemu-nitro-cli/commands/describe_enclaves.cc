/*
 * The command describe-enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <iostream>

#include "descriptor.hh"
#include "enclave/runtime.hh"
#include "support/arguments.hh"
#include "support/json.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli describe-enclaves [--metadata]\n"
    "\n"
    "Print this user's enclaves as a JSON array.  The state of an enclave that\n"
    "has not sent its heartbeat is EMPTY.\n"
    "\n"
    "  --metadata             add the images' names, versions and metadata\n";

} // namespace

void describe_enclaves_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"metadata", false}});

    if (arguments.help()) {
        std::cout << usage;
        return;
    }
    Runtime runtime;
    Descriptor lock = runtime.lock();
    auto list = nlohmann::ordered_json::array();

    for (const Enclave &enclave : runtime.enclaves()) {
        list.push_back(enclave.description(arguments.has("metadata")));
    }
    print_json(list);
}
