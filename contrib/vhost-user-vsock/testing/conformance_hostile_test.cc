/*
 * Conformance: guests and front ends that break the rules, or go away
 *
 * A broken ring or message may end the connections of its own guest, and
 * nothing else: the daemon keeps running, serves the other guest, accepts the
 * next front end, and leaks nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

#include <algorithm>
#include <array>
#include <cstring>
#include <sys/wait.h>

namespace {

constexpr uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV |
                          VIRTIO_VSOCK_SHUTDOWN_SEND;

class Rings : public Conformance {
protected:
    Rings() : other_(std::make_unique<Guest>(socket(second))) {}

    /*
     * Let a new guest break a rule.  Then the other guest, which was connected
     * before, is still served, and so is the next guest with the CID of the
     * first.
     */
    template <typename Wrong> void expect_harmless(const Wrong &wrong)
    {
        {
            Guest guest(socket());
            auto [flow, socket] = open(guest);
            wrong(guest);
            guest.tx().force_kick();
            guest.rx().force_kick();
            try {
                socket.write("for the guest");
            } catch (std::runtime_error &) {
                /* closed: the back end has disconnected the guest */
            }
            expect_works(*other_);
        }
        Guest next(socket());
        expect_works(next);
    }

    std::unique_ptr<Guest> other_;
};

/* Put a chain into a ring, from descriptor 100 on, and make it available. */
void offer(Queue &queue, const std::vector<vring_desc> &chain)
{
    for (size_t i = 0; i < chain.size(); i++) {
        *queue.descriptor(100 + i) = chain[i];
    }
    queue.offer(100);
    queue.force_kick();
}

TEST_F(Rings, HeadOutOfRange)
{
    for (uint16_t head : {uint16_t(128), uint16_t(0x7fff), uint16_t(0xffff)}) {
        expect_harmless([&](Guest &g) { g.tx().offer(head); });
        expect_harmless([&](Guest &g) { g.rx().offer(head); });
    }
}

TEST_F(Rings, NextOutOfRange)
{
    for (uint16_t next : {uint16_t(128), uint16_t(0xffff)}) {
        expect_harmless([&](Guest &g) {
            offer(g.tx(), {{g.memory().allocate(64), 64, VRING_DESC_F_NEXT,
                            next}});
        });
    }
}

TEST_F(Rings, LoopingChain)
{
    for (uint16_t next : {uint16_t(100), uint16_t(101)}) {
        expect_harmless([&](Guest &g) {
            uint64_t at = g.memory().allocate(64);
            offer(g.tx(), {{at, 1, VRING_DESC_F_NEXT, 101},
                           {at, 1, VRING_DESC_F_NEXT, next}});
        });
        expect_harmless([&](Guest &g) {
            uint16_t flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE;
            uint64_t at = g.memory().allocate(64);
            offer(g.rx(), {{at, 1, flags, 101}, {at, 1, flags, next}});
        });
    }
}

TEST_F(Rings, IndexRunsAhead)
{
    for (uint16_t ahead : {uint16_t(129), uint16_t(0x8000),
                           uint16_t(0xffff)}) {
        expect_harmless([&](Guest &g) { g.tx().avail_ring()->idx += ahead; });
        expect_harmless([&](Guest &g) { g.rx().avail_ring()->idx += ahead; });
    }
}

TEST_F(Rings, BufferOutsideOfMemory)
{
    const uint64_t end = Memory::guest_base + Guest::Options().memory;

    for (uint64_t address : {uint64_t(0), Memory::guest_base - 1, end - 10,
                             end, UINT64_MAX - 10, uint64_t(1) << 63}) {
        expect_harmless([&](Guest &g) {
            offer(g.tx(), {{address, 64, 0, 0}});
        });
        expect_harmless([&](Guest &g) {
            g.rx().take();
            offer(g.rx(), {{address, 64, VRING_DESC_F_WRITE, 0}});
            for (int i = 0; i < 100; i++) {
                Flow(g, host, 4444, 5000 + i).send(VIRTIO_VSOCK_OP_RW);
            }
        });
    }
}

TEST_F(Rings, BufferOfAnyLength)
{
    for (uint32_t length : {0u, 0x7fffffffu, 0xffffffffu}) {
        expect_harmless([&](Guest &g) {
            offer(g.tx(), {{g.memory().allocate(64), length, 0, 0}});
        });
        expect_harmless([&](Guest &g) {
            offer(g.rx(), {{g.memory().allocate(64), length,
                            VRING_DESC_F_WRITE, 0}});
            for (int i = 0; i < 100; i++) {
                Flow(g, host, 4444, 5000 + i).send(VIRTIO_VSOCK_OP_RW);
            }
        });
    }
}

