/*
 * The system calls of AF_VSOCK sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/calls.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "decimal.hh"
#include "passing.hh"
#include "support/alarm.hh"
#include "vsock_name.hh"

namespace {

using SocketState = VsockSocket::State;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/* The back end gives up after 2 s: a failure after this time is a time-out. */
constexpr milliseconds backend_timeout{1900};
/* How long the back end may take between two of its own steps */
constexpr int step_ms = 1000;
constexpr int misc_major = 10;              /* of /dev/vsock */
constexpr uint32_t first_local_port = 1024;

int argument(const Call &call, int i)
{
    return static_cast<int>(call.arguments[i]);
}

template <class T>
T option_of(const Descriptor &socket, int name)
{
    T value = {};
    socklen_t size = sizeof(value);

    getsockopt(socket.get(), SOL_SOCKET, name, &value, &size);
    return value;
}

bool is_blocking(const Descriptor &socket)
{
    return !(fcntl(socket.get(), F_GETFL) & O_NONBLOCK);
}

bool is_ready(const Descriptor &fd, short events, int milliseconds = 0)
{
    pollfd p = {fd.get(), events, 0};

    return poll(&p, 1, milliseconds) == 1;
}

/* Fill the buffer of a connected socket, so that it is not writable. */
void fill(const Descriptor &socket)
{
    static const std::array<char, 32768> filler = {};
    constexpr int most = 1024;              /* writes */

    for (int i = 0; i < most && is_ready(socket, POLLOUT); i++) {
        if (send(socket.get(), filler.data(), filler.size(),
                 MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            return;
        }
    }
}

/* Ask a back end to connect a socket to a port of its guest. */
bool send_request(const Descriptor &control, uint32_t port,
                  const Descriptor &passed)
{
    std::string line = "CONNECT " + std::to_string(port) + "\n";

    return send_with_descriptors(control.get(), line.data(), line.size(),
                                 {{passed.get()}})
        == static_cast<ssize_t>(line.size());
}

void bind_name(const Descriptor &socket, const std::string &name)
{
    sockaddr_un un = {};

    un.sun_family = AF_UNIX;
    name.copy(un.sun_path, sizeof(un.sun_path));
    (void)::bind(socket.get(), reinterpret_cast<const sockaddr *>(&un),
                 offsetof(sockaddr_un, sun_path) + name.size());
}

/* Does a descriptor of the thread have FD_CLOEXEC? */
bool closes_on_exec(pid_t thread, int fd)
{
    std::ifstream info("/proc/" + std::to_string(thread) + "/fdinfo/"
                       + std::to_string(fd));

    for (std::string word; info >> word;) {
        if (word == "flags:" && info >> word) {
            return strtoul(word.c_str(), nullptr, 8) & O_CLOEXEC;
        }
    }
    return false;
}

/* Copy the options that the program may have set before connect(). */
void copy_settings(const Descriptor &from, const Descriptor &to)
{
    for (int name : {SO_SNDTIMEO, SO_RCVTIMEO}) {
        auto time = option_of<timeval>(from, name);

        setsockopt(to.get(), SOL_SOCKET, name, &time, sizeof(time));
    }
    for (int name : {SO_SNDBUF, SO_RCVBUF}) {
        int size = option_of<int>(from, name) / 2;      /* socket(7) */

        setsockopt(to.get(), SOL_SOCKET, name, &size, sizeof(size));
    }
    fcntl(to.get(), F_SETFL, fcntl(from.get(), F_GETFL));
}

/* Write an option's value to getsockopt()'s buffer, truncated to its size. */
int write_option(const Target &target, const Call &call, const void *value,
                 size_t size, bool whole)
{
    uint64_t address = call.arguments[3], length = call.arguments[4];
    int buffer_size;

    if (!target.get(length, &buffer_size)) {
        return EFAULT;
    }
    if (buffer_size < 0 || (whole && static_cast<size_t>(buffer_size) < size)) {
        return EINVAL;
    }
    size_t part = std::min<size_t>(buffer_size, size);
    if (!target.write(address, value, part) ||
        !target.put(length, static_cast<int>(part))) {
        return EFAULT;
    }
    return 0;
}

} // namespace

