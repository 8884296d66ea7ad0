/*
 * A vhost-user front end for tests, in place of QEMU and a guest's driver
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "passing.hh"
#include "testing/front_end.hh"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <thread>

namespace {

constexpr size_t message_header = offsetof(VhostUserMsg, payload.u64);
constexpr size_t page = 4096;

[[noreturn]] void fail(const std::string &what)
{
    throw std::runtime_error(what);
}

[[noreturn]] void fail_errno(const std::string &what)
{
    fail(what + ": " + std::generic_category().message(errno));
}

/* Rings are shared with another process, so each access is atomic. */
uint16_t load(uint16_t *p)
{
    return std::atomic_ref(*p).load(std::memory_order_acquire);
}

void store(uint16_t *p, uint16_t value)
{
    std::atomic_ref(*p).store(value, std::memory_order_release);
}

void full_barrier()
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

} // namespace

bool wait_readable(int fd, int timeout)
{
    pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, timeout) > 0;
}

Descriptor connect_unix(const std::string &path, int type)
{
    auto end = std::chrono::steady_clock::now()
        + std::chrono::milliseconds(max_wait);
    Descriptor fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        fail(path + ": too long for a socket");
    }
    memcpy(address.sun_path, path.c_str(), path.size());
    while (connect(fd.get(), reinterpret_cast<sockaddr *>(&address),
                   sizeof(address))) {
        if ((errno != ENOENT && errno != ECONNREFUSED) ||
            std::chrono::steady_clock::now() > end) {
            fail_errno(path);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return fd;
}

Memory::Memory(size_t size)
    : fd_(memfd_create("guest", MFD_CLOEXEC)), size_(size)
{
    if (!fd_ || ftruncate(fd_.get(), size)) {
        fail_errno("memfd");
    }
    void *p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   fd_.get(), 0);
    if (p == MAP_FAILED) {
        fail_errno("mmap");
    }
    base_ = static_cast<uint8_t *>(p);
}

Memory::~Memory()
{
    munmap(base_, size_);
}

uint64_t Memory::allocate(size_t size, size_t align)
{
    size_t start = (used_ + align - 1) / align * align;

    if (size > size_ - start) {
        fail("the guest's memory is too small");
    }
    used_ = start + size;
    return guest_base + start;
}

Queue::Queue(Memory &memory, uint16_t size, bool event_index)
    : memory_(&memory), size_(size), event_index_(event_index),
      kick_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      call_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), chains_(size)
{
    if (!kick_ || !call_) {
        fail_errno("eventfd");
    }
    descriptors = memory.allocate(sizeof(vring_desc) * size, page);
    avail = memory.allocate(sizeof(vring_avail) + 2 * (size + 1));
    used = memory.allocate(sizeof(vring_used) + sizeof(vring_used_elem) * size
                           + 2);
    tables_ = memory.allocate(sizeof(vring_desc) * size * max_indirect);
    for (uint16_t i = size; i-- > 0;) {
        free_.push_back(i);
    }
}

bool Queue::add(const std::vector<Segment> &segments, bool indirect)
{
    size_t count = indirect ? 1 : segments.size();

    if (segments.empty() || (indirect && segments.size() > max_indirect)) {
        fail("a chain of " + std::to_string(segments.size()) + " buffers");
    }
    if (count > free_.size()) {
        return false;
    }
    Chain &chain = chains_[free_.back()];
    chain.descriptors.assign(free_.rbegin(), free_.rbegin() + count);
    free_.resize(free_.size() - count);
    uint16_t head = chain.descriptors.front();

    uint64_t table = descriptors;
    if (indirect) {
        table = tables_ + head * max_indirect * sizeof(vring_desc);
        *descriptor(head) = {
            table, static_cast<uint32_t>(segments.size() * sizeof(vring_desc)),
            VRING_DESC_F_INDIRECT, 0};
    }
    chain.writable = 0;
    for (size_t i = 0; i < segments.size(); i++) {
        const Segment &s = segments[i];
        size_t at = indirect ? i : chain.descriptors[i];
        bool last = i + 1 == segments.size();
        uint16_t flags = (s.writable ? VRING_DESC_F_WRITE : 0) |
                         (last ? 0 : VRING_DESC_F_NEXT);
        size_t next = last ? 0 : indirect ? i + 1 : chain.descriptors[i + 1];

        memory_->at<vring_desc>(table)[at] = {
            s.address, s.length, flags, static_cast<uint16_t>(next)};
        chain.writable += s.writable ? s.length : 0;
    }
    chain.offered = true;
    offer(head);
    return true;
}

