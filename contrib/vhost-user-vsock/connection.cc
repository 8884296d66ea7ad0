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
                       uint32_t limit, uint16_t type, bool by_guest)
    : address_(address), stream_(std::move(stream)), type_(type),
      by_guest_(by_guest),
      state_(by_guest ? State::waiting : State::connecting),
      deadline_(Clock::now() + connect_timeout), limit_(limit)
{
    if (messages()) {
        /* The guest learns of the bound by its credit. */
        limit_ = std::min<size_t>(limit_, stream_->max_message());
    }
}

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t limit, const PacketHeader &request)
    : Connection(address, std::move(stream), limit, request.type, true)
{
    guest_limit_ = request.buf_alloc;
    guest_forwarded_ = request.fwd_cnt;
    ask_stream(Clock::now());
}

Connection::Connection(const Address &address, std::unique_ptr<Stream> stream,
                       uint32_t limit, uint16_t type)
    : Connection(address, std::move(stream), limit, type, false)
{
    request_ = true;
}

void Connection::retry_after(Clock::time_point now)
{
    retry_ = now + retry_interval_;
    retry_interval_ = std::min<Clock::duration>(2 * retry_interval_,
                                                last_retry);
}

void Connection::ask_stream(Clock::time_point now)
{
    retry_.reset();
    switch (stream_->status()) {
    case Stream::Status::connecting:
        return;
    case Stream::Status::backlog_full:
        return retry_after(now);
    case Stream::Status::connected:
        response_ = true;
        return establish();
    case Stream::Status::failed:
        return reset();
    }
}

void Connection::establish()
{
    state_ = State::established;
    opened_ = true;
    retry_interval_ = first_retry;
    /* Events of before now are not told again. */
    readable_ = stream_->fd() >= 0;
    deadline_.reset();
}

void Connection::reset()
{
    if (state_ != State::dead) {
        state_ = State::dead;
        rst_ = true;
        request_ = response_ = update_ = end_ = false;
        deadline_.reset();
        retry_.reset();
    }
}

void Connection::expire(Clock::time_point now)
{
    if (deadline_ && *deadline_ <= now) {
        reset();
    } else if (retry_ && *retry_ <= now) {
        if (state_ == State::waiting) {
            ask_stream(now);
        } else {
            finish(now);
        }
    }
}