Calls::Calls(Notifications &notifications, Registry &registry)
    : notifications_(notifications), registry_(registry)
{
    uint32_t random = 0;

    (void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
    next_local_port_ = first_local_port + random % (UINT32_MAX / 2);
}

void Calls::handle(const Call &call)
{
    /* A thread has one call at a time, so its earlier call has ended. */
    std::erase_if(accepting_, [&call](const Accepting &a) {
        return a.call.thread == call.thread;
    });
    switch (call.number) {
    case SYS_socket:
        return socket(call);
    case SYS_bind:
        return bind(call);
    case SYS_connect:
        return connect(call);
    case SYS_accept:
    case SYS_accept4:
        return accept(call);
    case SYS_getsockname:
        return name(call, false);
    case SYS_getpeername:
        return name(call, true);
    case SYS_getsockopt:
        return get_option(call);
    case SYS_setsockopt:
        return set_option(call);
    case SYS_ioctl:
        return control(call);
    default:
        notifications_.go_on(call);
    }
}

/* The socket in the call's first argument, if it is in the table */
Calls::Subject Calls::subject(const Call &call)
{
    Subject s;

    s.socket = Target(call.thread).file(argument(call, 0));
    s.cookie = s.socket ? SocketTable::cookie(s.socket) : 0;
    if (!s.cookie || !notifications_.is_waiting(call)) {
        return s;
    }
    s.entry = table_.find(s.cookie);
    if (!s.entry) {
        s.entry = adopt(s.socket);
    } else if (s.entry->state == SocketState::connecting) {
        settle(s.cookie);
    }
    return s;
}

/* accept() can return a socket without a notification: the names show it. */
VsockSocket *Calls::adopt(const Descriptor &socket)
{
    std::optional<std::string> own = own_name(socket);
    auto port = own ? registry_.port_of(*own) : std::nullopt;
    auto peer = port ? peer_name(socket) : std::nullopt;

    if (!peer) {
        return nullptr;
    }
    VsockAddress remote = {VMADDR_CID_LOCAL, VMADDR_PORT_ANY};
    if (auto end = parse_vsock_name(*peer)) {
        remote = {end->cid, end->port};
    } else if (auto bound = registry_.port_of(*peer)) {
        remote.port = *bound;
    }
    VsockSocket &entry = table_.add(socket, option_of<int>(socket, SO_TYPE));
    entry.state = SocketState::connected;
    entry.remote = remote;
    entry.local = {is_parent(remote.cid) ? VMADDR_CID_LOCAL : parent_cid,
                   *port};
    return &entry;
}

void Calls::socket(const Call &call)
{
    constexpr int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    int type = argument(call, 1) & ~flags, protocol = argument(call, 2);

    if (type == SOCK_DGRAM || (protocol && protocol != AF_VSOCK)) {
        notifications_.answer(call, EPROTONOSUPPORT);
        return;
    }
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
        notifications_.answer(call, ESOCKTNOSUPPORT);
        return;
    }
    Descriptor made(::socket(AF_UNIX, argument(call, 1) | SOCK_CLOEXEC, 0));
    if (!made) {
        notifications_.answer(call, errno);
        return;
    }
    table_.add(made, type);
    int error = notifications_.install(call, made,
                                       argument(call, 1) & SOCK_CLOEXEC);
    if (error) {
        table_.remove(SocketTable::cookie(made));
        notifications_.answer(call, error);
    }
}

void Calls::bind(const Call &call)
{
    VsockAddress address;
    int error = read_address(Target(call.thread), call.arguments[1],
                             call.arguments[2], &address);
    Subject s = error ? Subject() : subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
        return;
    }
    if (s.entry->local.port != VMADDR_PORT_ANY ||
        s.entry->state != SocketState::unconnected) {
        bool again = s.entry->answer_lost &&
            (s.entry->local == address || address.port == VMADDR_PORT_ANY);

        s.entry->answer_lost =
            !notifications_.answer(call, again ? 0 : EINVAL) && again;
        return;
    }
    forget_gone();          /* Ended calls may have this port's listener. */
    error = registry_.bind(s.socket, &address);
    if (!error) {
        s.entry->local = address;
    }
    s.entry->answer_lost = !notifications_.answer(call, error) && !error;
}