/* A descriptor of length 0 in the middle: accepted, or the guest is closed */
TEST_F(Rings, EmptyDescriptorsBetween)
{
    expect_harmless([&](Guest &g) {
        uint64_t at = g.memory().allocate(64);
        Header h = Flow(g, host, 4444, 5000).header(VIRTIO_VSOCK_OP_RW);
        memcpy(g.memory().at(at), &h, vsock_header);
        offer(g.tx(), {{at, 20, VRING_DESC_F_NEXT, 101},
                       {at, 0, VRING_DESC_F_NEXT, 102},
                       {at + 20, 24, 0, 0}});
    });
}

TEST_F(Rings, WritableAndReadableMixed)
{
    expect_harmless([&](Guest &g) {     /* in the wrong order */
        uint64_t at = g.memory().allocate(64);
        offer(g.tx(), {{at, 64, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 101},
                       {at, 64, 0, 0}});
    });
    expect_harmless([&](Guest &g) {     /* only readable, for receiving */
        uint64_t at = g.memory().allocate(64);
        offer(g.rx(), {{at, 64, 0, 0}});
        for (int i = 0; i < 100; i++) {
            Flow(g, host, 4444, 5000 + i).send(VIRTIO_VSOCK_OP_RW);
        }
    });
    expect_harmless([&](Guest &g) {     /* too small for a header */
        uint64_t at = g.memory().allocate(64);
        offer(g.rx(), {{at, 43, VRING_DESC_F_WRITE, 0}});
        for (int i = 0; i < 100; i++) {
            Flow(g, host, 4444, 5000 + i).send(VIRTIO_VSOCK_OP_RW);
        }
    });
}

/* The readable part is a packet; the writable part after it is not changed. */
TEST_F(Rings, WritableAfterReadable)
{
    Guest guest(socket());
    auto [flow, socket] = open(guest);
    uint64_t at = guest.memory().allocate(128);
    Header h = flow.header(VIRTIO_VSOCK_OP_RW);

    h.len = 4;
    memcpy(guest.memory().at(at), &h, vsock_header);
    memcpy(guest.memory().at(at + vsock_header), "data", 4);
    guest.send_chain({{at, vsock_header + 4, false}, {at + 64, 64, true}});
    EXPECT_EQ(socket.read(4), "data");
    EXPECT_EQ(*guest.memory().at(at + 64), 0);
}

TEST_F(Rings, IndirectTables)
{
    constexpr uint16_t indirect = VRING_DESC_F_INDIRECT;
    const uint64_t end = Memory::guest_base + Guest::Options().memory;
    auto table = [](Guest &g, const std::vector<vring_desc> &chain) {
        uint64_t at = g.memory().allocate(16 * chain.size());
        memcpy(g.memory().at(at), chain.data(), 16 * chain.size());
        return at;
    };
    auto buffer = [](Guest &g) { return g.memory().allocate(64); };

    for (uint32_t length : {0u, 1u, 15u, 17u, 0xffffffffu, 0xfffffff0u}) {
        expect_harmless([&](Guest &g) {
            offer(g.tx(), {{table(g, {{buffer(g), 64, 0, 0}}), length,
                            indirect, 0}});
        });
    }
    for (uint64_t address : {uint64_t(0), end - 8, UINT64_MAX - 8}) {
        expect_harmless([&](Guest &g) {
            offer(g.tx(), {{address, 16, indirect, 0}});
        });
    }
    expect_harmless([&](Guest &g) {     /* one in another */
        uint64_t inner = table(g, {{buffer(g), 64, 0, 0}});
        offer(g.tx(), {{table(g, {{inner, 16, indirect, 0}}), 16, indirect,
                        0}});
    });
    expect_harmless([&](Guest &g) {     /* in a loop */
        offer(g.tx(), {{table(g, {{buffer(g), 1, VRING_DESC_F_NEXT, 0}}), 16,
                        indirect, 0}});
    });
    expect_harmless([&](Guest &g) {     /* next out of range */
        offer(g.tx(), {{table(g, {{buffer(g), 1, VRING_DESC_F_NEXT, 1}}), 16,
                        indirect, 0}});
    });
    expect_harmless([&](Guest &g) {     /* more than fit in a chain */
        std::vector<vring_desc> chain;
        uint64_t at = buffer(g);
        for (uint16_t i = 1; i <= 3000; i++) {
            chain.push_back({at, 1, VRING_DESC_F_NEXT, i});
        }
        chain.push_back({at, 1, 0, 0});
        offer(g.tx(), {{table(g, chain), uint32_t(16 * chain.size()),
                        indirect, 0}});
    });
}

