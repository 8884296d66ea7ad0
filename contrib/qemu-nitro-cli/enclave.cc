/*
 * An enclave as its state file has it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave.hh"

#include <algorithm>

namespace {

using nlohmann::ordered_json;

const char *const state_names[] = {"EMPTY", "RUNNING", "TERMINATING"};

const char *const debug_flag = "DEBUG_MODE", *const no_flag = "NONE";

/* The keys of the processes in the file */
const std::pair<const char *, ProcessId Enclave::*> processes[] = {
    {"supervisor", &Enclave::supervisor},
    {"qemu", &Enclave::qemu},
    {"backend", &Enclave::backend},
};

State state_from(const std::string &name)
{
    auto found = std::ranges::find(state_names, name);

    if (found == std::end(state_names)) {
        throw std::range_error(name);
    }
    return static_cast<State>(found - state_names);
}

} // namespace

bool is_enclave_id(const std::string &text)
{
    static const std::string form = "i-hhhhhhhhhhhhhhhhh-enchhhhhhhhhhhhhhhh";
    static const std::string hex = "0123456789abcdef";

    return text.size() == form.size() &&
        std::ranges::equal(text, form, [](char c, char f) {
            return f == 'h' ? hex.find(c) != std::string::npos : c == f;
        });
}

ordered_json Enclave::run_info() const
{
    return {
        {"EnclaveName", name},
        {"EnclaveID", id},
        {"ProcessID", supervisor.pid},
        {"EnclaveCID", cid},
        {"NumberOfCPUs", cpu_ids.size()},
        {"CPUIDs", cpu_ids},
        {"MemoryMiB", memory_mib},
    };
}

ordered_json Enclave::description(bool with_metadata) const
{
    ordered_json json = run_info();

    json["State"] = state_names[static_cast<int>(state)];
    json["Flags"] = debug_mode ? debug_flag : no_flag;
    if (!measurements.is_null()) {
        json["Measurements"] = measurements;
    }
    if (with_metadata) {
        json.update(metadata);
    }
    return json;
}

ordered_json Enclave::end_info(bool terminated) const
{
    return {
        {"EnclaveName", name},
        {"EnclaveID", id},
        {"Terminated", terminated},
    };
}

std::string Enclave::to_file() const
{
    ordered_json json = {{"description", description(false)},
                         {"metadata", metadata}};

    for (auto [key, member] : processes) {
        const ProcessId &process = this->*member;

        json["processes"][key] = {{"pid", process.pid},
                                  {"start", process.start}};
    }
    return json.dump(2) + "\n";
}

std::optional<Enclave> Enclave::from_file(const std::string &text)
{
    Enclave e;

    try {
        const ordered_json json = ordered_json::parse(text);
        const ordered_json &d = json.at("description");

        d.at("EnclaveName").get_to(e.name);
        d.at("EnclaveID").get_to(e.id);
        d.at("EnclaveCID").get_to(e.cid);
        d.at("CPUIDs").get_to(e.cpu_ids);
        d.at("MemoryMiB").get_to(e.memory_mib);
        e.state = state_from(d.at("State").get<std::string>());
        e.debug_mode = d.at("Flags").get<std::string>() == debug_flag;
        if (d.contains("Measurements")) {
            e.measurements = d["Measurements"];
        }
        e.metadata = json.at("metadata");
        for (auto [key, member] : processes) {
            const ordered_json &process = json.at("processes").at(key);

            process.at("pid").get_to((e.*member).pid);
            process.at("start").get_to((e.*member).start);
        }
        if (!is_enclave_id(e.id) || !e.metadata.is_object()) {
            return {};
        }
    } catch (const std::exception &) {
        return {};
    }
    return e;
}