/*
 * If an attempt failed, its socket cannot be connected again: the program gets
 * another socket in its place.
 */
std::optional<Calls::Subject> Calls::fresh_socket(const Call &call,
                                                  const Subject &old)
{
    Subject s;
    VsockSocket was = std::move(*old.entry);

    s.socket.reset(::socket(AF_UNIX, was.type | SOCK_CLOEXEC, 0));
    if (!s.socket) {
        return {};
    }
    copy_settings(old.socket, s.socket);
    int number = argument(call, 0);
    if (notifications_.replace(call, s.socket, number,
                               closes_on_exec(call.thread, number))) {
        *old.entry = std::move(was);
        return {};
    }
    table_.remove(old.cookie);
    s.entry = &table_.add(s.socket, was.type);
    s.cookie = SocketTable::cookie(s.socket);
    s.entry->buffer_size = was.buffer_size;
    s.entry->min_buffer = was.min_buffer;
    s.entry->max_buffer = was.max_buffer;
    s.entry->connect_timeout = was.connect_timeout;
    return s;
}

void Calls::connect(const Call &call)
{
    VsockAddress to;
    int error = read_address(Target(call.thread), call.arguments[1],
                             call.arguments[2], &to);
    Subject s = error ? Subject() : subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
        return;
    }
    bool same = s.entry->remote == to;
    if (s.entry->state == SocketState::connecting) {
        if (same && is_blocking(s.socket)) {
            attempt_of(s.cookie)->call = call;
            return;
        }
        error = s.entry->answer_lost && same ? EINPROGRESS : EALREADY;
        s.entry->answer_lost = false;
    } else if (s.entry->state == SocketState::connected) {
        error = s.entry->answer_lost && same ? 0 : EISCONN;
        s.entry->answer_lost = false;
    } else if (option_of<int>(s.socket, SO_ACCEPTCONN)) {
        error = EINVAL;
    } else if (to.cid == VMADDR_CID_ANY || to.port == VMADDR_PORT_ANY) {
        error = ENETUNREACH;
    } else if (is_parent(to.cid)) {
        error = connect_to_parent(s, to);
    } else {
        error = start_connecting(call, &s, to);
        if (!error) {
            return;
        }
    }
    if (!notifications_.answer(call, error) &&
        (!error || error == EINPROGRESS)) {
        s.entry->answer_lost = true;
    }
}

int Calls::connect_to_parent(const Subject &s, const VsockAddress &to)
{
    VsockAddress local = {VMADDR_CID_LOCAL, s.entry->local.port};

    if (local.port == VMADDR_PORT_ANY) {
        local.port = next_local_port_++;
        if (next_local_port_ == VMADDR_PORT_ANY) {
            next_local_port_ = first_local_port;
        }
        bind_name(s.socket, vsock_name({local.cid, local.port}));
    }
    int error = s.entry->state == SocketState::failed
        ? ECONNRESET : registry_.connect_to_parent(s.socket, to.port);
    if (!error) {
        s.entry->state = SocketState::connected;
        s.entry->local = local;
        s.entry->remote = to;
    }
    return error;
}

