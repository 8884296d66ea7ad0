/*
 * vhost-user-vsock: connects the vsock of QEMU's guests to this host
 *
 * A daemon of one thread for each guest.  From the bottom up:
 *
 *   packet        what is on the wire
 *   descriptors   a guest's share of the process's descriptors
 *   stream        the other end of a connection: a socket, the heartbeat
 *   backlog       what a stream did not take at once
 *   connection    one connection, as a state machine
 *   multiplexer   those of one guest, and whose turn it is
 *   sockets       Unix, TCP and AF_VSOCK sockets
 *   host          where the guest's connections go, and the host's come from
 *   siblings      connections from guest to guest
 *   events        what happens, as JSON
 *   message       vhost-user messages, checked
 *   queue         a queue of the guest's
 *   device        vhost-user, and all of the above for one guest
 *   confinement   what the process gives up before it serves
 *
 * A lower one knows nothing of a higher one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <csignal>
#include <cstdio>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <system_error>
#include <thread>

#include "confinement.hh"
#include "options.hh"

namespace {

constexpr int exit_usage = 2;

/*
 * Each connection has a descriptor: the usual soft limit is far too low.
 * Returns how many there may be.
 */
size_t allow_descriptors()
{
    rlimit limit = {};

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* One line, whatever the value has that was wrong */
int fail(std::string error)
{
    for (char &c : error) {
        if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
            c = '?';
        }
    }
    fprintf(stderr, "vhost-user-vsock: %s\n", error.c_str());
    return exit_usage;
}

/* Serve the guests until a signal says that it is enough. */
void run(std::vector<std::unique_ptr<Device>> &devices)
{
    Descriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::vector<std::thread> threads;
    sigset_t signals;
    int received;

    /* The threads inherit that these wait for the main one. */
    sigemptyset(&signals);
    for (int s : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&signals, s);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    threads.reserve(devices.size());
    for (auto &device : devices) {
        threads.emplace_back([&device, &stop] { device->run(stop.get()); });
    }
    sigwait(&signals, &received);
    eventfd_write(stop.get(), 1);
    for (std::thread &thread : threads) {
        thread.join();
    }
}

int serve(const Options &options, size_t limit)
{
    std::string error;
    Sockets sockets;
    Siblings siblings;
    std::vector<std::unique_ptr<Loop>> loops;
    std::vector<std::unique_ptr<Device>> devices;
    Events events;

    if (!options.events.empty()) {
        Descriptor fd = open_events(options.events, &error);

        if (!fd) {
            return fail(error);
        }
        events.write_to(std::move(fd));
    }
    /* All listeners are open before anything runs, so that errors come now. */
    for (const VmOptions &vm : options.vms) {
        loops.push_back(std::make_unique<Loop>());
        devices.push_back(std::make_unique<Device>(
            *loops.back(), sockets, siblings, events, vm));
        if (!devices.back()->listen(&error)) {
            return fail(error);
        }
    }
    size_t open = count_descriptors();
    size_t share = descriptor_share(limit, open, devices.size());
    if (!share) {
        return fail("RLIMIT_NOFILE is " + std::to_string(limit) + ", but "
                    + std::to_string(devices.size()) + " guests need more than "
                    + std::to_string(open + devices.size() * fixed_descriptors)
                    + " descriptors: raise it (ulimit -n), or serve fewer"
                    " guests");
    }
    for (auto &device : devices) {
        device->set_descriptors(share);
    }
    if (options.sandbox && !confine(options.vms, &error)) {
        return fail(error);
    }
    run(devices);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    std::string error;
    std::optional<Options> options = parse_options({argv + 1, argv + argc},
                                                   &error);

    if (!options) {
        return fail(error);
    }
    if (options->help) {
        fputs(usage, stdout);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    size_t limit = allow_descriptors();
    try {
        return serve(*options, limit);
    } catch (const std::exception &e) {
        return fail(e.what());
    }
}
