/*
 * Conformance: the counters that SIGUSR1 asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/conformance.hh"

#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include <nlohmann/json.hpp>

namespace {

using Json = nlohmann::json;

constexpr uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV |
                          VIRTIO_VSOCK_SHUTDOWN_SEND;

class CountersTest : public Conformance {
protected:
    /* Ask for the counters, and return the new object of each guest. */
    std::map<uint64_t, Json> counters()
    {
        kill(back_end_->pid(), SIGUSR1);
        return next_lines();
    }
    /* The next line of each guest in the back end's output */
    std::map<uint64_t, Json> next_lines()
    {
        std::map<uint64_t, Json> all;
        std::string line;

        for (int ms = 0; ms < max_wait && all.size() < 2; ms++) {
            output_.clear();
            std::streampos at = output_.tellg();
            if (std::getline(output_, line) && !output_.eof()) {
                Json json = Json::parse(line);

                EXPECT_EQ(json["event"], "counters");
                all[json["guest_cid"]] = json;
            } else {
                output_.clear();
                output_.seekg(at);
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
        EXPECT_EQ(all.size(), 2u);
        return all;
    }

private:
    std::ifstream output_{directory_ / "back-end.out"};
};

} // namespace

TEST_F(CountersTest, BeforeAnyGuest)
{
    for (auto &[cid, json] : counters()) {
        EXPECT_EQ(json["opened_by_guest"], 0) << cid;
        EXPECT_EQ(json["bytes_from_guest"], 0) << cid;
        EXPECT_EQ(json["resets"]["timeout"], 0) << cid;
    }
}

TEST_F(CountersTest, OfEachGuestAlone)
{
    Guest guest(socket());
    auto [flow, host_socket] = open(guest);
    auto [from, host_from] = open_from_host(guest);
    Flow none(guest, host, 51, 2000);

    flow.write("hello");
    EXPECT_EQ(host_socket.read(5), "hello");
    host_from.write("abc");
    EXPECT_EQ(from.read(3), "abc");
    EXPECT_FALSE(none.connect());
    flow.send(VIRTIO_VSOCK_OP_SHUTDOWN, both);
    flow.expect(VIRTIO_VSOCK_OP_RST);

    auto all = counters();
    EXPECT_EQ(all[first]["open"], 1);
    EXPECT_EQ(all[first]["opened_by_guest"], 1);
    EXPECT_EQ(all[first]["opened_by_host"], 1);
    EXPECT_EQ(all[first]["refused"], 1);
    EXPECT_EQ(all[first]["bytes_from_guest"], 5);
    EXPECT_EQ(all[first]["bytes_to_guest"], 3);
    EXPECT_EQ(all[first]["resets"]["finished"], 1);
    EXPECT_EQ(all[first]["resets"]["protocol"], 0);
    EXPECT_EQ(all[second]["opened_by_guest"], 0);
    EXPECT_EQ(all[second]["bytes_from_guest"], 0);

    flow.send(VIRTIO_VSOCK_OP_RW);      /* for a connection that has ended */
    flow.expect(VIRTIO_VSOCK_OP_RST);
    EXPECT_EQ(counters()[first]["resets"]["no_connection"], 1);
}

TEST_F(CountersTest, StayWhenTheGuestIsGone)
{
    {
        Guest guest(socket());
        auto [flow, host_socket] = open(guest);

        flow.write("hello");
        EXPECT_EQ(host_socket.read(5), "hello");
    }
    auto all = counters();
    EXPECT_EQ(all[first]["open"], 0);
    EXPECT_EQ(all[first]["opened_by_guest"], 1);
    EXPECT_EQ(all[first]["bytes_from_guest"], 5);
}

/* Signals may be merged, but a line is always whole. */
TEST_F(CountersTest, ManySignals)
{
    Guest guest(socket());

    for (int i = 0; i < 1000; i++) {
        kill(back_end_->pid(), SIGUSR1);
    }
    next_lines();
    expect_works(guest);
    expect_other_works();
}
