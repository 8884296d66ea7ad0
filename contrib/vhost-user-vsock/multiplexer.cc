/*
 * The connections of one guest, and which of them sends next
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "multiplexer.hh"

#include <sys/epoll.h>

struct Multiplexer::Entry {
    Key key;
    std::unique_ptr<Connection> connection;
    /* The node for the list of those that are ready.  While the entry is not
     * queued, this list holds the node: queueing allocates no memory. */
    std::list<Entry *> unqueued{this};
    std::list<Entry *>::iterator place = unqueued.begin();
    std::optional<Clock::time_point> deadline;
    int watched_fd = -1;
    bool queued = false, reported = false;
    /* Its last turn was small, or it had none: its next turn comes before
     * those of the connections in ready_. */
    bool sparse = true;
    size_t memory = 0;          /* of its data, in bytes; counted in memory_ */
};

/* A guest chooses its ports, so they are mixed to spread over the table. */
size_t Multiplexer::Hash::operator()(const Key &key) const
{
    uint64_t x = key.peer_cid << 48 ^
                 (static_cast<uint64_t>(key.peer_port) << 32 | key.guest_port);

    x = (x ^ x >> 32) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

Multiplexer::Multiplexer(Loop &loop, uint64_t guest_cid, uint32_t buf_alloc,
                         Connect connect, Observe observe, size_t max_memory)
    : loop_(loop), guest_cid_(guest_cid), buf_alloc_(buf_alloc),
      connect_(std::move(connect)), observe_(std::move(observe)),
      max_memory_(max_memory)
{
}

Multiplexer::~Multiplexer()
{
    clear();
}

void Multiplexer::clear()
{
    while (!connections_.empty()) {
        remove(*connections_.begin()->second);
    }
    resets_.clear();
}

/* The traffic of a connection is counted when it ends, not for each packet. */
void Multiplexer::add_traffic(const Connection &c, Counters *counters)
{
    counters->bytes_from_guest += c.bytes_from_guest();
    counters->bytes_to_guest += c.bytes_to_guest();
    counters->stalls_from_guest += c.stalls_from_guest();
    counters->stalls_to_guest += c.stalls_to_guest();
}

Counters Multiplexer::counters() const
{
    Counters all = totals_;

    for (const auto &[key, entry] : connections_) {
        all.open += entry->connection->state() ==
                    Connection::State::established;
        add_traffic(*entry->connection, &all);
    }
    return all;
}

void Multiplexer::report(ConnectionReport::Event event, const Connection &c)
{
    if (observe_) {
        observe_({event, c.by_guest(), c.address(), c.type(),
                  c.bytes_from_guest(), c.bytes_to_guest()});
    }
}

/* A packet that belongs to no connection */
void Multiplexer::refuse(const PacketHeader &h)
{
    if (static_cast<Op>(h.op) == Op::rst) {
        return;
    }
    if (static_cast<Op>(h.op) == Op::request) {
        totals_.refused++;
    } else {
        totals_.resets_without_connection++;
    }
    if (static_cast<Op>(h.op) == Op::request && observe_) {
        Address address = {h.dst_cid, h.dst_port, h.src_cid, h.src_port};

        observe_({ConnectionReport::Event::refused, true, address, h.type, 0,
                  0});
    }
    resets_.push_back(reply_to(h, Op::rst));
}

void Multiplexer::receive(const PacketHeader &h, const Iov &payload)
{
    /* A guest must send with its own CID. */
    if (h.src_cid != guest_cid_) {
        return;
    }

    Key key = {h.dst_cid, h.dst_port, h.src_port};
    auto found = connections_.find(key);
    if (found == connections_.end()) {
        if (static_cast<Op>(h.op) == Op::request) {
            request(key, h);
        } else {
            refuse(h);
        }
        return;
    }
    Entry &entry = *found->second;
    if (h.len > payload.size()) {
        entry.connection->reset(ResetReason::protocol);
    } else {
        entry.connection->receive(h, payload.slice(0, h.len));
    }
    update(entry);
}

void Multiplexer::request(const Key &key, const PacketHeader &h)
{
    bool known = h.type == type_stream ||
                 (h.type == type_seqpacket && seqpacket_);
    std::unique_ptr<Stream> stream;

    if (known && connections_.size() < max_connections) {
        stream = connect_(h);
    }
    if (!stream) {
        return refuse(h);
    }
    Address address = {h.dst_cid, h.dst_port, h.src_cid, h.src_port};
    add(key, std::make_unique<Connection>(address, std::move(stream),
                                          buf_alloc_, h));
}

bool Multiplexer::open(uint32_t guest_port, uint16_t type,
                       std::unique_ptr<Stream> stream)
{
    uint32_t port;

    if (connections_.size() >= max_connections) {
        return false;
    }
    do {
        port = next_port_;
        next_port_ = port == last_host_port ? first_host_port : port + 1;
    } while (connections_.count({parent_cid, port, guest_port}));
    return open_from(parent_cid, port, guest_port, type, std::move(stream));
}

bool Multiplexer::open_from(uint64_t peer_cid, uint32_t peer_port,
                            uint32_t guest_port, uint16_t type,
                            std::unique_ptr<Stream> stream)
{
    Key key = {peer_cid, peer_port, guest_port};
    Address address = {peer_cid, peer_port, guest_cid_, guest_port};

    if (connections_.size() >= max_connections || connections_.count(key) ||
        (type == type_seqpacket && !seqpacket_)) {
        return false;
    }
    add(key, std::make_unique<Connection>(address, std::move(stream),
                                          buf_alloc_, type));
    return true;
}

void Multiplexer::add(const Key &key, std::unique_ptr<Connection> connection)
{
    auto owned = std::make_unique<Entry>();
    Entry &entry = *owned;

    entry.key = key;
    entry.connection = std::move(connection);
    connections_[key] = std::move(owned);
    watch(entry);
    update(entry);
}

/* Watch the descriptor of the connection's stream, which may be another now. */
void Multiplexer::watch(Entry &entry)
{
    int fd = entry.connection->stream().fd();

    if (entry.watched_fd >= 0) {
        loop_.forget(entry.watched_fd);
    }
    entry.watched_fd = fd;
    /* Edge-triggered: epoll_ctl() is not called while data flows. */
    if (fd >= 0 && !loop_.watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET,
                                [this, &entry](uint32_t events) {
                                    handle_stream_event(entry, events);
                                })) {
        entry.watched_fd = -1;
        entry.connection->reset(ResetReason::stream);
    }
}

