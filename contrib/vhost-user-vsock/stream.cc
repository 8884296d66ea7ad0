/*
 * The other end of a guest's connection: sockets, and the heartbeat
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "stream.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "packet.hh"

namespace {

/* `iov`, of up to IovArray::most pieces, after one byte for the flag */
struct Flagged {
    Flagged(uint8_t *flag, const iovec *iov, int n) : count(n + 1)
    {
        pieces[0] = {flag, 1};
        std::copy_n(iov, n, pieces + 1);
    }
    iovec pieces[IovArray::most + 1];
    int count;
};

void send_ok(const Descriptor &fd, uint32_t port)
{
    std::string line = "OK " + std::to_string(port) + "\n";

    send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

} // namespace

SocketStream::SocketStream(Descriptor fd, Status status, Greeting greeting,
                           Retry retry)
    : fd_(std::move(fd)), status_(status), greeting_(greeting),
      retry_(std::move(retry))
{
}

Stream::Status SocketStream::status()
{
    pollfd p = {fd_.get(), POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof(error);

    if (status_ == Status::backlog_full) {
        status_ = retry_(fd_.get());
        return status_;
    }
    if (status_ != Status::connecting) {
        return status_;
    }
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) || error) {
        status_ = retry_ ? retry_(fd_.get()) : Status::failed;
        return status();        /* It may already be connected or refused. */
    } else if (poll(&p, 1, 0) == 1) {
        /* If the other end has already gone, readv() finds that out. */
        status_ = Status::connected;
    }
    return status_;
}

/*
 * Less data than was asked for means that the socket is empty, which saves the
 * call that would find it out.  There is one exception: descriptors that come
 * with the data of a Unix socket also end a read.
 */
ssize_t SocketStream::receive(const iovec *iov, int count, int flags)
{
    msghdr message = {};
    size_t wanted = 0;

    message.msg_iov = const_cast<iovec *>(iov);
    message.msg_iovlen = count;
    ssize_t n = recvmsg(fd_.get(), &message, flags | MSG_DONTWAIT);
    if (n < 0 && errno == ECONNRESET && !reset_) {
        /* SEQPACKET reports it once, before messages that came earlier. */
        reset_ = true;
        n = recvmsg(fd_.get(), &message, flags | MSG_DONTWAIT);
    }
    for (int i = 0; i < count; i++) {
        wanted += iov[i].iov_len;
    }
    drained_ = n > 0 && static_cast<size_t>(n) < wanted &&
               !(message.msg_flags & MSG_CTRUNC);
    return n;
}

ssize_t SocketStream::readv(const iovec *iov, int count)
{
    ssize_t n = receive(iov, count, 0);

    if (n == 0 && reset_) {
        errno = ECONNRESET;
        return -1;
    }
    return n;
}

ssize_t SocketStream::writev(const iovec *iov, int count)
{
    msghdr message = {};

    message.msg_iov = const_cast<iovec *>(iov);
    message.msg_iovlen = count;
    return sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * After POLLRDHUP, nothing is added to the socket's receive queue.  If the
 * queue has no bytes then, it has only empty messages, or nothing.  (AF_VSOCK
 * may lack SIOCINQ, but Linux sends no empty messages there.)
 */
bool SocketStream::no_more_bytes() const
{
    pollfd p = {fd_.get(), POLLRDHUP, 0};
    int bytes = 0;

    return poll(&p, 1, 0) == 1 &&
           (ioctl(fd_.get(), SIOCINQ, &bytes) || bytes == 0);
}

/*
 * An empty message looks like the end: for both, recvmsg() returns 0.  Empty
 * messages are discarded, because a program in the guest would also take one
 * for the end.
 *
 * When the first recvmsg() of a turn returns 0, it is the end if no bytes can
 * follow.  In all other cases a message is discarded.  If it was the end and
 * not a message, that does nothing, and the next turn finds the end.
 */
ssize_t SocketStream::message_size()
{
    for (int i = 0; i < max_empty_messages; i++) {
        ssize_t n = receive(nullptr, 0, MSG_PEEK | MSG_TRUNC);

        if (n != 0) {
            return n;
        }
        if (i == 0 && no_more_bytes()) {
            errno = ECONNRESET;
            return reset_ ? -1 : 0;
        }
        receive(nullptr, 0, 0);
    }
    errno = EINTR;
    return -1;
}

size_t SocketStream::max_message() const
{
    int bytes = 0;
    socklen_t size = sizeof(bytes);

    /* The kernel's own data is counted in the same buffer. */
    getsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, &size);
    return std::max(bytes - 1024, 0);
}

