/*
 * vhost-user-vsock: connects the vsock of QEMU's guests to this host
 *
 * A daemon of one thread for each guest.  From the bottom up: packet (what is
 * on the wire), connection (one, as a state machine), multiplexer (those of a
 * guest), host (Unix sockets), device (vhost-user and queues); a lower one
 * knows nothing of a higher one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <csignal>
#include <cstdio>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>

#include "options.hh"

namespace {

constexpr int exit_usage = 2;

struct Guest {
    VmOptions options;
    Fd listener, uds_listener;
};

void remove_sockets(const std::vector<Guest> &guests)
{
    for (const Guest &guest : guests) {
        unlink(guest.options.socket.c_str());
        if (!guest.options.uds_path.empty()) {
            unlink(guest.options.uds_path.c_str());
        }
    }
}

/* All listeners are opened before anything runs, so that errors come now. */
bool open_listeners(const std::vector<VmOptions> &vms,
                    std::vector<Guest> *guests, std::string *error)
{
    for (const VmOptions &vm : vms) {
        Guest guest = {vm, listen_unix(vm.socket, error), Fd()};

        if (!guest.listener) {
            return false;
        }
        bool wanted = !vm.uds_path.empty();
        if (wanted) {
            guest.uds_listener = listen_unix(vm.uds_path, error);
        }
        if (wanted && !guest.uds_listener) {
            unlink(vm.socket.c_str());
            return false;
        }
        guests->push_back(std::move(guest));
    }
    return true;
}

} // namespace

int main(int argc, char **argv)
{
    std::string error;
    std::vector<VmOptions> vms = parse_options({argv + 1, argv + argc},
                                               &error);
    std::vector<Guest> guests;

    if (vms.empty() && error.empty()) {
        fputs(usage, stdout);
        return 0;
    }
    if (vms.empty() || !open_listeners(vms, &guests, &error)) {
        remove_sockets(guests);
        fprintf(stderr, "vhost-user-vsock: %s\n", error.c_str());
        return exit_usage;
    }

    /* The threads inherit that these wait for the main one. */
    sigset_t signals;
    sigemptyset(&signals);
    for (int s : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&signals, s);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);

    Fd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    std::vector<std::thread> threads;
    std::vector<VmOptions> options = vms;   /* stays where it is */
    for (size_t i = 0; i < guests.size(); i++) {
        threads.emplace_back([&, i, listener = std::move(guests[i].listener),
                              uds = std::move(guests[i].uds_listener)]()
                             mutable {
            serve(options[i], std::move(listener), std::move(uds),
                  stop.get());
        });
    }

    int received;
    sigwait(&signals, &received);
    eventfd_write(stop.get(), 1);
    for (std::thread &thread : threads) {
        thread.join();
    }
    remove_sockets(guests);
    return 0;
}
