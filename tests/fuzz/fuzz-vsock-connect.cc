/*
 * Fuzz target: the CONNECT lines of host programs
 *
 * Each input is some programs that connect to <uds-path> one after the other.
 * An input is a series of steps, each a byte:
 *   0 to 15   the next program, which connects
 *   16 to 23  the last program closes its sending side
 *   24 to 31  the guest takes its packets, and accepts what it is asked for
 *   others    the last program writes so many bytes of what follows, modulo 64
 * The guest gets a request only for a line "CONNECT", a blank and a decimal
 * number, and all that is behind the line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.hh"
#include "testing/fake_rx_buffers.hh"

extern "C" {
#include "target.h"
}

namespace {

constexpr uint64_t guest_cid = 16;
constexpr size_t max_programs = 8;

[[noreturn]] void fail(const char *what)
{
    perror(what);
    abort();
}

/* The bytes that a program has written, and the port that they ask for */
struct Program {
    Descriptor fd;
    std::string written;
    bool at_end = false;
};

/* The port of a line, by an independent implementation of the rules */
bool is_request(const std::string &written, uint32_t port)
{
    size_t end = written.find('\n');
    char *rest;

    if (end == std::string::npos || end >= max_command ||
        strncasecmp(written.c_str(), "CONNECT ", 8) != 0) {
        return false;
    }
    std::string number = written.substr(8, end - 8);
    return !number.empty() && isdigit(static_cast<unsigned char>(number[0])) &&
        strtoull(number.c_str(), &rest, 10) == port && !*rest &&
        rest == number.c_str() + number.size();
}

class Guest {
public:
    explicit Guest(Loop &loop)
        : multiplexer(loop, guest_cid, default_buffer_size,
                      [](const PacketHeader &) { return nullptr; }) {}

    /* Receive all packets and accept requests.  Returns the requested ports. */
    std::vector<uint32_t> take()
    {
        std::vector<uint32_t> ports;

        while (multiplexer.has_pending()) {
            FakeRxBuffers buffers(16, 4096);

            multiplexer.send_pending(buffers);
            if (buffers.sent.empty()) {
                break;
            }
            for (const SentPacket &packet : buffers.sent) {
                if (packet.header.op == static_cast<uint16_t>(Op::request)) {
                    ports.push_back(packet.header.dst_port);
                    accept(packet.header);
                }
            }
        }
        return ports;
    }

    Multiplexer multiplexer;

private:
    void accept(const PacketHeader &to)
    {
        PacketHeader h = reply_to(to, Op::response);

        h.buf_alloc = 1 << 16;
        multiplexer.receive(h, {});
    }
};

const std::string &directory()
{
    static std::string path;

    if (path.empty()) {
        path = "/tmp/fuzz-vsock-XXXXXX";
        if (!mkdtemp(path.data())) {
            fail(path.c_str());
        }
        atexit([] { rmdir(path.c_str()); });
    }
    return path;
}

/* A REQUEST that belongs to no program's line is a failure. */
void check(const std::vector<uint32_t> &ports,
           const std::deque<Program> &programs)
{
    for (uint32_t port : ports) {
        if (std::ranges::none_of(programs, [&](const Program &p) {
                return is_request(p.written, port);
            })) {
            abort();
        }
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Loop loop;
    Sockets sockets;
    DescriptorShare share;
    HostOptions options;
    std::deque<Program> programs;
    std::string error;

    options.uds_path = directory() + "/vsock";
    options.heartbeat = false;
    Host host(loop, sockets, share, options, [] {});
    Guest guest(loop);      /* refers to the host's streams: goes first */

    if (!host.listen(&error)) {
        fail(error.c_str());
    }
    host.attach(&guest.multiplexer);
    std::optional<Endpoint> at = unix_endpoint(options.uds_path, &error);

    while (size) {
        uint8_t step = *data++;

        size--;
        if (step < 16 && programs.size() < max_programs) {
            Attempt attempt;

            programs.push_back({sockets.connect(*at, SOCK_STREAM, &attempt),
                                {}, false});
            if (!programs.back().fd) {
                fail("connect");
            }
        } else if (programs.empty() || programs.back().at_end) {
            continue;
        } else if (step < 24) {
            shutdown(programs.back().fd.get(), SHUT_WR);
            programs.back().at_end = true;
        } else if (step < 32) {
            check(guest.take(), programs);
        } else {
            Program &program = programs.back();
            size_t n = std::min<size_t>(step % 64, size);

            if (n && send(program.fd.get(), data, n, MSG_NOSIGNAL) ==
                static_cast<ssize_t>(n)) {
                program.written.append(reinterpret_cast<const char *>(data),
                                       n);
            }
            data += n;
            size -= n;
        }
        loop.run_once(0);
    }
    check(guest.take(), programs);
    return 0;
}
