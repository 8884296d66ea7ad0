/*
 * One vsock connection: a state machine between a guest and a stream
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "connection.hh"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t buf_alloc, uint16_t type, bool by_guest)
    : address_(address), stream_(std::move(stream)), type_(type),
      by_guest_(by_guest),
      state_(by_guest ? State::connecting_stream : State::connecting_guest),
      deadline_(Clock::now() + connect_timeout), buf_alloc_(buf_alloc)
{
    if (messages()) {
        /* The guest sends no larger message than its credit allows. */
        buf_alloc_ = std::min<size_t>(buf_alloc_, stream_->max_message());
    }
}

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t buf_alloc, const PacketHeader &request)
    : Connection(address, std::move(stream), buf_alloc, request.type, true)
{
    guest_buf_alloc_ = request.buf_alloc;
    guest_fwd_cnt_ = request.fwd_cnt;
    check_stream(Clock::now());
}

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t buf_alloc, uint16_t type)
    : Connection(address, std::move(stream), buf_alloc, type, false)
{
    pending_request_ = true;
}

void Connection::retry_after(Clock::time_point now)
{
    retry_ = now + retry_interval_;
    retry_interval_ = std::min<Clock::duration>(2 * retry_interval_,
                                                last_retry);
}

void Connection::check_stream(Clock::time_point now)
{
    retry_.reset();
    switch (stream_->status()) {
    case Stream::Status::connecting:
        return;
    case Stream::Status::backlog_full:
        return retry_after(now);
    case Stream::Status::connected:
        pending_response_ = true;
        return establish();
    case Stream::Status::failed:
        break;
    }
    std::unique_ptr<Stream> fallback = stream_->take_fallback();
    if (!fallback) {
        return reset(ResetReason::stream);
    }
    /* The event loop may still watch the descriptor of the failed stream. */
    failed_stream_ = std::exchange(stream_, std::move(fallback));
    check_stream(now);
}

void Connection::establish()
{
    state_ = State::established;
    opened_ = true;
    retry_interval_ = first_retry;
    /* An edge-triggered event from before now does not come again. */
    readable_ = stream_->fd() >= 0;
    deadline_.reset();
}

void Connection::reset(ResetReason reason)
{
    if (state_ != State::closed) {
        reset_reason_ = reason;
        state_ = State::closed;
        /* RST may wait long for a receive buffer. */
        tx_buffer_ = TxBuffer();
        std::vector<uint8_t>().swap(message_);
        pending_rst_ = true;
        pending_request_ = pending_response_ = false;
        pending_credit_update_ = pending_shutdown_ = false;
        deadline_.reset();
        retry_.reset();
    }
}

void Connection::expire(Clock::time_point now)
{
    if (deadline_ && *deadline_ <= now) {
        reset(ResetReason::timeout);
    } else if (retry_ && *retry_ <= now) {
        if (state_ == State::connecting_stream) {
            check_stream(now);
        } else {
            finish(now);
        }
    }
}

void Connection::receive(const PacketHeader &h, const Iov &payload)
{
    if (state_ == State::closed) {
        return;
    }
    guest_buf_alloc_ = h.buf_alloc;
    guest_fwd_cnt_ = h.fwd_cnt;
    if (h.type != type_) {
        return reset(ResetReason::protocol);
    }

    switch (static_cast<Op>(h.op)) {
    case Op::rst:
        reset(ResetReason::guest);
        pending_rst_ = false;       /* A RST is not answered. */
        return;
    case Op::response:
        if (state_ != State::connecting_guest || pending_request_) {
            return reset(ResetReason::protocol);
        }
        establish();
        return stream_->guest_accepted(address_.peer_port);
    case Op::shutdown:
        return guest_shutdown(h.flags & shutdown_both);
    case Op::rw:
        return receive_data(h, payload);
    case Op::credit_update:
        return;
    case Op::credit_request:
        pending_credit_update_ = true;
        return;
    default:    /* a REQUEST for this same connection, or unknown */
        return reset(ResetReason::protocol);
    }
}

/* Guest to stream */

