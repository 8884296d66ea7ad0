/*
 * The vhost-user device: the other end of QEMU's vhost-user-vsock
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "device.hh"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <type_traits>

#include "message.hh"

namespace {

enum { rx_queue, tx_queue };

class Device {
public:
    Device(Loop &loop, const VmOptions &options, Host &host);
    ~Device() { disconnect(); }

    /* QEMU has connected. */
    void connect(Fd socket);
    bool connected() const { return connected_; }
    /* Move what can be moved; called after anything that happened. */
    void pump();
    int expire() { return multiplexer_.expire(); }

private:
    static Device &of(VuDev *dev)
    {
        return *reinterpret_cast<Holder *>(dev)->self;
    }
    static void panic(VuDev *dev, const char *message);
    static void set_watch(VuDev *dev, int fd, int condition, vu_watch_cb cb,
                          void *data);
    static void remove_watch(VuDev *dev, int fd);
    static uint64_t get_features(VuDev *dev);
    static void set_features(VuDev *, uint64_t) {}
    static uint64_t get_protocol_features(VuDev *dev);
    static int get_config(VuDev *dev, uint8_t *config, uint32_t size);
    static int set_config(VuDev *, const uint8_t *, uint32_t, uint32_t,
                          uint32_t) { return -1; }
    static void queue_started(VuDev *dev, int index, bool started);

    void dispatch();
    void disconnect();
    void receive();
    void send();

    static const VuDevIface interface;

    /* libvhost-user hands out its own struct: find the way back from it. */
    struct Holder {
        VuDev dev;
        Device *self;
    } holder_;
    static_assert(std::is_standard_layout_v<Holder>);

    Loop &loop_;
    const VmOptions &options_;
    Multiplexer multiplexer_;
    Host &host_;
    bool connected_ = false;
};

const VuDevIface Device::interface = {
    .get_features = get_features,
    .set_features = set_features,
    .get_protocol_features = get_protocol_features,
    .set_protocol_features = set_features,
    .process_msg = nullptr,
    .queue_set_started = queue_started,
    .queue_is_processed_in_order = nullptr,
    .get_config = get_config,
    .set_config = set_config,
};

Device::Device(Loop &loop, const VmOptions &options, Host &host)
    : holder_{}, loop_(loop), options_(options),
      multiplexer_(loop, options.guest_cid, options.buffer_size,
                   [&host](uint32_t port) { return host.connect(port); }),
      host_(host)
{
    holder_.self = this;
    host_.on_activity([this] { pump(); });
}

void Device::panic(VuDev *dev, const char *message)
{
    fprintf(stderr, "vhost-user-vsock: guest %llu: %s\n",
            static_cast<unsigned long long>(of(dev).options_.guest_cid),
            message);
}

void Device::set_watch(VuDev *dev, int fd, int condition, vu_watch_cb cb,
                       void *data)
{
    Device &self = of(dev);

    /* The POLL* and EPOLL* conditions have the same values. */
    self.loop_.watch(fd, condition, [&self, cb, data](uint32_t events) {
        cb(&self.holder_.dev, events, data);
        self.pump();
    });
}

void Device::remove_watch(VuDev *dev, int fd)
{
    of(dev).loop_.forget(fd);
}

uint64_t Device::get_features(VuDev *)
{
    return 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
           1ULL << VIRTIO_RING_F_EVENT_IDX;
}

uint64_t Device::get_protocol_features(VuDev *)
{
    return 1ULL << VHOST_USER_PROTOCOL_F_CONFIG |
           1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK;
}

/* struct virtio_vsock_config: the guest's CID */
int Device::get_config(VuDev *dev, uint8_t *config, uint32_t size)
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

void Device::queue_started(VuDev *dev, int index, bool started)
{
    /* What a kick asks for is done after every callback anyway. */
    vu_queue_handler_cb nothing = [](VuDev *, int) {};

    vu_set_queue_handler(dev, &dev->vq[index], started ? nothing : nullptr);
    if (!started) {
        of(dev).multiplexer_.clear();
    }
}

