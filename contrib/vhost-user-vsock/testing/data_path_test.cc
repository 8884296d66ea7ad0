/*
 * The cost of a packet: no allocation in our code, few system calls
 *
 * A device runs in its own thread, between a test's guest and host programs.
 * This program replaces malloc(), which operator new also calls, to count the
 * allocations of that thread.  It also counts its system calls for sockets.
 * The elements that vu_queue_pop() allocates are not counted, because
 * libvhost-user cannot avoid them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "device.hh"
#include "testing/guest.hh"
#include "testing/host_programs.hh"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <latch>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <thread>

namespace {

thread_local bool counted = false;      /* this thread is the device's */
std::atomic<size_t> allocations, calls;

void count_allocation()
{
    if (counted) {
        allocations++;
    }
}

/* System calls by libc's name, which this program's functions replace */
ssize_t count_call(ssize_t result)
{
    if (counted) {
        calls++;
    }
    return result;
}

} // namespace

extern "C" {

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
constexpr bool counts_allocations = true;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    count_allocation();
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    count_allocation();
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size)
{
    count_allocation();
    return __libc_realloc(old, size);
}
#else
constexpr bool counts_allocations = false;
#endif

ssize_t recvmsg(int fd, msghdr *message, int flags)
{
    return count_call(syscall(SYS_recvmsg, fd, message, flags));
}
ssize_t sendmsg(int fd, const msghdr *message, int flags)
{
    return count_call(syscall(SYS_sendmsg, fd, message, flags));
}

/* The linker puts this in place of the library's function. */
void *__real_vu_queue_pop(VuDev *dev, VuVirtq *vq, size_t size);
void *__wrap_vu_queue_pop(VuDev *dev, VuVirtq *vq, size_t size)
{
    bool before = std::exchange(counted, false);
    void *element = __real_vu_queue_pop(dev, vq, size);

    counted = before;
    return element;
}

} // extern "C"

namespace {

constexpr uint64_t cid = 16, sibling_cid = 17, to_host = 2;

/* Two devices, each in its thread */
class DataPath : public testing::Test {
protected:
    DataPath()
    {
        for (uint64_t c : {cid, sibling_cid}) {
            std::string error, name = std::to_string(c);
            VmOptions options;

            options.socket = directory_ / ("vhost" + name);
            options.guest_cid = c;
            options.host.uds_path = directory_ / ("vsock" + name);
            loops_.push_back(std::make_unique<Loop>());
            devices_.push_back(std::make_unique<Device>(
                *loops_.back(), sockets_, siblings_, events_, options));
            EXPECT_TRUE(devices_.back()->listen(&error)) << error;
        }
        for (size_t i = 0; i < devices_.size(); i++) {
            threads_.emplace_back([this, i] { run(i); });
        }
        running_.wait();
    }
    ~DataPath() override
    {
        eventfd_write(stop_.get(), 1);
        for (std::thread &thread : threads_) {
            thread.join();
        }
    }
    std::string vhost(uint64_t c = cid)
    {
        return directory_ / ("vhost" + std::to_string(c));
    }
    std::string port(uint32_t p)
    {
        return directory_ / ("vsock16_" + std::to_string(p));
    }
    /* The cost of `work`, after it was done many times */
    template <typename Work> void expect_free(const Work &work)
    {
        for (int i = 0; i < 20; i++) {
            work();
        }
        allocations = calls = 0;
        for (int i = 0; i < rounds; i++) {
            work();
        }
        EXPECT_EQ(allocations, 0u);
        if (!counts_allocations) {
            GTEST_SKIP() << "malloc() cannot be replaced here";
        }
    }

    /* A device's thread.  What run() allocates before its loop is not counted:
     * it may start late, while another device is measured. */
    void run(size_t i)
    {
        loops_[i]->post([this] {
            counted = true;
            running_.count_down();
        });
        devices_[i]->run(stop_.get());
        counted = false;
    }

    static constexpr int rounds = 100;

