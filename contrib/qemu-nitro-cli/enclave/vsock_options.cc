/*
 * Options for connections of an enclave's vsock
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/vsock_options.hh"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>
#include <sys/un.h>

#include "decimal.hh"
#include "enclave/proxy_allowlist.hh"
#include "support/arguments.hh"
#include "support/errors.hh"

namespace {

constexpr uint64_t max_vsock_port = UINT32_MAX - 1;     /* the next means any */
constexpr uint64_t max_forward_cid = UINT32_MAX - 1;

const char *const connect_form =
    "Write PORT:unix:PATH or PORT:tcp:HOST:PORT.";
const char *const listen_form = "Write unix:PATH:PORT, seqpacket:PATH:PORT or"
    " tcp:ADDRESS:PORT:PORT.";

/* An option and its value, for a message of one line */
std::string option_with_value(const std::string &file, const char *option,
                              const std::string &value)
{
    return value_name(file, option) + " " + sanitized(value);
}

uint64_t parse_port(const std::string &text, uint64_t min, uint64_t max,
                    const std::string &what)
{
    std::optional<uint64_t> number = parse_decimal(text, min, max);

    if (!number) {
        throw Error(Code::invalid_argument, what + " has \"" + sanitized(text)
                    + "\" for a port", "Give a number from "
                    + std::to_string(min) + " to " + std::to_string(max)
                    + ".");
    }
    return *number;
}

/* Remove and return the port, after the last colon, if there is a colon. */
std::optional<std::string> split_port(std::string *text)
{
    size_t colon = text->rfind(':');

    if (colon == std::string::npos) {
        return {};
    }
    std::string last = text->substr(colon + 1);
    text->resize(colon);
    return last;
}

/* Make a path absolute, because the back end has another current directory. */
std::string check_endpoint(const std::string &endpoint, const std::string &what,
                           const char *form, bool seqpacket)
{
    for (const char *kind : {"unix:", "seqpacket:"}) {
        if (!endpoint.starts_with(kind) ||
            (kind == std::string("seqpacket:") && !seqpacket)) {
            continue;
        }
        std::string path = endpoint.substr(strlen(kind));
        if (!path.empty()) {
            path = std::filesystem::absolute(path);
        }
        if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path) ||
            path.find('\0') != std::string::npos) {
            throw Error(Code::invalid_argument, what + ": the path of a socket"
                        " has 1 to "
                        + std::to_string(sizeof(sockaddr_un::sun_path) - 1)
                        + " bytes, not " + std::to_string(path.size()),
                        "Give a shorter one.");
        }
        return kind + path;
    }
    std::string host = endpoint;
    std::optional<std::string> port;
    if (endpoint.starts_with("tcp:")) {
        host = endpoint.substr(strlen("tcp:"));
        port = split_port(&host);
    }
    if (!port || host.find('\0') != std::string::npos) {
        throw Error(Code::invalid_argument, what + " is not of this option's"
                    " form", form);
    }
    parse_port(*port, 1, UINT16_MAX, what);
    return endpoint;
}

/* Throws unless the allow list has the host and port of each TCP connection. */
void check_allowed(const std::string &file,
                   const std::vector<std::string> &connect,
                   const std::string &config)
{
    ProxyAllowlist list(config);

    for (const std::string &value : connect) {
        std::string host = value.substr(value.find(':') + 1);
        if (!host.starts_with("tcp:")) {
            continue;
        }
        host = host.substr(strlen("tcp:"));
        std::string port = split_port(&host).value();
        if (!list.allows(host, parse_decimal(port, 1, UINT16_MAX).value())) {
            throw Error(Code::invalid_argument,
                        option_with_value(file, "connect", value) + ": "
                        + printable(config) + " does not allow this"
                        " address and port", "Add them to its list.");
        }
    }
}

/* Check that no item occurs twice. */
template <class List>
void check_once(const List &list, const std::string &option)
{
    std::set<typename List::value_type> seen;

    for (const auto &item : list) {
        if (!seen.insert(item).second) {
            std::ostringstream text;

            text << item;
            throw Error(Code::conflicting_argument, option + " "
                        + sanitized(text.str()) + " is given twice",
                        "Give it once.");
        }
    }
}

} // namespace

std::string value_name(const std::string &file, const std::string &option)
{
    std::string key = option == "memory" ? "memory_mib" : option;

    if (file.empty()) {
        return "--" + option;
    }
    std::ranges::replace(key, '-', '_');
    return file + ": " + key;
}

