/*
 * The command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "options.hh"

#include <algorithm>
#include <set>

const char *const usage =
    "vhost-user-vsock --socket PATH [OPTION]...\n"
    "vhost-user-vsock --vm KEY=VALUE[,KEY=VALUE]... [--vm ...]...\n"
    "\n"
    "Connects the vsock of QEMU's guests to Unix sockets of this host.\n"
    "\n"
    "  --socket PATH          where QEMU connects\n"
    "  --guest-cid CID        the guest's address (default: 4)\n"
    "  --uds-path PATH        the guest's connection to port P goes to PATH_P;\n"
    "                         who connects to PATH and writes \"CONNECT P\" is\n"
    "                         connected to the guest's port P\n"
    "  --tx-buffer-size N     bytes kept for a slow program, for each\n"
    "                         connection (default: 65536)\n"
    "  --heartbeat on|off     answer the boot heartbeat, on port 9000, unless\n"
    "                         a program listens there (default: on)\n"
    "  --vm KEY=VALUE,...     a guest, with these options; can be repeated\n";

namespace {

bool parse_number(const std::string &text, uint64_t low, uint64_t high,
                  uint64_t *value)
{
    *value = 0;
    if (text.empty() || text.size() > 10) {
        return false;
    }
    for (char c : text) {
        if (c < '0' || c > '9') {
            return false;
        }
        *value = 10 * *value + (c - '0');
    }
    return *value >= low && *value <= high;
}

bool set_option(VmOptions *vm, std::string key, const std::string &value,
                std::string *error)
{
    uint64_t number;

    std::replace(key.begin(), key.end(), '_', '-');
    if (key == "socket") {
        vm->socket = value;
    } else if (key == "uds-path") {
        vm->uds_path = value;
    } else if (key == "guest-cid") {
        /* 0 to 2 are reserved, 3 is the parent, the last one means any. */
        if (!parse_number(value, 4, UINT32_MAX - 1, &number)) {
            *error = "guest-cid=" + value
                + ": a guest's CID is a number from 4 to 4294967294";
            return false;
        }
        vm->guest_cid = number;
    } else if (key == "tx-buffer-size") {
        if (!parse_number(value, 4096, 1 << 30, &number)) {
            *error = "tx-buffer-size=" + value
                + ": a buffer has 4096 to 1073741824 bytes";
            return false;
        }
        vm->buffer_size = number;
    } else if (key == "heartbeat") {
        if (value != "on" && value != "off") {
            *error = "heartbeat=" + value + ": it is on or off";
            return false;
        }
        vm->heartbeat = value == "on";
    } else {
        *error = key + ": there is no such option";
        return false;
    }
    return true;
}

bool parse_vm(const std::string &text, VmOptions *vm, std::string *error)
{
    for (size_t at = 0; at <= text.size();) {
        size_t end = std::min(text.find(',', at), text.size());
        std::string pair = text.substr(at, end - at);
        size_t equals = pair.find('=');

        if (equals == std::string::npos) {
            *error = "--vm " + text + ": \"" + pair + "\" is not KEY=VALUE";
            return false;
        }
        if (!set_option(vm, pair.substr(0, equals), pair.substr(equals + 1),
                        error)) {
            return false;
        }
        at = end + 1;
    }
    return true;
}

bool check(const std::vector<VmOptions> &vms, std::string *error)
{
    std::set<std::string> paths;
    std::set<uint64_t> cids;

    for (const VmOptions &vm : vms) {
        if (vm.socket.empty()) {
            *error = "socket: where QEMU connects is missing";
            return false;
        }
        for (const std::string &path : {vm.socket, vm.uds_path}) {
            if (!path.empty() && !paths.insert(path).second) {
                *error = path + ": two sockets cannot have one path";
                return false;
            }
        }
        if (!cids.insert(vm.guest_cid).second) {
            *error = "guest-cid=" + std::to_string(vm.guest_cid)
                + ": two guests cannot have one CID";
            return false;
        }
    }
    return true;
}

} // namespace

std::vector<VmOptions> parse_options(const std::vector<std::string> &arguments,
                                     std::string *error)
{
    std::vector<VmOptions> vms;
    VmOptions flat;
    bool is_flat = false;

    error->clear();
    for (size_t i = 0; i < arguments.size(); i++) {
        std::string word = arguments[i], value;
        size_t equals = word.find('=');

        if (word == "--help" || word == "-h") {
            return {};
        }
        if (word.rfind("--", 0) != 0) {
            *error = word + ": this is not an option";
            return {};
        }
        if (equals != std::string::npos) {
            value = word.substr(equals + 1);
            word = word.substr(0, equals);
        } else if (i + 1 < arguments.size()) {
            value = arguments[++i];
        } else {
            *error = word + ": its value is missing";
            return {};
        }

        if (word == "--config") {
            *error = "--config: files are not read; use --vm, once for each"
                " guest";
            return {};
        }
        if (word == "--vm") {
            if (!parse_vm(value, &vms.emplace_back(), error)) {
                return {};
            }
        } else {
            is_flat = true;
            if (!set_option(&flat, word.substr(2), value, error)) {
                return {};
            }
        }
    }
    if (is_flat && !vms.empty()) {
        *error = "--vm stands alone: give the options of all guests with it";
        return {};
    }
    if (vms.empty()) {
        vms.push_back(flat);
    }
    return check(vms, error) ? vms : std::vector<VmOptions>();
}