TEST_F(Rings, NonsenseInTheUsedRing)
{
    expect_harmless([](Guest &g) {
        for (Queue *q : {&g.tx(), &g.rx()}) {
            memset(q->used_ring(), 0xa5, sizeof(vring_used) + 128 * 8 + 2);
        }
    });
}

/* A guest that writes random bytes into its rings for some time */
TEST_F(Rings, RandomRings)
{
    uint32_t seed = 1;

    for (int round = 0; round < 50; round++) {
        expect_harmless([&](Guest &g) {
            for (Queue *q : {&g.tx(), &g.rx()}) {
                std::string noise = pattern(128 * 16, ++seed);
                memcpy(q->descriptor(0), noise.data(), noise.size());
                for (uint16_t i = 0; i < 128; i++) {
                    /* some are in range, or it ends too soon */
                    vring_desc *d = q->descriptor(i);
                    d->addr = Memory::guest_base + d->addr % (50 << 20);
                    d->len %= 100000;
                    d->next %= 130;
                    d->flags %= 8;
                }
                for (uint16_t i = 0; i < 128; i++) {
                    q->offer(i);
                }
            }
        });
    }
}

/* The device must not trust memory that the guest changes meanwhile. */
TEST_F(Rings, HeaderThatChanges)
{
    expect_harmless([&](Guest &g) {
        Flow flow(g, host, 50, 1000);
        uint64_t at = g.memory().allocate(4096);
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);

        for (uint32_t i = 0; i < 2000; i++) {
            h.len = i % 2 ? 100 : 0x7fffffff;
            memcpy(g.memory().at(at), &h, vsock_header);
            g.send_chain({{at, 200, false}});
        }
    });
}

class Messages : public Conformance {
protected:
    /* A new front end sends this and is disconnected.  No other is affected. */
    void expect_refused(const std::function<void(FrontEnd &)> &wrong,
                        const std::string &what)
    {
        FrontEnd front_end(socket());

        wrong(front_end);
        EXPECT_TRUE(front_end.closed()) << what;
        ASSERT_TRUE(back_end_->alive()) << what;
    }
    void expect_refused(const VhostUserMsg &m, const std::string &what,
                        const std::vector<int> &fds = {})
    {
        expect_refused([&](FrontEnd &f) { f.send(m, fds); }, what);
    }
    void TearDown() override
    {
        Guest guest(socket());

        expect_works(guest);
        expect_other_works();
        Conformance::TearDown();
    }

    Memory memory_{1 << 20};
};

VhostUserMsg memory_table(uint32_t regions)
{
    VhostUserMsg m = make_message(
        VHOST_USER_SET_MEM_TABLE,
        std::min<size_t>(offsetof(VhostUserMemory, regions) + regions *
                         sizeof(VhostUserMemoryRegion), sizeof(m.payload)));

    m.payload.memory.nregions = regions;
    for (uint32_t i = 0; i < std::min(regions, 8u); i++) {
        VhostUserMemoryRegion region = {0x100000ull * i, 4096,
                                        0x100000ull * i, 0};
        memcpy(&m.payload.memory.regions[i], &region, sizeof(region));
    }
    return m;
}

TEST_F(Messages, CutShortAnywhere)
{
    VhostUserMsg m = make_message(VHOST_USER_SET_FEATURES, 8);
    m.payload.u64 = 1ull << VIRTIO_F_VERSION_1;

    for (size_t size = 0; size < 20; size++) {
        FrontEnd front_end(socket());
        front_end.send_raw(&m, size);
    }
    VhostUserMsg t = memory_table(8);
    for (size_t size : {12u, 16u, 20u, 100u, 275u}) {
        FrontEnd front_end(socket());
        front_end.send_raw(&t, size, std::vector<int>(8, memory_.fd()));
    }
}

/* A front end stops in the middle of a message: it is disconnected. */
TEST_F(Messages, NeverFinished)
{
    VhostUserMsg m = make_message(VHOST_USER_SET_FEATURES, 8);

    expect_refused([&](FrontEnd &f) { f.send_raw(&m, 15); }, "a piece");
}

