/*
 * What the conformance tests share: a back end that serves two guests
 *
 * A test drives guests over shared memory and host programs over sockets, and
 * needs neither QEMU nor a kernel.  Most of it holds for any back end that
 * takes the options of vhost-device-vsock; its path is the program's argument.
 *
 * That something does not happen is not waited for: a question that is
 * answered shows that what came before it has been dealt with.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_CONFORMANCE_HH
#define VHOST_USER_VSOCK_TESTING_CONFORMANCE_HH

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "testing/guest.hh"
#include "testing/host_programs.hh"

constexpr uint64_t host = 2, parent = 3;    /* CIDs */
constexpr uint64_t first = 16, second = 17;

class Conformance : public testing::Test {
public:
    static std::string program;

protected:
    /*
     * `more`: options of both guests, as ",key=value"; % is a guest's CID.
     * `descriptors`: how many the back end may have, with no way to more; 0:
     * as usual.
     */
    explicit Conformance(const std::string &more = "", size_t descriptors = 0);
    void TearDown() override;

    std::string socket(uint64_t cid = first) const;
    std::string uds(uint64_t cid = first) const;
    /* Where a guest's connection to `port` goes */
    std::string listener(uint32_t port, uint64_t cid = first) const;

    /* A connection of the guest's to a host program: both its ends */
    struct Pair {
        Flow flow;
        HostSocket socket;
    };
    Pair open(Guest &guest, uint32_t guest_port = 1000, uint32_t port = 50,
              uint64_t to = host);
    /* The same, asked for by the host program */
    Pair open_from_host(Guest &guest, uint32_t guest_port = 80);

    /* Does the back end serve this guest? */
    void expect_works(Guest &guest);
    /* The same with a new guest of the other CID */
    void expect_other_works();

    TemporaryDirectory directory_;
    std::unique_ptr<BackEnd> back_end_;
};

/* Bytes that differ by their place in a stream */
std::string pattern(size_t size, uint32_t seed = 1);

#endif