void Connection::receive_data(const PacketHeader &h, const Iov &payload)
{
    if (state_ != State::established || (guest_shutdown_ & shutdown_send) ||
        h.len > buf_alloc_ - (rx_cnt_ - fwd_cnt_)) {
        /* It is not allowed now, or beyond the guest's credit. */
        return reset(ResetReason::protocol);
    }
    rx_cnt_ += h.len;
    bytes_from_guest_ += h.len;

    size_t done = tx_buffer_.empty() && !write_broken_
        ? write_directly(h, payload) : 0;
    if (write_broken_) {
        return count_forwarded(h.len);
    }
    if (state_ == State::closed || (done && done == h.len)) {
        return;
    }
    tx_buffer_.append(payload.slice(done));
    stalls_from_guest_ += rx_cnt_ - fwd_cnt_ == buf_alloc_;
    /* The guest may need this credit for the rest of the message. */
    update_credit();
    /* An empty packet can end a message.  An empty message is discarded: see
     * SocketStream::message_size(). */
    if (messages() && (h.flags & end_of_message) && tx_buffer_.open_size()) {
        tx_buffer_.end_message(h.flags & end_of_record);
        flush();
    }
}

/* Write from the guest's memory to the stream.  Returns how many bytes. */
size_t Connection::write_directly(const PacketHeader &h, const Iov &payload)
{
    IovArray all;

    if (h.len == 0) {
        return 0;
    }
    bool fits = all.append(payload);
    if (messages()) {
        if (!(h.flags & end_of_message) || !fits) {
            return 0;       /* The whole message is written at once. */
        }
        stream_->set_ends_record(h.flags & end_of_record);
    }
    ssize_t n = stream_->writev(all.pieces, all.count);
    if (n < 0) {
        if (errno != EAGAIN) {
            write_failed();
        }
        return 0;
    }
    count_forwarded(n);
    return n;
}

/*
 * The program at the other end may have closed its socket.  What it wrote
 * before that still belongs to the guest.
 */
void Connection::write_failed()
{
    if (state_ != State::established || pending_shutdown_ || shutdown_sent_ ||
        (guest_shutdown_ & shutdown_receive)) {
        return reset(ResetReason::stream);
    }
    write_broken_ = true;
    readable_ = true;
    count_forwarded(tx_buffer_.size());
    tx_buffer_ = TxBuffer();
}

/* Write from the tx buffer, a message if there are messages; false if the
 * stream takes nothing. */
bool Connection::write_pending()
{
    iovec v = messages() ? tx_buffer_.message() : tx_buffer_.bytes();

    if (messages()) {
        stream_->set_ends_record(tx_buffer_.ends_record());
    }
    ssize_t n = stream_->writev(&v, 1);
    if (n < 0) {
        if (errno != EAGAIN) {
            write_failed();
        }
        return false;
    }
    if (messages()) {
        tx_buffer_.drop_message();
    } else {
        tx_buffer_.drop(n);
    }
    count_forwarded(n);
    if (state_ == State::closing) {
        deadline_ = Clock::now() + shutdown_timeout;
    }
    return true;
}

void Connection::flush()
{
    while (messages() ? tx_buffer_.has_message() : !tx_buffer_.empty()) {
        if (!write_pending()) {
            return;
        }
    }
    if (state_ == State::closing) {
        finish(Clock::now());
    } else if ((guest_shutdown_ & shutdown_send) && !write_closed_) {
        write_closed_ = true;
        stream_->shutdown(SHUT_WR);
    }
}

void Connection::finish(Clock::time_point now)
{
    retry_.reset();
    if (stream_->finish()) {
        reset(ResetReason::finished);
    } else {
        retry_after(now);
    }
}

void Connection::count_forwarded(size_t bytes)
{
    fwd_cnt_ += bytes;
    update_credit();
}

/*
 * Linux does not ask for credit, so the guest gets a CREDIT_UPDATE before it
 * has none left: when it knows of at most half, and a quarter or more is new.
 * When the tx buffer has nothing more to write, less than that is sent too.
 */
void Connection::update_credit()
{
    uint32_t new_credit = fwd_cnt_ - last_fwd_cnt_;
    uint32_t known_credit = buf_alloc_ - (rx_cnt_ - last_fwd_cnt_);
    bool idle = messages() ? !tx_buffer_.has_message() : tx_buffer_.empty();

    if (new_credit && known_credit <= buf_alloc_ / 2 &&
        (idle || new_credit >= buf_alloc_ / 4)) {
        pending_credit_update_ = true;
    }
}

