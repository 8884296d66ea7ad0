/*
 * What run-enclave is asked for, on its command line or in a file of JSON
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_RUN_OPTIONS_HH
#define QEMU_NITRO_CLI_ENCLAVE_RUN_OPTIONS_HH

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "enclave/vsock_options.hh"
#include "support/arguments.hh"

struct RunOptions {
    std::string eif_path;
    uint64_t memory_mib = 0;
    /* Either a number of CPUs or their ids */
    std::optional<uint64_t> cpu_count;
    std::vector<uint64_t> cpu_ids;
    std::optional<std::string> name;
    uint64_t cid = 0;               /* 0: the next free one */
    bool debug_mode = false;
    bool attach_console = false;
    std::optional<std::string> parent_role, parent_id;
    std::optional<std::string> console_log;     /* a path */
    VsockOptions vsock;
};

constexpr uint64_t max_cpus = 128;          /* of the machine */
constexpr uint64_t min_memory_mib = 64;
constexpr uint64_t first_cid = 16;          /* of those given out */

/* The options that the command line has; what they say is checked. */
std::vector<Option> run_option_list();
RunOptions run_options(const Arguments &arguments);

/* The same from the text of a file; `path` is for messages. */
RunOptions run_options_from_json(const std::string &text,
                                 const std::string &path);

/* "512", "512m", "2G", "1T": MiB without a suffix */
uint64_t parse_memory(const std::string &text);

/* Throws if `memory_mib` is less than an image of `image_size` bytes needs. */
void check_memory(uint64_t memory_mib, uint64_t image_size);

/* Throws if the host has not that much memory besides the `taken_mib` that
 * other enclaves have. */
void check_memory_left(uint64_t memory_mib, uint64_t host_mib,
                       uint64_t taken_mib);

/* A name for an enclave: that of the file without ".eif", if none is given,
 * and with a suffix if there is one of that name among `taken`. */
std::string unique_name(const RunOptions &options,
                        const std::set<std::string> &taken);

/* The CID that is asked for, or the lowest free one; throws if it is taken. */
uint32_t choose_cid(uint64_t wanted, const std::set<uint32_t> &taken);

/*
 * The ids of CPUs: as asked for, or the lowest that no enclave has, from 1.
 * Throws if the host has not so many CPUs, or if an id that is asked for is
 * none of the host's, or an enclave has it.
 */
std::vector<uint64_t> choose_cpus(const RunOptions &options,
                                  const std::set<uint64_t> &taken,
                                  uint64_t host_cpus);

/* How many CPUs this host has: what $NITRO_CLI_CPUS says, if it is set */
uint64_t host_cpus();

#endif