    TemporaryDirectory directory_;
    Descriptor stop_{eventfd(0, EFD_CLOEXEC)};
    Sockets sockets_;
    Siblings siblings_;
    Events events_;
    std::vector<std::unique_ptr<Loop>> loops_;
    std::vector<std::unique_ptr<Device>> devices_;
    std::latch running_{2};                 /* devices */
    std::vector<std::thread> threads_;
};

/* Check that the counters work: connecting allocates memory. */
TEST_F(DataPath, ConnectingAllocates)
{
    Guest guest(vhost());
    HostListener listening(port(50));
    Flow flow(guest, to_host, 50, 1000);

    allocations = 0;
    ASSERT_TRUE(flow.connect());
    if (counts_allocations) {
        EXPECT_GT(allocations, 0u);
    }
}

/* Packets of any layout, of Linux's size and small */
TEST_F(DataPath, Streams)
{
    for (size_t size : {1u, 3000u, 60000u}) {
        Guest guest(vhost());
        HostListener listening(port(50));
        Flow flow(guest, to_host, 50, 1000);
        const std::string data(size, 'x');

        ASSERT_TRUE(flow.connect());
        HostSocket program = listening.accept();
        expect_free([&] {
            flow.write(data);
            ASSERT_EQ(program.read(size).size(), size);
            program.write(data);
            ASSERT_EQ(flow.read(size).size(), size);
        });
    }
}

TEST_F(DataPath, SplitPackets)
{
    Guest::Options options;
    options.rx_layout = {20, 24, 100, 200};
    Guest guest(vhost(), options);
    HostListener listening(port(50));
    Flow flow(guest, to_host, 50, 1000);

    ASSERT_TRUE(flow.connect());
    HostSocket program = listening.accept();
    expect_free([&] {
        Header h = flow.header(VIRTIO_VSOCK_OP_RW);

        h.len = 300;
        guest.send(h, std::string(300, 'x'), {1, 40, 7, 50, 100});
        flow.sent += 300;
        ASSERT_EQ(program.read(300).size(), 300u);
        flow.barrier();
        program.write(std::string(500, 'y'));
        ASSERT_EQ(flow.read(500).size(), 500u);
    });
}

/*
 * A message costs at most two system calls, and no memory.  This is so if the
 * guest sends it in one packet, and has buffers for all of it.  The daemon
 * copies other messages.
 */
TEST_F(DataPath, Messages)
{
    for (size_t size : {1u, 3000u, 60000u}) {
        Guest::Options options;
        options.rx_buffers = options.queue_size;
        Guest guest(vhost(), options);
        HostListener listening(port(50), SOCK_SEQPACKET);
        Flow flow(guest, to_host, 50, 1000, VIRTIO_VSOCK_TYPE_SEQPACKET);
        const std::string data(size, 'x');

        ASSERT_TRUE(flow.connect());
        HostSocket program = listening.accept();
        expect_free([&] {
            flow.write_message(data);
            ASSERT_EQ(program.read_message(size).size(), size);
            flow.barrier();     /* It has credit for the next one. */
        });
        EXPECT_LE(calls, size_t(rounds)) << size;   /* one to send */

        /* All together, so that few reads find the socket empty */
        expect_free([&] {
            for (int i = 0; i < 3; i++) {
                program.write(data);
            }
            for (int i = 0; i < 3; i++) {
                ASSERT_EQ(flow.read_message().size(), size);
            }
        });
        /* One call to peek and one to receive; and each time one that finds the
         * socket empty, plus one more if an event comes meanwhile */
        EXPECT_LE(calls, size_t(rounds * (3 * 2 + 3 + 3))) << size;
    }
}

TEST_F(DataPath, Siblings)
{
    for (uint16_t type : {VIRTIO_VSOCK_TYPE_STREAM,
                          VIRTIO_VSOCK_TYPE_SEQPACKET}) {
        Guest a(vhost()), b(vhost(sibling_cid));
        Flow client(a, sibling_cid, 50, 1000, type);
        bool messages = type == VIRTIO_VSOCK_TYPE_SEQPACKET;
        const std::string data(1000, 'x');

        client.send(VIRTIO_VSOCK_OP_REQUEST);
        Flow server = Flow::accept(b, b.receive());
        client.expect(VIRTIO_VSOCK_OP_RESPONSE);
        expect_free([&] {
            for (auto [from, to] : {std::pair(&client, &server),
                                    std::pair(&server, &client)}) {
                messages ? from->write_message(data) : from->write(data);
                ASSERT_EQ((messages ? to->read_message()
                                    : to->read(data.size())).size(),
                          data.size());
            }
        });
    }
}

/* Many connections that take turns */
TEST_F(DataPath, Turns)
{
    Guest guest(vhost());
    HostListener listening(port(50));
    std::vector<Flow> flows;
    std::vector<HostSocket> programs;

    for (uint32_t i = 0; i < 20; i++) {
        flows.emplace_back(guest, to_host, 50, 1000 + i);
        ASSERT_TRUE(flows.back().connect());
        programs.push_back(listening.accept());
    }
    expect_free([&] {
        for (HostSocket &program : programs) {
            program.write(std::string(5000, 'x'));
        }
        for (Flow &flow : flows) {
            ASSERT_EQ(flow.read(5000).size(), 5000u);
        }
    });
}

} // namespace