void Connection::guest_shutdown(uint32_t flags)
{
    if (state_ == State::connecting_stream ||
        state_ == State::connecting_guest) {
        return reset(ResetReason::guest);
    }
    if ((flags & shutdown_receive) && !(guest_shutdown_ & shutdown_receive)) {
        stream_->shutdown(SHUT_RD);
        pending_shutdown_ = false;
        message_.clear();
        if (write_broken_) {
            return reset(ResetReason::stream);
        }
    }
    guest_shutdown_ |= flags;
    if (guest_shutdown_ == shutdown_both && state_ == State::established) {
        state_ = State::closing;
        deadline_ = Clock::now() + shutdown_timeout;
    }
    flush();
}

/* The stream's events */

/* No event tells that a backlog has space again: retry_ is for that. */
void Connection::handle_stream_change()
{
    if (state_ == State::connecting_stream && !retry_) {
        check_stream(Clock::now());
    }
}

void Connection::stream_readable(bool ended)
{
    handle_stream_change();
    readable_ = true;
    stream_ended_ = stream_ended_ || ended;
}

void Connection::stream_writable()
{
    if (state_ == State::connecting_stream) {
        handle_stream_change();
    } else if (state_ == State::established || state_ == State::closing) {
        flush();
    }
}

bool Connection::wants_writable() const
{
    return state_ == State::connecting_stream ||
           (state_ != State::closed &&
            (messages() ? tx_buffer_.has_message() : !tx_buffer_.empty()));
}

/* Stream to guest */

/* How many bytes may be sent; the guest may have lowered its buf_alloc. */
uint32_t Connection::credit() const
{
    uint32_t in_flight = tx_cnt_ - guest_fwd_cnt_;

    return in_flight < guest_buf_alloc_ ? guest_buf_alloc_ - in_flight : 0;
}

bool Connection::can_read() const
{
    return state_ == State::established && !pending_shutdown_ &&
           !shutdown_sent_ && !(guest_shutdown_ & shutdown_receive) &&
           credit() >= needed_credit_ &&
           (readable_ || stream_->has_data() || !message_.empty());
}

bool Connection::has_pending() const
{
    return pending_rst_ || pending_request_ || pending_response_ ||
           pending_credit_update_ || pending_shutdown_ || can_read();
}

/* Every packet tells the guest its credit too. */
PacketHeader Connection::header(Op op)
{
    PacketHeader h;

    h.src_cid = address_.peer_cid;
    h.src_port = address_.peer_port;
    h.dst_cid = address_.guest_cid;
    h.dst_port = address_.guest_port;
    h.type = type_;
    h.op = static_cast<uint16_t>(op);
    h.buf_alloc = buf_alloc_;
    h.fwd_cnt = last_fwd_cnt_ = fwd_cnt_;
    pending_credit_update_ = false;
    return h;
}

size_t Connection::send_control(RxBuffers &buffers, Op op, uint32_t flags)
{
    PacketHeader h = header(op);

    h.flags = flags;
    buffers.use(h);
    return 1;
}

size_t Connection::send_pending(RxBuffers &buffers)
{
    size_t sent = 0;

    if (pending_rst_) {
        pending_rst_ = false;
        return send_control(buffers, Op::rst);
    }
    if (pending_request_ || pending_response_) {
        Op op = pending_request_ ? Op::request : Op::response;

        pending_request_ = pending_response_ = false;
        return send_control(buffers, op);
    }
    if (can_read()) {
        sent = messages() ? send_message(buffers) : send_data(buffers);
    }
    if (sent) {
        return sent;
    }
    if (pending_rst_) {             /* The stream could not be read. */
        return send_pending(buffers);
    }
    if (pending_shutdown_) {
        pending_shutdown_ = false;
        shutdown_sent_ = true;
        return send_control(buffers, Op::shutdown, shutdown_send);
    }
    return pending_credit_update_ ? send_control(buffers, Op::credit_update)
                                  : 0;
}

/* Collect the space of receive buffers, for up to so many packets and bytes. */
void Connection::gather(RxBuffers &buffers, size_t packets, size_t bytes,
                        IovArray *all)
{
    for (size_t i = 0; i < packets && all->size < bytes; i++) {
        std::optional<Iov> space = buffers.at(i);

        if (!space || !all->append(*space, bytes - all->size)) {
            return;
        }
    }
}

