/*
 * The fixture of the conformance tests: a back end that serves two guests
 *
 * A test controls guests through shared memory and host programs through
 * sockets.  It needs neither QEMU nor a kernel.  Most tests are valid for any
 * back end that has the options of vhost-device-vsock.  Its path is the
 * program's argument.
 *
 * To check that something does not happen, a test does not wait.  It makes a
 * request: the response shows that the back end has handled everything before.
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
     * `descriptors`: the hard limit of the back end's descriptors, or 0 for the
     * usual limit.
     */
    explicit Conformance(const std::string &more = "", size_t descriptors = 0);
    void TearDown() override;

    std::string socket(uint64_t cid = first) const;
    std::string uds(uint64_t cid = first) const;
    /* The path of the socket for a guest's connection to `port` */
    std::string listener(uint32_t port, uint64_t cid = first) const;

    /* A connection that the guest opens to a host program: both its ends */
    struct Pair {
        Flow flow;
        HostSocket socket;
    };
    Pair open(Guest &guest, uint32_t guest_port = 1000, uint32_t port = 50,
              uint64_t to = host);
    /* The same, opened by the host program */
    Pair open_from_host(Guest &guest, uint32_t guest_port = 80);

    /* Does the back end serve this guest? */
    void expect_works(Guest &guest);
    /* The same with a new guest of the other CID */
    void expect_other_works();

    TemporaryDirectory directory_;
    std::unique_ptr<BackEnd> back_end_;
};

/* Bytes that depend on their offset in a stream */
std::string pattern(size_t size, uint32_t seed = 1);

#endif
