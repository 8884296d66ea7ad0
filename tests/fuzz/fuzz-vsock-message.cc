/*
 * Fuzz target: QEMU's side of vhost-user, and a guest's rings
 *
 * The device runs in a thread, as in the daemon; each input is one QEMU that
 * connects, does this and goes.  It is a series of steps, each a byte:
 *   0 to 127  a message: this is its request; a byte for its flags; 2 bytes,
 *             little-endian, for its size; the payload; a byte for the number
 *             of descriptors that come along
 *   254       bytes in shared memory: 2 bytes with their address, a byte with
 *             their number, and they
 *   255       a kick of all queues, and a question, whose answer is waited
 *             for: the device looks at the queues before it sees the end
 *   others    bytes of the socket as they are: how many, and they
 * Descriptors are of the memory for messages about memory, else eventfds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

#include "device.hh"
#include "passing.hh"

extern "C" {
#include "target.h"
}

namespace {

constexpr size_t memory_size = 64 * 1024;   /* bytes */
constexpr size_t max_descriptors = 12;      /* more than a message may have */

[[noreturn]] void fail(const char *what)
{
    perror(what);
    abort();
}

class Input {
public:
    Input(const uint8_t *data, size_t size) : data_(data), size_(size) {}
    bool empty() const { return !size_; }
    uint8_t byte() { return size_ ? (size_--, *data_++) : 0; }
    uint16_t word()
    {
        uint16_t low = byte();

        return low | byte() << 8;
    }
    std::vector<uint8_t> bytes(size_t size)
    {
        size_t n = std::min(size, size_);
        std::vector<uint8_t> all(data_, data_ + n);

        data_ += n;
        size_ -= n;
        return all;
    }

private:
    const uint8_t *data_;
    size_t size_;
};

/* A device that runs until this process ends */
class Server {
public:
    Server()
    {
        if (!mkdtemp(directory_.data())) {
            fail(directory_.data());
        }
        VmOptions options;
        std::string error;

        options.guest_cid = 16;
        options.socket = path();
        options.host.heartbeat = false;     /* it would speak on stdout */
        device_ = std::make_unique<Device>(loop_, sockets_, siblings_,
                                           events_, options);
        if (!device_->listen(&error)) {
            fail(error.c_str());
        }
        thread_ = std::thread([this] { device_->run(stop_.get()); });
    }
    ~Server()
    {
        eventfd_write(stop_.get(), 1);
        thread_.join();
        device_.reset();
        rmdir(directory_.data());
    }
    std::string path() const { return directory_ + "/qemu"; }

private:
    std::string directory_ = "/tmp/fuzz-vsock-XXXXXX";
    Loop loop_;
    Sockets sockets_;
    Siblings siblings_;
    Events events_;
    std::unique_ptr<Device> device_;
    Descriptor stop_{eventfd(0, EFD_CLOEXEC)};
    std::thread thread_;
};

class Qemu {
public:
    explicit Qemu(const std::string &path);
    void step(Input &input);
    /* Wait until the device has disconnected, too. */
    void leave();

private:
    void message(Input &input, uint8_t request);
    void send_all(const std::vector<uint8_t> &bytes,
                  const std::vector<int> &fds = {});
    void drain(int flags);
    void kick();

    Descriptor socket_, memory_, kick_;
    uint8_t *base_;
};

Qemu::Qemu(const std::string &path)
    : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      memory_(memfd_create("fuzz", MFD_CLOEXEC)),
      kick_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
    sockaddr_un un = {};

    un.sun_family = AF_UNIX;
    memcpy(un.sun_path, path.c_str(), path.size() + 1);
    if (ftruncate(memory_.get(), memory_size)) {
        fail("ftruncate");
    }
    void *base = mmap(nullptr, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      memory_.get(), 0);
    if (base == MAP_FAILED ||
        connect(socket_.get(), reinterpret_cast<sockaddr *>(&un),
                sizeof(un))) {
        fail("connect");
    }
    base_ = static_cast<uint8_t *>(base);
}

/* Unread replies would end the connection, so read them. */
void Qemu::drain(int flags)
{
    std::array<char, 4096> sink;

    while (recv(socket_.get(), sink.data(), sink.size(), flags) > 0) {
    }
}

void Qemu::send_all(const std::vector<uint8_t> &bytes,
                    const std::vector<int> &fds)
{
    if (!bytes.empty()) {
        /* It may have disconnected. */
        (void)!send_with_descriptors(socket_.get(), bytes.data(), bytes.size(),
                                     fds);
    }
}

void Qemu::message(Input &input, uint8_t request)
{
    std::vector<uint8_t> bytes = {request, 0, 0, 0, input.byte(), 0, 0, 0};
    uint16_t size = input.word();
    bool about_memory = request == VHOST_USER_SET_MEM_TABLE ||
                        request == VHOST_USER_ADD_MEM_REG ||
                        request == VHOST_USER_REM_MEM_REG;

    bytes.insert(bytes.end(), {static_cast<uint8_t>(size),
                               static_cast<uint8_t>(size >> 8), 0, 0});
    std::vector<uint8_t> payload = input.bytes(size);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    size_t count = std::min<size_t>(input.byte(), max_descriptors);
    send_all(bytes, std::vector<int>(count, about_memory ? memory_.get()
                                                         : kick_.get()));
    drain(MSG_DONTWAIT);
}

void Qemu::kick()
{
    constexpr int timeout_ms = 100;
    pollfd p = {socket_.get(), POLLIN, 0};

    eventfd_write(kick_.get(), 1);
    send_all({VHOST_USER_GET_FEATURES, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
    if (poll(&p, 1, timeout_ms) > 0) {
        drain(MSG_DONTWAIT);
    }
}

void Qemu::step(Input &input)
{
    uint8_t what = input.byte();

    if (what < 128) {
        message(input, what);
    } else if (what == 254) {
        size_t at = input.word();
        std::vector<uint8_t> bytes = input.bytes(input.byte());

        bytes.resize(std::min(bytes.size(), memory_size - at));
        std::copy(bytes.begin(), bytes.end(), base_ + at);
    } else if (what == 255) {
        kick();
    } else {
        send_all(input.bytes(input.byte()));
    }
}

void Qemu::leave()
{
    shutdown(socket_.get(), SHUT_WR);
    drain(0);
    munmap(base_, memory_size);
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Server server;
    Input input(data, size);
    Qemu qemu(server.path());

    while (!input.empty()) {
        qemu.step(input);
    }
    qemu.leave();
    return 0;
}
