/*
 * The allow list of AWS's vsock-proxy: where an enclave may connect to
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/proxy_allowlist.hh"

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>
#include <yaml-cpp/yaml.h>

#include "decimal.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

[[noreturn]] void malformed(const std::string &path, const std::string &what)
{
    throw Error(Code::invalid_argument, printable(path) + ": " + what,
                "Write it like AWS's vsock-proxy.yaml: \"allowlist:\", and"
                " below it \"- {address: HOST, port: PORT}\" for each server.");
}

/* The form of a host that is compared: an IPv6 address as the library writes
 * it, a name in lower case and without the dot that may end it */
std::string comparable(std::string host)
{
    char text[INET6_ADDRSTRLEN];
    in6_addr address;

    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    if (inet_pton(AF_INET6, host.c_str(), &address) == 1) {
        return inet_ntop(AF_INET6, &address, text, sizeof(text));
    }
    std::transform(host.begin(), host.end(), host.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (host.ends_with('.')) {
        host.pop_back();
    }
    return host;
}

/* The text of a key of an entry */
std::string field(const YAML::Node &entry, const char *key,
                  const std::string &path, const std::string &which)
{
    YAML::Node value = entry.IsMap() ? entry[key] : YAML::Node();

    if (!value || !value.IsScalar() || value.Scalar().empty()) {
        malformed(path, which + " has no " + key);
    }
    return value.Scalar();
}

} // namespace

ProxyAllowlist::ProxyAllowlist(const std::string &path)
{
    Bytes text = read_file(path);

    try {
        YAML::Node file = YAML::Load(std::string(text.begin(), text.end()));
        YAML::Node list = file.IsMap() ? file["allowlist"] : YAML::Node();
        size_t count = 0;

        if (!list || !list.IsSequence()) {
            malformed(path, "there is no list \"allowlist\"");
        }
        for (const YAML::Node &entry : list) {
            std::string which = "entry " + std::to_string(++count);
            std::string host = field(entry, "address", path, which);
            std::string port = field(entry, "port", path, which);
            std::optional<uint64_t> number = parse_decimal(port, 1, UINT16_MAX);

            if (!number) {
                malformed(path, which + " has \"" + printable(port)
                          + "\" for a port");
            }
            allowed_.emplace(comparable(host), *number);
        }
    } catch (const YAML::Exception &e) {
        std::string line = e.mark.is_null()
            ? "" : "line " + std::to_string(e.mark.line + 1) + ": ";
        malformed(path, line + "this is not YAML: " + printable(e.msg));
    }
}

bool ProxyAllowlist::allows(const std::string &host, uint64_t port) const
{
    return allowed_.count({comparable(host), port}) > 0;
}
