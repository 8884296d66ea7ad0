/*
 * The vhost-user device: the back end of QEMU's vhost-user-vsock
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "device.hh"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <type_traits>

#include "queue.hh"

namespace {

constexpr unsigned int seqpacket_feature = 1;   /* virtio 1.2, 5.10.3 */

/* How long the rest of a message may take */
constexpr std::chrono::seconds message_timeout{5};

} // namespace

/* Callbacks of libvhost-user */
struct Device::Callbacks {
    static Device &of(VuDev *dev)
    {
        static_assert(std::is_standard_layout_v<Holder>);
        return *reinterpret_cast<Holder *>(dev)->self;
    }
    static void panic(VuDev *dev, const char *message)
    {
        of(dev).log_error(message);
    }
    static bool read_message(VuDev *dev, int, VhostUserMsg *message)
    {
        *message = of(dev).reader_.take();
        return true;
    }
    /*
     * The eventfd of a kick is watched edge-triggered, so it need not be read.
     * The queues are processed after every event, so there is nothing to do.
     */
    static void set_watch(VuDev *dev, int fd, int, vu_watch_cb, void *)
    {
        of(dev).loop_.forget(fd);
        if (!of(dev).loop_.watch(fd, EPOLLIN | EPOLLET, [](uint32_t) {})) {
            of(dev).log_error("a queue's kick descriptor cannot be watched:"
                              " it has to be an eventfd or a pipe");
            dev->broken = true;
        }
    }
    static void remove_watch(VuDev *dev, int fd)
    {
        of(dev).loop_.forget(fd);
    }
    static uint64_t get_features(VuDev *)
    {
        return 1ULL << VIRTIO_F_VERSION_1 |
               1ULL << VIRTIO_RING_F_INDIRECT_DESC |
               1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << seqpacket_feature;
    }
    static void set_features(VuDev *dev, uint64_t features)
    {
        of(dev).multiplexer_.set_seqpacket((features >> seqpacket_feature) & 1);
    }
    static int process_message(VuDev *dev, VhostUserMsg *message, int *reply)
    {
        *reply = 0;
        return !of(dev).check_request(*message);
    }
    static void queue_started(VuDev *dev, int index, bool started)
    {
        of(dev).start_queue(index, started);
    }
    static int get_config(VuDev *dev, uint8_t *config, uint32_t size)
    {
        uint64_t cid = of(dev).options_.guest_cid;

        if (size > sizeof(cid)) {
            return -1;
        }
        for (uint32_t i = 0; i < size; i++) {
            config[i] = cid >> (8 * i);
        }
        return 0;
    }
    static int set_config(VuDev *, const uint8_t *, uint32_t, uint32_t,
                          uint32_t)
    {
        return -1;
    }
    static const VuDevIface interface;
};

const VuDevIface Device::Callbacks::interface = {
    .get_features = get_features,
    .set_features = set_features,
    .get_protocol_features = nullptr,
    .set_protocol_features = nullptr,
    .process_msg = process_message,
    .queue_set_started = queue_started,
    .queue_is_processed_in_order = nullptr,
    .get_config = get_config,
    .set_config = set_config,
};

Device::Device(Loop &loop, Sockets &sockets, Siblings &siblings,
               Events &events, const VmOptions &options)
    : loop_(loop), siblings_(siblings), events_(events), options_(options),
      host_(loop, sockets, share_, options.host, [this] { booted(); }),
      multiplexer_(
          loop, options.guest_cid, options.buffer_size,
          [this](const PacketHeader &request) { return connect(request); },
          [this](const ConnectionReport &r) { events_.connection(r); }),
      reader_(options.queue_size), holder_{}, messages_(options.guest_cid)
{
    holder_.self = this;
    siblings_.add(options_.guest_cid, options_.groups, loop_, share_,
                  [this](SiblingRequest &request) { open_from(request); });
}

Device::~Device()
{
    disconnect();
}

bool Device::listen(std::string *error)
{
    auto at = unix_endpoint(options_.socket, error);

    if (!at) {
        return false;
    }
    listener_ = Sockets().listen(*at, SOCK_STREAM, error);
    return listener_.fd && host_.listen(error);
}

void Device::log_error(const char *message)
{
    fputs(messages_.lines(message, std::chrono::steady_clock::now()).c_str(),
          stderr);
}

/* Each heartbeat calls it, and a guest can send many; the first counts. */
void Device::booted()
{
    if (!booted_) {
        booted_ = true;
        printf("enclave booted: CID %llu\n",
               static_cast<unsigned long long>(options_.guest_cid));
        fflush(stdout);
        events_.guest("booted", options_.guest_cid);
    }
}