TEST_F(Messages, TooLong)
{
    for (uint32_t size : {1000u, 0x10000u, 0x7fffffffu, 0x80000000u,
                          0xffffffffu}) {
        VhostUserMsg m = make_message(VHOST_USER_SET_MEM_TABLE);
        std::array<uint8_t, 12 + 500> bytes{};  /* header and payload */

        m.size = size;
        memcpy(bytes.data(), &m, std::min(sizeof(m), bytes.size()));
        expect_refused([&](FrontEnd &f) {
            f.send_raw(bytes.data(), bytes.size());
        }, std::to_string(size));
    }
}

TEST_F(Messages, UnknownRequests)
{
    for (int request : {0, 40, 41, 255, 0x10000, 0x7fffffff, -1}) {
        expect_refused(make_message(request), std::to_string(request));
    }
    VhostUserMsg m = make_message(VHOST_USER_GET_FEATURES);
    m.flags = 3;
    expect_refused(m, "another version");
}

TEST_F(Messages, WrongSizes)
{
    const std::pair<int, uint32_t> sizes[] = {
        {VHOST_USER_SET_FEATURES, 8}, {VHOST_USER_SET_PROTOCOL_FEATURES, 8},
        {VHOST_USER_SET_MEM_TABLE, 40}, {VHOST_USER_SET_VRING_NUM, 8},
        {VHOST_USER_SET_VRING_BASE, 8}, {VHOST_USER_GET_VRING_BASE, 8},
        {VHOST_USER_SET_VRING_ADDR, 40}, {VHOST_USER_SET_VRING_KICK, 8},
        {VHOST_USER_SET_VRING_CALL, 8}, {VHOST_USER_SET_VRING_ERR, 8},
        {VHOST_USER_SET_VRING_ENABLE, 8},
    };

    for (auto [request, right] : sizes) {
        for (uint32_t size : {0u, 1u, right - 1, right + 1, right + 8}) {
            VhostUserMsg m = make_message(request, size);

            m.payload.u64 = request == VHOST_USER_SET_FEATURES
                ? 1ull << VIRTIO_F_VERSION_1 : 0;
            expect_refused(m, std::to_string(request) + " of "
                           + std::to_string(size));
        }
    }
    for (uint32_t size : {0u, 4u, 11u, 13u}) {
        VhostUserMsg m = make_message(VHOST_USER_GET_CONFIG, size);
        m.payload.config.size = 8;
        expect_refused(m, "a configuration of " + std::to_string(size));
    }
}

TEST_F(Messages, QueueIndexes)
{
    for (uint32_t index : {2u, 3u, 0x7fu, 0xffu}) {
        for (int request : {VHOST_USER_SET_VRING_NUM,
                            VHOST_USER_SET_VRING_BASE,
                            VHOST_USER_GET_VRING_BASE,
                            VHOST_USER_SET_VRING_ENABLE}) {
            VhostUserMsg m = make_message(request, 8);
            m.payload.state = {index, request == VHOST_USER_SET_VRING_NUM
                               ? 128u : 0u};
            expect_refused(m, std::to_string(request));
        }
        for (int request : {VHOST_USER_SET_VRING_KICK,
                            VHOST_USER_SET_VRING_CALL,
                            VHOST_USER_SET_VRING_ERR}) {
            VhostUserMsg m = make_message(request, 8);
            m.payload.u64 = index;
            expect_refused(m, std::to_string(request), {memory_.fd()});
        }
        VhostUserMsg m = make_message(VHOST_USER_SET_VRING_ADDR, 40);
        m.payload.addr.index = index;
        expect_refused(m, "an address");
    }
}

TEST_F(Messages, RegionCounts)
{
    for (uint32_t regions : {9u, 32u, 33u, 1000u, 0x80000001u, UINT32_MAX}) {
        expect_refused(memory_table(regions), std::to_string(regions),
                       std::vector<int>(8, memory_.fd()));
    }
    /* and a count that differs from the size and from the descriptors */
    VhostUserMsg m = memory_table(2);
    expect_refused(m, "one descriptor for two", {memory_.fd()});
    expect_refused(m, "none for two");
    expect_refused(m, "three for two", std::vector<int>(3, memory_.fd()));
    m.payload.memory.nregions = 1;
    expect_refused(m, "two in the place of one", {memory_.fd()});
}

