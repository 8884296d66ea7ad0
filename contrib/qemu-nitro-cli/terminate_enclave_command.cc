/*
 * The command terminate-enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.hh"

#include <csignal>
#include <fcntl.h>
#include <iostream>

#include "arguments.hh"
#include "measurements.hh"
#include "runtime.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli terminate-enclave --enclave-id ID | --enclave-name NAME |"
    " --all\n"
    "\n"
    "End an enclave, or all of this user's.\n";

/* How long a supervisor may take, before it is killed */
constexpr int end_wait_ms = 15000;

struct Ending {
    Enclave enclave;
    Descriptor lock;
};

/* Tell the supervisor; waiting is for later. */
Ending begin_end(const Enclave &enclave, const Runtime &runtime)
{
    std::string path = runtime.folder(enclave.id).lock();

    send_signal(enclave.supervisor, SIGTERM);
    return {enclave, Descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC))};
}

/* Whether the enclave is over, and nothing of it is left */
bool finish_end(const Ending &ending, const Runtime &runtime)
{
    if (ending.lock && !wait_for_end(ending.lock, end_wait_ms) &&
        !kill_and_wait(ending.enclave.supervisor)) {
        return false;
    }
    /* Nothing is left to do, unless the supervisor had to be killed. */
    Descriptor held = runtime.lock();
    runtime.remove(ending.enclave.id);
    return true;
}

nlohmann::ordered_json terminate(const std::vector<Enclave> &enclaves,
                                 const Runtime &runtime)
{
    auto list = nlohmann::ordered_json::array();
    std::vector<Ending> endings;

    endings.reserve(enclaves.size());
    for (const Enclave &enclave : enclaves) {
        endings.push_back(begin_end(enclave, runtime));
    }
    for (const Ending &ending : endings) {
        list.push_back(ending.enclave.end_info(finish_end(ending, runtime)));
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
        std::cout << usage;
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