std::unique_ptr<Stream> Device::connect(const PacketHeader &request)
{
    if (request.dst_cid == host_cid || request.dst_cid == parent_cid) {
        return host_.connect(request.dst_port, request.type,
                             {static_cast<uint32_t>(request.src_cid),
                              request.src_port});
    }
    return siblings_.connect(options_.guest_cid, request);
}

/* A sibling's connection to this guest */
void Device::open_from(SiblingRequest &request)
{
    if (running()) {
        multiplexer_.open_from(request.from_cid, request.from_port,
                               request.to_port, request.type,
                               std::move(request.stream));
    }
}

/* The vhost-user socket */

void Device::attach_front_end(Descriptor socket)
{
    int fd = fcntl(socket.get(), F_DUPFD_CLOEXEC, 0);

    /* libvhost-user closes this descriptor. */
    holder_.dev = {};
    if (fd < 0 || !vu_init(&holder_.dev, num_queues, fd, Callbacks::panic,
                           Callbacks::read_message, Callbacks::set_watch,
                           Callbacks::remove_watch, &Callbacks::interface)) {
        return;
    }
    connected_ = true;
    messages_seen_++;
    events_.guest("guest-connected", options_.guest_cid);
    if (!loop_.watch(fd, EPOLLIN, [this](uint32_t) { dispatch(); })) {
        disconnect();
    }
}

void Device::disconnect()
{
    if (connected_) {
        connected_ = false;
        host_.attach(nullptr);
        multiplexer_.clear();
        loop_.forget(holder_.dev.sock);
        /* Close the socket last: the peer may wait for the end of this. */
        reader_.reset();
        vu_deinit(&holder_.dev);
        events_.guest("guest-disconnected", options_.guest_cid);
    }
}

void Device::dispatch()
{
    VuDev &dev = holder_.dev;
    pollfd p = {dev.sock, POLLOUT, 0};

    messages_seen_++;
    switch (reader_.read(dev.sock)) {
    case MessageReader::Result::incomplete:
        return await_rest_of_message();
    case MessageReader::Result::closed:
        return disconnect();
    case MessageReader::Result::refused:
        log_error(reader_.error());
        return disconnect();
    case MessageReader::Result::complete:
        break;
    }
    /* The library would block for ever if the peer does not read replies. */
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) || !vu_dispatch(&dev)) {
        return disconnect();
    }
    after_message();
    if (dev.broken) {
        disconnect();
    }
}

/* A peer that stops in the middle of a message would block other peers. */
void Device::await_rest_of_message()
{
    loop_.after(message_timeout, [this, messages_seen = messages_seen_] {
        if (connected_ && messages_seen == messages_seen_) {
            log_error("a vhost-user message has not arrived completely after"
                      " 5 s: the connection is closed");
            disconnect();
        }
    });
}

/* Called before the library handles a message; false if it must not. */
bool Device::check_request(const VhostUserMsg &m)
{
    VuDev &dev = holder_.dev;

    if (m.request == VHOST_USER_SET_VRING_ADDR) {
        vhost_vring_addr address = m.payload.addr;
        uint32_t num = std::max(dev.vq[address.index].vring.num, 1u);

        if (const char *wrong = check_queue(dev, address, num)) {
            log_error(wrong);
            dev.broken = true;
            return false;
        }
    } else if (m.request == VHOST_USER_SET_MEM_TABLE) {
        /* The library would unmap these twice if mapping new ones fails. */
        for (uint32_t i = 0; i < dev.nregions; i++) {
            VuDevRegion &r = dev.regions[i];

            munmap(reinterpret_cast<void *>(r.mmap_addr),
                   r.size + r.mmap_offset);
            r = {};
        }
    } else if (m.request == VHOST_USER_SET_VRING_CALL && m.fd_num == 1) {
        /* A write to it must not block. */
        fcntl(m.fds[0], F_SETFL, fcntl(m.fds[0], F_GETFL) | O_NONBLOCK);
    }
    return true;
}

/* Called after the library has handled a message */
void Device::after_message()
{
    VuDev &dev = holder_.dev;

    for (uint32_t i = 0; i < dev.nregions; i++) {
        if (!dev.regions[i].mmap_addr) {
            /* It was not mapped, so the library must not unmap it. */
            dev.regions[i].mmap_addr = reinterpret_cast<uintptr_t>(MAP_FAILED);
        }
    }
    for (int i = 0; i < num_queues && !dev.broken; i++) {
        VuVirtq &vq = dev.vq[i];

        /* Its size or its memory may have changed. */
        if (vq.vring.desc) {
            if (const char *wrong = check_mapped_queue(dev, vq)) {
                log_error(wrong);
                dev.broken = true;
            }
        } else if (vq.started && vq.vra.desc_user_addr) {
            /* The library would map it again without checking its size. */
            log_error("a queue has no memory region any more: stop the queue"
                      " before its memory is removed");
            dev.broken = true;
        }
    }
    host_.attach(running() ? &multiplexer_ : nullptr);
}

