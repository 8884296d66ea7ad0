/*
 * The host's end of connections: sockets to connect to, and listeners
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "host.hh"

#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>

#include "decimal.hh"
#include "passing.hh"

namespace {

constexpr auto accept_pause = std::chrono::milliseconds(100);
constexpr int max_accepts = 64;         /* of one listener, in one round */

int socket_type(uint16_t type)
{
    return type == type_seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;
}

Stream::Status status_of(Attempt attempt)
{
    switch (attempt) {
    case Attempt::connected:
        return Stream::Status::connected;
    case Attempt::connecting:
        return Stream::Status::connecting;
    case Attempt::backlog_full:
        return Stream::Status::backlog_full;
    case Attempt::failed:
        break;
    }
    return Stream::Status::failed;
}

/* Left unread, it would cause a reset: the program would not read the end. */
void discard_command(const Descriptor &fd)
{
    std::array<char, max_command> text;

    (void)!recv(fd.get(), text.data(), text.size(), MSG_DONTWAIT);
}

/* The type of a connection over a program's socket, if it can be one */
std::optional<uint16_t> type_of_passed(const Descriptor &fd)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof(int);

    if (getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) ||
        getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) ||
        domain != AF_UNIX) {
        return {};
    }
    switch (type) {
    case SOCK_STREAM:
        return type_stream;
    case SOCK_SEQPACKET:
        return type_seqpacket;
    default:
        return {};
    }
}

} // namespace

std::optional<uint32_t> parse_connect(const std::string &line)
{
    constexpr size_t word = 8;

    if (strncasecmp(line.c_str(), "CONNECT ", word) != 0 ||
        line.size() > word + 10) {
        return {};
    }
    /* The largest number means any port. */
    return parse_decimal(line.substr(word), 0, UINT32_MAX - 1);
}

void accept_all(Loop &loop, int listener,
                const std::function<void(Descriptor)> &handler)
{
    for (int i = 0; i < max_accepts; i++) {
        Descriptor fd(accept4(listener, nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));

        if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                    errno == ENOMEM)) {
            loop.change(listener, 0);
            loop.after(accept_pause, [&loop, listener] {
                loop.change(listener, EPOLLIN);
            });
        }
        if (!fd) {
            return;
        }
        handler(std::move(fd));
    }
}

Host::Host(Loop &loop, Sockets &sockets, DescriptorShare &share,
           HostOptions options, std::function<void()> booted)
    : loop_(loop), sockets_(sockets), share_(share),
      options_(std::move(options)), booted_(std::move(booted))
{
}

Host::~Host()
{
    for (auto &[id, program] : pending_commands_) {
        loop_.forget(program.fd.get());
    }
    for (auto &listener : listeners_) {
        loop_.forget(listener->socket.fd.get());
    }
}

bool Host::open_listener(const Endpoint &at, int type,
                         std::optional<uint32_t> guest_port,
                         std::string *error)
{
    auto listener = std::make_unique<Listener>();
    Listener &l = *listener;

    l.socket = sockets_.listen(at, type, error);
    if (!l.socket.fd) {
        return false;
    }
    l.type = type == SOCK_SEQPACKET ? type_seqpacket : type_stream;
    l.guest_port = guest_port;
    listeners_.push_back(std::move(listener));
    return loop_.watch(l.socket.fd.get(), EPOLLIN,
                       [this, &l](uint32_t) { accept(l); });
}

bool Host::listen(std::string *error)
{
    if (!options_.uds_path.empty()) {
        auto at = unix_endpoint(options_.uds_path, error);

        if (!at || !open_listener(*at, SOCK_STREAM, {}, error)) {
            return false;
        }
    }
    if (options_.forward_cid) {
        std::string missing = sockets_.vsock_missing(*options_.forward_cid);

        if (!missing.empty()) {
            *error = "forward-cid=" + std::to_string(*options_.forward_cid)
                + ": " + missing;
            return false;
        }
    }
    for (uint32_t port : options_.forward_listen) {
        if (!open_listener(vsock_endpoint(*options_.forward_cid, port),
                           SOCK_STREAM, port, error)) {
            return false;
        }
    }
    for (const HostOptions::Listen &l : options_.listens) {
        if (!open_listener(l.at, l.type, l.guest_port, error)) {
            return false;
        }
    }
    return true;
}

std::unique_ptr<Stream> Host::connect_to(const Endpoint &to, uint16_t type)
{
    Attempt attempt;
    DescriptorClaim claim = share_.claim();
    if (!claim) {
        return nullptr;
    }
    Descriptor fd = sockets_.connect(to, socket_type(type), &attempt);
    auto again = [this, at = to](int socket) mutable {
        Attempt next = Attempt::failed;

        if (at.family() == AF_UNIX) {
            return status_of(sockets_.connect_again(socket, at));
        }
        while (next == Attempt::failed && !at.others.empty()) {
            Endpoint other = at.others.front();

            at.others.erase(at.others.begin());
            next = sockets_.connect_again(socket, other);
        }
        return status_of(next);
    };

    if (!fd) {
        return nullptr;
    }
    auto stream = std::make_unique<SocketStream>(
        std::move(fd), status_of(attempt), SocketStream::Greeting::none,
        std::move(again));
    stream->set_claim(std::move(claim));
    return stream;
}

