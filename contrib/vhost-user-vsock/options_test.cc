/*
 * Tests of options.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "options.hh"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace {

std::string error;

/* The guests; none, with `error` set, if the options are refused */
std::vector<VmOptions> parse(std::vector<std::string> arguments)
{
    auto options = parse_options(arguments, &error);

    return options && !options->help ? options->vms : std::vector<VmOptions>();
}

TEST(Options, Flat)
{
    auto vms = parse({"--socket", "/s", "--guest-cid=7", "--uds-path", "/u",
                      "--heartbeat", "off", "--tx-buffer-size", "4096",
                      "--queue-size", "256", "--groups", "a+b"});

    ASSERT_EQ(vms.size(), 1u) << error;
    EXPECT_EQ(vms[0].socket, "/s");
    EXPECT_EQ(vms[0].guest_cid, 7u);
    EXPECT_EQ(vms[0].host.uds_path, "/u");
    EXPECT_FALSE(vms[0].host.heartbeat);
    EXPECT_EQ(vms[0].buffer_size, 4096u);
    EXPECT_EQ(vms[0].queue_size, 256u);
    EXPECT_EQ(vms[0].groups, (std::set<std::string>{"a", "b"}));
}

TEST(Options, Defaults)
{
    auto vms = parse({"--socket", "/s"});

    ASSERT_EQ(vms.size(), 1u);
    EXPECT_EQ(vms[0].guest_cid, 4u);
    EXPECT_TRUE(vms[0].host.heartbeat);
    EXPECT_EQ(vms[0].host.uds_path, "");
}

TEST(Options, SeveralGuests)
{
    auto vms = parse({"--vm", "guest-cid=5,socket=/a", "--vm",
                      "guest_cid=6,socket=/b,uds_path=/u"});

    ASSERT_EQ(vms.size(), 2u) << error;
    EXPECT_EQ(vms[1].guest_cid, 6u);
    EXPECT_EQ(vms[1].host.uds_path, "/u");
}

TEST(Options, Help)
{
    for (const char *word : {"--help", "-h"}) {
        auto options = parse_options({"--socket", "/s", word}, &error);

        ASSERT_TRUE(options);
        EXPECT_TRUE(options->help);
    }
}

TEST(Options, Forwarding)
{
    auto vms = parse({"--vm", "socket=/s,forward_cid=1,forward-listen=80+443"});

    ASSERT_EQ(vms.size(), 1u) << error;
    EXPECT_EQ(vms[0].host.forward_cid, 1u);
    EXPECT_EQ(vms[0].host.forward_listen, (std::vector<uint32_t>{80, 443}));
}

TEST(Options, ConnectAndListen)
{
    auto vms = parse({"--vm", "socket=/s,connect=80:unix:/a:b,"
                      "connect=81:tcp:127.0.0.1:8080,listen=unix:/l:5:90,"
                      "listen=tcp::9000:91,listen=seqpacket:/q:92"});

    ASSERT_EQ(vms.size(), 1u) << error;
    const HostOptions &host = vms[0].host;
    ASSERT_EQ(host.connects.size(), 2u);
    EXPECT_EQ(host.connects.at(80).path(), "/a:b");
    EXPECT_EQ(host.connects.at(81).family(), AF_INET);
    ASSERT_EQ(host.listens.size(), 3u);
    EXPECT_EQ(host.listens[0].at.path(), "/l:5");
    EXPECT_EQ(host.listens[0].guest_port, 90u);
    EXPECT_EQ(host.listens[0].type, SOCK_STREAM);
    EXPECT_EQ(host.listens[1].guest_port, 91u);
    EXPECT_EQ(host.listens[2].type, SOCK_SEQPACKET);
    auto flat = parse({"--socket", "/s", "--connect", "80:unix:/a",
                       "--connect", "81:unix:/b", "--listen=unix:/l:1"});
    ASSERT_EQ(flat.size(), 1u) << error;
    EXPECT_EQ(flat[0].host.connects.size(), 2u);
}

TEST(Options, Sandbox)
{
    std::string error;

    EXPECT_TRUE(parse_options({"--socket", "/s"}, &error)->sandbox);
    EXPECT_TRUE(parse_options({"--socket", "/s", "--sandbox", "on"},
                              &error)->sandbox);
    EXPECT_FALSE(parse_options({"--socket", "/s", "--sandbox=off"},
                               &error)->sandbox);
    for (const char *value : {"", "no", "ON"}) {
        EXPECT_FALSE(parse_options({"--socket", "/s", "--sandbox", value},
                                   &error));
        EXPECT_EQ(error, std::string("--sandbox ") + value
                  + ": give on or off");
    }
}

