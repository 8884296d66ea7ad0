/*
 * Fuzz target: a guest's vsock packets, and host programs at the other ends
 *
 * The input is a series of steps, each a byte and what it needs:
 *   0     a packet: its header of 44 bytes; 2 bytes, little-endian, with how
 *         much payload there is, whatever the header says
 *   1     the guest has receive buffers: how many, and 2 bytes of their size
 *   2     a host program writes: which one, and how many bytes / 16
 *   3     one reads all that there is: which one
 *   4     one ends: which one, and odd if it only stops to write
 *   5     one asks for a connection: the guest's port, and 2 for SEQPACKET
 * Step bytes count modulo 6, and host programs modulo their number.  Payload
 * to the guest says where in its stream it is, so that it can be checked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <sys/socket.h>
#include <tuple>

#include "testing/fake_rx_buffers.hh"
#include "multiplexer.hh"

extern "C" {
#include "target.h"
}

namespace {

constexpr uint64_t guest = 16;
constexpr uint32_t limit = 4096;            /* bytes: a guest's credit */
constexpr size_t max_programs = 64;

/* In all builds, not only in those with assertions */
void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

class Input {
public:
    Input(const uint8_t *data, size_t size) : data_(data), size_(size) {}
    bool empty() const { return !size_; }
    /* Missing bytes at the end are zero. */
    template <typename T> T take()
    {
        T value = {};
        size_t n = std::min(sizeof(value), size_);

        memcpy(&value, data_, n);
        data_ += n;
        size_ -= n;
        return value;
    }

private:
    const uint8_t *data_;
    size_t size_;
};

/* The byte at `position` of what a host program sends */
uint8_t pattern(uint32_t position)
{
    return (position * 2654435761u) >> 24;
}

struct Program {
    Descriptor fd;
    uint16_t type;
    uint32_t written = 0;                   /* bytes */
    bool ended = false;
};

/* The guest's state of a connection */
struct Flow {
    uint32_t buf_alloc = 0, fwd_cnt = 0;    /* last values sent */
    uint32_t received = 0;                  /* bytes */
};

class World {
public:
    World()
        : m_(loop_, guest, limit, [this](const PacketHeader &request) {
              return request.dst_port % 4 ? connect(request.type) : nullptr;
          })
    {
        m_.set_seqpacket(true);
    }
    void step(Input &input);
    void finish();

private:
    using Key = std::tuple<uint64_t, uint32_t, uint32_t>;

    std::unique_ptr<Stream> connect(uint16_t type);
    Program *program(Input &input);
    void packet(Input &input);
    void buffers(size_t count, size_t size);
    void check(const SentPacket &sent);
    void write(Program &p, size_t size);

    Loop loop_;
    Multiplexer m_;
    std::vector<Program> programs_;
    std::map<Key, Flow> flows_;
};

std::unique_ptr<Stream> World::connect(uint16_t type)
{
    std::array<int, 2> ends;
    int kind = type == type_seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;

    if (programs_.size() >= max_programs ||
        socketpair(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   ends.data())) {
        return nullptr;
    }
    programs_.push_back({Descriptor(ends[1]), type});
    return std::make_unique<SocketStream>(Descriptor(ends[0]));
}

Program *World::program(Input &input)
{
    uint8_t which = input.take<uint8_t>();

    return programs_.empty() ? nullptr : &programs_[which % programs_.size()];
}

void World::packet(Input &input)
{
    static std::array<uint8_t, 65536> filler;
    auto raw = input.take<std::array<uint8_t, packet_header_size>>();
    iovec header = {raw.data(), raw.size()};
    std::optional<PacketHeader> h = read_header(header);
    size_t size = input.take<uint16_t>();
    /* In two pieces, as descriptors may be */
    iovec pieces[] = {{filler.data(), size / 3},
                      {filler.data() + size / 3, size - size / 3}};
    Iov payload(pieces, std::size(pieces));

    if (!m_.can_receive()) {
        return;
    }
    if (h->src_cid == guest) {
        Flow &flow = flows_[{h->dst_cid, h->dst_port, h->src_port}];

        flow.buf_alloc = h->buf_alloc;
        flow.fwd_cnt = h->fwd_cnt;
    }
    m_.receive(*h, payload);
}

/* The guest receives data completely, in order, and within its credit. */
void World::check(const SentPacket &sent)
{
    const PacketHeader &h = sent.header;
    Flow &flow = flows_[{h.src_cid, h.src_port, h.dst_port}];

    require(h.dst_cid == guest);
    require(h.len == sent.payload.size());
    require(h.op >= 1 && h.op <= 7);
    switch (static_cast<Op>(h.op)) {
    case Op::request:
    case Op::response:
        flow.received = 0;
        break;
    case Op::rw: {
        uint32_t in_flight = flow.received - flow.fwd_cnt;

        require(h.len > 0 && in_flight <= flow.buf_alloc &&
                h.len <= flow.buf_alloc - in_flight);
        for (char c : sent.payload) {
            require(static_cast<uint8_t>(c) == pattern(flow.received++));
        }
        break;
    }
    default:
        require(h.len == 0);
    }
}

void World::buffers(size_t count, size_t size)
{
    FakeRxBuffers buffers(count, size);

    m_.send_pending(buffers);
    for (const SentPacket &sent : buffers.sent) {
        check(sent);
    }
}

void World::write(Program &p, size_t size)
{
    std::vector<uint8_t> data;

    for (size_t i = 0; i < size; i++) {
        data.push_back(pattern(p.written + i));
    }
    ssize_t n = send(p.fd.get(), data.data(), size, MSG_NOSIGNAL);
    p.written += n > 0 ? n : 0;
}

void World::step(Input &input)
{
    std::array<char, 65536> sink;
    Program *p = nullptr;

    switch (input.take<uint8_t>() % 6) {
    case 0:
        packet(input);
        break;
    case 1: {
        size_t count = input.take<uint8_t>();

        buffers(count, input.take<uint16_t>() % 8192);
        break;
    }
    case 2: {
        p = program(input);
        size_t size = 16 * input.take<uint8_t>() + 1;

        if (p) {
            write(*p, size);
        }
        break;
    }
    case 3:
        p = program(input);
        while (p && recv(p->fd.get(), sink.data(), sink.size(), 0) > 0) {
        }
        break;
    case 4: {
        p = program(input);
        bool only_writing = input.take<uint8_t>() % 2;

        if (p) {
            shutdown(p->fd.get(), only_writing ? SHUT_WR : SHUT_RDWR);
        }
        break;
    }
    default: {
        uint32_t port = input.take<uint8_t>();
        uint16_t type = input.take<uint8_t>() == 2 ? type_seqpacket
                                                   : type_stream;

        if (std::unique_ptr<Stream> stream = connect(type)) {
            m_.open(port, type, std::move(stream));
        }
    }
    }
    loop_.run_once(0);
    require(m_.size() <= programs_.size());
}

/* With enough receive buffers, it sends all that is pending. */
void World::finish()
{
    for (int i = 0; m_.has_pending(); i++) {
        require(i < 10000);
        buffers(64, 4096);
        loop_.run_once(0);
    }
    m_.clear();
    require(m_.size() == 0);
    for (Program &p : programs_) {
        std::array<char, 65536> sink;
        ssize_t n;

        while ((n = recv(p.fd.get(), sink.data(), sink.size(), 0)) > 0) {
        }
        require(n == 0 || errno != EAGAIN);     /* it has been closed */
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input(data, size);
    World world;

    while (!input.empty()) {
        world.step(input);
    }
    world.finish();
    return 0;
}
