/*
 * The host's sockets: Unix, TCP and AF_VSOCK, with one address type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sockets.hh"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

#include <linux/vm_sockets.h>

namespace {

std::string text_of(int error)
{
    return std::generic_category().message(error);
}

const sockaddr *generic(const Endpoint &endpoint)
{
    return reinterpret_cast<const sockaddr *>(&endpoint.address);
}

Descriptor new_socket(int family, int type)
{
    int on = 1;
    Descriptor fd(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd && (family == AF_INET || family == AF_INET6)) {
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return fd;
}

/*
 * The family of a socket that can be connected to an endpoint and, if that
 * fails, to its others.  A socket of IPv6 can connect to IPv4 addresses too.
 */
int common_family(const Endpoint &to)
{
    bool same = std::all_of(to.others.begin(), to.others.end(),
                            [&to](const Endpoint &other) {
                                return other.family() == to.family();
                            });

    return same ? to.family() : AF_INET6;
}

/* An IPv4 address in the form for a socket of IPv6 (RFC 4291, 2.5.5.2) */
Endpoint mapped(const Endpoint &to)
{
    sockaddr_in in;
    sockaddr_in6 in6 = {};
    Endpoint endpoint;

    memcpy(&in, &to.address, sizeof(in));
    in6.sin6_family = AF_INET6;
    in6.sin6_port = in.sin_port;
    memset(&in6.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&in6.sin6_addr.s6_addr[12], &in.sin_addr, sizeof(in.sin_addr));
    memcpy(&endpoint.address, &in6, sizeof(in6));
    endpoint.size = sizeof(in6);
    return endpoint;
}

/* connect(2), for a socket of common_family() */
Attempt connect_socket(int fd, int family, const Endpoint &to)
{
    bool other_family = family == AF_INET6 && to.family() == AF_INET;
    const Endpoint at = other_family ? mapped(to) : to;

    if (::connect(fd, generic(at), at.size) == 0) {
        return Attempt::connected;
    }
    if (errno == EINPROGRESS) {
        return Attempt::connecting;
    }
    return family == AF_UNIX && errno == EAGAIN ? Attempt::backlog_full
                                                : Attempt::failed;
}

/* Remove a socket that no program listens on.  False, with `error` set, if
 * there is another file, or a program listens. */
bool remove_dead_socket(const Endpoint &at, int type, std::string *error)
{
    const std::string path = at.path();
    struct stat st;

    if (lstat(path.c_str(), &st)) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        *error = path + ": the file exists and is not a socket; remove it, or"
            " use another path";
        return false;
    }
    Descriptor fd = new_socket(at.family(), type);
    if (fd && (::connect(fd.get(), generic(at), at.size) == 0 ||
               errno != ECONNREFUSED)) {
        *error = path + ": another program listens on this socket; stop it, or"
            " use another path";
        return false;
    }
    unlink(path.c_str());
    return true;
}

/* umask() gives the file its mode from the start.  No thread runs yet. */
bool bind_private(int fd, const Endpoint &at)
{
    mode_t mask = umask(0177);
    bool bound = bind(fd, generic(at), at.size) == 0;
    int why = errno;

    umask(mask);
    errno = why;
    return bound;
}

/* The addresses found.  If there are several, those of IPv6 are left out on a
 * host without IPv6. */
std::vector<Endpoint> addresses(const addrinfo *found)
{
    bool has_ipv6 = !found->ai_next ||
        Descriptor(socket(AF_INET6, SOCK_STREAM, 0));
    std::vector<Endpoint> all;

    for (const addrinfo *at = found; at; at = at->ai_next) {
        if (at->ai_family != AF_INET6 || has_ipv6) {
            Endpoint &endpoint = all.emplace_back();

            memcpy(&endpoint.address, at->ai_addr, at->ai_addrlen);
            endpoint.size = at->ai_addrlen;
        }
    }
    if (all.empty()) {      /* connect() then reports the error. */
        memcpy(&all.emplace_back().address, found->ai_addr, found->ai_addrlen);
        all.front().size = found->ai_addrlen;
    }
    return all;
}

/* A socket without a name can connect as well: a failure does no harm. */
void bind_name(int fd, const std::string &name)
{
    sockaddr_un un = {};

    if (!name.empty() && name.size() <= sizeof(un.sun_path)) {
        un.sun_family = AF_UNIX;
        name.copy(un.sun_path, sizeof(un.sun_path));
        (void)bind(fd, reinterpret_cast<const sockaddr *>(&un),
                   offsetof(sockaddr_un, sun_path) + name.size());
    }
}

} // namespace

std::string Endpoint::path() const
{
    auto *un = reinterpret_cast<const sockaddr_un *>(&address);

    return family() == AF_UNIX ? un->sun_path : "";
}

std::optional<Endpoint> unix_endpoint(const std::string &path,
                                      std::string *error)
{
    Endpoint endpoint;
    sockaddr_un un = {};

    if (path.empty() || path.size() >= sizeof(un.sun_path) ||
        path.find('\0') != std::string::npos) {
        *error = path + ": a socket's path has 1 to "
            + std::to_string(sizeof(un.sun_path) - 1) + " bytes, not "
            + std::to_string(path.size());
        return {};
    }
    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, path.c_str(), path.size() + 1);
    memcpy(&endpoint.address, &un, sizeof(un));
    endpoint.size = offsetof(sockaddr_un, sun_path) + path.size() + 1;
    endpoint.text = "unix:" + path;
    return endpoint;
}