void Queue::offer(uint16_t head)
{
    avail_ring()->ring[avail_index_ % size_] = head;
    store(&avail_ring()->idx, ++avail_index_);
}

void Queue::kick()
{
    uint16_t old = kicked_;

    full_barrier();
    kicked_ = avail_index_;
    if (event_index_) {
        /* The back end's avail_event comes after the used ring. */
        auto *event = reinterpret_cast<uint16_t *>(&used_ring()->ring[size_]);

        if (!vring_need_event(load(event), avail_index_, old)) {
            return;
        }
    } else if (load(&used_ring()->flags) & VRING_USED_F_NO_NOTIFY) {
        return;
    }
    force_kick();
}

void Queue::force_kick()
{
    eventfd_write(kick_.get(), 1);
}

std::optional<Queue::Used> Queue::take()
{
    vring_used *ring = used_ring();

    if (used_index_ == load(&ring->idx)) {
        return {};
    }
    vring_used_elem e = ring->ring[used_index_++ % size_];
    if (e.id >= size_ || !chains_[e.id].offered) {
        fail("the back end returned a chain that it was not given: "
             + std::to_string(e.id));
    }
    Chain &chain = chains_[e.id];
    if (e.len > chain.writable) {
        fail("the back end says it wrote " + std::to_string(e.len) + " of "
             + std::to_string(chain.writable) + " bytes");
    }
    chain.offered = false;
    free_.insert(free_.end(), chain.descriptors.rbegin(),
                 chain.descriptors.rend());
    return Used{static_cast<uint16_t>(e.id), e.len};
}

bool Queue::arm()
{
    eventfd_t count;

    eventfd_read(call_.get(), &count);
    store(&avail_ring()->ring[size_], used_index_);
    full_barrier();
    return used_index_ != load(&used_ring()->idx);
}

FrontEnd::FrontEnd(const std::string &path)
    : socket_(connect_unix(path))
{
}

FrontEnd::~FrontEnd()
{
    shutdown(socket_.get(), SHUT_WR);
    closed();
}

void FrontEnd::send_raw(const void *data, size_t size,
                        const std::vector<int> &fds)
{
    if (send_with_descriptors(socket_.get(), data, size, fds) !=
        static_cast<ssize_t>(size)) {
        fail_errno("sending a vhost-user message");
    }
}

void FrontEnd::send(const VhostUserMsg &message, const std::vector<int> &fds)
{
    send_raw(&message, message_header + message.size, fds);
}

void FrontEnd::request(VhostUserMsg message, const std::vector<int> &fds)
{
    if (reply_ack_) {
        message.flags |= VHOST_USER_NEED_REPLY_MASK;
    }
    send(message, fds);
    if (reply_ack_ && receive().payload.u64 != 0) {
        fail("the back end refuses request "
             + std::to_string(message.request));
    }
}

VhostUserMsg FrontEnd::receive()
{
    VhostUserMsg m = make_message(0);
    auto read_all = [this, &m](size_t from, size_t size) {
        for (size_t done = 0; done < size;) {
            ssize_t n = -1;

            if (wait_readable(socket_.get(), max_wait)) {
                n = recv(socket_.get(),
                         reinterpret_cast<uint8_t *>(&m) + from + done,
                         size - done, 0);
            }
            if (n <= 0) {
                fail("the back end does not answer");
            }
            done += n;
        }
    };

    read_all(0, message_header);
    if (m.size > sizeof(m.payload)) {
        fail("the back end's answer is too long");
    }
    read_all(message_header, m.size);
    return m;
}

uint64_t FrontEnd::get(VhostUserRequest request)
{
    send(make_message(request));
    return receive().payload.u64;
}

void FrontEnd::set(VhostUserRequest request, uint64_t value,
                   const std::vector<int> &fds)
{
    VhostUserMsg m = make_message(request, sizeof(value));

    m.payload.u64 = value;
    this->request(m, fds);
}

