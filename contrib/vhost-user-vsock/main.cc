/*
 * vhost-user-vsock: connects the vsock of QEMU's guests to this host
 *
 * The daemon has one thread for each guest.  README.md lists the files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <csignal>
#include <cstdio>
#include <initializer_list>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <system_error>
#include <thread>

#include "confinement.hh"
#include "options.hh"
#include "startup.hh"

namespace {

constexpr int exit_usage = 2;

/*
 * Raise the soft limit of descriptors, which is too low for many connections.
 * Returns the new limit.
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

/* The message is one line, even if a value in it has control characters. */
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

/* The signals, now blocked in this thread, and in those that it starts */
sigset_t block_signals(std::initializer_list<int> numbers)
{
    sigset_t signals;

    sigemptyset(&signals);
    for (int number : numbers) {
        sigaddset(&signals, number);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return signals;
}

/*
 * Serve until one of the blocked signals comes.  SIGUSR1 asks for counters; the
 * others end the daemon.
 */
void run(std::vector<std::unique_ptr<Device>> &devices,
         const sigset_t &signals)
{
    Descriptor stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::vector<std::thread> threads;
    int received;

    threads.reserve(devices.size());
    for (auto &device : devices) {
        threads.emplace_back([&device, &stop] { device->run(stop.get()); });
    }
    while (sigwait(&signals, &received) == 0 && received == SIGUSR1) {
        for (auto &device : devices) {
            device->write_counters();
        }
    }
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
    /* From now on there are sockets, which must not be left behind. */
    sigset_t signals = block_signals({SIGINT, SIGTERM, SIGHUP, SIGUSR1});
    /* Open all listeners before any thread runs: errors are reported here. */
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
    run(devices, signals);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    std::string error;

    if (!occupy_standard_descriptors()) {
        return fail("/dev/null: " + std::generic_category().message(errno));
    }
    std::optional<Options> options = parse_options({argv + 1, argv + argc},
                                                   &error);
    if (!options) {
        return fail(error);
    }
    if (options->help) {
        fputs(usage, stdout);
        return fflush(stdout) == 0 ? 0 : fail("standard output: "
            + std::generic_category().message(errno));
    }
    signal(SIGPIPE, SIG_IGN);
    catch_file_size_signal();
    /* Until run() takes it, SIGUSR1 must not end the daemon. */
    block_signals({SIGUSR1});
    size_t limit = allow_descriptors();
    try {
        return serve(*options, limit);
    } catch (const std::exception &e) {
        return fail(e.what());
    }
}
