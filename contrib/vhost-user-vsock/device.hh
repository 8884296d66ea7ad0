/*
 * The vhost-user device: the other end of QEMU's vhost-user-vsock
 *
 * Listens for QEMU, speaks vhost-user with it through libvhost-user, and moves
 * packets between the guest's queues and the multiplexer.  libvhost-user
 * trusts its peer; so every message is read and checked here before it sees
 * it, and every queue before it is used.  When QEMU goes away, the next one is
 * waited for.
 *
 * Payload stays where it is: the guest's buffers are given to the sockets.
 * The guest is told of used buffers once a batch, and asked for no kicks while
 * its queues are looked at anyway.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_DEVICE_HH
#define VHOST_USER_VSOCK_DEVICE_HH

#include <memory>
#include <set>
#include <string>

#include "events.hh"
#include "host.hh"
#include "message.hh"
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
    /* All that is referred to lives longer. */
    Device(Loop &loop, Sockets &sockets, Siblings &siblings, Events &events,
           const VmOptions &options);
    Device(const Device &) = delete;
    Device &operator=(const Device &) = delete;
    ~Device();

    /* Open all listeners; false, with `error` set, if one cannot be. */
    bool listen(std::string *error);

    /* How many descriptors its connections may have */
    void set_descriptors(size_t count) { share_.set_limit(count); }

    /* Serve the guest until the descriptor `stop` can be read. */
    void run(int stop);

private:
    struct Callbacks;
    friend Callbacks;

    std::unique_ptr<Stream> connect(const PacketHeader &request);
    void connected(Descriptor socket);
    void disconnect();
    void dispatch();
    void await_rest();
    bool takes(const VhostUserMsg &message);
    void after_message();
    void start_queue(int index, bool started);
    void booted();
    void complain(const char *message);

    bool running() const;
    bool pump();
    bool receive();
    bool say();

    Loop &loop_;
    Siblings &siblings_;
    Events &events_;
    const VmOptions options_;
    DescriptorShare share_;
    Host host_;
    Multiplexer multiplexer_;
    ListeningSocket listener_;
    MessageReader reader_;

    /* libvhost-user hands out its own struct: find the way back from it. */
    struct Holder {
        VuDev dev;
        Device *self;
    } holder_;
    bool connected_ = false, booted_ = false;
    uint64_t progress_ = 0;         /* of the talk with QEMU */
};

#endif