/* 0 if the call is kept, or the error that it returns */
int Calls::start_connecting(const Call &call, Subject *s,
                            const VsockAddress &to)
{
    Descriptor control = registry_.connect_to_enclave(to.cid);
    bool blocking = is_blocking(s->socket);

    if (!control) {
        return ENODEV;
    }
    if (s->entry->state == SocketState::failed) {
        std::optional<Subject> fresh = fresh_socket(call, *s);

        if (!fresh) {
            return ECONNRESET;
        }
        *s = *std::move(fresh);
    }
    Descriptor other = registry_.connect_to_self(s->socket, s->entry->type);
    if (!other) {
        return errno;
    }
    if (!blocking) {
        fill(s->socket);
    }
    s->entry->error = 0;
    s->entry->remote = to;
    if (!send_request(control, to.port, other)) {
        s->entry->state = SocketState::failed;
        return ECONNRESET;
    }
    s->entry->state = SocketState::connecting;
    Clock::time_point now = Clock::now();
    connecting_.push_back({s->cookie, std::move(s->socket),
                           std::move(control), !blocking,
                           blocking ? std::optional(call) : std::nullopt, now,
                           now + s->entry->connect_timeout});
    return blocking ? 0 : EINPROGRESS;
}

Calls::Attempt Calls::attempt_of(uint64_t cookie)
{
    return std::ranges::find(connecting_, cookie, &Connecting::cookie);
}

/*
 * At its socket, the program may see the result of connect() before this
 * process has received it from the back end.
 */
void Calls::settle(uint64_t cookie)
{
    auto attempt = attempt_of(cookie);

    if (attempt == connecting_.end()) {
        return;
    }
    if (attempt->filled && is_ready(attempt->socket, POLLOUT)) {
        is_ready(attempt->control, POLLIN, step_ms);
    }
    advance(attempt);
}

/* Has the back end answered?  Then the attempt is over. */
bool Calls::advance(Attempt attempt)
{
    char text[32];
    ssize_t n = recv(attempt->control.get(), text, sizeof(text),
                     MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    /* It is short, and is written at once. */
    std::string_view line(text, std::max<ssize_t>(n, 0));
    std::optional<uint64_t> port;
    if (line.starts_with("OK ") && line.ends_with('\n')) {
        port = parse_decimal(line.substr(3, line.size() - 4), 0, UINT32_MAX);
    }
    if (port) {
        finish(attempt, 0, static_cast<uint32_t>(*port));
    } else {
        finish(attempt, Clock::now() - attempt->start >= backend_timeout
               ? ETIMEDOUT : ECONNRESET, 0);
    }
    return true;
}

void Calls::finish(Attempt attempt, int error, uint32_t port)
{
    VsockSocket *entry = table_.find(attempt->cookie);
    std::optional<Call> call = attempt->call;

    if (error == ETIMEDOUT) {
        /* The back end may still have the other end. */
        shutdown(attempt->socket.get(), SHUT_RDWR);
    }
    connecting_.erase(attempt);
    if (entry) {
        entry->state = error ? SocketState::failed : SocketState::connected;
        entry->error = call ? 0 : error;
        if (!error) {
            entry->local = {parent_cid, port};
        }
    }
    if (call && !notifications_.answer(*call, error) && !error && entry) {
        entry->answer_lost = true;
    }
}

void Calls::accept(const Call &call)
{
    constexpr int known = SOCK_CLOEXEC | SOCK_NONBLOCK;
    int flags = call.number == SYS_accept4 ? argument(call, 3) : 0;
    Subject s = subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
    } else if ((flags & ~known) || !option_of<int>(s.socket, SO_ACCEPTCONN)) {
        notifications_.answer(call, EINVAL);
    } else if (try_accept(call, s.socket, flags)) {
        return;
    } else if (!is_blocking(s.socket)) {
        notifications_.answer(call, EAGAIN);
    } else {
        auto time = option_of<timeval>(s.socket, SO_RCVTIMEO);
        microseconds wait(time.tv_sec * int64_t{1000000} + time.tv_usec);

        accepting_.push_back({call, std::move(s.socket),
                              Target(call.thread).end(), {}});
        if (wait.count()) {
            accepting_.back().deadline = Clock::now() + wait;
        }
    }
}

