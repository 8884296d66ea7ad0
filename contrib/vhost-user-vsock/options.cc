/*
 * The command line: the options of vhost-device-vsock, and more
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "options.hh"

#include <algorithm>
#include <map>
#include <set>

#include "decimal.hh"

const char *const usage =
    "vhost-user-vsock --socket PATH [OPTION]...\n"
    "vhost-user-vsock --vm KEY=VALUE[,KEY=VALUE]... [--vm ...]...\n"
    "\n"
    "Connects the vsock of QEMU's guests to sockets of this host, and to each\n"
    "other.\n"
    "\n"
    "Options of a guest, which can also be keys of --vm (there, _ is as good\n"
    "as -):\n"
    "  --socket PATH          the Unix socket where QEMU connects\n"
    "  --guest-cid CID        the guest's address (default: 4)\n"
    "  --uds-path PATH        the guest's connection to port P goes to the Unix\n"
    "                         socket PATH_P; a program that connects to PATH\n"
    "                         and writes \"CONNECT P\" reaches the guest's port\n"
    "                         P\n"
    "  --uds-fallback PATH    if no program listens on that socket, it goes to\n"
    "                         this PATH_P; several guests can have the same\n"
    "  --forward-cid CID      the guest's connections go to AF_VSOCK address\n"
    "                         CID of this host; not with --uds-path\n"
    "  --forward-listen P+P.. connections to these AF_VSOCK ports of CID go to\n"
    "                         the guest\n"
    "  --connect PORT:unix:PATH, PORT:tcp:HOST:PORT\n"
    "                         the guest's connection to PORT goes there; can\n"
    "                         be repeated\n"
    "  --listen unix:PATH:PORT, seqpacket:PATH:PORT, tcp:ADDRESS:PORT:PORT\n"
    "                         connections made there go to the guest's port,\n"
    "                         the last PORT; without ADDRESS, only from this\n"
    "                         host; can be repeated\n"
    "  --heartbeat on|off     answer the boot heartbeat on port 9000, unless a\n"
    "                         program listens there (default: on)\n"
    "  --groups G+G..         guests with a group in common can connect to each\n"
    "                         other (default: default)\n"
    "  --tx-buffer-size N     the guest's credit for each connection, in bytes:\n"
    "                         how much a slow program may leave unread\n"
    "                         (default: 131072)\n"
    "  --queue-size N         the largest virtqueue that QEMU may use\n"
    "                         (default: 1024)\n"
    "\n"
    "The daemon:\n"
    "  --vm KEY=VALUE,...     a guest, with these options; can be repeated\n"
    "  --events FD|PATH       write events there, as lines of JSON\n"
    "  --sandbox on|off       after the start, give up files and system calls\n"
    "                         that are not needed (default: on)\n"
    "  --help                 show this text\n";

namespace {

constexpr uint32_t last_port = UINT32_MAX - 1;  /* UINT32_MAX means any port */

/* Parse the number `text`; `option` and `what` are for the message. */
bool number(const std::string &option, const std::string &text,
            const char *what, uint64_t min, uint64_t max, uint64_t *value,
            std::string *error)
{
    std::optional<uint64_t> parsed = parse_decimal(text, min, max);

    if (!parsed) {
        *error = option + ": " + what + " has to be a number from "
            + std::to_string(min) + " to " + std::to_string(max) + ", not \""
            + text + "\"";
        return false;
    }
    *value = *parsed;
    return true;
}