void Device::connect(Fd socket)
{
    timeval limit = {.tv_sec = 2, .tv_usec = 0};
    int fd = dup(socket.get());     /* libvhost-user closes its own */

    /* A peer that stops in the middle of a message is given up. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    memset(&holder_.dev, 0, sizeof(holder_.dev));
    if (fd < 0 || !vu_init(&holder_.dev, 2, fd, panic, read_message, set_watch,
                           remove_watch, &interface)) {
        return;
    }
    connected_ = true;
    host_.attach(&multiplexer_);
    loop_.watch(fd, EPOLLIN, [this](uint32_t) { dispatch(); });
}

void Device::disconnect()
{
    if (connected_) {
        connected_ = false;
        host_.attach(nullptr);
        multiplexer_.clear();
        loop_.forget(holder_.dev.sock);
        vu_deinit(&holder_.dev);
    }
}

void Device::dispatch()
{
    if (!vu_dispatch(&holder_.dev) || holder_.dev.broken) {
        disconnect();
    } else {
        pump();
    }
}

/* Takes what the guest has sent. */
void Device::receive()
{
    VuDev *dev = &holder_.dev;
    VuVirtq *vq = &dev->vq[tx_queue];
    bool any = false;

    while (multiplexer_.can_receive()) {
        auto *e = static_cast<VuVirtqElement *>(
            vu_queue_pop(dev, vq, sizeof(VuVirtqElement)));

        if (!e) {
            break;
        }
        Iov chain(e->out_sg, e->out_sg + e->out_num);
        /* What is too short for a header is nobody's packet. */
        if (std::optional<PacketHeader> header = read_header(chain)) {
            multiplexer_.receive(*header, iov_slice(chain,
                                                    packet_header_size));
        }
        vu_queue_push(dev, vq, e, 0);
        free(e);
        any = true;
    }
    if (any) {
        vu_queue_notify(dev, vq);
    }
}

/* Gives the guest what is for it, as far as it has buffers. */
void Device::send()
{
    VuDev *dev = &holder_.dev;
    VuVirtq *vq = &dev->vq[rx_queue];
    bool any = false;

    while (multiplexer_.wants_to_send()) {
        auto *e = static_cast<VuVirtqElement *>(
            vu_queue_pop(dev, vq, sizeof(VuVirtqElement)));

        if (!e) {
            break;
        }
        Iov room(e->in_sg, e->in_sg + e->in_num);
        if (iov_size(room) < packet_header_size) {
            panic(dev, "a receive buffer is too small for a header");
            dev->broken = true;
            free(e);
            break;
        }
        size_t size = multiplexer_.send(room);
        if (!size) {
            vu_queue_unpop(dev, vq, e, 0);
            free(e);
            break;
        }
        vu_queue_push(dev, vq, e, size);
        free(e);
        any = true;
    }
    if (any) {
        vu_queue_notify(dev, vq);
    }
}

void Device::pump()
{
    VuDev *dev = &holder_.dev;

    if (!connected_) {
        return;
    }
    if (vu_queue_started(dev, &dev->vq[tx_queue]) &&
        vu_queue_started(dev, &dev->vq[rx_queue])) {
        receive();
        send();
    }
    if (dev->broken) {
        disconnect();
    }
}

} // namespace

void serve(const VmOptions &options, Fd listener, Fd uds_listener, int stop)
{
    bool stopped = false;
    Loop loop;
    Host host(loop, {options.uds_path, options.heartbeat},
              std::move(uds_listener), [&options] {
                  printf("enclave booted: CID %llu\n",
                         static_cast<unsigned long long>(options.guest_cid));
                  fflush(stdout);
              });
    Device device(loop, options, host);

    loop.watch(stop, EPOLLIN, [&](uint32_t) { stopped = true; });
    loop.watch(listener.get(), EPOLLIN, [&](uint32_t) {
        Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));

        /* One QEMU at a time: a second one is turned away. */
        if (socket && !device.connected()) {
            device.connect(std::move(socket));
        }
    });
    while (!stopped) {
        loop.run_once(device.expire());
        device.pump();
    }
}
