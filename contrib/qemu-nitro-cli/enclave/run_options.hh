/*
 * The options of run-enclave, from its command line or a JSON file
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
    std::string file;           /* the JSON file of --config, or empty */
    VsockOptions vsock;
};

constexpr uint64_t max_cpus = 128;          /* of the machine */
constexpr uint64_t min_memory_mib = 64;
constexpr uint64_t first_cid = 16;          /* the lowest default */

/* The options of the command line, checked */
std::vector<Option> run_option_list();
RunOptions run_options(const Arguments &arguments);

/* The same from the text of a file; `path` is for messages. */
RunOptions run_options_from_json(const std::string &text,
                                 const std::string &path);

/* "512", "512m", "2G", "1T": MiB without a suffix */
uint64_t parse_memory(const std::string &text);

/* Throws if that is less memory than an image of `image_size` bytes needs. */
void check_memory(const RunOptions &options, uint64_t image_size);

/* Throws if the host does not have so much memory in addition to `taken_mib` of
 * the other enclaves. */
void check_memory_left(const RunOptions &options, uint64_t host_mib,
                       uint64_t taken_mib);

/* The name of an enclave.  The default is the file's name without ".eif".  If
 * the name is in `taken`, a suffix is added. */
std::string unique_name(const RunOptions &options,
                        const std::set<std::string> &taken);

/* The CID that the user gave, or the lowest free one; throws if it is taken. */
uint32_t choose_cid(const RunOptions &options,
                    const std::set<uint32_t> &taken);

/*
 * The ids of the CPUs: those that the user gave, or the lowest from 1 that no
 * enclave has.  Throws if the host has fewer CPUs, does not have a CPU with
 * such an id, or if another enclave has it.
 */
std::vector<uint64_t> choose_cpus(const RunOptions &options,
                                  const std::set<uint64_t> &taken,
                                  uint64_t host_cpus);

/* The number of CPUs of this host, or $NITRO_CLI_CPUS if it is set */
uint64_t host_cpus();

#endif
