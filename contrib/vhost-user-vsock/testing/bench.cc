/*
 * A benchmark of back ends: throughput, latency, connections, memory
 *
 * This program acts as the guest and as the host programs, as the conformance
 * tests do, so only the back end and this program are measured.  It can compare
 * several back ends that have the options of vhost-device-vsock.  Each
 * measurement is repeated several times, and the back ends take turns, so that
 * other load on the machine affects all of them.  The result is the median,
 * with the smallest and the largest value.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>

#include "testing/guest.hh"
#include "testing/host_programs.hh"

namespace {

using Seconds = std::chrono::duration<double>;
using Time = std::chrono::steady_clock::time_point;

constexpr uint64_t host = 2, guest_cid = 16;    /* CIDs */
constexpr uint32_t port = 50, first_port = 1000;
constexpr uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV |
                          VIRTIO_VSOCK_SHUTDOWN_SEND;
constexpr Seconds warm_up{0.2};
constexpr double mib = 1 << 20, gib = 1 << 30;
constexpr size_t round_trips = 5000, quiet_round_trips = 1000;

Time now()
{
    return std::chrono::steady_clock::now();
}

/* A back end, a guest, and connections from it to a host program */
class Bench {
public:
    Bench(const std::string &program, size_t connections);

    TemporaryDirectory directory;
    BackEnd daemon;
    Guest guest;
    HostListener listener;
    std::vector<Flow> flows;
    std::vector<HostSocket> sockets;

    void connect();
    /* The connection a packet is for */
    Flow &flow(const Header &h) { return flows.at(h.dst_port - first_port); }

private:
    uint32_t next_port_ = first_port;
};

Bench::Bench(const std::string &program, size_t connections)
    : daemon(program, {"--guest-cid", std::to_string(guest_cid), "--socket",
                       directory / "vhost", "--uds-path", directory / "vsock"},
             directory / "daemon", 1 << 20),
      guest(directory / "vhost"),
      listener(directory / ("vsock_" + std::to_string(port)))
{
    while (flows.size() < connections) {
        connect();
    }
}

void Bench::connect()
{
    Flow flow(guest, host, port, next_port_++);

    if (!flow.connect()) {
        throw std::runtime_error("the back end refuses a connection");
    }
    flows.push_back(std::move(flow));
    sockets.push_back(listener.accept());
}

/* A host program, which serves all its connections in a thread of its own */
class Program {
public:
    /* `serve` is called when one of the EPOLL* `events` happens. */
    Program(Bench &bench, uint32_t events,
            const std::function<void(int fd)> &serve);
    ~Program()
    {
        stopped_ = true;
        thread_.join();
    }

private:
    void run(const std::function<void(int fd)> &serve);

    Descriptor epoll_;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;
};

Program::Program(Bench &bench, uint32_t events,
                 const std::function<void(int fd)> &serve)
    : epoll_(epoll_create1(EPOLL_CLOEXEC))
{
    for (const HostSocket &socket : bench.sockets) {
        epoll_event event = {.events = events, .data = {.fd = socket.fd()}};

        fcntl(socket.fd(), F_SETFL, O_NONBLOCK);
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.fd(), &event);
    }
    thread_ = std::thread([this, serve] { run(serve); });
}

void Program::run(const std::function<void(int fd)> &serve)
{
    constexpr int interval = 20;    /* ms */
    epoll_event events[64];

    while (!stopped_) {
        int n = epoll_wait(epoll_.get(), events, 64, interval);

        for (int i = 0; i < n; i++) {
            serve(events[i].data.fd);
        }
    }
}

/* The growth of `count` in `seconds`, and its CPU time */
class Meter {
public:
    Meter(const BackEnd &daemon, Seconds seconds)
        : back_end_(daemon), start_(now() + std::chrono::duration_cast<
              Time::duration>(warm_up)), seconds_(seconds) {}

    /* Called repeatedly with the count; returns false at the end. */
    bool running(uint64_t count)
    {
        Time time = now();

        if (!started_ && time >= start_) {
            started_ = true;
            start_ = time;
            count_ = count;
            cpu_ = back_end_.cpu_seconds();
        }
        if (!started_ || time - start_ < seconds_) {
            return true;
        }
        double bytes = count - count_;
        rate = bytes / mib / Seconds(time - start_).count();
        cost = (back_end_.cpu_seconds() - cpu_) / (bytes / gib);
        return false;
    }

