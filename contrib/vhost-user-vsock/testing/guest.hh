/*
 * A guest for tests: a vsock driver, and its ends of streams
 *
 * Guest posts receive buffers, sends packets with any layout of descriptors,
 * and returns the packets that arrive.  Flow is the guest's end of one
 * connection: it handles the credit of both directions as a correct driver
 * does, and fails if the back end sends more than its credit.
 *
 * Format: virtio 1.2, 5.10.6.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_GUEST_HH
#define VHOST_USER_VSOCK_TESTING_GUEST_HH

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "qemu/compiler.h"
#include "standard-headers/linux/virtio_vsock.h"

#include "testing/front_end.hh"

constexpr uint32_t vsock_header = sizeof(virtio_vsock_hdr);      /* bytes */
constexpr uint32_t largest_packet = 64 * 1024;      /* Linux sends no larger */

/* struct virtio_vsock_hdr, in the host's order and with natural alignment */
struct Header {
    uint64_t src_cid = 0, dst_cid = 0;
    uint32_t src_port = 0, dst_port = 0, len = 0;
    uint16_t type = VIRTIO_VSOCK_TYPE_STREAM, op = VIRTIO_VSOCK_OP_INVALID;
    uint32_t flags = 0, buf_alloc = 0, fwd_cnt = 0;
};
static_assert(offsetof(Header, fwd_cnt) ==
              offsetof(virtio_vsock_hdr, fwd_cnt));
static_assert(std::endian::native == std::endian::little);

struct Packet {
    Header header;
    std::string payload;
};

class Guest {
public:
    struct Options {
        uint16_t queue_size = 128;
        /* The descriptors of a receive buffer: Linux 6.12 has one of these. */
        std::vector<uint32_t> rx_layout = {4096 - 320};
        unsigned rx_buffers = 64;
        bool event_index = true;
        bool indirect = false;
        unsigned regions = 1;
        bool seqpacket = true;
        size_t memory = 48 << 20;       /* bytes */
    };

    Guest(const std::string &socket, const Options &options);
    explicit Guest(const std::string &socket) : Guest(socket, Options{}) {}

    uint64_t cid() const { return cid_; }
    uint64_t features() const { return features_; }

    /*
     * Send a packet, cut into descriptors of `layout` bytes and one for the
     * rest.  header.len is sent as it is.
     */
    void send(const Header &header, std::string_view payload = {},
              const std::vector<uint32_t> &layout = {});
    /* The same, without copying: the payload is the current memory content. */
    void send_filler(const Header &header);
    /* Is there room for a packet? If not, wait(). */
    bool can_send();
    void send_chain(const std::vector<Segment> &chain);

    /* Pass each received packet to `take`.  Returns their number. */
    using PacketHandler = std::function<void(const Header &, std::string_view)>;
    size_t poll(const PacketHandler &handler);
    /* Wait until poll() or can_send() succeeds, at most `timeout` ms. */
    bool wait(int timeout = max_wait);

    /*
     * The first packet that `filter` accepts.  Other packets are kept.  Fails
     * after `timeout` ms, or if the device has stopped.
     */
    using PacketFilter = std::function<bool(const Packet &)>;
    Packet find(const PacketFilter &filter, int timeout = max_wait);
    /* The next packet, of any connection */
    Packet receive();
    /* The kept packets */
    const std::deque<Packet> &arrived();
    /* Has the back end disconnected this guest? */
    bool stopped() { return front_end_.closed(); }

    /* Start again with empty rings, as a guest that reboots does. */
    void restart();

    /* Post more receive buffers of the same layout. */
    void post(unsigned count);

    Memory &memory() { return memory_; }
    Queue &rx() { return rx_; }
    Queue &tx() { return tx_; }
    FrontEnd &front_end() { return front_end_; }

private:
    void start();
    void wait_for_descriptors(size_t descriptors);
    void post_one(uint64_t address);

    Options options_;
    Memory memory_;
    FrontEnd front_end_;
    uint64_t features_, cid_ = 0;
    Queue rx_, tx_;
    std::vector<uint64_t> rx_buffer_;       /* by head */
    std::vector<uint64_t> tx_buffer_;       /* by head */
    size_t rx_size_ = 0;
    std::deque<Packet> arrived_;
};

class Flow {
public:
    /* Nothing is sent yet. */
    Flow(Guest &guest, uint64_t host_cid, uint32_t host_port,
         uint32_t guest_port, uint16_t type = VIRTIO_VSOCK_TYPE_STREAM);

    /* Ask for a connection; false if it is refused. */
    bool connect();
    /* Accept the connection that the host asks for with `request`. */
    static Flow accept(Guest &guest, const Packet &request);

    /* A header of this connection, with the current credit */
    Header header(uint16_t op, uint32_t flags = 0);
    void send(uint16_t op, uint32_t flags = 0);

    /* Send all of `data`, as credit allows, in packets of up to `piece`. */
    void write(std::string_view data, size_t piece = largest_packet);
    /* Send at least `beyond` bytes more than the other end's whole buffer. */
    void overrun(uint32_t beyond);
    /* Receive exactly `size` bytes, and send credit for them. */
    std::string read(size_t size);

    /* Send a message of SEQPACKET, in as many packets as the credit needs. */
    void write_message(std::string_view data);
    /* Receive one whole message, and then send credit for it. */
    std::string read_message();

    /*
     * The next packet of this connection; reads the credit in its header.
     * Packets of other connections are kept.
     */
    Packet next();
    /* The same, but it must have this operation; skips CREDIT_UPDATE. */
    Packet expect(uint16_t op);
    /* Wait until the back end has handled all packets: it answers a request. */
    void barrier();

    /* Bytes that may be sent */
    uint32_t credit() const;

    /* Read the credit in a header, for callers of Guest::poll() */
    void account(const Header &header);
    /* Count consumed payload; true if a CREDIT_UPDATE should be sent. */
    bool consume(uint32_t size);
    Guest &guest() { return *guest_; }

    uint64_t host_cid;
    uint32_t host_port, guest_port;
    uint16_t type;
    uint32_t buf_alloc = 256 * 1024;        /* as Linux's default */
    /* Counts of bytes, modulo 2^32 */
    uint32_t sent = 0, peer_buf_alloc = 0, peer_fwd_cnt = 0;
    uint32_t received = 0, fwd_cnt = 0, last_fwd_cnt = 0;

private:
    void wait_for_credit();
    void keep(const Packet &packet);

    Guest *guest_;
    uint32_t limit_ = 0;        /* `received` may come up to this */
    std::string unread_;
};

#endif
