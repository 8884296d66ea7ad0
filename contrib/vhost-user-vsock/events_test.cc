/*
 * Tests of events.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "events.hh"
#include "sockets.hh"
#include "testing/temporary_directory.hh"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using Json = nlohmann::json;

class EventsTest : public testing::Test {
protected:
    /* All lines of a descriptor that does not block */
    std::vector<Json> lines(int fd)
    {
        std::string text(1 << 20, '\0');
        ssize_t n = ::read(fd, text.data(), text.size());
        std::istringstream stream(text.substr(0, std::max<ssize_t>(n, 0)));
        std::vector<Json> all;

        for (std::string line; std::getline(stream, line);) {
            all.push_back(Json::parse(line));
        }
        return all;
    }
    void to_pipe()
    {
        int ends[2];

        ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
        reader = Descriptor(ends[0]);
        events.write_to(Descriptor(ends[1]));
    }

    TemporaryDirectory directory;
    RateLimit::Time now;
    Events events{[this] { return now; }};
    Descriptor reader;
    std::string error;
};

TEST_F(EventsTest, OfAGuest)
{
    to_pipe();
    events.guest("booted", 4294967294);
    EXPECT_EQ(lines(reader.get()), std::vector<Json>{
        Json::parse(R"({"event": "booted", "guest_cid": 4294967294})")});
}

TEST_F(EventsTest, OfConnections)
{
    using Event = ConnectionReport::Event;
    const Address address = {3, 5, 16, 7};

    to_pipe();
    events.connection({Event::opened, true, address, type_stream, 0, 0});
    events.connection({Event::closed, false, address, type_seqpacket, 1,
                       uint64_t{1} << 40});
    events.connection({Event::refused, true, address, type_stream, 0, 0});

    std::vector<Json> all = lines(reader.get());
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0], Json::parse(R"({"event": "opened", "guest_cid": 16,
        "by": "guest", "type": "stream", "peer_cid": 3, "peer_port": 5,
        "guest_port": 7})"));
    EXPECT_EQ(all[1], Json::parse(R"({"event": "closed", "guest_cid": 16,
        "by": "host", "type": "seqpacket", "peer_cid": 3, "peer_port": 5,
        "guest_port": 7, "bytes_from_guest": 1,
        "bytes_to_guest": 1099511627776})"));
    EXPECT_EQ(all[2]["event"], "refused");
}

TEST_F(EventsTest, OfCounters)
{
    Counters c;

    c.open = 1;
    c.opened_by_guest = 2;
    c.opened_by_host = 3;
    c.refused = 4;
    c.bytes_from_guest = uint64_t{1} << 40;
    c.bytes_to_guest = 6;
    c.resets = {7, 8, 9, 10, 11, 15};
    c.resets_without_connection = 12;
    c.stalls_from_guest = 13;
    c.stalls_to_guest = 14;
    to_pipe();
    events.counters(c, 16);
    EXPECT_EQ(lines(reader.get()), std::vector<Json>{
        Json::parse(R"({"event": "counters", "guest_cid": 16, "open": 1,
            "opened_by_guest": 2, "opened_by_host": 3, "refused": 4,
            "bytes_from_guest": 1099511627776, "bytes_to_guest": 6,
            "resets": {"finished": 7, "guest": 8, "protocol": 9, "stream": 10,
                       "timeout": 11, "memory": 15, "no_connection": 12},
            "credit_stalls": {"from_guest": 13, "to_guest": 14}})")});
}

TEST_F(EventsTest, AReaderThatDoesNotReadLosesSome)
{
    constexpr size_t many = 10000;

    to_pipe();
    for (size_t i = 0; i < many; i++) {
        events.guest("booted", 16);
    }
    size_t first = lines(reader.get()).size();
    ASSERT_GT(first, 0U);
    ASSERT_LT(first, many);

    events.guest("booted", 17);
    std::vector<Json> all = lines(reader.get());
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0]["event"], "lost");
    EXPECT_EQ(all[0]["count"], many - first);
    EXPECT_EQ(all[1]["guest_cid"], 17);
}

