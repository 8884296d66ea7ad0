/*
 * A guest for tests: a vsock driver, and its ends of streams
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/guest.hh"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <poll.h>
#include <stdexcept>

namespace {

constexpr unsigned rx_index = 0, tx_index = 1;

uint64_t wanted_features(const Guest::Options &options)
{
    return 1ull << VIRTIO_F_VERSION_1 |
        static_cast<uint64_t>(options.indirect) << VIRTIO_RING_F_INDIRECT_DESC
        | static_cast<uint64_t>(options.event_index) << VIRTIO_RING_F_EVENT_IDX
        | static_cast<uint64_t>(options.seqpacket) << VIRTIO_VSOCK_F_SEQPACKET;
}

[[noreturn]] void fail(const std::string &what)
{
    throw std::runtime_error(what);
}

} // namespace

Guest::Guest(const std::string &socket, const Options &options)
    : options_(options), memory_(options.memory), front_end_(socket),
      features_(front_end_.negotiate(wanted_features(options))),
      rx_(memory_, options.queue_size,
          features_ >> VIRTIO_RING_F_EVENT_IDX & 1),
      tx_(memory_, options.queue_size,
          features_ >> VIRTIO_RING_F_EVENT_IDX & 1),
      rx_buffer_(options.queue_size), tx_buffer_(options.queue_size)
{
    std::vector<uint8_t> config = front_end_.config(sizeof(cid_));

    memcpy(&cid_, config.data(), sizeof(cid_));
    front_end_.share(memory_, options.regions);

    rx_size_ = std::accumulate(options_.rx_layout.begin(),
                               options_.rx_layout.end(), size_t(0));
    for (uint64_t &address : tx_buffer_) {
        address = memory_.allocate(vsock_header + largest_packet);
    }
    start();
}

void Guest::start()
{
    front_end_.start(rx_index, memory_, rx_);
    front_end_.start(tx_index, memory_, tx_);
    post(options_.rx_buffers);
}

void Guest::restart()
{
    bool event_index = features_ >> VIRTIO_RING_F_EVENT_IDX & 1;

    front_end_.stop(rx_index);
    front_end_.stop(tx_index);
    rx_ = Queue(memory_, options_.queue_size, event_index);
    tx_ = Queue(memory_, options_.queue_size, event_index);
    arrived_.clear();
    start();
}

void Guest::post(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (rx_.free() < (options_.indirect ? 1 : options_.rx_layout.size())) {
            break;
        }
        post_one(memory_.allocate(rx_size_));
    }
    rx_.kick();
}

void Guest::post_one(uint64_t address)
{
    std::vector<Segment> chain;
    uint16_t head = rx_.next_head();

    for (uint64_t at = address; uint32_t length : options_.rx_layout) {
        chain.push_back({at, length, true});
        at += length;
    }
    if (!rx_.add(chain, options_.indirect)) {
        fail("the receive queue is full");
    }
    rx_buffer_[head] = address;
}

bool Guest::can_send()
{
    while (tx_.take()) {
    }
    return tx_.free() > 0;
}

/* Receive meanwhile: the back end may wait for free receive buffers. */
void Guest::wait_for_descriptors(size_t descriptors)
{
    if (options_.indirect) {
        descriptors = 1;
    }
    while (!can_send() || tx_.free() < descriptors) {
        arrived();
        if (!wait()) {
            fail("the back end does not take packets");
        }
    }
}

void Guest::send_chain(const std::vector<Segment> &chain)
{
    wait_for_descriptors(chain.size());
    tx_.add(chain, options_.indirect && chain.size() > 1);
    tx_.kick();
}

void Guest::send(const Header &header, std::string_view payload,
                 const std::vector<uint32_t> &layout)
{
    std::vector<Segment> chain;
    uint32_t size = vsock_header + payload.size();
    uint32_t done = 0;

    if (payload.size() > largest_packet) {
        fail("a packet is too large");
    }
    wait_for_descriptors(layout.size() + 1);
    /* From here on no chain is reclaimed, so the next head does not change. */
    uint64_t address = tx_buffer_[tx_.next_head()];
    memcpy(memory_.at(address), &header, vsock_header);
    if (!payload.empty()) {
        memcpy(memory_.at(address + vsock_header), payload.data(),
               payload.size());
    }
    for (uint32_t length : layout) {
        length = std::min(length, size - done);
        chain.push_back({address + done, length, false});
        done += length;
    }
    if (done < size) {
        chain.push_back({address + done, size - done, false});
    }
    tx_.add(chain, options_.indirect && chain.size() > 1);
    tx_.kick();
}