std::unique_ptr<Stream> Host::connect_unix(const std::string &path,
                                           uint32_t port, uint16_t type,
                                           const VsockName &guest)
{
    std::string error;
    auto to = unix_endpoint(path + "_" + std::to_string(port), &error);

    if (path.empty() || !to) {
        return nullptr;
    }
    to->own_name = vsock_name(guest);
    return connect_to(*to, type);
}

std::unique_ptr<Stream> Host::connect(uint32_t port, uint16_t type,
                                      const VsockName &guest)
{
    std::unique_ptr<Stream> stream, heartbeat;
    auto found = options_.connects.find(port);

    if (found != options_.connects.end()) {
        stream = connect_to(found->second, type);
    } else if (!options_.uds_path.empty() || !options_.uds_fallback.empty()) {
        stream = connect_unix(options_.uds_path, port, type, guest);
        if (!stream) {
            stream = connect_unix(options_.uds_fallback, port, type, guest);
        }
    } else if (options_.forward_cid) {
        stream = connect_to(vsock_endpoint(*options_.forward_cid, port), type);
    }
    if (port == heartbeat_port && options_.heartbeat && type == type_stream) {
        heartbeat = std::make_unique<HeartbeatStream>(booted_);
    }
    if (!stream) {
        return heartbeat;
    }
    stream->set_fallback(std::move(heartbeat));
    return stream;
}

void Host::accept(const Listener &listener)
{
    accept_all(loop_, listener.socket.fd.get(), [&](Descriptor fd) {
        add_connection(listener, std::move(fd));
    });
}

void Host::add_connection(const Listener &listener, Descriptor fd)
{
    DescriptorClaim claim = share_.claim();
    int on = 1;

    if (!claim) {
        return;
    }
    if (!listener.guest_port) {
        return await_command(std::move(claim), std::move(fd));
    }
    if (multiplexer_) {
        /* It fails if this is not a TCP socket, which does no harm. */
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        auto stream = std::make_unique<SocketStream>(std::move(fd));
        stream->set_claim(std::move(claim));
        multiplexer_->open(*listener.guest_port, listener.type,
                           std::move(stream));
    }
}

void Host::await_command(DescriptorClaim claim, Descriptor fd)
{
    uint64_t id = next_command_id_++;

    if (pending_commands_.size() < max_pending_commands &&
        loop_.watch(fd.get(), EPOLLIN | EPOLLRDHUP | EPOLLET,
                    [this, id](uint32_t events) {
                        read_command(id, events & (EPOLLRDHUP | EPOLLHUP
                                                   | EPOLLERR));
                    })) {
        pending_commands_.emplace(
            id, PendingCommand{std::move(claim), std::move(fd),
                               Clock::now() + connect_timeout});
        if (!timer_set_) {
            expire_commands();
        }
    }
}

/* Close those that are too late with their command: the first in the map. */
void Host::expire_commands()
{
    auto now = Clock::now();

    while (!pending_commands_.empty() &&
           pending_commands_.begin()->second.deadline <= now) {
        auto first = pending_commands_.begin();

        loop_.forget(first->second.fd.get());
        discard_command(first->second.fd);
        pending_commands_.erase(first);
    }
    timer_set_ = !pending_commands_.empty();
    if (timer_set_) {
        auto left = pending_commands_.begin()->second.deadline - now;

        loop_.after(std::chrono::ceil<std::chrono::milliseconds>(left),
                    [this] { expire_commands(); });
    }
}

/* Bytes after the line are for the guest: peek first, then read the line. */
void Host::read_command(uint64_t id, bool at_end)
{
    std::array<char, max_command> text;
    int fd = pending_commands_.at(id).fd.get();
    ssize_t size = recv(fd, text.data(), text.size(), MSG_PEEK);
    const char *end = size > 0
        ? static_cast<const char *>(memchr(text.data(), '\n', size)) : nullptr;
    std::optional<uint32_t> port;

    if (!end && !at_end &&
        ((size > 0 && static_cast<size_t>(size) < text.size()) ||
         (size < 0 && errno == EAGAIN))) {
        return;     /* The rest of the line has not arrived yet. */
    }
    loop_.forget(fd);
    PendingCommand program = std::move(pending_commands_.at(id));
    pending_commands_.erase(id);
    ssize_t length = end ? end + 1 - text.data() : 0;
    if (end && multiplexer_) {
        port = parse_connect(std::string(text.data(), length - 1));
    }
    if (!port) {
        return discard_command(program.fd);
    }
    Descriptor passed;
    if (receive_with_descriptor(fd, text.data(), length, MSG_DONTWAIT, &passed)
        == static_cast<ssize_t>(length)) {
        open(*port, std::move(program), std::move(passed));
    }
}

/* What the program wants to be connected: this socket, or one that it sent */
void Host::open(uint32_t port, PendingCommand program, Descriptor passed)
{
    if (!passed) {
        auto stream = std::make_unique<SocketStream>(
            std::move(program.fd), Stream::Status::connected,
            SocketStream::Greeting::line);

        stream->set_claim(std::move(program.claim));
        multiplexer_->open(port, type_stream, std::move(stream));
        return;
    }
    std::optional<uint16_t> type = type_of_passed(passed);
    DescriptorClaim claim = share_.claim();
    if (type && claim) {
        auto stream = std::make_unique<PassedStream>(
            std::move(passed), std::move(program.fd),
            std::move(program.claim));

        stream->set_claim(std::move(claim));
        multiplexer_->open(port, *type, std::move(stream));
    }
}