/* Has the call been answered? */
bool Calls::try_accept(const Call &call, const Descriptor &listener, int flags)
{
    VsockSocket *entry = table_.find(SocketTable::cookie(listener));
    Target target(call.thread);
    Descriptor made;

    if (entry && !entry->accepted.empty()) {
        made = std::move(entry->accepted.front());
        entry->accepted.pop_front();
    } else if (is_ready(listener, POLLIN)) {
        Alarm alarm(max_wait_ms);

        made.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    if (!made) {
        return false;
    }
    fcntl(made.get(), F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);
    VsockSocket *accepted = adopt(made);
    VsockAddress remote = accepted ? accepted->remote : VsockAddress();
    int error = write_address(target, call.arguments[1], call.arguments[2],
                              remote);
    if (!error) {
        error = notifications_.install(call, made, flags & SOCK_CLOEXEC);
    }
    if (error) {
        table_.remove(SocketTable::cookie(made));
        entry = table_.find(SocketTable::cookie(listener));
        if (entry && error != EFAULT) {
            entry->accepted.push_front(std::move(made));
        }
        notifications_.answer(call, error);
    }
    return true;
}

/* Remove calls that a signal interrupted, or whose thread has ended. */
void Calls::forget_gone()
{
    std::erase_if(accepting_, [this](const Accepting &a) {
        return !notifications_.is_waiting(a.call);
    });
}

void Calls::name(const Call &call, bool of_peer)
{
    Subject s = subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
        return;
    }
    if (of_peer && s.entry->state != SocketState::connected) {
        notifications_.answer(call, ENOTCONN);
        return;
    }
    notifications_.answer(call, write_address(
        Target(call.thread), call.arguments[1], call.arguments[2],
        of_peer ? s.entry->remote : s.entry->local));
}

void Calls::get_option(const Call &call)
{
    Subject s = subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
        return;
    }
    if (argument(call, 1) == AF_VSOCK) {
        notifications_.answer(call, get_vsock_option(call, *s.entry));
        return;
    }
    int before = s.entry->error;
    int error = get_socket_option(call, &s);
    if (error < 0) {
        notifications_.go_on(call);
    } else if (!notifications_.answer(call, error)) {
        s.entry->error = before;        /* The program makes the call again. */
    }
}

/* Returns -1 if the Unix socket itself has the right value. */
int Calls::get_socket_option(const Call &call, Subject *s)
{
    Target target(call.thread);

    if (argument(call, 2) == SO_DOMAIN) {
        const int domain = AF_VSOCK;

        return write_option(target, call, &domain, sizeof(domain), false);
    }
    if (!s->entry->error) {
        return -1;
    }
    /* The Unix socket has the same error with another number. */
    option_of<int>(s->socket, SO_ERROR);
    int error = std::exchange(s->entry->error, 0);
    return write_option(target, call, &error, sizeof(error), false);
}

int Calls::get_vsock_option(const Call &call, const VsockSocket &entry)
{
    Target target(call.thread);
    timeval time = {entry.connect_timeout.count() / 1000000,
                    entry.connect_timeout.count() % 1000000};

    switch (argument(call, 2)) {
    case SO_VM_SOCKETS_BUFFER_SIZE:
        return write_option(target, call, &entry.buffer_size,
                            sizeof(entry.buffer_size), true);
    case SO_VM_SOCKETS_BUFFER_MIN_SIZE:
        return write_option(target, call, &entry.min_buffer,
                            sizeof(entry.min_buffer), true);
    case SO_VM_SOCKETS_BUFFER_MAX_SIZE:
        return write_option(target, call, &entry.max_buffer,
                            sizeof(entry.max_buffer), true);
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
        return write_option(target, call, &time, sizeof(time), true);
    default:
        return ENOPROTOOPT;
    }
}

void Calls::set_option(const Call &call)
{
    Subject s = subject(call);

    if (!s.entry) {
        notifications_.go_on(call);
        return;
    }
    notifications_.answer(call, set_vsock_option(call, s.entry));
}