TEST_F(Messages, TooManyDescriptors)
{
    for (size_t count : {1u, 8u, 9u, 33u, 200u}) {
        expect_refused(make_message(VHOST_USER_GET_FEATURES),
                       std::to_string(count),
                       std::vector<int>(count, memory_.fd()));
    }
}

TEST_F(Messages, RegionsThatAreNotThere)
{
    constexpr uint64_t whole = 1 << 20;
    const VhostUserMemoryRegion wrong[] = {
        {0, 2 * whole, 0, 0},               /* guest, size, user, offset */
        {0, whole, 0, 1},
        {0, 0, 0, 0},
        {0, UINT64_MAX, 0, 0},
        {0, 4096, 0, UINT64_MAX - 4095},
        {UINT64_MAX - 10, 4096, 0, 0},
        {0, 4096, UINT64_MAX - 10, 0},
    };

    for (const VhostUserMemoryRegion &region : wrong) {
        VhostUserMsg m = memory_table(1);
        memcpy(&m.payload.memory.regions[0], &region, sizeof(region));
        expect_refused(m, std::to_string(region.memory_size),
                       {memory_.fd()});
    }
}

/* A ring that is outside of shared memory, or only partly inside */
TEST_F(Messages, RingsOutsideOfMemory)
{
    const uint64_t start = memory_.user_address(Memory::guest_base);
    const uint64_t size = memory_.size();

    /* relative to the start of memory in this process */
    for (uint64_t wrong : {-start, uint64_t(-4096), size, size - 16,
                           uint64_t(-16) - start}) {
        for (int part = 0; part < 3; part++) {
            Memory memory(size);
            FrontEnd f(socket());
            Queue queue(memory, 128, true);
            uint64_t *parts[] = {&queue.descriptors, &queue.avail,
                                 &queue.used};
            uint64_t old = *parts[part];

            f.negotiate(1ull << VIRTIO_F_VERSION_1 |
                        1ull << VIRTIO_RING_F_EVENT_IDX);
            f.share(memory);
            *parts[part] = Memory::guest_base + wrong;
            try {
                f.start(0, memory, queue);
                f.start(1, memory, queue);
                *parts[part] = old;
                queue.offer(0);
                queue.force_kick();
            } catch (std::runtime_error &) {
                /* refused, which is correct too */
            }
            expect_other_works();
            ASSERT_TRUE(back_end_->alive()) << wrong << " " << part;
        }
    }
}

TEST_F(Messages, RingSizes)
{
    for (uint32_t size : {0u, 3u, 127u, 32769u, 65536u, 0x80000000u}) {
        VhostUserMsg m = make_message(VHOST_USER_SET_VRING_NUM, 8);
        m.payload.state = {0, size};
        expect_refused(m, std::to_string(size));
    }
}

/* Messages in an order that QEMU never uses, and never all of them */
TEST_F(Messages, RingsThatAreNotSetUp)
{
    for (int missing = 0; missing < 5; missing++) {
        FrontEnd f(socket());
        Queue queue(memory_, 16, true);
        try {
            f.negotiate(1ull << VIRTIO_F_VERSION_1 |
                        1ull << VIRTIO_RING_F_EVENT_IDX);
            for (unsigned i : {0, 1}) {
                VhostUserMsg m = make_message(VHOST_USER_SET_VRING_ADDR, 40);
                m.payload.addr.index = i;
                m.payload.addr.desc_user_addr =
                    memory_.user_address(queue.descriptors);
                m.payload.addr.avail_user_addr =
                    memory_.user_address(queue.avail);
                m.payload.addr.used_user_addr =
                    memory_.user_address(queue.used);
                if (missing != 0 && i == 0) {
                    f.share(memory_);
                }
                if (missing != 1) {
                    f.set_queue(VHOST_USER_SET_VRING_NUM, i, 16);
                }
                if (missing != 2) {
                    f.request(m);
                }
                if (missing != 3) {
                    f.set(VHOST_USER_SET_VRING_CALL, i, {queue.call_fd()});
                }
                f.set(VHOST_USER_SET_VRING_KICK, i, {queue.kick_fd()});
                f.set_queue(VHOST_USER_SET_VRING_ENABLE, i, missing != 4);
            }
            queue.offer(0);
            queue.force_kick();
            f.stop(0);
            f.stop(0);
            f.stop(1);
        } catch (std::runtime_error &) {
            /* refused, which is correct too */
        }
        ASSERT_TRUE(back_end_->alive()) << missing;
    }
}