std::optional<Endpoint> tcp_endpoint(const std::string &host, uint16_t port,
                                     std::string *error)
{
    std::string name = host.empty() ? "127.0.0.1" : host;
    addrinfo hints = {}, *found = nullptr;
    Endpoint endpoint;

    if (name.size() > 2 && name.front() == '[' && name.back() == ']') {
        name = name.substr(1, name.size() - 2);
    }
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    if (int wrong = getaddrinfo(name.c_str(), std::to_string(port).c_str(),
                                &hints, &found)) {
        *error = host + ": " + gai_strerror(wrong);
        return {};
    }
    std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
    std::vector<Endpoint> all = addresses(found);
    endpoint = all.front();
    endpoint.others.assign(all.begin() + 1, all.end());
    endpoint.text = "tcp:" + (host.empty() ? name : host) + ":"
        + std::to_string(port);
    return endpoint;
}

Endpoint vsock_endpoint(uint32_t cid, uint32_t port)
{
    Endpoint endpoint;
    sockaddr_vm vm = {};

    vm.svm_family = AF_VSOCK;
    vm.svm_cid = cid;
    vm.svm_port = port;
    memcpy(&endpoint.address, &vm, sizeof(vm));
    endpoint.size = sizeof(vm);
    endpoint.text = "vsock:" + std::to_string(cid) + ":"
        + std::to_string(port);
    return endpoint;
}

SocketFile::SocketFile(std::string path) : path_(std::move(path))
{
    struct stat st;

    if (lstat(path_.c_str(), &st) == 0) {
        device_ = st.st_dev;
        inode_ = st.st_ino;
    }
}

SocketFile::~SocketFile()
{
    struct stat st;

    if (lstat(path_.c_str(), &st) == 0 && st.st_dev == device_ &&
        st.st_ino == inode_) {
        unlink(path_.c_str());
    }
}

Descriptor Sockets::connect(const Endpoint &to, int type, Attempt *attempt)
{
    int family = common_family(to), off = 0;
    Descriptor fd = new_socket(family, type);

    *attempt = Attempt::failed;
    if (!fd) {
        return fd;
    }
    if (family == AF_UNIX) {
        bind_name(fd.get(), to.own_name);
    }
    if (family != to.family()) {
        setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    *attempt = connect_socket(fd.get(), family, to);
    for (const Endpoint &other : to.others) {
        if (*attempt != Attempt::failed) {
            break;
        }
        *attempt = connect_again(fd.get(), other);
    }
    return *attempt == Attempt::failed ? Descriptor() : std::move(fd);
}

Attempt Sockets::connect_again(int fd, const Endpoint &to)
{
    sockaddr none = {};
    int family = 0;
    socklen_t size = sizeof(family);

    /* Connecting to AF_UNSPEC ends the failed attempt; a Unix socket does not
     * need it. */
    none.sa_family = AF_UNSPEC;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) ||
        (family != AF_UNIX && ::connect(fd, &none, sizeof(none)))) {
        return Attempt::failed;
    }
    return connect_socket(fd, family, to);
}

ListeningSocket Sockets::listen(const Endpoint &at, int type,
                                std::string *error)
{
    ListeningSocket s;
    bool is_unix = at.family() == AF_UNIX;
    int on = 1;

    if (is_unix && !remove_dead_socket(at, type, error)) {
        return s;
    }
    s.fd = new_socket(at.family(), type);
    if (s.fd && !is_unix) {
        setsockopt(s.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    bool bound = s.fd && (is_unix ? bind_private(s.fd.get(), at)
                          : bind(s.fd.get(), generic(at), at.size) == 0);
    if (bound && is_unix) {
        s.file = std::make_unique<SocketFile>(at.path());
    }
    if (!bound || ::listen(s.fd.get(), SOMAXCONN)) {
        *error = (is_unix ? at.path() : at.text) + ": " + text_of(errno);
        return ListeningSocket();
    }
    return s;
}

std::string Sockets::vsock_missing(uint32_t cid)
{
    Descriptor fd(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    Endpoint any = vsock_endpoint(cid, VMADDR_PORT_ANY);
    unsigned int local = VMADDR_CID_ANY;

    if (!fd) {
        return "this host's kernel has no AF_VSOCK; load the module vsock";
    }
    if (cid == VMADDR_CID_LOCAL) {
        return bind(fd.get(), generic(any), any.size) == 0 ? std::string()
            : "this host's kernel has no AF_VSOCK address 1; load the module"
              " vsock_loopback";
    }
    Descriptor device(open("/dev/vsock", O_RDONLY | O_CLOEXEC));
    if (!device ||
        ioctl(device.get(), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &local) ||
        local == VMADDR_CID_ANY) {
        return "this host's kernel has no AF_VSOCK address to connect from;"
            " load the module vhost_vsock, or use forward-cid=1";
    }
    return "";
}
