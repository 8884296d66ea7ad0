/*
 * An enclave, as in its state file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/enclave.hh"

#include <algorithm>

namespace {

using nlohmann::ordered_json;

const char *const state_names[] = {"EMPTY", "RUNNING", "TERMINATING"};

/* Says that attestation documents have zeros in place of Measurements, in debug
 * mode.  AWS's nitro-cli does not have this key; its readers ignore it. */
const char *const attested = "AttestedMeasurements";
const char *const attested_zero = "ZERO";

const char *const vsock_key = "Vsock";      /* likewise */
const char *const messages_key = "Messages";

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

/* Does a text match `form`, in which h is any hex digit? */
bool has_form(const std::string &text, const std::string &form)
{
    static const std::string hex = "0123456789abcdef";

    return text.size() == form.size() &&
        std::ranges::equal(text, form, [](char c, char f) {
            return f == 'h' ? hex.find(c) != std::string::npos : c == f;
        });
}

} // namespace

bool is_instance_id(const std::string &text)
{
    return has_form(text, "i-hhhhhhhhhhhhhhhhh") ||
        has_form(text, "i-hhhhhhhh");
}

bool is_enclave_id(const std::string &text)
{
    size_t instance = text.find("-enc");

    return instance != std::string::npos &&
        is_instance_id(text.substr(0, instance)) &&
        has_form(text.substr(instance), "-enchhhhhhhhhhhhhhhh");
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

ordered_json Enclave::description() const
{
    ordered_json json = run_info();

    json["State"] = state_names[static_cast<int>(state)];
    json["Flags"] = debug_mode ? debug_flag : no_flag;
    if (!measurements.is_null()) {
        json["Measurements"] = measurements;
    }
    if (debug_mode) {
        json[attested] = attested_zero;
    }
    if (!vsock.is_null()) {
        json[vsock_key] = vsock;
    }
    if (!messages.empty()) {
        json[messages_key] = messages;
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
    ordered_json json = {{"description", description()}};

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
        ordered_json json = ordered_json::parse(text);
        ordered_json &d = json.at("description");

        d.at("EnclaveName").get_to(e.name);
        d.at("EnclaveID").get_to(e.id);
        d.at("EnclaveCID").get_to(e.cid);
        d.at("CPUIDs").get_to(e.cpu_ids);
        d.at("MemoryMiB").get_to(e.memory_mib);
        e.state = state_from(d.at("State").get<std::string>());
        e.debug_mode = d.at("Flags").get<std::string>() == debug_flag;
        if (d.contains("Measurements")) {
            e.measurements = std::move(d["Measurements"]);
        }
        if (d.contains(vsock_key)) {
            e.vsock = std::move(d[vsock_key]);
        }
        if (d.contains(messages_key)) {
            d[messages_key].get_to(e.messages);
        }
        for (auto [key, member] : processes) {
            const ordered_json &process = json.at("processes").at(key);

            process.at("pid").get_to((e.*member).pid);
            process.at("start").get_to((e.*member).start);
        }
        if (!is_enclave_id(e.id)) {
            return {};
        }
    } catch (const std::exception &) {
        return {};
    }
    return e;
}
