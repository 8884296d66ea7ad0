/*
 * Conformance: notifications of the queues
 *
 * Format: virtio 1.2, 2.7.7 and 2.7.10.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

#include <atomic>
#include <sys/eventfd.h>

namespace {

class Notifications : public Conformance {
protected:
    /* Notifications of used buffers since the last call */
    static uint64_t calls(Queue &queue)
    {
        eventfd_t count = 0;

        return eventfd_read(queue.call_fd(), &count) ? 0 : count;
    }
    static uint16_t used(Queue &queue)
    {
        return std::atomic_ref<uint16_t>(queue.used_ring()->idx).load();
    }
    /* Wait, without notifications, until so many buffers are used. */
    static void await_used(Queue &queue, uint16_t index)
    {
        for (int ms = 0; used(queue) != index; ms++) {
            ASSERT_LT(ms, max_wait) << used(queue) << " of " << index;
            usleep(1000);
        }
    }
    /* The guest wants a notification when the used index exceeds `index`. */
    static void set_used_event(Queue &queue, uint16_t index)
    {
        std::atomic_ref<uint16_t>(queue.avail_ring()->ring[queue.size()])
            .store(index);
    }
    /* One byte to the guest, which is one packet */
    static void feed(HostSocket &socket, Queue &rx)
    {
        uint16_t before = used(rx);

        socket.write("x");
        await_used(rx, before + 1);
    }
};

/* The guest asks for a notification at a certain used buffer. */
TEST_F(Notifications, EventIndexIsHonoured)
{
    Guest guest(socket());
    ASSERT_TRUE(guest.features() >> VIRTIO_RING_F_EVENT_IDX & 1);
    auto [flow, host_socket] = open(guest);
    Queue &rx = guest.rx();

    flow.barrier();
    for (int round = 0; round < 3; round++) {
        uint16_t start = used(rx);

        set_used_event(rx, start + 4);
        feed(host_socket, rx);
        calls(rx);      /* those for earlier packets have arrived */
        for (int i = 1; i < 4; i++) {
            feed(host_socket, rx);
        }
        EXPECT_EQ(calls(rx), 0u);
        feed(host_socket, rx);
        EXPECT_TRUE(wait_readable(rx.call_fd(), max_wait));
        feed(host_socket, rx);
        feed(host_socket, rx);
        EXPECT_EQ(calls(rx), 1u);
    }
}

/* Without event index, the guest switches notifications off. */
TEST_F(Notifications, FlagIsHonoured)
{
    Guest::Options options;
    options.event_index = false;
    Guest guest(socket(), options);
    auto [flow, host_socket] = open(guest);
    Queue &rx = guest.rx();
    std::atomic_ref<uint16_t> flags(rx.avail_ring()->flags);

    flow.barrier();
    flags.store(VRING_AVAIL_F_NO_INTERRUPT);
    feed(host_socket, rx);
    calls(rx);
    for (int i = 0; i < 5; i++) {
        feed(host_socket, rx);
    }
    EXPECT_EQ(calls(rx), 0u);
    flags.store(0);
    feed(host_socket, rx);
    EXPECT_TRUE(wait_readable(rx.call_fd(), max_wait));
}

/* Packets that are sent together are used together, with one notification. */
TEST_F(Notifications, OfABatchThereAreFew)
{
    constexpr unsigned count = 100;
    Guest::Options options;
    options.event_index = false;
    Guest guest(socket(), options);
    auto [flow, host_socket] = open(guest);
    Queue &tx = guest.tx();
    const std::string data = pattern(10);

    flow.barrier();
    ASSERT_TRUE(guest.can_send());
    uint16_t start = used(tx);
    for (unsigned i = 0; i < count; i++) {
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);
        uint64_t at = guest.memory().allocate(vsock_header + data.size());

        h.len = data.size();
        memcpy(guest.memory().at(at), &h, vsock_header);
        memcpy(guest.memory().at(at + vsock_header), data.data(), h.len);
        ASSERT_TRUE(tx.add({{at, uint32_t(vsock_header + h.len), false}}));
        flow.sent += h.len;
    }
    calls(tx);
    tx.kick();
    for (unsigned i = 0; i < count; i++) {
        EXPECT_EQ(host_socket.read(data.size()), data);
    }
    await_used(tx, start + count);
    ASSERT_TRUE(wait_readable(tx.call_fd(), max_wait));
    EXPECT_LE(calls(tx), count / 10);
}

/*
 * While the back end is busy it needs no kicks, and it enables them before it
 * sleeps.  The guest kicks only when they are enabled, and all packets arrive.
 */
TEST_F(Notifications, NoKickIsMissed)
{
    for (bool event_index : {true, false}) {
        Guest::Options options;
        options.event_index = event_index;
        Guest guest(socket(), options);
        auto [flow, host_socket] = open(guest);

        for (int i = 0; i < 2000; i++) {
            flow.write("x");
            if (i % 7 == 0) {
                usleep(i % 200);
            }
        }
        EXPECT_EQ(host_socket.read(2000), std::string(2000, 'x'));
    }
}

} // namespace