void Guest::send_filler(const Header &header)
{
    uint64_t address = tx_buffer_[tx_.next_head()];

    memcpy(memory_.at(address), &header, vsock_header);
    tx_.add({{address, static_cast<uint32_t>(vsock_header + header.len),
              false}});
    tx_.kick();
}

size_t Guest::poll(const PacketHandler &handler)
{
    size_t count = 0;

    while (std::optional<Queue::Used> used = rx_.take()) {
        uint64_t address = rx_buffer_[used->head];
        auto *data = memory_.at<char>(address);
        Header header;

        if (used->length < vsock_header) {
            fail("a packet is shorter than its header");
        }
        memcpy(static_cast<void *>(&header), data, vsock_header);
        if (header.len != used->length - vsock_header) {
            fail("a packet says " + std::to_string(header.len) + " bytes, not "
                 + std::to_string(used->length - vsock_header));
        }
        handler(header, std::string_view(data + vsock_header, header.len));
        post_one(address);
        count++;
    }
    if (count) {
        rx_.kick();
    }
    return count;
}

bool Guest::wait(int timeout)
{
    pollfd fds[] = {{rx_.call_fd(), POLLIN, 0},
                    {tx_.call_fd(), POLLIN, 0},
                    {front_end_.fd(), POLLIN, 0}};

    /* Arm both, whatever the first call returns. */
    if (rx_.arm() | tx_.arm()) {
        return true;
    }
    int n = ::poll(fds, 3, timeout);
    if (n > 0 && (fds[2].revents & (POLLHUP | POLLIN))) {
        fail("the back end has hung up");
    }
    return n > 0;
}

const std::deque<Packet> &Guest::arrived()
{
    poll([this](const Header &header, std::string_view payload) {
        arrived_.push_back({header, std::string(payload)});
    });
    return arrived_;
}

Packet Guest::find(const PacketFilter &filter, int timeout)
{
    auto end = std::chrono::steady_clock::now()
        + std::chrono::milliseconds(timeout);

    for (;;) {
        arrived();
        auto found = std::find_if(arrived_.begin(), arrived_.end(), filter);
        if (found != arrived_.end()) {
            Packet packet = std::move(*found);

            arrived_.erase(found);
            return packet;
        }
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now()).count();
        if (left <= 0 || !wait(left)) {
            fail("the packet that is waited for does not come; "
                 + std::to_string(arrived_.size()) + " others have");
        }
    }
}

Packet Guest::receive()
{
    return find([](const Packet &) { return true; });
}

Flow::Flow(Guest &guest, uint64_t host_cid, uint32_t host_port,
           uint32_t guest_port, uint16_t type)
    : host_cid(host_cid), host_port(host_port), guest_port(guest_port),
      type(type), guest_(&guest)
{
}

Header Flow::header(uint16_t op, uint32_t flags)
{
    Header h;

    h.src_cid = guest_->cid();
    h.src_port = guest_port;
    h.dst_cid = host_cid;
    h.dst_port = host_port;
    h.type = type;
    h.op = op;
    h.flags = flags;
    h.buf_alloc = buf_alloc;
    h.fwd_cnt = last_fwd_cnt = fwd_cnt;
    /* Credit is never withdrawn. */
    if (static_cast<int32_t>(fwd_cnt + buf_alloc - limit_) > 0) {
        limit_ = fwd_cnt + buf_alloc;
    }
    return h;
}

void Flow::send(uint16_t op, uint32_t flags)
{
    guest_->send(header(op, flags));
}

bool Flow::connect()
{
    send(VIRTIO_VSOCK_OP_REQUEST);
    Packet p = next();
    if (p.header.op != VIRTIO_VSOCK_OP_RST &&
        p.header.op != VIRTIO_VSOCK_OP_RESPONSE) {
        fail("a connection is answered by operation "
             + std::to_string(p.header.op));
    }
    return p.header.op == VIRTIO_VSOCK_OP_RESPONSE;
}

