/*
 * Tests of options.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "options.hh"

#include <gtest/gtest.h>

namespace {

std::string error;

std::vector<VmOptions> parse(std::vector<std::string> arguments)
{
    return parse_options(arguments, &error);
}

TEST(Options, Flat)
{
    auto vms = parse({"--socket", "/s", "--guest-cid=7", "--uds-path", "/u",
                      "--heartbeat", "off", "--tx-buffer-size", "4096"});

    ASSERT_EQ(vms.size(), 1u) << error;
    EXPECT_EQ(vms[0].socket, "/s");
    EXPECT_EQ(vms[0].guest_cid, 7u);
    EXPECT_EQ(vms[0].uds_path, "/u");
    EXPECT_FALSE(vms[0].heartbeat);
    EXPECT_EQ(vms[0].buffer_size, 4096u);
}

TEST(Options, Defaults)
{
    auto vms = parse({"--socket", "/s"});

    ASSERT_EQ(vms.size(), 1u);
    EXPECT_EQ(vms[0].guest_cid, 4u);
    EXPECT_TRUE(vms[0].heartbeat);
    EXPECT_EQ(vms[0].uds_path, "");
}

TEST(Options, SeveralGuests)
{
    auto vms = parse({"--vm", "guest-cid=5,socket=/a", "--vm",
                      "guest_cid=6,socket=/b,uds_path=/u"});

    ASSERT_EQ(vms.size(), 2u) << error;
    EXPECT_EQ(vms[1].guest_cid, 6u);
    EXPECT_EQ(vms[1].uds_path, "/u");
}

TEST(Options, Help)
{
    EXPECT_TRUE(parse({"--help"}).empty());
    EXPECT_EQ(error, "");
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
    };

    for (const auto &[arguments, word] : bad) {
        EXPECT_TRUE(parse(arguments).empty()) << word;
        EXPECT_NE(error.find(word), std::string::npos) << error;
    }
}

} // namespace
