/*
 * The command terminate-enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <csignal>
#include <iostream>

#include "descriptor.hh"
#include "enclave/runtime.hh"
#include "support/arguments.hh"
#include "support/errors.hh"
#include "support/json.hh"

namespace {

const char *const terminate_enclave_usage =
    "qemu-nitro-cli terminate-enclave --enclave-id ID | --enclave-name NAME |"
    " --all\n"
    "\n"
    "End an enclave, or all of this user's.\n";

/* The time after which a supervisor is killed */
constexpr int end_wait_ms = 15000;

/* Has the enclave ended, and has everything been removed? */
bool wait_and_remove(const Enclave &enclave, const Runtime &runtime)
{
    Descriptor lock = open_lock(runtime.directory(enclave.id));

    if (lock && !wait_for_end(lock, end_wait_ms) &&
        !kill_and_wait(enclave.supervisor)) {
        return false;
    }
    /* Normally the supervisor has removed everything, unless it was killed. */
    Descriptor held = runtime.lock();
    runtime.remove(enclave.id);
    return true;
}

nlohmann::ordered_json terminate(const std::vector<Enclave> &enclaves,
                                 const Runtime &runtime)
{
    auto list = nlohmann::ordered_json::array();

    /* Signal all supervisors first, so that they end in parallel. */
    for (const Enclave &enclave : enclaves) {
        send_signal(enclave.supervisor, SIGTERM);
    }
    for (const Enclave &enclave : enclaves) {
        bool ended = wait_and_remove(enclave, runtime);

        if (ended) {
            std::cerr << "Successfully terminated enclave " << enclave.id
                      << ".\n";
        }
        list.push_back(enclave.end_info(ended));
    }
    return list;
}

void check_ended(const nlohmann::ordered_json &ended)
{
    if (!ended.at("Terminated").get<bool>()) {
        throw Error(Code::boot, ended.at("EnclaveID").get<std::string>()
                    + " does not end", "Look at its process with ps.");
    }
}

} // namespace

void terminate_enclave_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"enclave-id"}, {"enclave-name"},
                                     {"all", false}});

    if (arguments.help()) {
        std::cout << terminate_enclave_usage;
        return;
    }
    std::optional<std::string> id = arguments.single("enclave-id");
    std::optional<std::string> name = arguments.single("enclave-name");
    bool all = arguments.has("all");
    if (all && (id || name)) {
        throw Error(Code::conflicting_argument, std::string("--all and --")
                    + (id ? "enclave-id" : "enclave-name") + " are given",
                    "Give one of them.");
    }
    Runtime runtime;
    std::vector<Enclave> chosen;
    if (all) {
        Descriptor lock = runtime.lock();
        chosen = runtime.enclaves();
    } else {
        chosen.push_back(runtime.find(id, name));
    }

    nlohmann::ordered_json list = terminate(chosen, runtime);
    print_json(all ? list : list[0]);
    for (const auto &ended : list) {
        check_ended(ended);
    }
}