Flow Flow::accept(Guest &guest, const Packet &request)
{
    Flow flow(guest, request.header.src_cid, request.header.src_port,
              request.header.dst_port, request.header.type);

    flow.account(request.header);
    flow.send(VIRTIO_VSOCK_OP_RESPONSE);
    return flow;
}

uint32_t Flow::credit() const
{
    uint32_t in_flight = sent - peer_fwd_cnt;

    return in_flight < peer_buf_alloc ? peer_buf_alloc - in_flight : 0;
}

void Flow::account(const Header &header)
{
    peer_buf_alloc = header.buf_alloc;
    peer_fwd_cnt = header.fwd_cnt;
    if (static_cast<int32_t>(sent - peer_fwd_cnt) < 0) {
        fail("the back end has forwarded more than it got");
    }
    received += header.len;
    if (static_cast<int32_t>(limit_ - received) < 0) {
        fail("the back end sends more than it was given credit for");
    }
}

Packet Flow::next()
{
    Packet p = guest_->find([this](const Packet &found) {
        return found.header.src_cid == host_cid &&
            found.header.src_port == host_port &&
            found.header.dst_port == guest_port &&
            found.header.dst_cid == guest_->cid() &&
            found.header.type == type;
    });
    account(p.header);
    return p;
}

Packet Flow::expect(uint16_t op)
{
    for (;;) {
        Packet p = next();

        if (p.header.op == op) {
            return p;
        }
        if (p.header.op != VIRTIO_VSOCK_OP_CREDIT_UPDATE) {
            fail("operation " + std::to_string(p.header.op) + " comes, not "
                 + std::to_string(op));
        }
    }
}

void Flow::barrier()
{
    send(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

void Flow::wait_for_credit()
{
    Packet p = next();

    if (p.header.op == VIRTIO_VSOCK_OP_RW) {
        keep(p);
    } else if (p.header.op != VIRTIO_VSOCK_OP_CREDIT_UPDATE) {
        fail("no credit comes, but operation " + std::to_string(p.header.op));
    }
}

void Flow::write_message(std::string_view data)
{
    do {
        size_t size = std::min({data.size(), size_t(largest_packet),
                                size_t(credit())});

        if (!size && !data.empty()) {
            wait_for_credit();
            continue;
        }
        bool last = size == data.size();
        Header h = header(VIRTIO_VSOCK_OP_RW, last ? VIRTIO_VSOCK_SEQ_EOM : 0);
        h.len = size;
        guest_->send(h, data.substr(0, size));
        sent += size;
        data.remove_prefix(size);
    } while (!data.empty());
}

std::string Flow::read_message()
{
    std::string data;
    bool whole = false;

    while (!whole) {
        Packet p = expect(VIRTIO_VSOCK_OP_RW);

        data += p.payload;
        whole = p.header.flags & VIRTIO_VSOCK_SEQ_EOM;
    }
    if (consume(data.size())) {
        send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
    return data;
}

void Flow::write(std::string_view data, size_t piece)
{
    while (!data.empty()) {
        size_t size = std::min({data.size(), piece, size_t(credit())});

        if (!size) {
            wait_for_credit();
            continue;
        }
        Header h = header(VIRTIO_VSOCK_OP_RW);
        h.len = size;
        guest_->send(h, data.substr(0, size));
        sent += size;
        data.remove_prefix(size);
    }
}

void Flow::overrun(uint32_t beyond)
{
    const std::string data(largest_packet, 'x');
    const uint32_t enough = peer_buf_alloc + beyond;

    for (uint32_t over = 0; over < enough; over += data.size()) {
        Header h = header(VIRTIO_VSOCK_OP_RW);

        h.len = data.size();
        guest_->send(h, data);
        sent += data.size();
    }
}

/* Send credit as Linux does: before the other end has used it up. */
bool Flow::consume(uint32_t size)
{
    fwd_cnt += size;
    return fwd_cnt - last_fwd_cnt >= buf_alloc / 2;
}

void Flow::keep(const Packet &p)
{
    unread_ += p.payload;
    if (consume(p.payload.size())) {
        send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
}

std::string Flow::read(size_t size)
{
    std::string data;

    while (unread_.size() < size) {
        keep(expect(VIRTIO_VSOCK_OP_RW));
    }
    data = unread_.substr(0, size);
    unread_.erase(0, size);
    return data;
}
