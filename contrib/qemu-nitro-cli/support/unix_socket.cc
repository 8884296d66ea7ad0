/*
 * Unix stream sockets, which do not block
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/unix_socket.hh"

#include <cerrno>
#include <sys/socket.h>
#include <sys/un.h>

namespace {

/* Call bind() or connect() with a new socket and the address of `path`. */
template <typename Call> Descriptor socket_at(const std::string &path,
                                              Call call)
{
    sockaddr_un address = {};
    Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                         0));

    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return Descriptor();
    }
    path.copy(address.sun_path, path.size());
    if (!fd || call(fd.get(), reinterpret_cast<sockaddr *>(&address),
                    sizeof(address))) {
        return Descriptor();
    }
    return fd;
}

} // namespace

Descriptor listen_unix(const std::string &path)
{
    Descriptor fd = socket_at(path, bind);

    if (fd && listen(fd.get(), SOMAXCONN)) {
        return Descriptor();
    }
    return fd;
}

Descriptor connect_unix(const std::string &path)
{
    return socket_at(path, connect);
}
