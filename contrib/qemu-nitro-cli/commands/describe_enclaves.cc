/*
 * The command describe-enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <iostream>

#include "descriptor.hh"
#include "enclave/runtime.hh"
#include "image/description.hh"
#include "support/arguments.hh"
#include "support/files.hh"
#include "support/json.hh"

namespace {

const char *const describe_enclaves_usage =
    "qemu-nitro-cli describe-enclaves [--metadata]\n"
    "\n"
    "Print this user's enclaves as a JSON array.  The state of an enclave that\n"
    "has not sent its heartbeat is EMPTY.\n"
    "\n"
    "  --metadata             add the images' names, versions and metadata\n";

std::vector<Enclave> running(const Runtime &runtime)
{
    Descriptor lock = runtime.lock();

    return runtime.enclaves();
}

/* Add the metadata of an enclave's image.  It may be large, so the caller does
 * not hold the lock; there is none if the enclave has ended meanwhile. */
void add_metadata(nlohmann::ordered_json &description,
                  const EnclaveDirectory &directory)
{
    if (auto section = read_optional_file(directory.metadata())) {
        description.update(describe_metadata(*section));
    }
}

} // namespace

void describe_enclaves_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"metadata", false}});

    if (arguments.help()) {
        std::cout << describe_enclaves_usage;
        return;
    }
    Runtime runtime;
    auto list = nlohmann::ordered_json::array();

    for (const Enclave &enclave : running(runtime)) {
        list.push_back(enclave.description());
        if (arguments.has("metadata")) {
            add_metadata(list.back(), runtime.directory(enclave.id));
        }
    }
    print_json(list);
}
