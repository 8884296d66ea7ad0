/*
 * The host's sockets: Unix, TCP and AF_VSOCK, with one address type
 *
 * The functions are virtual, so that tests can replace AF_VSOCK, which few
 * hosts have.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_SOCKETS_HH
#define VHOST_USER_VSOCK_SOCKETS_HH

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <vector>

#include "descriptor.hh"

struct Endpoint {
    sockaddr_storage address = {};
    socklen_t size = 0;
    std::string text;           /* for messages: unix:PATH, tcp:HOST:PORT */
    std::vector<Endpoint> others;   /* the next addresses of the same name */
    std::string own_name;       /* for a Unix socket that connects here */

    int family() const { return address.ss_family; }
    std::string path() const;   /* of a Unix socket */
};

/* Empty, with `error` set, for a path that is too long or empty */
std::optional<Endpoint> unix_endpoint(const std::string &path,
                                      std::string *error);

/*
 * `host` is a name or an address; an empty string is loopback.  It is looked
 * up now.  Empty, with `error` set, if it is not found.
 */
std::optional<Endpoint> tcp_endpoint(const std::string &host, uint16_t port,
                                     std::string *error);

Endpoint vsock_endpoint(uint32_t cid, uint32_t port);

/* The file of a listening Unix socket.  The destructor removes it, unless
 * another file has replaced it. */
class SocketFile {
public:
    explicit SocketFile(std::string path);
    SocketFile(const SocketFile &) = delete;
    SocketFile &operator=(const SocketFile &) = delete;
    ~SocketFile();

private:
    std::string path_;
    uint64_t device_ = 0, inode_ = 0;
};

struct ListeningSocket {
    Descriptor fd;
    std::unique_ptr<SocketFile> file;   /* of a Unix socket */
};

/* The result of connect() */
enum class Attempt {
    connected,
    connecting,         /* POLLOUT comes when it has ended. */
    backlog_full,       /* Only Unix sockets; no event tells when to retry. */
    failed,             /* errno says why. */
};

class Sockets {
public:
    virtual ~Sockets() = default;

    /*
     * Connect a new non-blocking socket of `type`, SOCK_STREAM or
     * SOCK_SEQPACKET.  Empty if the attempt has failed.
     */
    virtual Descriptor connect(const Endpoint &to, int type, Attempt *attempt);

    /*
     * Connect again a socket of connect() that is not connected: to the same
     * endpoint if its backlog was full, or to one of the endpoint's others.
     */
    virtual Attempt connect_again(int fd, const Endpoint &to);

    /*
     * Listen on a non-blocking socket.  A Unix socket has mode 0600, and
     * replaces one that no program listens on.  On failure, no descriptor, and
     * `error` set.
     */
    virtual ListeningSocket listen(const Endpoint &at, int type,
                                   std::string *error);

    /* Why this host cannot connect to AF_VSOCK ports of `cid`; empty if it
     * can */
    virtual std::string vsock_missing(uint32_t cid);
};

#endif