void Multiplexer::handle_stream_event(Entry &entry, uint32_t events)
{
    constexpr uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    Connection &c = *entry.connection;

    if (events & (EPOLLOUT | EPOLLERR)) {
        c.stream_writable();
    }
    if (events & (EPOLLIN | ends)) {
        c.stream_readable(events & ends);
    }
    update(entry);
}

/* Count the memory of the connection's data.  If all connections have too much,
 * the one that has just got more is reset. */
void Multiplexer::charge(Entry &entry)
{
    size_t memory = entry.connection->memory();
    size_t others = memory_ - entry.memory;

    if (memory > entry.memory && others + memory > max_memory_) {
        entry.connection->reset(ResetReason::memory);
        memory = entry.connection->memory();
    }
    memory_ = others + memory;
    entry.memory = memory;
}

/* Call this after each event of a connection. */
void Multiplexer::update(Entry &entry)
{
    Connection &c = *entry.connection;

    charge(entry);
    if (c.opened() && !entry.reported) {
        entry.reported = true;
        (c.by_guest() ? totals_.opened_by_guest : totals_.opened_by_host)++;
        report(ConnectionReport::Event::opened, c);
    }
    if (c.finished()) {
        return remove(entry);
    }
    if (c.stream().fd() != entry.watched_fd &&
        c.state() != Connection::State::closed) {
        watch(entry);
    }
    if (entry.watched_fd >= 0) {
        loop_.change(c.stream().fd(), EPOLLIN | EPOLLRDHUP | EPOLLET |
                     (c.wants_writable() ? EPOLLOUT : 0u));
    }
    if (!entry.queued && c.has_pending()) {
        std::list<Entry *> &list = entry.sparse ? sparse_ : ready_;

        entry.queued = true;
        list.splice(list.end(), entry.unqueued);
    }
    set_deadline(entry);
}

void Multiplexer::set_deadline(Entry &entry)
{
    auto deadline = entry.connection->deadline();

    if (entry.deadline != deadline) {
        if (entry.deadline) {
            deadlines_.erase({*entry.deadline, &entry});
        }
        if (deadline) {
            deadlines_.emplace(*deadline, &entry);
        }
        entry.deadline = deadline;
    }
}

void Multiplexer::remove(Entry &entry)
{
    Connection &c = *entry.connection;

    report(c.opened() ? ConnectionReport::Event::closed
                      : ConnectionReport::Event::refused, c);
    totals_.refused += !c.opened();
    if (c.reset_reason()) {
        totals_.resets[static_cast<size_t>(*c.reset_reason())]++;
    }
    add_traffic(c, &totals_);
    memory_ -= entry.memory;
    if (entry.watched_fd >= 0) {
        loop_.forget(entry.watched_fd);
    }
    if (entry.queued) {
        (entry.sparse ? sparse_ : ready_).erase(entry.place);
    }
    if (entry.deadline) {
        deadlines_.erase({*entry.deadline, &entry});
    }
    connections_.erase(Key(entry.key));
}

/*
 * A connection whose last turn was small, and left nothing to send, does not
 * wait for the busy ones.  After max_sparse_turns such turns, a busy one has
 * its turn: many small senders cannot keep it waiting.
 */
void Multiplexer::send_pending(RxBuffers &buffers)
{
    size_t silent = 0;      /* turns in a row that sent nothing */

    while (has_pending() && silent <= ready_.size() + sparse_.size() &&
           buffers.at(0)) {
        if (!resets_.empty()) {
            buffers.use(resets_.front());
            resets_.pop_front();
            continue;
        }
        bool first = !sparse_.empty() &&
            (ready_.empty() || sparse_turns_ < max_sparse_turns);
        std::list<Entry *> &list = first ? sparse_ : ready_;
        Entry &entry = *list.front();
        Connection &c = *entry.connection;
        uint64_t before = c.bytes_to_guest();

        sparse_turns_ = first && !ready_.empty() ? sparse_turns_ + 1 : 0;
        entry.unqueued.splice(entry.unqueued.end(), list, entry.place);
        entry.queued = false;
        silent = c.send_pending(buffers) ? 0 : silent + 1;
        entry.sparse = !c.has_pending() &&
            c.bytes_to_guest() - before <= max_sparse_bytes;
        update(entry);
    }
}

void Multiplexer::expire()
{
    if (deadlines_.empty()) {
        return;
    }
    Clock::time_point now = Clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        Entry &entry = *deadlines_.begin()->second;

        entry.connection->expire(now);
        update(entry);
    }
}

int Multiplexer::time_left() const
{
    if (deadlines_.empty()) {
        return -1;
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadlines_.begin()->first - Clock::now()).count();

    return left < 0 ? 0 : left + 1;
}