std::vector<std::string> split(const std::string &text, char at)
{
    std::vector<std::string> parts;
    size_t start = 0, end;

    while ((end = text.find(at, start)) != std::string::npos) {
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    parts.push_back(text.substr(start));
    return parts;
}

/* Remove the port, after the last colon; false if there is no colon. */
bool split_port(std::string *text, std::string *port)
{
    size_t colon = text->rfind(':');

    if (colon == std::string::npos) {
        return false;
    }
    *port = text->substr(colon + 1);
    text->resize(colon);
    return true;
}

bool starts_with(const std::string &text, const char *start)
{
    return text.rfind(start, 0) == 0;
}

std::optional<Endpoint> parse_unix(const std::string &option,
                                   const std::string &path,
                                   std::string *error)
{
    auto endpoint = unix_endpoint(path, error);

    if (!endpoint) {
        *error = option + ": " + *error;
    }
    return endpoint;
}

/* HOST:PORT */
std::optional<Endpoint> parse_tcp(const std::string &option, std::string text,
                                  std::string *error)
{
    std::string port;
    uint64_t value;

    if (!split_port(&text, &port)) {
        *error = option + ": the TCP port is missing; write HOST:PORT";
        return {};
    }
    if (!number(option, port, "the TCP port", 1, UINT16_MAX, &value, error)) {
        return {};
    }
    auto endpoint = tcp_endpoint(text, value, error);
    if (!endpoint) {
        *error = option + ": " + *error;
    }
    return endpoint;
}

/* PORT:unix:PATH or PORT:tcp:HOST:PORT */
bool set_connect(HostOptions *host, const std::string &value,
                 std::string *error)
{
    const std::string option = "connect=" + value;
    size_t colon = value.find(':');
    std::string to = colon == std::string::npos ? "" : value.substr(colon + 1);
    std::optional<Endpoint> endpoint;
    uint64_t port;

    if (!number(option, value.substr(0, colon), "the port", 0, last_port,
                &port, error)) {
        return false;
    }
    if (starts_with(to, "unix:")) {
        endpoint = parse_unix(option, to.substr(5), error);
    } else if (starts_with(to, "tcp:")) {
        endpoint = parse_tcp(option, to.substr(4), error);
    } else {
        *error = option + ": write PORT:unix:PATH or PORT:tcp:HOST:PORT";
    }
    if (endpoint && !host->connects.try_emplace(port, *endpoint).second) {
        *error = option + ": port " + std::to_string(port)
            + " has another connect option already; give each port once";
        return false;
    }
    return endpoint.has_value();
}

/* unix:PATH:PORT, seqpacket:PATH:PORT or tcp:ADDRESS:PORT:PORT */
bool set_listen(HostOptions *host, const std::string &value,
                std::string *error)
{
    const std::string option = "listen=" + value;
    std::string at = value, guest_port;
    std::optional<Endpoint> endpoint;
    int type = SOCK_STREAM;
    uint64_t port;

    if (!split_port(&at, &guest_port) ||
        !number(option, guest_port, "the guest's port", 0, last_port, &port,
                error)) {
        if (error->empty()) {
            *error = option + ": the guest's port is missing; write it last, as"
                " in unix:PATH:PORT";
        }
        return false;
    }
    if (starts_with(at, "unix:")) {
        endpoint = parse_unix(option, at.substr(5), error);
    } else if (starts_with(at, "seqpacket:")) {
        type = SOCK_SEQPACKET;
        endpoint = parse_unix(option, at.substr(10), error);
    } else if (starts_with(at, "tcp:")) {
        endpoint = parse_tcp(option, at.substr(4), error);
    } else {
        *error = option + ": write unix:PATH:PORT, seqpacket:PATH:PORT or"
            " tcp:ADDRESS:PORT:PORT";
    }
    if (endpoint) {
        host->listens.push_back({*endpoint, type, static_cast<uint32_t>(port)});
    }
    return endpoint.has_value();
}

bool set_forward_listen(HostOptions *host, const std::string &value,
                        std::string *error)
{
    for (const std::string &text : split(value, '+')) {
        uint64_t port;

        if (!number("forward-listen=" + value, text, "a port", 0, last_port,
                    &port, error)) {
            return false;
        }
        host->forward_listen.push_back(port);
    }
    return true;
}

bool set_groups(VmOptions *vm, const std::string &value, std::string *error)
{
    vm->groups.clear();
    for (const std::string &group : split(value, '+')) {
        if (group.empty()) {
            *error = "groups=" + value + ": the name of a group is empty;"
                " write G+G...";
            return false;
        }
        vm->groups.insert(group);
    }
    return true;
}

bool set_queue_size(VmOptions *vm, const std::string &value,
                    std::string *error)
{
    uint64_t size;

    if (!number("queue-size=" + value, value, "a queue's size", 2,
                max_queue_size, &size, error)) {
        return false;
    }
    if (size & (size - 1)) {
        *error = "queue-size=" + value + ": the size has to be a power of two";
        return false;
    }
    vm->queue_size = size;
    return true;
}

bool set_option(VmOptions *vm, const std::string &key,
                const std::string &value, std::string *error)
{
    const std::string option = key + "=" + value;
    uint64_t n = 0;
    bool ok = true;

    error->clear();
    if (key == "socket") {
        vm->socket = value;
    } else if (key == "uds-path") {
        vm->host.uds_path = value;
    } else if (key == "uds-fallback") {
        vm->host.uds_fallback = value;
    } else if (key == "guest-cid") {
        /* 0 to 2 are reserved, 3 is the parent, the last one means any. */
        ok = number(option, value, "a guest's CID", 4, UINT32_MAX - 1, &n,
                    error);
        vm->guest_cid = n;
    } else if (key == "forward-cid") {
        ok = number(option, value, "a CID", 1, UINT32_MAX - 1, &n, error);
        vm->host.forward_cid = n;
    } else if (key == "forward-listen") {
        ok = set_forward_listen(&vm->host, value, error);
    } else if (key == "connect") {
        ok = set_connect(&vm->host, value, error);
    } else if (key == "listen") {
        ok = set_listen(&vm->host, value, error);
    } else if (key == "tx-buffer-size") {
        ok = number(option, value, "a buffer's size in bytes", 4096, 1 << 30,
                    &n, error);
        vm->buffer_size = n;
    } else if (key == "queue-size") {
        ok = set_queue_size(vm, value, error);
    } else if (key == "groups") {
        ok = set_groups(vm, value, error);
    } else if (key == "heartbeat") {
        ok = value == "on" || value == "off";
        vm->host.heartbeat = value == "on";
        *error = ok ? "" : option + ": write on or off";
    } else {
        *error = key + ": there is no such option; see --help";
        ok = false;
    }
    return ok;
}

/* The options of one guest; all but connect and listen can be given once */
class Vm {
public:
    bool set(std::string key, const std::string &value, std::string *error)
    {
        std::replace(key.begin(), key.end(), '_', '-');
        if (!set_option(&options, key, value, error)) {
            return false;
        }
        if (!seen_.insert(key).second && key != "connect" && key != "listen") {
            *error = key + "=" + value + ": this option is given twice; give"
                " it once";
            return false;
        }
        return true;
    }
    VmOptions options;

private:
    std::set<std::string> seen_;
};

bool parse_vm(const std::string &text, Vm *vm, std::string *error)
{
    for (const std::string &pair : split(text, ',')) {
        size_t equals = pair.find('=');

        if (equals == std::string::npos) {
            *error = "--vm " + text + ": \"" + pair + "\" is not KEY=VALUE";
            return false;
        }
        if (!vm->set(pair.substr(0, equals), pair.substr(equals + 1), error)) {
            return false;
        }
    }
    return true;
}

/* Do the options of one guest fit together? */
bool check_vm(const VmOptions &vm, std::string *error)
{
    const HostOptions &host = vm.host;

    if (vm.socket.empty()) {
        *error = "socket: the path where QEMU connects is missing; give"
            " --socket PATH";
    } else if (!host.uds_path.empty() && host.forward_cid) {
        *error = "forward-cid=" + std::to_string(*host.forward_cid)
            + ": cannot be used with uds-path; give one of them";
    } else if (!host.uds_fallback.empty() && host.uds_path.empty()) {
        *error = "uds-fallback=" + host.uds_fallback
            + ": needs uds-path; give both";
    } else if (!host.forward_cid && !host.forward_listen.empty()) {
        *error = "forward-listen: needs forward-cid; give both";
    } else if (!unix_endpoint(vm.socket, error) ||
               (!host.uds_path.empty() &&
                !unix_endpoint(host.uds_path, error)) ||
               (!host.uds_fallback.empty() &&
                !unix_endpoint(host.uds_fallback, error))) {
        return false;
    } else {
        return true;
    }
    return false;
}

/* The addresses that are listened on for a guest */
std::vector<std::string> listening(const VmOptions &vm)
{
    std::vector<std::string> all = {"unix:" + vm.socket};

    if (!vm.host.uds_path.empty()) {
        all.push_back("unix:" + vm.host.uds_path);
    }
    for (uint32_t port : vm.host.forward_listen) {
        all.push_back(vsock_endpoint(*vm.host.forward_cid, port).text);
    }
    for (const HostOptions::Listen &l : vm.host.listens) {
        all.push_back(l.at.text);
    }
    return all;
}

bool check(const std::vector<VmOptions> &vms, std::string *error)
{
    std::set<std::string> places;
    std::set<uint64_t> cids;

    for (const VmOptions &vm : vms) {
        if (!check_vm(vm, error)) {
            return false;
        }
        for (const std::string &place : listening(vm)) {
            if (!places.insert(place).second) {
                *error = place + ": two options listen on this address; change"
                    " one of them";
                return false;
            }
        }
        if (!cids.insert(vm.guest_cid).second) {
            *error = "guest-cid=" + std::to_string(vm.guest_cid)
                + ": two guests have this CID; give each its own";
            return false;
        }
    }
    return true;
}

/* `--word value` or `--word=value`, from `arguments[*i]` on */
bool next_option(const std::vector<std::string> &arguments, size_t *i,
                 std::string *word, std::string *value, std::string *error)
{
    *word = arguments[(*i)++];
    size_t equals = word->find('=');

    if (!starts_with(*word, "--")) {
        *error = *word + ": this is not an option; see --help";
        return false;
    }
    if (equals != std::string::npos) {
        *value = word->substr(equals + 1);
        word->resize(equals);
    } else if (*word == "--help") {
        value->clear();
    } else if (*i < arguments.size()) {
        *value = arguments[(*i)++];
    } else {
        *error = *word + ": the value is missing";
        return false;
    }
    return true;
}

} // namespace

