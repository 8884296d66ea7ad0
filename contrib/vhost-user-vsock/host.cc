/*
 * The host's side: Unix sockets, and the boot heartbeat
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "host.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

namespace {

bool unix_address(const std::string &path, sockaddr_un *address)
{
    *address = {};
    address->sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address->sun_path)) {
        return false;
    }
    memcpy(address->sun_path, path.c_str(), path.size() + 1);
    return true;
}

Fd unix_socket(int flags = 0)
{
    return Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

Fd connect_unix(const std::string &path)
{
    sockaddr_un address;
    Fd fd = unix_socket(SOCK_NONBLOCK);

    if (!fd || !unix_address(path, &address) ||
        ::connect(fd.get(), reinterpret_cast<sockaddr *>(&address),
                  sizeof(address))) {
        return Fd();
    }
    return fd;
}

std::string text_of(int error)
{
    return std::generic_category().message(error);
}

} // namespace

SocketStream::SocketStream(Fd fd, bool announce)
    : fd_(std::move(fd)), announce_(announce)
{
}

ssize_t SocketStream::readv(const iovec *iov, int count)
{
    return ::readv(fd_.get(), iov, count);
}

ssize_t SocketStream::writev(const iovec *iov, int count)
{
    msghdr message = {};

    message.msg_iov = const_cast<iovec *>(iov);
    message.msg_iovlen = count;
    return sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void SocketStream::shutdown_write()
{
    shutdown(fd_.get(), SHUT_WR);
}

void SocketStream::accepted(uint32_t port)
{
    if (announce_) {
        std::string line = "OK " + std::to_string(port) + "\n";

        send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

HeartbeatStream::HeartbeatStream(std::function<void()> booted)
    : booted_(std::move(booted))
{
}

ssize_t HeartbeatStream::writev(const iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++) {
        auto *p = static_cast<const uint8_t *>(iov[i].iov_base);

        if (std::any_of(p, p + iov[i].iov_len,
                        [](uint8_t b) { return b != heartbeat_byte; })) {
            errno = EPROTO;
            return -1;
        }
        size += iov[i].iov_len;
    }
    owed_ += size;
    if (size) {
        booted_();
    }
    return size;
}

ssize_t HeartbeatStream::readv(const iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count && owed_; i++) {
        size_t n = std::min(owed_, iov[i].iov_len);

        memset(iov[i].iov_base, heartbeat_byte, n);
        owed_ -= n;
        size += n;
    }
    if (size || ended_) {
        return size;
    }
    errno = EAGAIN;
    return -1;
}

Fd listen_unix(const std::string &path, std::string *error)
{
    sockaddr_un address;
    struct stat st;

    if (!unix_address(path, &address)) {
        *error = path + ": a socket's path has 1 to "
            + std::to_string(sizeof(address.sun_path) - 1) + " bytes, not "
            + std::to_string(path.size());
        return Fd();
    }
    if (lstat(path.c_str(), &st) == 0) {
        if (!S_ISSOCK(st.st_mode)) {
            *error = path + ": exists, and is no socket";
            return Fd();
        }
        if (connect_unix(path) || errno != ECONNREFUSED) {
            *error = path + ": another program listens here";
            return Fd();
        }
        unlink(path.c_str());
    }

    Fd fd = unix_socket(SOCK_NONBLOCK);
    mode_t mask = umask(0177);
    bool bound = fd && bind(fd.get(), reinterpret_cast<sockaddr *>(&address),
                            sizeof(address)) == 0;
    int why = errno;
    umask(mask);
    if (!bound || listen(fd.get(), SOMAXCONN)) {
        *error = path + ": " + text_of(bound ? errno : why);
        return Fd();
    }
    return fd;
}

std::optional<uint32_t> parse_connect(const std::string &line)
{
    constexpr size_t word = 8;
    uint64_t port = 0;

    if (strncasecmp(line.c_str(), "CONNECT ", word) != 0 ||
        line.size() == word || line.size() > word + 10) {
        return {};
    }
    for (char c : line.substr(word)) {
        if (c < '0' || c > '9') {
            return {};
        }
        port = 10 * port + (c - '0');
    }
    if (port >= UINT32_MAX) {   /* that one means any */
        return {};
    }
    return port;
}

Host::Host(Loop &loop, const Options &options, Fd listener,
           std::function<void()> booted)
    : loop_(loop), options_(options), listener_(std::move(listener)),
      booted_(std::move(booted))
{
    if (listener_) {
        loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept(); });
    }
}

Host::~Host()
{
    for (auto &[fd, owner] : unasked_) {
        loop_.forget(fd);
    }
    if (listener_) {
        loop_.forget(listener_.get());
    }
}

void Host::on_activity(std::function<void()> callback)
{
    activity_ = std::move(callback);
}

std::unique_ptr<Stream> Host::connect(uint32_t port)
{
    if (!options_.uds_path.empty()) {
        Fd fd = connect_unix(options_.uds_path + "_" + std::to_string(port));

        if (fd) {
            return std::make_unique<SocketStream>(std::move(fd));
        }
    }
    if (port == heartbeat_port && options_.heartbeat) {
        return std::make_unique<HeartbeatStream>(booted_);
    }
    return nullptr;
}

void Host::accept()
{
    Fd fd(accept4(listener_.get(), nullptr, nullptr,
                  SOCK_CLOEXEC | SOCK_NONBLOCK));
    int n = fd.get();

    if (!fd || !multiplexer_ || unasked_.size() >= max_unasked) {
        return;
    }
    unasked_.emplace(n, std::move(fd));
    loop_.watch(n, EPOLLIN | EPOLLET, [this, n](uint32_t) { command(n); });
}

/* What follows the line is for the guest: look first, then take the line. */
void Host::command(int fd)
{
    char text[max_command];
    ssize_t size = recv(fd, text, sizeof(text), MSG_PEEK);
    const char *end = size > 0
        ? static_cast<const char *>(memchr(text, '\n', size)) : nullptr;
    std::optional<uint32_t> port;

    if (!end && size > 0 && static_cast<size_t>(size) < sizeof(text)) {
        return;     /* more is to come */
    }
    loop_.forget(fd);
    Fd owner = std::move(unasked_.at(fd));
    unasked_.erase(fd);
    if (!end || !multiplexer_) {
        return;
    }
    port = parse_connect(std::string(static_cast<const char *>(text), end));
    if (!port || recv(fd, text, end - text + 1, 0) != end - text + 1) {
        return;
    }
    multiplexer_->open(*port, std::make_unique<SocketStream>(std::move(owner),
                                                             true));
    if (activity_) {
        activity_();
    }
}