void Device::start_queue(int index, bool started)
{
    VuVirtq &vq = holder_.dev.vq[index];

    vq.signalled_used_valid = false;
    vq.notification = true;
    if (started) {
        vu_set_queue_handler(&holder_.dev, &vq, [](VuDev *, int) {});
        booted_ = false;
    } else {
        vu_set_queue_handler(&holder_.dev, &vq, nullptr);
        /* The guest may place its next rings at other addresses. */
        vq.vring.desc = nullptr;
        vq.vring.avail = nullptr;
        vq.vring.used = nullptr;
        multiplexer_.clear();
    }
}

/* The queues */

bool Device::running() const
{
    if (!connected_ || holder_.dev.broken) {
        return false;
    }
    for (int i = 0; i < num_queues; i++) {
        const VuVirtq &vq = holder_.dev.vq[i];

        if (!vq.started || !vq.vring.desc || !vq.vring.num) {
            return false;
        }
    }
    return true;
}

/* Handle the packets that the guest has sent; true if there may be more. */
bool Device::process_tx_queue()
{
    QueueBatch queue(holder_.dev, tx_queue);

    while (multiplexer_.can_receive()) {
        const Element *e = queue.first();

        if (!e) {
            return queue.exhausted();
        }
        Iov chain(e->out_sg, e->out_num);
        /* A chain too short for a header is ignored. */
        if (std::optional<PacketHeader> header = read_header(chain)) {
            multiplexer_.receive(*header, chain.slice(packet_header_size));
        }
        queue.use(0);
    }
    return true;
}

namespace {

/* The receive buffers that the guest has put into its rx queue */
class QueueRxBuffers : public RxBuffers {
public:
    explicit QueueRxBuffers(QueueBatch &queue) : queue_(queue) {}
    std::optional<Iov> at(size_t index) override
    {
        const Element *e = queue_.at(index);

        if (!e) {
            return std::nullopt;
        }
        Iov whole(e->in_sg, e->in_num);
        if (whole.size() < packet_header_size) {
            queue_.fail("a receive buffer is smaller than a packet header of"
                        " 44 bytes");
            return std::nullopt;
        }
        return whole.slice(packet_header_size);
    }
    void use(const PacketHeader &header) override
    {
        const Element *e = queue_.first();

        write_header(Iov(e->in_sg, e->in_num), header);
        queue_.use(packet_header_size + header.len);
    }

private:
    QueueBatch &queue_;
};

} // namespace

/* Send packets while the guest has receive buffers; true if there may be
 * more to do. */
bool Device::process_rx_queue()
{
    if (!multiplexer_.has_pending()) {
        return false;
    }
    QueueBatch queue(holder_.dev, rx_queue);
    QueueRxBuffers buffers(queue);

    multiplexer_.send_pending(buffers);
    /* If there are buffers left, a connection has used up its turn. */
    return multiplexer_.has_pending() &&
        (queue.exhausted() || buffers.at(0));
}

/* Process both queues once; true if there may be more to do. */
bool Device::process_queues()
{
    if (!running()) {
        return false;
    }
    bool stuck = !multiplexer_.can_receive();
    bool more = process_tx_queue();
    more = process_rx_queue() ||
        (more && (!stuck || multiplexer_.can_receive()));
    if (holder_.dev.broken) {
        disconnect();
        return false;
    }
    return more && (multiplexer_.can_receive() || multiplexer_.has_pending());
}

void Device::write_counters()
{
    loop_.post([this] {
        events_.counters(multiplexer_.counters(), options_.guest_cid);
    });
}

void Device::run(int stop)
{
    bool stopped = false, more = false;
    int listener = listener_.fd.get();

    loop_.watch(stop, EPOLLIN, [&](uint32_t) { stopped = true; });
    loop_.watch(listener, EPOLLIN, [&](uint32_t) {
        accept_all(loop_, listener, [this](Descriptor socket) {
            /* There is one QEMU at a time: a second one is closed. */
            if (!connected_) {
                attach_front_end(std::move(socket));
            }
        });
    });
    while (!stopped) {
        loop_.run_once(more ? 0 : multiplexer_.time_left());
        multiplexer_.expire();
        more = process_queues();
    }
    disconnect();
    loop_.forget(listener);
    loop_.forget(stop);
}
