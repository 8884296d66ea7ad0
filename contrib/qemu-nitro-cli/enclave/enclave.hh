/*
 * An enclave as its state file has it
 *
 * The file holds what describe-enclaves prints, in the same form, and the
 * processes behind it.
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

/* nitro-cli's words: before the heartbeat, after it, while it is ended */
enum class State { empty, running, terminating };

struct Enclave {
    std::string name, id;
    uint32_t cid = 0;
    std::vector<uint64_t> cpu_ids;
    uint64_t memory_mib = 0;
    State state = State::empty;
    bool debug_mode = false;
    nlohmann::ordered_json measurements;    /* null until they are known */
    nlohmann::ordered_json vsock;           /* null, or where it goes besides */
    nlohmann::ordered_json metadata;    /* what --metadata adds; an object */
    std::vector<std::string> messages;      /* of the supervisor, to the user */
    ProcessId supervisor, qemu, backend;

    /* What run-enclave prints */
    nlohmann::ordered_json run_info() const;
    /* What describe-enclaves prints */
    nlohmann::ordered_json description(bool with_metadata) const;
    /* What terminate-enclave prints */
    nlohmann::ordered_json end_info(bool terminated) const;

    std::string to_file() const;
    /* Nothing if the text is not one of to_file() */
    static std::optional<Enclave> from_file(const std::string &text);
};

/* Is this of the form "i-" and 17 hex digits, or 8, as old instances have? */
bool is_instance_id(const std::string &text);

/* Is this an instance's id, "-enc" and 16 hex digits? */
bool is_enclave_id(const std::string &text);

#endif