/* The memory table changes while rings run. */
TEST_F(Messages, MemoryExchangedWhileRunning)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);
    Memory other(1 << 20);

    guest.front_end().share(guest.memory(), 8);     /* the same, in pieces */
    flow.write("x");
    EXPECT_EQ(host_socket.read(1), "x");
    try {
        guest.front_end().share(other);     /* without the rings */
        host_socket.write("y");
        guest.tx().force_kick();
        EXPECT_TRUE(guest.stopped());
    } catch (std::runtime_error &) {
        /* disconnected */
    }
}

/* The rings' addresses are in shared memory again, but mapped elsewhere. */
TEST_F(Messages, MemoryRemovedUnderAnother)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);
    VhostUserMsg m = make_message(VHOST_USER_ADD_MEM_REG,
                                  sizeof(VhostUserMemRegMsg));
    VhostUserMemoryRegion region = {
        Memory::guest_base, guest.memory().size(),
        guest.memory().user_address(Memory::guest_base), 0};
    VhostUserMemoryRegion another = region;

    another.guest_phys_addr += 1ull << 32;
    memcpy(&m.payload.memreg.region, &another, sizeof(another));
    guest.front_end().send(m, {guest.memory().fd()});
    m = make_message(VHOST_USER_REM_MEM_REG, sizeof(VhostUserMemRegMsg));
    memcpy(&m.payload.memreg.region, &region, sizeof(region));
    guest.front_end().send(m);
    guest.tx().force_kick();
    EXPECT_TRUE(guest.stopped());
    expect_other_works();
}

TEST_F(Messages, MessagesWithDescriptorsLeaveNoneBehind)
{
    Memory memory(1 << 20);
    { Guest warm(socket()); expect_works(warm); }
    size_t before = 0;

    for (int round = 0; round < 200; round++) {
        FrontEnd front_end(socket());
        std::vector<int> fds(1 + round % 8, memory.fd());
        VhostUserMsg m = make_message(VHOST_USER_SET_VRING_CALL, 8);

        switch (round % 4) {
        case 0: m.payload.u64 = 7; break;           /* no such queue */
        case 1: m.size = 4; break;
        case 2: m = memory_table(9); break;
        case 3: m.payload.u64 = 0x100; break;       /* without a descriptor */
        }
        front_end.send(m, fds);
        EXPECT_TRUE(front_end.closed());
        if (round == 20) {
            before = back_end_->descriptors();
        }
    }
    EXPECT_LE(back_end_->descriptors(), before + 1);
}

class Reconnect : public Conformance {};

TEST_F(Reconnect, QemuGoesAndComes)
{
    for (int round = 0; round < 20; round++) {
        auto guest = std::make_unique<Guest>(socket());
        auto [flow, a] = open(*guest);
        auto [from, b] = open_from_host(*guest);

        flow.write(pattern(1000));
        EXPECT_EQ(a.read(1000), pattern(1000));
        b.write(pattern(1000));
        guest.reset();
        EXPECT_TRUE(a.at_end());
        EXPECT_TRUE(b.at_end());
    }
    expect_other_works();
}

/* The guest's driver starts again, as after a reboot: QEMU stays. */
TEST_F(Reconnect, RingsStopAndStart)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);

    guest.restart();
    EXPECT_TRUE(host_socket.at_end());
    expect_works(guest);
}

TEST_F(Reconnect, SecondFrontEndIsTurnedAway)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);

    for (int i = 0; i < 20; i++) {
        FrontEnd another(socket());
        EXPECT_TRUE(another.closed());
    }
    flow.write("x");
    EXPECT_EQ(host_socket.read(1), "x");
}

/* Memory and rings of the old front end are not used for the next one. */
TEST_F(Reconnect, WithAnotherMemoryLayout)
{
    Guest::Options layouts[8];
    char buffer[4096];

    layouts[1].regions = 8;
    layouts[2].memory = 16 << 20;
    layouts[2].queue_size = 16;
    layouts[2].rx_buffers = 8;
    layouts[3].memory = 96 << 20;
    layouts[3].regions = 3;
    layouts[3].queue_size = 1024;
    layouts[4].rx_layout = {20, 100, 4000};
    layouts[5].event_index = false;
    layouts[6].indirect = true;
    layouts[7].seqpacket = false;
    for (size_t i = 0; i < 64; i++) {
        auto guest = std::make_unique<Guest>(socket(), layouts[i * 5 % 8]);
        auto [flow, host_socket] = open(*guest);

        flow.write(pattern(10000, i));
        EXPECT_EQ(host_socket.read(10000), pattern(10000, i)) << i;
        host_socket.write(pattern(10000, i + 1));
        EXPECT_EQ(flow.read(10000), pattern(10000, i + 1)) << i;
        /* It ends with data in flight in both directions. */
        flow.write(pattern(50000, i));
        host_socket.write(pattern(50000, i));
        guest.reset();
        while (recv(host_socket.fd(), buffer, sizeof(buffer), 0) > 0) {
        }
    }
    expect_other_works();
}

