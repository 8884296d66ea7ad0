/*
 * The vhost-user device: the back end of QEMU's vhost-user-vsock
 *
 * It listens for QEMU, speaks vhost-user with it through libvhost-user, and
 * moves packets between the guest's queues and the multiplexer.
 * libvhost-user trusts its peer.  So each message is read and checked here
 * before the library sees it, and each queue before it is used.  When QEMU
 * disconnects, the device waits for the next QEMU.
 *
 * Payload is not copied: sockets read and write the guest's buffers.  The
 * guest gets one notification for a batch of used buffers, and sends no kicks
 * while its queues are being processed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_DEVICE_HH
#define VHOST_USER_VSOCK_DEVICE_HH

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "events.hh"
#include "host.hh"
#include "message.hh"
#include "rate_limit.hh"
#include "siblings.hh"

struct VmOptions {
    std::string socket;             /* where QEMU connects */
    uint64_t guest_cid = 4;
    uint32_t buffer_size = default_buffer_size;     /* bytes */
    uint32_t queue_size = max_queue_size;           /* descriptors */
    std::set<std::string> groups = {"default"};
    HostOptions host;
};

class Device {
public:
    /* All arguments have to outlive the device. */
    Device(Loop &loop, Sockets &sockets, Siblings &siblings, Events &events,
           const VmOptions &options);
    Device(const Device &) = delete;
    Device &operator=(const Device &) = delete;
    ~Device();

    /* Open all listeners; false, with `error` set, if one fails. */
    bool listen(std::string *error);

    /* How many descriptors the guest's connections may have */
    void set_descriptors(size_t count) { share_.set_limit(count); }

    /* Write the guest's counters as an event; from any thread. */
    void write_counters();

    /* Serve the guest until the descriptor `stop` is readable. */
    void run(int stop);

private:
    struct Callbacks;
    friend Callbacks;

    std::unique_ptr<Stream> connect(const PacketHeader &request);
    void open_from(SiblingRequest &request);
    void attach_front_end(Descriptor socket);
    void disconnect();
    void dispatch();
    void await_rest_of_message();
    bool check_request(const VhostUserMsg &message);
    void after_message();
    void start_queue(int index, bool started);
    void booted();
    void log_error(const char *message);

    bool running() const;
    bool process_queues();
    bool process_tx_queue();
    bool process_rx_queue();

    Loop &loop_;
    Siblings &siblings_;
    Events &events_;
    const VmOptions options_;
    DescriptorShare share_;
    Host host_;
    Multiplexer multiplexer_;
    ListeningSocket listener_;
    MessageReader reader_;

    /* Callbacks of libvhost-user get only its VuDev, so this holds both. */
    struct Holder {
        VuDev dev;
        Device *self;
    } holder_;
    MessageLimit messages_;         /* on standard error */
    bool connected_ = false, booted_ = false;
    uint64_t messages_seen_ = 0;    /* changes when a message makes progress */
};

#endif
