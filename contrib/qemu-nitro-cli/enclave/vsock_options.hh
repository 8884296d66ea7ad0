/*
 * Options for connections of an enclave's vsock
 *
 * These are options of the back end, vhost-user-vsock.  They are checked here,
 * too, so that run-enclave finds errors before it starts a process, and reports
 * them with its own error numbers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_VSOCK_OPTIONS_HH
#define QEMU_NITRO_CLI_ENCLAVE_VSOCK_OPTIONS_HH

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

constexpr uint64_t heartbeat_port = 9000;

/*
 * The name of a value in messages: "--memory" for the option "memory", or
 * "FILE: memory_mib" if it is from a JSON file
 */
std::string value_name(const std::string &file, const std::string &option);

struct VsockOptions {
    std::string file;           /* the JSON file that has them, or empty */
    std::vector<std::string> connect, listen;   /* paths are absolute */
    std::optional<uint64_t> forward_cid;
    std::vector<uint64_t> forward_listen;       /* ports */
    /* the path of an allow list, see ProxyAllowlist, for TCP in `connect` */
    std::optional<std::string> proxy_config;

    bool empty() const
    {
        return connect.empty() && listen.empty() && !forward_cid &&
            forward_listen.empty();
    }

    /* Add an option.  Throws Error if its value is malformed. */
    void add_connect(const std::string &value);
    void add_listen(const std::string &value);
    void add_forward_listen(const std::string &value);

    /* Check all options together.  Throws Error if they conflict, or if the
     * allow list does not have a connection. */
    void check() const;

    /* The directories of the Unix sockets on which the back end listens */
    std::vector<std::string> socket_directories() const;
    /* Does the back end connect to TCP, or listen on it? */
    bool uses_tcp() const;

    /* The options of the back end's command line */
    std::vector<std::string> arguments() const;

    /* The JSON of describe-enclaves; null without options */
    nlohmann::ordered_json description() const;
};

#endif