/* The next front end connects before the back end has seen the old one end. */
TEST_F(Reconnect, WhileTheOldOneIsServed)
{
    for (int round = 0; round < 20; round++) {
        Guest guest(socket());
        auto [flow, host_socket] = open(guest);
        std::unique_ptr<Guest> next;

        flow.write(pattern(50000));
        host_socket.write(pattern(50000));
        shutdown(guest.front_end().fd(), SHUT_RDWR);
        while (!next) {
            try {
                next = std::make_unique<Guest>(socket());
            } catch (const std::runtime_error &) {
                /* It was closed as a second one.  QEMU would try again, too. */
            }
        }
        expect_works(*next);
    }
    expect_other_works();
}

TEST_F(Reconnect, EndsWithoutLeavingSockets)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);
    int status = back_end_->stop();

    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    for (uint64_t cid : {first, second}) {
        EXPECT_NE(access(socket(cid).c_str(), F_OK), 0);
        EXPECT_NE(access(uds(cid).c_str(), F_OK), 0);
    }
    EXPECT_TRUE(host_socket.at_end());
    back_end_ = std::make_unique<BackEnd>("/bin/sleep",
                                       std::vector<std::string>{"60"},
                                       directory_ / "sleep");
}

/* Two guests with fewer descriptors together than one guest asks for */
class Descriptors : public Conformance {
protected:
    Descriptors() : Conformance("", 200) {}

    /* Connections to the host until one is refused */
    std::vector<Pair> fill(Guest &guest)
    {
        HostListener listening(listener(50, guest.cid()));
        std::vector<Pair> pairs;

        while (pairs.size() < 200) {
            Flow flow(guest, host, 50, 1000 + pairs.size());

            if (!flow.connect()) {
                break;
            }
            pairs.push_back({std::move(flow), listening.accept()});
        }
        return pairs;
    }
    void expect_works_all(std::vector<Pair> &pairs)
    {
        for (Pair &p : pairs) {
            p.flow.write("to");
            EXPECT_EQ(p.socket.read(2), "to");
            p.socket.write("from");
            EXPECT_EQ(p.flow.read(4), "from");
        }
    }
};

TEST_F(Descriptors, EachGuestHasItsShare)
{
    Guest a(socket()), b(socket(second));
    std::vector<Pair> as = fill(a);
    std::vector<Pair> bs = fill(b);

    EXPECT_GE(as.size(), 16u);
    EXPECT_LT(as.size(), 100u);
    EXPECT_EQ(bs.size(), as.size());
    expect_works_all(as);
    expect_works_all(bs);

    /* Host programs are refused, too, when the share is used up. */
    HostSocket beyond(uds());
    EXPECT_TRUE(beyond.at_end());

    /* When one connection ends, one new connection is possible, but not two. */
    as.back().flow.send(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(as.back().socket.at_end());
    as.pop_back();
    HostListener listening(listener(50));
    EXPECT_TRUE(Flow(a, host, 50, 5000).connect());
    EXPECT_FALSE(Flow(a, host, 50, 5001).connect());
    expect_works_all(as);
    expect_works_all(bs);
}

/* Connections without a command are counted, too, and expire. */
TEST_F(Descriptors, HostProgramsWithoutACommand)
{
    Guest a(socket()), b(socket(second));
    std::vector<Pair> bs = fill(b);
    std::vector<HostSocket> silent;

    for (size_t i = 0; i < 2 * bs.size(); i++) {
        silent.emplace_back(uds());
    }
    expect_works_all(bs);
    for (HostSocket &s : silent) {
        EXPECT_TRUE(s.at_end());
    }
    expect_works(a);
    EXPECT_EQ(fill(a).size(), bs.size());
}

/* A connection to a sibling uses the share of the guest that opens it. */
TEST_F(Descriptors, CallsToASibling)
{
    Guest a(socket()), b(socket(second));
    std::vector<Flow> clients, servers;

    for (uint32_t i = 0; i < 200; i++) {
        Flow client(a, second, 50, 1000 + i);

        client.send(VIRTIO_VSOCK_OP_REQUEST);
        /* It is refused at once, or the other guest gets a REQUEST. */
        while (a.arrived().empty() && b.arrived().empty()) {
            usleep(1000);
        }
        if (b.arrived().empty()) {
            break;
        }
        servers.push_back(Flow::accept(b, b.receive()));
        client.expect(VIRTIO_VSOCK_OP_RESPONSE);
        clients.push_back(std::move(client));
    }
    EXPECT_GE(clients.size(), 8u);
    EXPECT_LT(clients.size(), 100u);
    std::vector<Pair> bs = fill(b);
    EXPECT_GE(bs.size(), 2 * clients.size());
    expect_works_all(bs);
    clients.front().write("to a sibling");
    EXPECT_EQ(servers.front().read(12), "to a sibling");
}

/* If the limit is too low for its guests, the daemon reports it and exits. */
TEST_F(Descriptors, TooFewAtTheStart)
{
    back_end_ = std::make_unique<BackEnd>(
        "/bin/sh", std::vector<std::string>{
            "-c", "ulimit -n 20 && exec \"$@\"", "sh", program, "--socket",
            directory_ / "s"}, directory_ / "few");
    while (back_end_->alive()) {
        usleep(1000);
    }
    int status = back_end_->stop();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 2) << status;
    back_end_ = std::make_unique<BackEnd>("/bin/sleep",
                                       std::vector<std::string>{"60"},
                                       directory_ / "sleep");
}