bool SocketStream::is_tcp() const
{
    int domain = 0;
    socklen_t size = sizeof(domain);

    getsockopt(fd_.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
    return domain == AF_INET || domain == AF_INET6;
}

/*
 * SHUT_RD makes a program fail that still writes to a Unix socket.  With TCP
 * it does not; there, after SHUT_WR too, the program's data would cause a
 * reset.  So it is left out for TCP.
 */
void SocketStream::shutdown(int how)
{
    if (how != SHUT_RD || !is_tcp()) {
        ::shutdown(fd_.get(), how);
    }
}

/* Read and discard what is there; true at the end */
bool SocketStream::discard()
{
    constexpr int most = 256;
    std::array<char, 16384> data;
    int type = 0, empty = 0;
    socklen_t size = sizeof(type);

    getsockopt(fd_.get(), SOL_SOCKET, SO_TYPE, &type, &size);
    for (int i = 0; i < most; i++) {
        iovec iov = {data.data(), data.size()};
        ssize_t n = receive(&iov, 1, 0);

        if (n < 0) {
            return errno != EAGAIN;
        }
        if (n == 0 &&
            (type != SOCK_SEQPACKET || ++empty == max_empty_messages)) {
            return true;
        }
    }
    return false;
}

/*
 * Closing a socket with unread data causes a reset.  With SEQPACKET, a program
 * would read an error before the guest's last messages.  TCP would drop data
 * that it has not sent yet, so there the other end has to acknowledge all.
 */
bool SocketStream::finish()
{
    int unsent = 0;
    bool tcp = is_tcp();

    ::shutdown(fd_.get(), SHUT_WR);
    return discard() || !tcp || ioctl(fd_.get(), SIOCOUTQ, &unsent) ||
           unsent == 0;
}

void SocketStream::guest_accepted(uint32_t port)
{
    if (greeting_ == Greeting::line) {
        send_ok(fd_, port);
    }
}

PassedStream::PassedStream(Descriptor passed, Descriptor asked,
                           DescriptorClaim claim)
    : SocketStream(std::move(passed)), asked_claim_(std::move(claim)),
      asked_(std::move(asked))
{
}

void PassedStream::guest_accepted(uint32_t port)
{
    discard();
    send_ok(asked_, port);
    asked_.reset();
    asked_claim_ = DescriptorClaim();
}

SiblingStream::SiblingStream(Descriptor fd, Role role, bool messages)
    : SocketStream(std::move(fd)), connecting_(role == Role::initiator),
      messages_(messages)
{
}

Stream::Status SiblingStream::status()
{
    if (connecting_) {
        uint8_t byte;
        ssize_t n = recv(fd(), &byte, 1, MSG_DONTWAIT);

        if (n != 1) {
            return n < 0 && errno == EAGAIN ? Status::connecting
                                            : Status::failed;
        }
        connecting_ = false;
    }
    return Status::connected;
}

void SiblingStream::guest_accepted(uint32_t)
{
    send(fd(), "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t SiblingStream::message_size()
{
    ssize_t n = SocketStream::message_size();

    return n > 0 ? n - 1 : n;
}

size_t SiblingStream::max_message() const
{
    return SocketStream::max_message() - 1;
}

ssize_t SiblingStream::readv(const iovec *iov, int count)
{
    if (!messages_) {
        return SocketStream::readv(iov, count);
    }
    Flagged all(&read_flag_, iov, count);
    ssize_t n = SocketStream::readv(all.pieces, all.count);

    return n > 0 ? n - 1 : n;
}

ssize_t SiblingStream::writev(const iovec *iov, int count)
{
    if (!messages_) {
        return SocketStream::writev(iov, count);
    }
    Flagged all(&written_flag_, iov, count);
    ssize_t n = SocketStream::writev(all.pieces, all.count);

    return n > 0 ? n - 1 : n;
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
    pending_ += size;
    if (size) {
        booted_();
    }
    return size;
}

ssize_t HeartbeatStream::readv(const iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count && pending_; i++) {
        size_t n = std::min(pending_, iov[i].iov_len);

        memset(iov[i].iov_base, heartbeat_byte, n);
        pending_ -= n;
        size += n;
    }
    if (size || ended_) {
        return size;
    }
    errno = EAGAIN;
    return -1;
}

void HeartbeatStream::shutdown(int how)
{
    ended_ = ended_ || how == SHUT_WR;
}