/* Store the sizes, although the Unix socket's own buffers are used. */
int Calls::set_vsock_option(const Call &call, VsockSocket *entry)
{
    Target target(call.thread);
    int name = argument(call, 2), size = argument(call, 4);
    bool is_time = name == SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD ||
        name == SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW;
    uint64_t bytes = 0;
    timeval time = {};

    if (!is_time && name != SO_VM_SOCKETS_BUFFER_SIZE &&
        name != SO_VM_SOCKETS_BUFFER_MIN_SIZE &&
        name != SO_VM_SOCKETS_BUFFER_MAX_SIZE) {
        return ENOPROTOOPT;
    }
    if (size < static_cast<int>(is_time ? sizeof(time) : sizeof(bytes))) {
        return EINVAL;
    }
    if (is_time ? !target.get(call.arguments[3], &time)
                : !target.get(call.arguments[3], &bytes)) {
        return EFAULT;
    }
    if (is_time) {
        constexpr long max_seconds = 365L * 86400;

        if (time.tv_sec < 0 || time.tv_sec > max_seconds ||
            time.tv_usec < 0 || time.tv_usec >= 1000000) {
            return ERANGE;
        }
        microseconds timeout(time.tv_sec * 1000000 + time.tv_usec);
        entry->connect_timeout = timeout.count() ? timeout
                                                 : default_connect_timeout;
        return 0;
    }
    if (name == SO_VM_SOCKETS_BUFFER_MIN_SIZE) {
        entry->min_buffer = bytes;
    } else if (name == SO_VM_SOCKETS_BUFFER_MAX_SIZE) {
        entry->max_buffer = bytes;
    } else {
        entry->buffer_size = bytes;
    }
    /* As in Linux, the minimum is applied last. */
    entry->buffer_size = std::max(std::min(entry->buffer_size,
                                           entry->max_buffer),
                                  entry->min_buffer);
    return 0;
}

/* IOCTL_VM_SOCKETS_GET_LOCAL_CID, of /dev/vsock or a socket */
void Calls::control(const Call &call)
{
    Target target(call.thread);
    Descriptor file = target.file(argument(call, 0));
    struct stat st = {};
    bool is_device = file && fstat(file.get(), &st) == 0 &&
        S_ISCHR(st.st_mode) && major(st.st_rdev) == misc_major;

    if (!is_device && !subject(call).entry) {
        notifications_.go_on(call);
        return;
    }
    notifications_.answer(call, target.put(call.arguments[2], parent_cid)
                        ? 0 : EFAULT);
}

void Calls::add_polls(std::vector<pollfd> *polls) const
{
    for (const Accepting &a : accepting_) {
        polls->push_back({a.listener.get(), POLLIN, 0});
        if (a.end) {
            polls->push_back({a.end.get(), POLLIN, 0});
        }
    }
    for (const Connecting &c : connecting_) {
        polls->push_back({c.control.get(), POLLIN, 0});
    }
}

int Calls::timeout() const
{
    std::optional<Clock::time_point> first;

    for (const Accepting &a : accepting_) {
        if (a.deadline && (!first || *a.deadline < *first)) {
            first = a.deadline;
        }
    }
    for (const Connecting &c : connecting_) {
        if (!first || c.deadline < *first) {
            first = c.deadline;
        }
    }
    if (!first) {
        return -1;
    }
    auto left = std::chrono::ceil<milliseconds>(*first - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
}

void Calls::progress()
{
    Clock::time_point now = Clock::now();

    for (auto at = connecting_.begin(); at != connecting_.end();) {
        auto attempt = at++;

        if (!advance(attempt) && attempt->deadline <= now) {
            finish(attempt, ETIMEDOUT, 0);
        }
    }
    for (auto at = accepting_.begin(); at != accepting_.end();) {
        auto accepting = at++;
        const Call &call = accepting->call;
        bool is_over = is_ready(accepting->listener, POLLIN) ||
            (accepting->end && is_ready(accepting->end, POLLIN));

        if (is_over && (!notifications_.is_waiting(call) ||
                        try_accept(call, accepting->listener,
                                   call.number == SYS_accept4
                                   ? argument(call, 3) : 0))) {
            accepting_.erase(accepting);
        } else if (accepting->deadline && *accepting->deadline <= now) {
            notifications_.answer(call, EAGAIN);
            accepting_.erase(accepting);
        }
    }
}
