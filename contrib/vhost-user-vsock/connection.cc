/*
 * One vsock connection: a state machine between the guest and a stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "connection.hh"

#include <algorithm>
#include <cerrno>
#include <climits>

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t limit, const PacketHeader *request)
    : address_(address), stream_(std::move(stream)), limit_(limit)
{
    if (request) {
        state_ = State::established;
        response_ = true;
        guest_limit_ = request->buf_alloc;
        guest_forwarded_ = request->fwd_cnt;
    } else {
        state_ = State::connecting;
        request_ = true;
        deadline_ = Clock::now() + connect_timeout;
    }
}

PacketHeader Connection::header(Op op)
{
    PacketHeader h;

    h.src_cid = address_.host_cid;
    h.src_port = address_.host_port;
    h.dst_cid = address_.guest_cid;
    h.dst_port = address_.guest_port;
    h.op = static_cast<uint16_t>(op);
    h.buf_alloc = limit_;
    h.fwd_cnt = forwarded_told_ = forwarded_;
    return h;
}

/* How many bytes the guest has room for; it may have lowered its limit. */
uint32_t Connection::credit() const
{
    uint32_t in_flight = sent_ - guest_forwarded_;

    return in_flight < guest_limit_ ? guest_limit_ - in_flight : 0;
}

void Connection::reset()
{
    if (state_ != State::dead) {
        state_ = State::dead;
        rst_ = true;
        request_ = response_ = update_ = false;
        shutdown_ = 0;
        deadline_.reset();
    }
}

void Connection::close()
{
    if (state_ != State::dead && state_ != State::closing) {
        state_ = State::closing;
        deadline_ = Clock::now() + shutdown_timeout;
    }
}

void Connection::receive(const PacketHeader &h, const Iov &payload)
{
    if (state_ == State::dead) {
        return;
    }
    guest_limit_ = h.buf_alloc;
    guest_forwarded_ = h.fwd_cnt;

    switch (static_cast<Op>(h.op)) {
    case Op::response:
        if (state_ != State::connecting) {
            return reset();
        }
        state_ = State::established;
        request_ = false;
        deadline_.reset();
        return stream_->accepted(address_.host_port);
    case Op::rst:
        state_ = State::dead;
        deadline_.reset();
        return;
    case Op::shutdown:
        return guest_shutdown(h.flags & shutdown_both);
    case Op::rw:
        return take(h, payload);
    case Op::credit_update:
        return;
    case Op::credit_request:
        update_ = true;
        return;
    default:    /* a REQUEST for what exists, or unknown */
        return reset();
    }
}

void Connection::take(const PacketHeader &h, const Iov &payload)
{
    size_t done = 0;

    if (state_ == State::connecting || (guest_shutdown_ & shutdown_send) ||
        h.len > limit_ - (received_ - forwarded_)) {
        return reset();     /* out of turn, or over its credit */
    }
    received_ += h.len;
    if (!buffered() && h.len) {
        ssize_t n = stream_->writev(payload.data(),
                                    std::min<size_t>(payload.size(), IOV_MAX));

        if (n < 0 && errno != EAGAIN) {
            return reset();
        }
        done = std::max<ssize_t>(n, 0);
        written(done);
    }
    for (const iovec &v : iov_slice(payload, done)) {
        auto *p = static_cast<const uint8_t *>(v.iov_base);

        buffer_.insert(buffer_.end(), p, p + v.iov_len);
    }
}

/* The guest learns of room before it runs out: Linux does not ask. */
void Connection::written(size_t bytes)
{
    forwarded_ += bytes;
    if (forwarded_ - forwarded_told_ >= limit_ / 2) {
        update_ = true;
    }
}

void Connection::flush()
{
    while (buffered() && state_ != State::dead) {
        iovec v = {buffer_.data() + buffer_start_, buffered()};
        ssize_t n = stream_->writev(&v, 1);

        if (n < 0) {
            if (errno != EAGAIN) {
                reset();
            }
            return;
        }
        buffer_start_ += n;
        written(n);
    }
    buffer_.clear();
    buffer_start_ = 0;
    if (guest_shutdown_ == shutdown_both) {
        reset();
    } else if (guest_shutdown_ & shutdown_send) {
        stream_->shutdown_write();
    }
}

void Connection::guest_shutdown(uint32_t flags)
{
    guest_shutdown_ |= flags;
    if (guest_shutdown_ == shutdown_both) {
        close();
    }
    if (!buffered()) {
        flush();
    }
}

bool Connection::wants_readable() const
{
    return state_ == State::established && !readable_ &&
           !(guest_shutdown_ & shutdown_receive) &&
           !((shutdown_ | shutdown_sent_) & shutdown_send);
}

bool Connection::wants_to_send() const
{
    if (rst_ || request_ || response_ || update_ || shutdown_) {
        return true;
    }
    return state_ == State::established && credit() &&
           !(guest_shutdown_ & shutdown_receive) &&
           !(shutdown_sent_ & shutdown_send) &&
           (readable_ || stream_->ready());
}

std::optional<PacketHeader> Connection::next(const Iov &room)
{
    PacketHeader h;

    if (rst_) {
        rst_ = false;
        return header(Op::rst);
    }
    if (request_ || response_) {
        h = header(request_ ? Op::request : Op::response);
        request_ = response_ = false;
        return h;
    }
    if (wants_to_send() && !shutdown_ && (readable_ || stream_->ready())) {
        Iov iov = iov_slice(room, 0, credit());
        ssize_t n = iov.empty() ? -1 : stream_->readv(
            iov.data(), std::min<size_t>(iov.size(), IOV_MAX));

        if (iov.empty()) {
            errno = EAGAIN;
        }
        if (n > 0) {
            h = header(Op::rw);
            h.len = n;
            sent_ += n;
            update_ = false;
            return h;
        }
        if (n == 0) {
            /*
             * Even one that is gone is closed one way only: Linux drops what
             * its program has not read once both ways are closed.
             */
            shutdown_ = shutdown_send;
            readable_ = false;
        } else if (errno == EAGAIN) {
            readable_ = readable_ && iov.empty();
        } else {
            reset();
            rst_ = false;
            return header(Op::rst);
        }
    }
    if (shutdown_) {
        h = header(Op::shutdown);
        h.flags = shutdown_;
        shutdown_sent_ |= shutdown_;
        shutdown_ = 0;
        return h;
    }
    if (update_) {
        update_ = false;
        return header(Op::credit_update);
    }
    return {};
}

void Connection::expire(Clock::time_point now)
{
    if (deadline_ && *deadline_ <= now) {
        reset();
    }
}
