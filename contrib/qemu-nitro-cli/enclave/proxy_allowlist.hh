/*
 * The allow list of AWS's vsock-proxy: where an enclave may connect to
 *
 * A YAML file of this form (vsock_proxy/README.md of AWS's nitro-cli):
 *
 *   allowlist:
 *   - {address: kms.us-east-1.amazonaws.com, port: 443}
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_PROXY_ALLOWLIST_HH
#define QEMU_NITRO_CLI_ENCLAVE_PROXY_ALLOWLIST_HH

#include <cstdint>
#include <set>
#include <string>
#include <utility>

class ProxyAllowlist {
public:
    /* Throws Error if the file cannot be read, or is not of this form. */
    explicit ProxyAllowlist(const std::string &path);

    /*
     * Whether the list has this TCP port of this host.  Names are compared
     * without regard to case, addresses by value; no name is resolved.
     */
    bool allows(const std::string &host, uint64_t port) const;

private:
    /* hosts in the form that they are compared in, and ports */
    std::set<std::pair<std::string, uint64_t>> allowed_;
};

#endif