    double rate = 0;        /* MiB/s */
    double cost = 0;        /* seconds of CPU for a GiB */

private:
    const BackEnd &back_end_;
    Time start_;
    Seconds seconds_;
    bool started_ = false;
    uint64_t count_ = 0;
    double cpu_ = 0;
};

/* A result of a measurement: a name with its unit, and a number */
using Results = std::vector<std::pair<std::string, double>>;

Results guest_to_host(const std::string &program, size_t connections,
                      Seconds seconds)
{
    Bench b(program, connections);
    std::atomic<uint64_t> count = 0;
    Program sink(b, EPOLLIN, [&](int fd) {
        static thread_local char buffer[1 << 18];
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

        count += n > 0 ? n : 0;
    });
    Meter meter(b.daemon, seconds);

    while (meter.running(count)) {
        bool sent = false;

        for (Flow &f : b.flows) {
            uint32_t size = std::min(f.credit(), largest_packet);

            /* As Linux does: all that the credit allows, but no tiny packets */
            if (size < largest_packet / 2 || !b.guest.can_send()) {
                continue;
            }
            Header h = f.header(VIRTIO_VSOCK_OP_RW);
            h.len = size;
            b.guest.send_filler(h);
            f.sent += size;
            sent = true;
        }
        size_t had = b.guest.poll([&](const Header &h, std::string_view) {
            b.flow(h).account(h);
        });
        if (!sent && !had) {
            b.guest.wait(20);
        }
    }
    return {{"guest to host, MiB/s", meter.rate},
            {"guest to host, CPU s/GiB", meter.cost}};
}

Results host_to_guest(const std::string &program, size_t connections,
                      Seconds seconds)
{
    Bench b(program, connections);
    uint64_t count = 0;
    std::vector<Flow *> updates;
    Program source(b, EPOLLOUT, [](int fd) {
        static const char buffer[1 << 16] = {};

        send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
    });
    Meter meter(b.daemon, seconds);

    while (meter.running(count)) {
        size_t had = b.guest.poll([&](const Header &h, std::string_view data) {
            Flow &f = b.flow(h);
            bool queued = f.fwd_cnt - f.last_fwd_cnt >= f.buf_alloc / 2;

            f.account(h);
            count += data.size();
            if (f.consume(data.size()) && !queued) {
                updates.push_back(&f);
            }
        });
        while (!updates.empty() && b.guest.can_send()) {
            updates.back()->send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
            updates.pop_back();
        }
        if (!had) {
            b.guest.wait(20);
        }
    }
    return {{"host to guest, MiB/s", meter.rate},
            {"host to guest, CPU s/GiB", meter.cost}};
}

/* An echo of one byte, on each connection in turn */
Results latency(const std::string &program, size_t connections, Seconds)
{
    Bench b(program, connections);
    Program echo(b, EPOLLIN, [](int fd) {
        char byte;

        if (recv(fd, &byte, 1, 0) == 1) {
            send(fd, &byte, 1, MSG_NOSIGNAL);
        }
    });
    std::vector<double> times;

    for (size_t i = 0; i < round_trips; i++) {
        Flow &f = b.flows[i % connections];
        Header h = f.header(VIRTIO_VSOCK_OP_RW);
        bool back = false;
        Time start = now();

        h.len = 1;
        b.guest.send(h, "x");
        f.sent++;
        while (!back) {
            b.guest.poll([&](const Header &got, std::string_view data) {
                b.flow(got).account(got);
                b.flow(got).consume(data.size());
                back = back || got.op == VIRTIO_VSOCK_OP_RW;
            });
            if (!back && !b.guest.wait()) {
                throw std::runtime_error("an echo does not come");
            }
        }
        times.push_back(Seconds(now() - start).count() * 1e6);
    }
    std::sort(times.begin(), times.end());
    return {{"round trip, median, us", times[times.size() / 2]},
            {"round trip, 99 %, us", times[times.size() * 99 / 100]}};
}

/* Connect, accept and close, repeatedly, with other connections open */
Results connection_rate(const std::string &program, size_t connections,
                        Seconds seconds)
{
    Bench b(program, connections);
    size_t count = 0;
    Time start = now();

    while (now() - start < seconds) {
        b.connect();
        b.flows.back().send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
        while (b.flows.back().next().header.op != VIRTIO_VSOCK_OP_RST) {
        }
        b.flows.pop_back();
        b.sockets.pop_back();
        count++;
    }
    return {{"connections/s", count / Seconds(now() - start).count()}};
}

