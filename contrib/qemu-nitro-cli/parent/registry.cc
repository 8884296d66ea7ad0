/*
 * The ports of the parent: a directory of Unix sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/registry.hh"

#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "decimal.hh"
#include "enclave/runtime.hh"
#include "support/alarm.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/process.hh"

namespace {

namespace fs = std::filesystem;

constexpr int lock_wait_ms = 2000;
constexpr uint32_t first_free_port = 1024;
constexpr int max_tries = 1000;             /* ports, for VMADDR_PORT_ANY */

/* connect() and bind(), for a path */
template <class Call>
int at_path(Call call, const Descriptor &socket, const std::string &path)
{
    sockaddr_un un = {};

    if (path.size() >= sizeof(un.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    un.sun_family = AF_UNIX;
    path.copy(un.sun_path, path.size());
    return call(socket.get(), reinterpret_cast<const sockaddr *>(&un),
                offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

Descriptor new_socket(int type)
{
    return Descriptor(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/* Does a socket listen here?  It may be in another network namespace. */
bool answers(const std::string &path)
{
    Descriptor probe = new_socket(SOCK_STREAM);

    return at_path(::connect, probe, path) == 0 ||
        (errno != ECONNREFUSED && errno != ENOENT);
}

Descriptor listen_at(const std::string &path, int type)
{
    Descriptor socket = new_socket(type);

    if (!socket || at_path(::bind, socket, path) ||
        listen(socket.get(), SOMAXCONN)) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that sockets can be made in this directory.");
    }
    return socket;
}

uint32_t random_port()
{
    uint32_t number = 0;

    (void)!getrandom(&number, sizeof(number), GRND_NONBLOCK);
    return first_free_port + number % (UINT32_MAX / 2);
}

} // namespace

std::set<std::string> socket_paths()
{
    constexpr int fields = 7;               /* before the path */
    std::ifstream list("/proc/net/unix");
    std::set<std::string> paths;

    for (std::string line; std::getline(list, line);) {
        size_t at = 0;

        for (int i = 0; i < fields && at != std::string::npos; i++) {
            at = line.find_first_not_of(' ', at);
            at = at == std::string::npos ? at : line.find(' ', at);
        }
        if (at != std::string::npos) {
            paths.insert(line.substr(at + 1));
        }
    }
    return paths;
}

Registry::Registry(const Runtime &runtime, std::optional<std::string> only)
    : runtime_(runtime), only_(std::move(only)), directory_(runtime.parent()),
      shared_(runtime.parent_vsock()), local_(directory_ + "/local"),
      next_port_(random_port())
{
    ProcessId self = process_id(getpid());

    if (only_) {
        shared_ = runtime.directory(*only_).vsock();
    }
    make_private_directory(directory_);
    clean_up();
    own_ = directory_ + "/" + std::to_string(self.pid) + "-"
        + std::to_string(self.start);
    try {
        stream_ = listen_at(own_ + ".stream", SOCK_STREAM);
        seqpacket_ = listen_at(own_ + ".seqpacket", SOCK_SEQPACKET);
    } catch (const Error &) {
        end();              /* The first socket may have a file. */
        throw;
    }
}

Registry::~Registry()
{
    end();
}

void Registry::end()
{
    stream_.reset();
    seqpacket_.reset();
    clean_up();
}

/*
 * The files of other processes stay.  The files are listed before the sockets,
 * so a socket that is made meanwhile has no file in the list.
 */
void Registry::clean_up()
{
    std::vector<std::string> files;
    std::error_code error;

    try {
        Descriptor lock = lock_file(directory_ + "/lock", lock_wait_ms);

        for (fs::directory_iterator at(directory_, error), end;
             lock && !error && at != end; at.increment(error)) {
            if (at->is_socket(error)) {
                files.push_back(at->path());
            }
        }
        if (files.empty()) {
            return;
        }
        std::set<std::string> alive = socket_paths();
        for (const std::string &file : files) {
            if (!alive.contains(file) && !answers(file)) {
                unlink(file.c_str());
            }
        }
    } catch (const Error &) {
        return;             /* The directory was removed, with all files. */
    }
}

std::string Registry::path_of(const VsockAddress &address) const
{
    return (address.cid == VMADDR_CID_LOCAL ? local_ : shared_) + "_"
        + std::to_string(address.port);
}

int Registry::bind_port(const Descriptor &socket, const VsockAddress &address)
{
    std::string path = path_of(address);
    std::set<std::string> taken;
    std::error_code error;

    for (const std::string &other : {shared_, local_}) {
        std::string used = other + "_" + std::to_string(address.port);

        if (!fs::exists(used, error)) {
            continue;
        }
        if (taken.empty()) {
            taken = socket_paths();
        }
        if (taken.contains(used) || answers(used)) {
            return EADDRINUSE;
        }
        unlink(used.c_str());
    }
    if (at_path(::bind, socket, path)) {
        return errno;
    }
    chmod(path.c_str(), 0600);
    return 0;
}

int Registry::bind_free(const Descriptor &socket, VsockAddress *address)
{
    for (int i = 0; i < max_tries; i++) {
        address->port = next_port_++;
        if (next_port_ == VMADDR_PORT_ANY) {
            next_port_ = first_free_port;
        }
        int error = bind_port(socket, *address);
        if (error != EADDRINUSE) {
            return error;
        }
    }
    return EADDRNOTAVAIL;
}

int Registry::bind(const Descriptor &socket, VsockAddress *address)
{
    if (address->cid != VMADDR_CID_ANY && !is_parent(address->cid)) {
        return EADDRNOTAVAIL;
    }
    try {
        Descriptor lock = lock_file(directory_ + "/lock", lock_wait_ms);

        if (!lock) {
            return EADDRINUSE;
        }
        return address->port == VMADDR_PORT_ANY ? bind_free(socket, address)
            : bind_port(socket, *address);
    } catch (const Error &) {
        return EADDRNOTAVAIL;       /* The directory was removed. */
    }
}

int Registry::connect_to_parent(const Descriptor &socket, uint32_t port) const
{
    for (const std::string &base : {local_, shared_,
                                    runtime_.parent_vsock()}) {
        Alarm alarm(max_wait_ms);

        if (at_path(::connect, socket,
                    base + "_" + std::to_string(port)) == 0) {
            return 0;
        }
        if (errno == EISCONN) {
            return EISCONN;
        }
    }
    return ECONNRESET;      /* Nobody listens, or the backlog is full. */
}

Descriptor Registry::connect_to_enclave(uint32_t cid) const
{
    for (const Enclave &enclave : runtime_.recorded()) {
        if (enclave.cid != cid || (only_ && *only_ != enclave.id)) {
            continue;
        }
        Descriptor socket = new_socket(SOCK_STREAM);
        if (at_path(::connect, socket,
                    runtime_.directory(enclave.id).vsock()) == 0) {
            return socket;
        }
    }
    return Descriptor();
}

Descriptor Registry::connect_to_self(const Descriptor &socket, int type) const
{
    bool messages = type == SOCK_SEQPACKET;
    const Descriptor &listener = messages ? seqpacket_ : stream_;

    if (at_path(::connect, socket,
                own_ + (messages ? ".seqpacket" : ".stream"))) {
        return Descriptor();
    }
    return Descriptor(accept4(listener.get(), nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
}

std::optional<uint32_t> Registry::port_of(const std::string &name) const
{
    for (const std::string &base : {shared_, local_,
                                    runtime_.parent_vsock()}) {
        if (!name.starts_with(base + "_")) {
            continue;
        }
        if (auto port = parse_decimal(name.substr(base.size() + 1), 0,
                                      UINT32_MAX - 1)) {
            return static_cast<uint32_t>(*port);
        }
    }
    return {};
}