std::optional<Options> parse_options(const std::vector<std::string> &arguments,
                                     std::string *error)
{
    Options options;
    std::string word, value;
    std::optional<Vm> flat;
    bool ok = true;

    error->clear();
    for (size_t i = 0; i < arguments.size();) {
        if (arguments[i] == "-h") {
            options.help = true;
            return options;
        }
        if (!next_option(arguments, &i, &word, &value, error)) {
            return {};
        }
        if (word == "--help") {
            options.help = true;
            return options;
        }
        if (word == "--config") {
            *error = "--config " + value + ": configuration files are not"
                " supported; use --vm, once for each guest";
            return {};
        }
        if (word == "--vm") {
            Vm vm;
            ok = parse_vm(value, &vm, error);
            options.vms.push_back(vm.options);
        } else if (word == "--sandbox") {
            if (value != "on" && value != "off") {
                *error = "--sandbox " + value + ": give on or off";
                return {};
            }
            options.sandbox = value == "on";
        } else if (word == "--events") {
            if (!options.events.empty() || value.empty()) {
                *error = "--events " + value + ": give one descriptor or path,"
                    " once";
                return {};
            }
            options.events = value;
        } else {
            flat = flat ? flat : Vm();
            ok = flat->set(word.substr(2), value, error);
        }
        if (!ok) {
            return {};
        }
    }
    if (flat && !options.vms.empty()) {
        *error = "--vm cannot be used with the options of a single guest: give"
            " the options of each guest with --vm";
        return {};
    }
    if (options.vms.empty()) {
        options.vms.push_back(flat ? flat->options : VmOptions());
    }
    if (!check(options.vms, error)) {
        return {};
    }
    return options;
}
