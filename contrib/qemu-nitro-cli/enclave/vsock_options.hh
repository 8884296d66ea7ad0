/*
 * Where an enclave's vsock goes besides the socket in its folder
 *
 * These are options of the back end's, vhost-user-vsock, which checks them too;
 * but what is wrong is to be known before anything starts, and by run-enclave's
 * own numbers.
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

struct VsockOptions {
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

    /* Add what an option says; throws Error if that is not of its form. */
    void add_connect(const std::string &value);
    void add_listen(const std::string &value);
    void add_forward_listen(const std::string &value);

    /* Check all together; throws Error if they contradict each other, or the
     * allow list. */
    void check() const;

    /* As words of the back end's command line */
    std::vector<std::string> arguments() const;

    /* As describe-enclaves prints it: null if there is nothing to say */
    nlohmann::ordered_json description() const;
};

#endif
