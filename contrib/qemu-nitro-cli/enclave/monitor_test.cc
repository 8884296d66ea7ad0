/*
 * Tests of monitor.cc, with a socket in place of QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/monitor.hh"

#include <algorithm>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace {

using nlohmann::json;
using State = Monitor::State;

const char *const greeting = "{\"QMP\": {\"capabilities\": []}}\r\n";

std::string answer(const std::string &id, const json &value)
{
    return json{{"return", value}, {"id", id}}.dump() + "\r\n";
}

/* A register of one digit */
std::string pcr(char digit)
{
    return std::string(96, digit);
}

class MonitorTest : public testing::Test {
protected:
    MonitorTest()
    {
        int ends[2];

        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        monitor = Monitor(Descriptor(ends[0]));
        qemu.reset(ends[1]);
    }
    void send(const std::string &text) const
    {
        ASSERT_EQ(write(qemu.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
    }
    /* The state of the monitor after it has read `text` */
    State after(const std::string &text)
    {
        send(text);
        for (size_t i = 0; i <= text.size() / 16384 && monitor.fd(); i++) {
            monitor.read_answers();
        }
        return monitor.state();
    }

    Monitor monitor;
    Descriptor qemu;
};

TEST_F(MonitorTest, Questions)
{
    char data[4096];
    ssize_t n = read(qemu.get(), data, sizeof(data));
    std::string text(data, std::max<ssize_t>(n, 0));
    std::vector<json> asked;

    for (size_t begin = 0, end; begin < text.size(); begin = end) {
        end = text.find("}{", begin);
        end = end == text.npos ? text.size() : end + 1;
        asked.push_back(json::parse(text.substr(begin, end - begin)));
    }
    ASSERT_EQ(asked.size(), 5U);
    EXPECT_EQ(asked[0], json::parse(R"({"execute": "qmp_capabilities"})"));
    EXPECT_EQ(asked[4], json::parse(R"({"execute": "qom-get", "id": "PCR8",
        "arguments": {"path": "/machine", "property": "pcr8"}})"));
}

TEST_F(MonitorTest, Answers)
{
    EXPECT_EQ(after(greeting), State::asking);
    EXPECT_EQ(after("{\"return\": {}}\r\n"), State::asking);
    EXPECT_EQ(after(answer("PCR0", pcr('a'))), State::asking);
    EXPECT_EQ(after("{\"event\": \"RESUME\"}\r\n"), State::asking);
    EXPECT_EQ(after(answer("PCR1", pcr('b')) + answer("PCR2", pcr('0'))),
              State::asking);
    EXPECT_TRUE(monitor.fd());
    EXPECT_EQ(after(answer("PCR8", pcr('8'))), State::answered);
    EXPECT_FALSE(monitor.fd());
    EXPECT_EQ(monitor.measurements().dump(),
              R"({"HashAlgorithm":"Sha384 { ... }","PCR0":")" + pcr('a')
              + R"(","PCR1":")" + pcr('b') + R"(","PCR2":")" + pcr('0')
              + R"(","PCR8":")" + pcr('8') + R"("})");
}

TEST_F(MonitorTest, UnsignedImage)
{
    EXPECT_EQ(after(answer("PCR0", pcr('a')) + answer("PCR1", pcr('b'))
                    + answer("PCR2", pcr('c')) + answer("PCR8", pcr('0'))),
              State::answered);
    EXPECT_FALSE(monitor.measurements().contains("PCR8"));
}

TEST_F(MonitorTest, InPieces)
{
    for (char c : greeting + answer("PCR0", pcr('a'))
                      + answer("PCR1", pcr('b')) + answer("PCR2", pcr('c'))
                      + answer("PCR8", pcr('d'))) {
        EXPECT_NE(after(std::string(1, c)), State::failed);
    }
    EXPECT_EQ(monitor.state(), State::answered);
}

TEST_F(MonitorTest, NothingToRead)
{
    monitor.read_answers();
    EXPECT_EQ(monitor.state(), State::asking);
    EXPECT_TRUE(monitor.fd());
}

TEST_F(MonitorTest, EndOfQemu)
{
    after(answer("PCR0", pcr('a')));
    qemu.reset();
    monitor.read_answers();
    EXPECT_FALSE(monitor.fd());
    EXPECT_EQ(monitor.state(), State::asking);
}

TEST_F(MonitorTest, Ignored)
{
    for (const char *line : {"[]\n", "7\n", "null\n", "{}\n", "\"x\"\n",
                             "{\"id\": 1, \"return\": \"x\"}\n",
                             "{\"id\": null}\n", "{\"id\": [\"PCR0\"]}\n",
                             "{\"id\": \"PCR3\", \"return\": 1}\n"}) {
        EXPECT_EQ(after(line), State::asking) << line;
    }
}

TEST_F(MonitorTest, LongestLine)
{
    EXPECT_EQ(after(std::string(65534, ' ') + "{}\n"), State::asking);
    EXPECT_EQ(after(std::string(65536, ' ')), State::asking);
    EXPECT_EQ(after("\n"), State::failed);      /* no JSON */
}

class BadAnswers : public MonitorTest,
                   public testing::WithParamInterface<std::string> {};

TEST_P(BadAnswers, Fail)
{
    EXPECT_EQ(after(GetParam()), State::failed);
    EXPECT_FALSE(monitor.fd());
}

INSTANTIATE_TEST_SUITE_P(All, BadAnswers, testing::Values(
    "\n", "no JSON\n", "{\"id\": \"PCR0\"\n", "\xff\n",
    std::string(1, 0) + "\n",
    answer("PCR0", nullptr), answer("PCR0", 5), answer("PCR0", {{"a", 1}}),
    answer("PCR0", ""), answer("PCR0", pcr('a') + "a"),
    answer("PCR0", pcr('a').substr(1)), answer("PCR0", pcr('A')),
    answer("PCR0", pcr('x')), "{\"return\": 1e999}\n",
    "{\"id\": \"PCR0\", \"error\": {\"class\": \"GenericError\"}}\r\n",
    answer("PCR0", pcr('a')) + "{\"id\": \"PCR1\"}\n"
        + answer("PCR2", pcr('b')),
    std::string(65537, 'x'), std::string(70000, ' '),
    std::string(65535, ' ') + "{}\n"));

} // namespace