void FrontEnd::set_queue(VhostUserRequest request, unsigned index,
                         unsigned value)
{
    VhostUserMsg m = make_message(request, sizeof(m.payload.state));

    m.payload.state = {index, value};
    this->request(m);
}

uint64_t FrontEnd::negotiate(uint64_t wanted)
{
    constexpr uint64_t extra = 1ull << VHOST_USER_F_PROTOCOL_FEATURES;
    uint64_t features = get(VHOST_USER_GET_FEATURES) & (wanted | extra);

    if (features & extra) {
        uint64_t protocol = get(VHOST_USER_GET_PROTOCOL_FEATURES) &
            (1ull << VHOST_USER_PROTOCOL_F_CONFIG |
             1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK);

        set(VHOST_USER_SET_PROTOCOL_FEATURES, protocol);
        reply_ack_ = protocol >> VHOST_USER_PROTOCOL_F_REPLY_ACK & 1;
        enable_ = true;
    }
    request(make_message(VHOST_USER_SET_OWNER));
    set(VHOST_USER_SET_FEATURES, features);
    return features;
}

std::vector<uint8_t> FrontEnd::config(uint32_t size)
{
    VhostUserMsg m = make_message(
        VHOST_USER_GET_CONFIG, offsetof(VhostUserConfig, region) + size);

    m.payload.config.size = size;
    send(m);
    m = receive();
    if (m.size != offsetof(VhostUserConfig, region) + size) {
        fail("the back end has no configuration of this size");
    }
    return {m.payload.config.region, m.payload.config.region + size};
}

void FrontEnd::share(Memory &memory, unsigned regions)
{
    VhostUserMsg m = make_message(
        VHOST_USER_SET_MEM_TABLE, offsetof(VhostUserMemory, regions)
        + regions * sizeof(VhostUserMemoryRegion));
    size_t piece = memory.size() / regions / page * page;

    m.payload.memory.nregions = regions;
    for (unsigned i = 0; i < regions; i++) {
        uint64_t offset = i * piece;
        VhostUserMemoryRegion region = {
            Memory::guest_base + offset,
            i + 1 == regions ? memory.size() - offset : piece,
            memory.user_address(Memory::guest_base + offset), offset};

        memcpy(&m.payload.memory.regions[i], &region, sizeof(region));
    }
    request(m, std::vector<int>(regions, memory.fd()));
}

void FrontEnd::start(unsigned index, Memory &memory, Queue &queue)
{
    VhostUserMsg m = make_message(VHOST_USER_SET_VRING_ADDR,
                                  sizeof(m.payload.addr));

    set_queue(VHOST_USER_SET_VRING_NUM, index, queue.size());
    set_queue(VHOST_USER_SET_VRING_BASE, index, 0);
    m.payload.addr.index = index;
    m.payload.addr.desc_user_addr = memory.user_address(queue.descriptors);
    m.payload.addr.avail_user_addr = memory.user_address(queue.avail);
    m.payload.addr.used_user_addr = memory.user_address(queue.used);
    request(m);
    set(VHOST_USER_SET_VRING_CALL, index, {queue.call_fd()});
    set(VHOST_USER_SET_VRING_KICK, index, {queue.kick_fd()});
    if (enable_) {
        set_queue(VHOST_USER_SET_VRING_ENABLE, index, 1);
    }
}

unsigned FrontEnd::stop(unsigned index)
{
    VhostUserMsg m = make_message(VHOST_USER_GET_VRING_BASE,
                                  sizeof(m.payload.state));

    m.payload.state = {index, 0};
    send(m);
    return receive().payload.state.num;
}

bool FrontEnd::closed(int timeout)
{
    char byte;

    while (wait_readable(socket_.get(), timeout)) {
        if (recv(socket_.get(), &byte, 1, 0) <= 0) {
            return true;
        }
    }
    return false;
}

VhostUserMsg make_message(int request, uint32_t size)
{
    VhostUserMsg m;

    memset(&m, 0, sizeof(m));
    m.request = request;
    m.flags = 1;    /* the version */
    m.size = size;
    return m;
}