/* Send as RW packets the `bytes` of payload that the buffers have already. */
size_t Connection::send_payload(RxBuffers &buffers, size_t bytes,
                                uint32_t last_flags)
{
    size_t packets = 0;

    tx_cnt_ += bytes;
    bytes_to_guest_ += bytes;
    while (bytes) {
        PacketHeader h = header(Op::rw);

        h.len = std::min(bytes, buffers.at(0)->size());
        bytes -= h.len;
        h.flags = bytes ? 0 : last_flags;
        buffers.use(h);
        packets++;
    }
    return packets;
}

void Connection::read_failed(ssize_t result)
{
    if (result < 0 && errno == EINTR) {
        return;             /* The next turn goes on. */
    }
    readable_ = false;
    /* After a failed write, the stream was kept only to be read to its end. */
    if (write_broken_ || (result < 0 && errno != EAGAIN)) {
        reset(ResetReason::stream);
    } else if (result == 0) {
        /*
         * Even if the program is gone, only this direction is shut down: Linux
         * drops what the guest's program has not read once both are.
         */
        pending_shutdown_ = true;
    }
}

size_t Connection::send_data(RxBuffers &buffers)
{
    size_t limit = std::min<size_t>(credit(), max_turn_bytes);
    IovArray space;

    gather(buffers, burst_, limit, &space);
    if (!space.size) {
        /* This buffer holds only a header: use it, to reach the next one. */
        return send_control(buffers, Op::credit_update);
    }
    ssize_t n = stream_->readv(space.pieces, space.count);
    if (n <= 0) {
        read_failed(n);
        return 0;
    }
    readable_ = !stream_->drained() || stream_ended_;

    bool all = static_cast<size_t>(n) == space.size;
    size_t packets = send_payload(buffers, n, 0);
    burst_ = all ? std::min(2 * burst_, max_turn_packets) : packets;
    stalls_to_guest_ += readable_ && credit() == 0;
    return packets;
}

/* A message is begun only when the guest has credit for all of it. */
size_t Connection::send_message(RxBuffers &buffers)
{
    if (!message_.empty()) {
        return send_rest_of_message(buffers);
    }
    ssize_t size = stream_->message_size();
    if (size <= 0) {
        read_failed(size);
        return 0;
    }
    if (static_cast<size_t>(size) > std::min<size_t>(guest_buf_alloc_,
                                                     max_message_to_guest)) {
        reset(ResetReason::stream);     /* It can never be sent. */
        return 0;
    }
    needed_credit_ = size;
    if (credit() < needed_credit_) {
        stalls_to_guest_++;
        return 0;
    }
    needed_credit_ = 1;

    IovArray space;
    gather(buffers, SIZE_MAX, size, &space);
    bool fits = space.size == static_cast<size_t>(size);
    if (!fits) {
        message_.resize(size);
        space.pieces[0] = {message_.data(), message_.size()};
        space.count = 1;
    }
    if (stream_->readv(space.pieces, space.count) != size) {
        reset(ResetReason::stream);
        return 0;
    }
    if (!fits) {
        message_start_ = 0;
        message_ends_record_ = stream_->ends_record();
        return send_rest_of_message(buffers);
    }
    return send_payload(buffers, size, end_of_message |
               (stream_->ends_record() ? end_of_record : 0));
}

/* Send what fits of a message that was read already. */
size_t Connection::send_rest_of_message(RxBuffers &buffers)
{
    size_t left = message_.size() - message_start_;
    auto limit = std::min<size_t>({left, credit(), max_turn_bytes});
    IovArray space;
    gather(buffers, max_turn_packets, limit, &space);
    size_t n = space.size;
    uint32_t flags = n < left ? 0 : end_of_message |
        (message_ends_record_ ? end_of_record : 0);

    if (!n) {
        return send_control(buffers, Op::credit_update);
    }
    Iov(space.pieces, space.count).copy_in(message_.data() + message_start_, n);
    message_start_ += n;
    if (n == left) {
        std::vector<uint8_t>().swap(message_);
    }
    return send_payload(buffers, n, flags);
}