TEST(Options, Events)
{
    auto options = parse_options({"--socket", "/s", "--events", "3"}, &error);

    ASSERT_TRUE(options) << error;
    EXPECT_EQ(options->events, "3");
}

/* Each is refused, with the word in the error. */
TEST(Options, Refused)
{
    const std::vector<std::pair<std::vector<std::string>, const char *>> bad = {
        {{}, "socket"},
        {{"--socket"}, "--socket"},
        {{"socket"}, "socket"},
        {{"--socket", "/s", "--nonsense", "1"}, "nonsense"},
        {{"--socket", "/s", "--guest-cid", "3"}, "guest-cid=3"},
        {{"--socket", "/s", "--guest-cid", "4294967295"}, "4294967295"},
        {{"--socket", "/s", "--guest-cid", "x"}, "guest-cid=x"},
        {{"--socket", "/s", "--guest-cid", ""}, "guest-cid="},
        {{"--socket", "/s", "--heartbeat", "maybe"}, "maybe"},
        {{"--socket", "/s", "--tx-buffer-size", "1"}, "4096"},
        {{"--config", "f.yaml"}, "--vm"},
        {{"--vm", "socket"}, "KEY=VALUE"},
        {{"--vm", "guest-cid=5"}, "socket"},
        {{"--vm", "socket=/a", "--socket", "/b"}, "--vm"},
        {{"--vm", "socket=/a,guest-cid=5", "--vm", "socket=/b,guest-cid=5"},
         "guest-cid=5"},
        {{"--vm", "socket=/a,guest-cid=5", "--vm", "socket=/a,guest-cid=6"},
         "/a"},
        {{"--socket", "/a", "--uds-path", "/a"}, "/a"},
        {{"--socket", "/s", "--guest-cid", "0"}, "guest-cid=0"},
        {{"--socket", "/s", "--socket", "/t"}, "twice"},
        {{"--socket", "/" + std::string(108, 'x')}, "107"},
        {{"--socket", "/s", "--queue-size", "100"}, "power"},
        {{"--socket", "/s", "--queue-size", "2048"}, "1024"},
        {{"--socket", "/s", "--groups", "a++b"}, "a++b"},
        {{"--socket", "/s", "--uds-path", "/u", "--forward-cid", "1"},
         "uds-path"},
        {{"--socket", "/s", "--uds-fallback", "/f"}, "uds-path"},
        {{"--socket", "/s", "--uds-path", "/u", "--uds-fallback",
          "/" + std::string(108, 'x')}, "107"},
        {{"--socket", "/s", "--forward-listen", "80"}, "forward-cid"},
        {{"--vm", "socket=/s,forward-cid=1,forward-listen=80+x"}, "80+x"},
        {{"--socket", "/s", "--connect", "80"}, "connect=80"},
        {{"--socket", "/s", "--connect", "80:ftp:x"}, "80:ftp:x"},
        {{"--socket", "/s", "--connect", "x:unix:/a"}, "x:unix:/a"},
        {{"--socket", "/s", "--connect", "80:unix:"}, "connect=80:unix:"},
        {{"--socket", "/s", "--connect", "80:tcp:127.0.0.1:0"}, "65535"},
        {{"--socket", "/s", "--connect", "80:tcp:127.0.0.1:65536"}, "65535"},
        {{"--socket", "/s", "--connect", "4294967295:unix:/a"}, "4294967295"},
        {{"--vm", "socket=/s,connect=80:unix:/a,connect=80:unix:/b"}, "80"},
        {{"--socket", "/s", "--listen", "unix:/l"}, "port"},
        {{"--socket", "/s", "--listen", "tcp:80:90"}, "port"},
        {{"--vm", "socket=/s,listen=unix:/l:1,listen=unix:/l:2"}, "/l"},
        {{"--socket", "/s", "--events", "1", "--events", "2"}, "--events"},
    };

    for (const auto &[arguments, word] : bad) {
        EXPECT_TRUE(parse(arguments).empty()) << word;
        EXPECT_NE(error.find(word), std::string::npos) << error;
    }
}

} // namespace