void VsockOptions::add_connect(const std::string &value)
{
    std::string what = option_with_value(file, "connect", value);
    size_t colon = value.find(':');

    if (colon == std::string::npos) {
        throw Error(Code::invalid_argument, what + " is not of this option's"
                    " form", connect_form);
    }
    uint64_t port = parse_port(value.substr(0, colon), 0, max_vsock_port, what);
    if (port == heartbeat_port) {
        throw Error(Code::invalid_argument, what + ": this port is the"
                    " heartbeat's, which run-enclave answers",
                    "Give another port.");
    }
    connect.push_back(std::to_string(port) + ":"
                      + check_endpoint(value.substr(colon + 1), what,
                                       connect_form, false));
}

void VsockOptions::add_listen(const std::string &value)
{
    std::string what = option_with_value(file, "listen", value);
    std::string endpoint = value;
    std::optional<std::string> port = split_port(&endpoint);

    if (!port) {
        throw Error(Code::invalid_argument, what + " is not of this option's"
                    " form", listen_form);
    }
    endpoint = check_endpoint(endpoint, what, listen_form, true);
    listen.push_back(endpoint + ":" + std::to_string(
        parse_port(*port, 0, max_vsock_port, what)));
}

void VsockOptions::add_forward_listen(const std::string &value)
{
    std::istringstream ports(value + '+');
    std::string what = option_with_value(file, "forward-listen", value);

    for (std::string port; std::getline(ports, port, '+');) {
        forward_listen.push_back(parse_port(port, 0, max_vsock_port, what));
    }
}

void VsockOptions::check() const
{
    std::vector<std::string> ports, endpoints;

    if (forward_cid && (*forward_cid < 1 || *forward_cid > max_forward_cid)) {
        throw Error(Code::invalid_argument, value_name(file, "forward-cid")
                    + " " + std::to_string(*forward_cid) + " is not a CID to"
                    " forward to", "Give 1 for this host.");
    }
    if (!forward_cid && !forward_listen.empty()) {
        throw Error(Code::missing_argument, value_name(file, "forward-cid")
                    + " is missing, to which "
                    + value_name(file, "forward-listen") + " belongs",
                    "Give it, as 1 for this host.");
    }
    for (const std::string &value : connect) {
        ports.push_back(value.substr(0, value.find(':')));
    }
    for (std::string endpoint : listen) {
        split_port(&endpoint);
        /* Sockets of different types cannot have the same path. */
        if (endpoint.starts_with("seqpacket:")) {
            endpoint = "unix:" + endpoint.substr(strlen("seqpacket:"));
        }
        endpoints.push_back(endpoint);
    }
    check_once(ports, value_name(file, "connect"));
    check_once(endpoints, value_name(file, "listen"));
    check_once(forward_listen, value_name(file, "forward-listen"));
    if (proxy_config) {
        check_allowed(file, connect, *proxy_config);
    }
}

std::vector<std::string> VsockOptions::socket_directories() const
{
    std::vector<std::string> found;

    for (std::string endpoint : listen) {
        split_port(&endpoint);
        if (!endpoint.starts_with("tcp:")) {
            std::filesystem::path path(
                endpoint.substr(endpoint.find(':') + 1));

            found.push_back(path.parent_path());
        }
    }
    return found;
}

bool VsockOptions::uses_tcp() const
{
    return std::any_of(listen.begin(), listen.end(), [](const auto &endpoint) {
        return endpoint.starts_with("tcp:");
    }) || std::any_of(connect.begin(), connect.end(), [](const auto &value) {
        return value.find(":tcp:") == value.find(':');
    });
}

std::vector<std::string> VsockOptions::arguments() const
{
    std::vector<std::string> words;
    std::string ports;

    for (const std::string &value : connect) {
        words.insert(words.end(), {"--connect", value});
    }
    for (const std::string &value : listen) {
        words.insert(words.end(), {"--listen", value});
    }
    if (forward_cid) {
        words.insert(words.end(), {"--forward-cid",
                                   std::to_string(*forward_cid)});
    }
    for (uint64_t port : forward_listen) {
        ports += (ports.empty() ? "" : "+") + std::to_string(port);
    }
    if (!ports.empty()) {
        words.insert(words.end(), {"--forward-listen", ports});
    }
    return words;
}

nlohmann::ordered_json VsockOptions::description() const
{
    nlohmann::ordered_json json;

    if (!connect.empty()) {
        json["Connect"] = connect;
    }
    if (!listen.empty()) {
        json["Listen"] = listen;
    }
    if (forward_cid) {
        json["ForwardCID"] = *forward_cid;
    }
    if (!forward_listen.empty()) {
        json["ForwardListen"] = forward_listen;
    }
    return json;
}
