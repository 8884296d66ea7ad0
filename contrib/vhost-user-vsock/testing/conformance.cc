/*
 * The fixture of the conformance tests: a back end that serves two guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

std::string Conformance::program;

Conformance::Conformance(const std::string &more, size_t descriptors)
{
    std::vector<std::string> arguments;
    std::string command = program;

    if (descriptors) {
        command = "/bin/sh";
        arguments = {"-c", "ulimit -n " + std::to_string(descriptors)
                     + " && exec \"$@\"", command, program};
    }

    for (uint64_t cid : {first, second}) {
        std::string own = more;

        if (size_t at = own.find('%'); at != std::string::npos) {
            own.replace(at, 1, std::to_string(cid));
        }
        arguments.push_back("--vm");
        arguments.push_back("guest-cid=" + std::to_string(cid) + ",socket="
                            + socket(cid) + ",uds-path=" + uds(cid) + own);
    }
    back_end_ = std::make_unique<BackEnd>(command, arguments,
                                          directory_ / "back-end");
    for (uint64_t cid : {first, second}) {
        HostSocket probe(uds(cid));
    }
}

void Conformance::TearDown()
{
    EXPECT_TRUE(back_end_->alive()) << "the back end has ended";
}

std::string Conformance::socket(uint64_t cid) const
{
    return directory_ / ("vhost" + std::to_string(cid));
}

std::string Conformance::uds(uint64_t cid) const
{
    return directory_ / ("vsock" + std::to_string(cid));
}

std::string Conformance::listener(uint32_t port, uint64_t cid) const
{
    return uds(cid) + "_" + std::to_string(port);
}

Conformance::Pair Conformance::open(Guest &guest, uint32_t guest_port,
                                    uint32_t port, uint64_t to)
{
    HostListener listening(listener(port, guest.cid()));
    Flow flow(guest, to, port, guest_port);

    if (!flow.connect()) {
        throw std::runtime_error("the back end refuses a connection");
    }
    return {std::move(flow), listening.accept()};
}

Conformance::Pair Conformance::open_from_host(Guest &guest,
                                              uint32_t guest_port)
{
    HostSocket socket(uds(guest.cid()));

    socket.write("CONNECT " + std::to_string(guest_port) + "\n");
    Flow flow = Flow::accept(guest, guest.find([&](const Packet &p) {
        return p.header.op == VIRTIO_VSOCK_OP_REQUEST &&
            p.header.dst_port == guest_port;
    }));
    EXPECT_EQ(socket.read_line(), "OK " + std::to_string(flow.host_port));
    return {std::move(flow), std::move(socket)};
}

void Conformance::expect_works(Guest &guest)
{
    constexpr uint32_t port = 77, guest_port = 7777;
    auto [flow, socket] = open(guest, guest_port, port);

    flow.write("from the guest");
    EXPECT_EQ(socket.read(14), "from the guest");
    socket.write("from the host");
    EXPECT_EQ(flow.read(13), "from the host");
    flow.send(VIRTIO_VSOCK_OP_RST);
    EXPECT_TRUE(socket.at_end());
}

void Conformance::expect_other_works()
{
    Guest other(socket(second));

    EXPECT_EQ(other.cid(), second);
    expect_works(other);
}

std::string pattern(size_t size, uint32_t seed)
{
    std::string data(size, 0);

    /* A linear congruential generator, of which the high bits are used */
    for (char &c : data) {
        seed = seed * 1664525 + 1013904223;
        c = seed >> 24;
    }
    return data;
}

int main(int argc, char **argv)
{
    testing::InitGoogleTest(&argc, argv);
    if (argc != 2) {
        fprintf(stderr, "Usage: %s BACK-END\n", argv[0]);
        return 2;
    }
    raise_descriptor_limit();
    Conformance::program = argv[1];
    return RUN_ALL_TESTS();
}