/* Idle connections; a byte was sent in each direction before. */
Results idle(const std::string &program, size_t connections, Seconds seconds)
{
    Bench b(program, 1);
    size_t before = b.daemon.resident();

    while (b.flows.size() < 1 + connections) {
        b.connect();
        b.flows.back().write("x");
        b.sockets.back().read(1);
        b.sockets.back().write("x");
        b.flows.back().read(1);
    }
    double memory = static_cast<double>(b.daemon.resident()) - before;
    double cpu = b.daemon.cpu_seconds();
    std::this_thread::sleep_for(seconds);
    cpu = b.daemon.cpu_seconds() - cpu;
    return {{"memory when idle, KiB", memory / 1024},
            {"CPU when idle, ms/s", cpu * 1000 / seconds.count()}};
}

/*
 * An echo of one byte, while `connections` others send data to the guest as
 * fast as possible.  The echo has its own thread.
 */
Results quiet(const std::string &program, size_t connections, Seconds)
{
    Bench b(program, connections);
    std::vector<Flow *> updates;
    std::vector<double> times;

    b.connect();
    HostSocket echo = std::move(b.sockets.back());
    b.sockets.pop_back();
    std::thread echoing([&echo] {
        char byte;

        while (recv(echo.fd(), &byte, 1, 0) == 1) {
            send(echo.fd(), &byte, 1, MSG_NOSIGNAL);
        }
    });
    Program source(b, EPOLLOUT, [](int fd) {
        static const char buffer[1 << 16] = {};

        send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
    });
    Flow &quiet = b.flows.back();
    bool back = true;
    Time start = now(), end = start + std::chrono::seconds(30);

    while (times.size() < quiet_round_trips && now() < end) {
        if (back && b.guest.can_send()) {
            Header h = quiet.header(VIRTIO_VSOCK_OP_RW);

            h.len = 1;
            back = false;
            start = now();
            b.guest.send(h, "x");
            quiet.sent++;
        }
        size_t had = b.guest.poll([&](const Header &h, std::string_view data) {
            Flow &f = b.flow(h);
            bool queued = f.fwd_cnt - f.last_fwd_cnt >= f.buf_alloc / 2;

            f.account(h);
            if (&f == &quiet && h.op == VIRTIO_VSOCK_OP_RW) {
                times.push_back(Seconds(now() - start).count() * 1e6);
                back = true;
            }
            if (f.consume(data.size()) && !queued) {
                updates.push_back(&f);
            }
        });
        while (!updates.empty() && b.guest.can_send()) {
            updates.back()->send(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
            updates.pop_back();
        }
        if (!had) {
            b.guest.wait(20);
        }
    }
    shutdown(echo.fd(), SHUT_RDWR);
    echoing.join();
    if (times.empty()) {
        throw std::runtime_error("no echo comes beside the others");
    }
    std::sort(times.begin(), times.end());
    return {{"quiet one, median, us", times[times.size() / 2]},
            {"quiet one, 99 %, us", times[times.size() * 99 / 100]}};
}

/* `guests` guests of one daemon, each with a connection, which are idle */
Results guests(const std::string &program, size_t guests, Seconds seconds)
{
    TemporaryDirectory directory;
    std::vector<std::string> options;
    auto path = [&](const char *name, size_t i) {
        return directory / (name + std::to_string(i));
    };

    for (size_t i = 0; i < guests; i++) {
        options.emplace_back("--vm");
        options.push_back("guest-cid=" + std::to_string(guest_cid + i)
                          + ",socket=" + path("vhost", i) + ",uds-path="
                          + path("vsock", i));
    }
    BackEnd daemon(program, options, directory / "daemon", 1 << 20);
    std::vector<std::unique_ptr<Guest>> all;
    std::vector<Flow> flows;
    std::vector<HostSocket> sockets;
    std::vector<std::unique_ptr<HostListener>> listeners;
    Guest::Options small;

    small.memory = 16 << 20;
    for (size_t i = 0; i < guests; i++) {
        all.push_back(std::make_unique<Guest>(path("vhost", i), small));
        listeners.push_back(std::make_unique<HostListener>(
            path("vsock", i) + "_" + std::to_string(port)));
        flows.emplace_back(*all.back(), host, port, first_port);
        if (!flows.back().connect()) {
            throw std::runtime_error("the back end refuses a connection");
        }
        sockets.push_back(listeners.back()->accept());
    }
    std::vector<double> times;
    size_t n = 0;
    for (size_t i = 0; i < quiet_round_trips; i++) {
        Time start = now();

        flows[n].write("x");
        sockets[n].read(1);
        sockets[n].write("x");
        flows[n].read(1);
        times.push_back(Seconds(now() - start).count() * 1e6);
        n = n + 1 < guests ? n + 1 : 0;
    }
    double cpu = daemon.cpu_seconds();
    std::this_thread::sleep_for(seconds);
    cpu = daemon.cpu_seconds() - cpu;
    std::sort(times.begin(), times.end());
    return {{"guests: memory, KiB", daemon.resident() / 1024.0},
            {"guests: CPU idle, ms/s", cpu * 1000 / seconds.count()},
            {"guests: echo, median, us", times[times.size() / 2]},
            {"guests: echo, 99 %, us", times[times.size() * 99 / 100]}};
}

using Measure = Results (*)(const std::string &, size_t, Seconds);

const struct {
    const char *name;
    Measure measure;
    std::vector<size_t> connections;
} measures[] = {
    {"out", guest_to_host, {1, 16, 1000}},
    {"in", host_to_guest, {1, 16, 1000}},
    {"latency", latency, {1, 16, 1000}},
    {"rate", connection_rate, {1, 16, 1000}},
    {"idle", idle, {1000, 10000}},
    {"quiet", quiet, {0, 1000}},
    {"guests", guests, {1, 64}},
};

struct Column {
    std::vector<double> values;
    double median()
    {
        std::sort(values.begin(), values.end());
        return values[values.size() / 2];
    }
    double min() const { return std::ranges::min(values); }
    double max() const { return std::ranges::max(values); }
};

/* One measurement with all back ends in turn, repeated `rounds` times */
void compare(const std::vector<std::string> &programs, Measure measure,
             size_t connections, Seconds seconds, int rounds)
{
    std::vector<std::string> names;
    std::map<std::string, std::vector<Column>> table;

    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < programs.size(); i++) {
            Results found;
            try {
                found = measure(programs[i], connections, seconds);
            } catch (std::runtime_error &e) {
                fprintf(stderr, "%s, %zu connections: %s\n",
                        programs[i].c_str(), connections, e.what());
            }
            for (auto &[name, value] : found) {
                std::vector<Column> &row = table[name];

                if (row.empty()) {
                    row.resize(programs.size());
                    names.push_back(name);
                }
                row[i].values.push_back(value);
            }
        }
    }
    for (const std::string &name : names) {
        printf("%-26s %5zu", name.c_str(), connections);
        for (Column &column : table[name]) {
            if (column.values.empty()) {
                printf(" %12s %20s", "failed", "-");
            } else {
                printf(" %12.4g %10.3g-%-9.3g", column.median(), column.min(),
                       column.max());
            }
        }
        printf("\n");
    }
    fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    double seconds = 1;
    int rounds = 3, option;
    std::string only;
    size_t only_connections = 0;

    while ((option = getopt(argc, argv, "c:m:s:r:")) != -1) {
        if (option == 'm') {
            only = optarg;
        } else if (option == 'c') {
            only_connections = strtoul(optarg, nullptr, 10);
        } else if (option == 's') {
            seconds = atof(optarg);
        } else if (option == 'r') {
            rounds = atoi(optarg);
        }
    }
    std::vector<std::string> programs(argv + optind, argv + argc);
    if (programs.empty() || rounds < 1 || !(seconds > 0)) {
        fprintf(stderr, "Usage: %s [-m out|in|latency|rate|idle|quiet|guests] "
                "[-c CONNECTIONS] [-s SECONDS] [-r ROUNDS] BACK-END...\n",
                argv[0]);
        return 2;
    }

    raise_descriptor_limit();
    printf("%-26s %5s", "median, smallest-largest", "open");
    for (size_t i = 0; i < programs.size(); i++) {
        printf("%11zu:%21s", i + 1, "");
    }
    printf("\n");
    for (const auto &m : measures) {
        if (!only.empty() && only != m.name) {
            continue;
        }
        std::vector<size_t> counts = m.connections;

        if (only_connections) {
            counts = {only_connections};
        }
        for (size_t connections : counts) {
            compare(programs, m.measure, connections, Seconds(seconds),
                    rounds);
        }
    }
    return 0;
}