TEST_F(EventsTest, ToAFileBehindWhatItHas)
{
    std::ofstream(directory / "e") << "{}\n";
    events.write_to(open_events(directory / "e", &error));
    events.guest("booted", 16);

    Descriptor file(open((directory / "e").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(lines(file.get()).size(), 2U);
}

/* What a full file system did not take of a line comes before the next one. */
TEST_F(EventsTest, AFileThatTakesAPartOfALine)
{
    rlimit before;

    signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    events.write_to(open_events(directory / "e", &error));
    rlimit little = {20, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
    events.guest("booted", 16);
    events.guest("booted", 17);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    ASSERT_EQ(std::filesystem::file_size(directory / "e"), 20U);

    events.guest("booted", 18);
    Descriptor file(open((directory / "e").c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<Json> all = lines(file.get());
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0]["guest_cid"], 16);
    EXPECT_EQ(all[1], Json::parse(R"({"event": "lost", "count": 1})"));
    EXPECT_EQ(all[2]["guest_cid"], 18);
}

/* A guest cannot fill the disk, and does not take the events of another. */
TEST_F(EventsTest, AFileHasALimitForEachGuest)
{
    constexpr size_t most = 1000;

    events.write_to(open_events(directory / "e", &error));
    Descriptor file(open((directory / "e").c_str(), O_RDONLY | O_CLOEXEC));
    for (size_t i = 0; i < most; i++) {
        events.guest("booted", 16);
    }
    EXPECT_EQ(lines(file.get()).size(), most);
    events.guest("booted", 16);
    events.connection({ConnectionReport::Event::refused, true, {3, 5, 16, 7},
                       type_stream, 0, 0});
    EXPECT_EQ(lines(file.get()).size(), 0U);

    events.guest("booted", 17);
    std::vector<Json> all = lines(file.get());
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0], Json::parse(R"({"event": "lost", "count": 2})"));
    EXPECT_EQ(all[1]["guest_cid"], 17);
    /* These are asked for. */
    events.counters({}, 16);
    EXPECT_EQ(lines(file.get()).size(), 1U);
    now += std::chrono::milliseconds(10);
    events.guest("booted", 16);
    events.guest("booted", 16);
    EXPECT_EQ(lines(file.get()).size(), 1U);
}

TEST_F(EventsTest, ToADescriptorASocketAndAFifo)
{
    int pair[2];

    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    Descriptor ours(pair[0]), theirs(pair[1]);
    events.write_to(open_events(std::to_string(theirs.get()), &error));
    events.guest("booted", 16);
    EXPECT_EQ(lines(ours.get()).size(), 1U) << error;

    ListeningSocket s = Sockets().listen(
        *unix_endpoint(directory / "s", &error), SOCK_STREAM, &error);
    events.write_to(open_events(directory / "s", &error));
    events.guest("booted", 16);
    Descriptor accepted(accept(s.fd.get(), nullptr, nullptr));
    EXPECT_EQ(lines(accepted.get()).size(), 1U) << error;

    ASSERT_EQ(mkfifo((directory / "f").c_str(), 0600), 0);
    events.write_to(open_events(directory / "f", &error));
    events.guest("booted", 16);     /* there is no reader yet */
    Descriptor fifo(open((directory / "f").c_str(),
                         O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_EQ(lines(fifo.get()).size(), 1U) << error;
}

TEST_F(EventsTest, WhereNothingCanBeWritten)
{
    Descriptor only_read(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::vector<std::string> wrong = {
        "999999999", std::to_string(only_read.get()), directory / "none/e",
        directory / ""};

    for (const std::string &where : wrong) {
        error.clear();
        EXPECT_FALSE(open_events(where, &error)) << where;
        EXPECT_EQ(error.rfind("events=" + where + ": ", 0), 0U) << error;
    }
}

} // namespace