class Leaks : public Conformance {
protected:
    /* One connection, opened and closed in one of the possible ways */
    void once(Guest &guest, int way)
    {
        if (way == 0) {             /* the guest closes */
            auto [flow, host_socket] = open(guest);
            flow.write("x");
            flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
            flow.expect(VIRTIO_VSOCK_OP_RST);
        } else if (way == 1) {      /* the host closes */
            auto [flow, host_socket] = open(guest);
            host_socket.close();
            flow.expect(VIRTIO_VSOCK_OP_SHUTDOWN);
            flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
            flow.expect(VIRTIO_VSOCK_OP_RST);
        } else if (way == 2) {      /* to a port without a listener */
            EXPECT_FALSE(Flow(guest, host, 4444, 1000).connect());
        } else if (way == 3) {      /* from the host, reset by the guest */
            open_from_host(guest).flow.send(VIRTIO_VSOCK_OP_RST);
        } else {                    /* from the host, refused */
            HostSocket refused(uds());
            refused.write("CONNECT 80\n");
            /* There may be packets of earlier connections. */
            Packet p = guest.find([](const Packet &found) {
                return found.header.op == VIRTIO_VSOCK_OP_REQUEST;
            });
            Flow(guest, p.header.src_cid, p.header.src_port, 80)
                .send(VIRTIO_VSOCK_OP_RST);
            EXPECT_TRUE(refused.at_end());
        }
    }
};

TEST_F(Leaks, TenThousandConnections)
{
    constexpr size_t allowed = 512 * 1024;      /* bytes: 51 a connection */
    Guest guest(socket());

    for (int i = 0; i < 1000; i++) {
        once(guest, i % 5);
    }
    expect_works(guest);
    size_t descriptors = back_end_->descriptors();
    size_t resident = back_end_->resident();

    for (int i = 0; i < 10000; i++) {
        once(guest, i % 5);
    }
    expect_works(guest);
    EXPECT_LE(back_end_->descriptors(), descriptors);
    EXPECT_LE(back_end_->resident(), resident + allowed);
}

TEST_F(Leaks, ThousandFrontEnds)
{
    constexpr size_t allowed = 512 * 1024;
    size_t descriptors = 0, resident = 0;

    for (int i = 0; i < 1100; i++) {
        Guest::Options options;
        options.memory = 16 << 20;
        options.rx_buffers = 4;
        Guest guest(socket(), options);
        if (i % 10 == 0) {
            expect_works(guest);
        } else {
            EXPECT_FALSE(Flow(guest, host, 4444, 1000).connect());
        }
        if (i == 100) {
            descriptors = back_end_->descriptors();
            resident = back_end_->resident();
        }
    }
    { Guest guest(socket()); expect_works(guest); }
    EXPECT_LE(back_end_->descriptors(), descriptors);
    EXPECT_LE(back_end_->resident(), resident + allowed);
}

} // namespace
