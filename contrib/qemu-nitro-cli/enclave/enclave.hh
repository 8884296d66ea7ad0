/*
 * An enclave, as in its state file
 *
 * The file has the JSON that describe-enclaves prints, and the enclave's
 * processes.  The image's metadata has a file of its own (runtime.hh).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_ENCLAVE_HH
#define QEMU_NITRO_CLI_ENCLAVE_ENCLAVE_HH

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/process.hh"

/* The states of AWS's nitro-cli: before and after the heartbeat, and ending */
enum class State { empty, running, terminating };

struct Enclave {
    std::string name, id;
    uint32_t cid = 0;
    std::vector<uint64_t> cpu_ids;
    uint64_t memory_mib = 0;
    State state = State::empty;
    bool debug_mode = false;
    nlohmann::ordered_json measurements;    /* null until they are known */
    nlohmann::ordered_json vsock;           /* null, or its other addresses */
    std::vector<std::string> messages;      /* to the user */
    ProcessId supervisor, qemu, backend;

    /* The output of run-enclave */
    nlohmann::ordered_json run_info() const;
    /* The output of describe-enclaves */
    nlohmann::ordered_json description() const;
    /* The output of terminate-enclave */
    nlohmann::ordered_json end_info(bool terminated) const;

    std::string to_file() const;
    /* Returns nothing if the text is not from to_file(). */
    static std::optional<Enclave> from_file(const std::string &text);
};

/* Is this of the form "i-" and 17 hex digits, or 8, as old instances have? */
bool is_instance_id(const std::string &text);

/* Is this an instance's id, "-enc" and 16 hex digits? */
bool is_enclave_id(const std::string &text);

#endif
