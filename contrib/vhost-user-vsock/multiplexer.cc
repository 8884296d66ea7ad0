/*
 * The connections of one guest, and who of them speaks next
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "multiplexer.hh"

#include <algorithm>
#include <sys/epoll.h>
#include <vector>

Multiplexer::Multiplexer(Loop &loop, uint64_t guest_cid, uint32_t limit,
                         Connect connect)
    : loop_(loop), guest_cid_(guest_cid), limit_(limit),
      connect_(std::move(connect))
{
}

Multiplexer::~Multiplexer()
{
    clear();
}

void Multiplexer::clear()
{
    for (auto &[key, entry] : connections_) {
        if (entry.watched) {
            loop_.forget(entry.connection->stream().fd());
        }
    }
    connections_.clear();
    ready_.clear();
    resets_.clear();
}

void Multiplexer::refuse(const PacketHeader &h)
{
    PacketHeader r;

    if (static_cast<Op>(h.op) == Op::rst) {
        return;
    }
    r.src_cid = h.dst_cid;
    r.src_port = h.dst_port;
    r.dst_cid = h.src_cid;
    r.dst_port = h.src_port;
    r.type = h.type;
    r.op = static_cast<uint16_t>(Op::rst);
    resets_.push_back(r);
}

void Multiplexer::receive(const PacketHeader &h, const Iov &payload)
{
    /* A guest speaks for itself alone, and to the host alone. */
    if (h.src_cid != guest_cid_) {
        return;
    }
    if (h.type != type_stream ||
        (h.dst_cid != host_cid && h.dst_cid != parent_cid)) {
        return refuse(h);
    }

    Key key(h.dst_cid, h.dst_port, h.src_port);
    auto found = connections_.find(key);
    if (found == connections_.end()) {
        if (static_cast<Op>(h.op) == Op::request) {
            request(key, h);
        } else {
            refuse(h);
        }
        return;
    }
    if (h.len > iov_size(payload)) {
        found->second.connection->reset();
    } else {
        found->second.connection->receive(h, iov_slice(payload, 0, h.len));
    }
    update(key);
}

void Multiplexer::request(const Key &key, const PacketHeader &h)
{
    std::unique_ptr<Stream> stream;

    if (connections_.size() < max_connections) {
        stream = connect_(h.dst_port);
    }
    if (!stream) {
        return refuse(h);
    }
    Address address = {h.dst_cid, h.dst_port, h.src_cid, h.src_port};
    add(key, std::make_unique<Connection>(address, std::move(stream), limit_,
                                          &h));
}

bool Multiplexer::open(uint32_t guest_port, std::unique_ptr<Stream> stream)
{
    if (connections_.size() >= max_connections) {
        return false;
    }
    Key key;
    do {
        key = Key(parent_cid, next_port_, guest_port);
        next_port_ = next_port_ == last_host_port ? first_host_port
                                                  : next_port_ + 1;
    } while (connections_.count(key));

    Address address = {parent_cid, std::get<1>(key), guest_cid_, guest_port};
    add(key, std::make_unique<Connection>(address, std::move(stream), limit_,
                                          nullptr));
    return true;
}

void Multiplexer::add(const Key &key, std::unique_ptr<Connection> connection)
{
    int fd = connection->stream().fd();
    Entry &entry = connections_[key];

    entry.connection = std::move(connection);
    if (fd >= 0) {
        loop_.watch(fd, 0, [this, key, fd](uint32_t events) {
            auto found = connections_.find(key);

            if (found == connections_.end()) {
                return;
            }
            Connection &c = *found->second.connection;
            if (events & EPOLLOUT) {
                c.stream_writable();
            }
            if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                c.stream_readable();
            }
            if (events & (EPOLLHUP | EPOLLERR)) {
                /* It would be told of for ever. */
                loop_.forget(fd);
                found->second.watched = false;
            }
            update(key);
        });
        entry.watched = true;
    }
    update(key);
}

/* After anything that happened to a connection */
void Multiplexer::update(const Key &key)
{
    auto found = connections_.find(key);
    Entry &entry = found->second;
    Connection &c = *entry.connection;

    if (c.finished()) {
        if (entry.watched) {
            loop_.forget(c.stream().fd());
        }
        if (entry.queued) {
            ready_.erase(std::find(ready_.begin(), ready_.end(), key));
        }
        connections_.erase(found);
        return;
    }
    if (entry.watched) {
        loop_.change(c.stream().fd(), (c.wants_readable() ? EPOLLIN : 0u) |
                     (c.wants_writable() ? EPOLLOUT : 0u));
    }
    if (!entry.queued && c.wants_to_send()) {
        entry.queued = true;
        ready_.push_back(key);
    }
}

size_t Multiplexer::send(const Iov &room)
{
    const Iov payload = iov_slice(room, packet_header_size);

    if (!resets_.empty()) {
        write_header(room, resets_.front());
        resets_.pop_front();
        return packet_header_size;
    }
    /* Each has its turn once: what there is no room for waits. */
    for (size_t turns = ready_.size(); turns && !ready_.empty(); turns--) {
        Key key = ready_.front();
        Entry &entry = connections_.at(key);

        ready_.pop_front();
        entry.queued = false;
        std::optional<PacketHeader> h = entry.connection->next(payload);
        update(key);
        if (h) {
            write_header(room, *h);
            return packet_header_size + h->len;
        }
    }
    return 0;
}

int Multiplexer::expire()
{
    Clock::time_point now = Clock::now();
    std::optional<Clock::time_point> due;
    std::vector<Key> over;

    for (auto &[key, entry] : connections_) {
        auto deadline = entry.connection->deadline();

        if (deadline && *deadline <= now) {
            over.push_back(key);
        } else if (deadline && (!due || *deadline < *due)) {
            due = deadline;
        }
    }
    for (const Key &key : over) {
        connections_.at(key).connection->expire(now);
        update(key);
    }
    if (!due) {
        return -1;
    }
    return 1 + std::chrono::duration_cast<std::chrono::milliseconds>(
        *due - now).count();
}
