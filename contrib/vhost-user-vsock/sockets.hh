/*
 * The host's sockets: Unix, TCP and AF_VSOCK, by one address type
 *
 * Those who use it see an interface, so that tests can put something else
 * behind an AF_VSOCK address, which few hosts have.
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
    std::string text;           /* for people: unix:PATH, tcp:HOST:PORT, ... */
    std::vector<Endpoint> others;   /* of the same name, to be tried after it */

    int family() const { return address.ss_family; }
    std::string path() const;   /* of a Unix socket */
};

/* Nothing, and `error` set, for a path that is too long or empty */
std::optional<Endpoint> unix_endpoint(const std::string &path,
                                      std::string *error);

/*
 * `host` is a name or an address; empty: loopback.  It is looked up now.
 * Nothing, and `error` set, if it cannot be found.
 */
std::optional<Endpoint> tcp_endpoint(const std::string &host, uint16_t port,
                                     std::string *error);

Endpoint vsock_endpoint(uint32_t cid, uint32_t port);

/* The file of a listening Unix socket, removed at the end if still ours */
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

/* What has become of connect() */
enum class Attempt {
    connected,
    connecting,         /* POLLOUT tells when it is done. */
    backlog_full,       /* of a Unix socket: no event tells when to retry. */
    failed,             /* errno says why. */
};

class Sockets {
public:
    virtual ~Sockets() = default;

    /*
     * A socket of SOCK_STREAM or SOCK_SEQPACKET that does not block; empty if
     * the attempt has failed.
     */
    virtual Descriptor connect(const Endpoint &to, int type, Attempt *attempt);

    /*
     * Connect a socket that connect() made, and that is not connected, to the
     * same endpoint if its backlog was full, or to one of its others.
     */
    virtual Attempt connect_again(int fd, const Endpoint &to);

    /*
     * Listen, without blocking.  A Unix socket has mode 0600; one that nobody
     * listens on any more is replaced.  On failure, no descriptor, and
     * `error` set.
     */
    virtual ListeningSocket listen(const Endpoint &at, int type,
                                   std::string *error);

    /* Why this host can connect to no AF_VSOCK port of `cid`; empty: it can */
    virtual std::string vsock_missing(uint32_t cid);
};

#endif