void Connection::receive(const PacketHeader &h, const Iov &payload)
{
    if (state_ == State::dead) {
        return;
    }
    guest_limit_ = h.buf_alloc;
    guest_forwarded_ = h.fwd_cnt;
    if (h.type != type_) {
        return reset();
    }

    switch (static_cast<Op>(h.op)) {
    case Op::rst:
        reset();
        rst_ = false;       /* it is not answered */
        return;
    case Op::response:
        if (state_ != State::connecting || request_) {
            return reset();
        }
        establish();
        return stream_->accepted(address_.peer_port);
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

/* Guest to stream */

void Connection::take(const PacketHeader &h, const Iov &payload)
{
    if (state_ != State::established || (guest_shutdown_ & shutdown_send) ||
        h.len > limit_ - (received_ - forwarded_)) {
        return reset();     /* out of turn, or over its credit */
    }
    received_ += h.len;
    bytes_from_guest_ += h.len;

    size_t done = backlog_.empty() && !write_broken_
        ? write_through(h, payload) : 0;
    if (write_broken_) {
        return forwarded(h.len);
    }
    if (state_ == State::dead || (done && done == h.len)) {
        return;
    }
    backlog_.append(payload.slice(done));
    /* The rest of a message needs what earlier ones have left. */
    tell_of_room();
    /* An empty packet can end one; an empty message is none: see stream.cc. */
    if (messages() && (h.flags & end_of_message) && backlog_.open_size()) {
        backlog_.end_message(h.flags & end_of_record);
        flush();
    }
}

/* From the guest's memory to the stream, as far as it takes it */
size_t Connection::write_through(const PacketHeader &h, const Iov &payload)
{
    IovArray all;

    if (h.len == 0) {
        return 0;
    }
    bool fits = all.append(payload);
    if (messages()) {
        if (!(h.flags & end_of_message) || !fits) {
            return 0;       /* it goes when all of it is there */
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
    forwarded(n);
    return n;
}

/*
 * The other end takes no more.  It may be closed, but the guest has a right to
 * what it wrote before that.
 */
void Connection::write_failed()
{
    if (state_ != State::established || end_ || end_said_ ||
        (guest_shutdown_ & shutdown_receive)) {
        return reset();
    }
    write_broken_ = true;
    readable_ = true;
    forwarded(backlog_.size());
    backlog_ = Backlog();
}

/* Writes what comes first of what waits; false if it could not. */
bool Connection::write_waiting()
{
    iovec v = messages() ? backlog_.message() : backlog_.bytes();

    if (messages()) {
        stream_->set_ends_record(backlog_.ends_record());
    }
    ssize_t n = stream_->writev(&v, 1);
    if (n < 0) {
        if (errno != EAGAIN) {
            write_failed();
        }
        return false;
    }
    if (messages()) {
        backlog_.drop_message();
    } else {
        backlog_.drop(n);
    }
    forwarded(n);
    if (state_ == State::closing) {
        deadline_ = Clock::now() + shutdown_timeout;
    }
    return true;
}

void Connection::flush()
{
    while (messages() ? backlog_.has_message() : !backlog_.empty()) {
        if (!write_waiting()) {
            return;
        }
    }
    if (state_ == State::closing) {
        finish(Clock::now());
    } else if ((guest_shutdown_ & shutdown_send) && !write_ended_) {
        write_ended_ = true;
        stream_->shutdown(SHUT_WR);
    }
}

void Connection::finish(Clock::time_point now)
{
    retry_.reset();
    if (stream_->finish()) {
        reset();
    } else {
        retry_after(now);
    }
}

void Connection::forwarded(size_t bytes)
{
    forwarded_ += bytes;
    tell_of_room();
}

/*
 * The guest learns of room before it runs out: Linux does not ask.  That is
 * when it believes to have less than half: then at a quarter at a time, or, if
 * the stream has all that it can be given, whatever there is.
 */
void Connection::tell_of_room()
{
    uint32_t untold = forwarded_ - forwarded_told_;
    uint32_t believed = limit_ - (received_ - forwarded_told_);
    bool idle = messages() ? !backlog_.has_message() : backlog_.empty();

    if (untold && believed <= limit_ / 2 && (idle || untold >= limit_ / 4)) {
        update_ = true;
    }
}

void Connection::guest_shutdown(uint32_t flags)
{
    if (state_ == State::waiting || state_ == State::connecting) {
        return reset();
    }
    if ((flags & shutdown_receive) && !(guest_shutdown_ & shutdown_receive)) {
        stream_->shutdown(SHUT_RD);
        end_ = false;
        message_.clear();
        if (write_broken_) {
            return reset();
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

/* A full backlog sends no events, so it is asked again after a time. */
void Connection::stream_changed()
{
    if (state_ == State::waiting && !retry_) {
        ask_stream(Clock::now());
    }
}

void Connection::stream_readable(bool ended)
{
    stream_changed();
    readable_ = true;
    stream_ended_ = stream_ended_ || ended;
}

void Connection::stream_writable()
{
    if (state_ == State::waiting) {
        stream_changed();
    } else if (state_ == State::established || state_ == State::closing) {
        flush();
    }
}

bool Connection::wants_writable() const
{
    return state_ == State::waiting ||
           (state_ != State::dead &&
            (messages() ? backlog_.has_message() : !backlog_.empty()));
}

/* Stream to guest */

/* How many bytes the guest has room for; it may have lowered its limit. */
uint32_t Connection::credit() const
{
    uint32_t in_flight = sent_ - guest_forwarded_;

    return in_flight < guest_limit_ ? guest_limit_ - in_flight : 0;
}

bool Connection::can_read() const
{
    return state_ == State::established && !end_ && !end_said_ &&
           !(guest_shutdown_ & shutdown_receive) &&
           credit() >= needed_credit_ &&
           (readable_ || stream_->ready() || !message_.empty());
}

bool Connection::wants_to_say() const
{
    return rst_ || request_ || response_ || update_ || end_ || can_read();
}

/* Every packet tells of the room, too. */
PacketHeader Connection::header(Op op)
{
    PacketHeader h;

    h.src_cid = address_.peer_cid;
    h.src_port = address_.peer_port;
    h.dst_cid = address_.guest_cid;
    h.dst_port = address_.guest_port;
    h.type = type_;
    h.op = static_cast<uint16_t>(op);
    h.buf_alloc = limit_;
    h.fwd_cnt = forwarded_told_ = forwarded_;
    update_ = false;
    return h;
}

size_t Connection::say_one(Rooms &rooms, Op op, uint32_t flags)
{
    PacketHeader h = header(op);

    h.flags = flags;
    rooms.use(h);
    return 1;
}

size_t Connection::say(Rooms &rooms)
{
    size_t said = 0;

    if (rst_) {
        rst_ = false;
        return say_one(rooms, Op::rst);
    }
    if (request_ || response_) {
        Op op = request_ ? Op::request : Op::response;

        request_ = response_ = false;
        return say_one(rooms, op);
    }
    if (can_read()) {
        said = messages() ? say_message(rooms) : say_data(rooms);
    }
    if (said) {
        return said;
    }
    if (rst_) {             /* reading has shown that it is broken */
        return say(rooms);
    }
    if (end_) {
        end_ = false;
        end_said_ = true;
        return say_one(rooms, Op::shutdown, shutdown_send);
    }
    return update_ ? say_one(rooms, Op::credit_update) : 0;
}

/* Room for up to so many packets and bytes */
void Connection::gather(Rooms &rooms, size_t packets, size_t bytes,
                        IovArray *all)
{
    for (size_t i = 0; i < packets && all->size < bytes; i++) {
        std::optional<Iov> room = rooms.at(i);

        if (!room || !all->append(*room, bytes - all->size)) {
            return;
        }
    }
}

/* `bytes` of payload are in the rooms: make them packets. */
size_t Connection::use(Rooms &rooms, size_t bytes, uint32_t last_flags)
{
    size_t packets = 0;

    sent_ += bytes;
    bytes_to_guest_ += bytes;
    while (bytes) {
        PacketHeader h = header(Op::rw);

        h.len = std::min(bytes, rooms.at(0)->size());
        bytes -= h.len;
        h.flags = bytes ? 0 : last_flags;
        rooms.use(h);
        packets++;
    }
    return packets;
}

void Connection::read_failed(ssize_t result)
{
    if (result < 0 && errno == EINTR) {
        return;             /* It goes on in its next turn. */
    }
    readable_ = false;
    /* One whose write failed stays only for what it has for the guest. */
    if (write_broken_ || (result < 0 && errno != EAGAIN)) {
        reset();
    } else if (result == 0) {
        /*
         * Even one that is gone is closed one way only: Linux drops what its
         * program has not read once both ways are closed.
         */
        end_ = true;
    }
}

size_t Connection::say_data(Rooms &rooms)
{
    size_t limit = std::min<size_t>(credit(), max_turn_bytes);
    IovArray room;

    gather(rooms, burst_, limit, &room);
    if (!room.size) {
        /* A buffer for a header alone: it is used up, to come to others. */
        return say_one(rooms, Op::credit_update);
    }
    ssize_t n = stream_->readv(room.pieces, room.count);
    if (n <= 0) {
        read_failed(n);
        return 0;
    }
    readable_ = !stream_->drained() || stream_ended_;

    bool all = static_cast<size_t>(n) == room.size;
    size_t packets = use(rooms, n, 0);
    burst_ = all ? std::min(2 * burst_, max_turn_packets) : packets;
    return packets;
}

/* Messages go as a whole: begun when the guest has credit for all of one. */
size_t Connection::say_message(Rooms &rooms)
{
    if (!message_.empty()) {
        return say_rest(rooms);
    }
    ssize_t size = stream_->message_size();
    if (size <= 0) {
        read_failed(size);
        return 0;
    }
    if (static_cast<size_t>(size) > std::min<size_t>(guest_limit_,
                                                     max_message_to_guest)) {
        reset();            /* it could never be given */
        return 0;
    }
    needed_credit_ = size;
    if (credit() < needed_credit_) {
        return 0;
    }
    needed_credit_ = 1;

    IovArray room;
    gather(rooms, SIZE_MAX, size, &room);
    bool fits = room.size == static_cast<size_t>(size);
    if (!fits) {
        message_.resize(size);
        room.pieces[0] = {message_.data(), message_.size()};
        room.count = 1;
    }
    if (stream_->readv(room.pieces, room.count) != size) {
        reset();
        return 0;
    }
    if (!fits) {
        message_start_ = 0;
        message_ends_record_ = stream_->ends_record();
        return say_rest(rooms);
    }
    return use(rooms, size, end_of_message |
               (stream_->ends_record() ? end_of_record : 0));
}

/* What there is room for of a message that was read already */
size_t Connection::say_rest(Rooms &rooms)
{
    size_t left = message_.size() - message_start_;
    auto limit = std::min<size_t>({left, credit(), max_turn_bytes});
    IovArray room;
    gather(rooms, max_turn_packets, limit, &room);
    size_t n = room.size;
    uint32_t flags = n < left ? 0 : end_of_message |
        (message_ends_record_ ? end_of_record : 0);

    if (!n) {
        return say_one(rooms, Op::credit_update);
    }
    Iov(room.pieces, room.count).copy_in(message_.data() + message_start_, n);
    message_start_ += n;
    if (n == left) {
        std::vector<uint8_t>().swap(message_);
    }
    return use(rooms, n, flags);
}
