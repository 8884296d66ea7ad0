/*
 * Tests of vsock_options.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/vsock_options.hh"

#include "support/test_support.hh"

namespace {

using Strings = std::vector<std::string>;

int code_of_all(const Strings &connect, const Strings &listen,
                const Strings &forward_listen = {},
                std::optional<uint64_t> cid = {})
{
    return code_of([&] {
        VsockOptions options;

        options.forward_cid = cid;
        for (const std::string &value : connect) {
            options.add_connect(value);
        }
        for (const std::string &value : listen) {
            options.add_listen(value);
        }
        for (const std::string &value : forward_listen) {
            options.add_forward_listen(value);
        }
        options.check();
    });
}

TEST(VsockOptions, AreTheBackEnds)
{
    VsockOptions options;

    EXPECT_TRUE(options.empty());
    EXPECT_TRUE(options.description().is_null());
    options.add_connect("8000:unix:/a:b,c");
    options.add_connect("0:tcp:localhost:80");
    options.add_listen("unix:/tmp/x:y:4294967294");
    options.add_listen("seqpacket:/tmp/z:1");
    options.add_listen("tcp::5005:5006");
    options.forward_cid = 1;
    options.add_forward_listen("1+2");
    options.add_forward_listen("3");
    options.check();
    EXPECT_EQ(options.arguments(), (Strings{
        "--connect", "8000:unix:/a:b,c", "--connect", "0:tcp:localhost:80",
        "--listen", "unix:/tmp/x:y:4294967294", "--listen",
        "seqpacket:/tmp/z:1", "--listen", "tcp::5005:5006", "--forward-cid",
        "1", "--forward-listen", "1+2+3"}));
    EXPECT_EQ(options.description().dump(),
              R"({"Connect":["8000:unix:/a:b,c","0:tcp:localhost:80"],)"
              R"("Listen":["unix:/tmp/x:y:4294967294","seqpacket:/tmp/z:1",)"
              R"("tcp::5005:5006"],"ForwardCID":1,"ForwardListen":[1,2,3]})");
}

TEST(VsockOptions, PathsAreMadeAbsolute)
{
    VsockOptions options;
    std::string here = std::filesystem::current_path();

    options.add_connect("1:unix:a b");
    options.add_listen("seqpacket:c:2");
    EXPECT_EQ(options.connect[0], "1:unix:" + here + "/a b");
    EXPECT_EQ(options.listen[0], "seqpacket:" + here + "/c:2");
}

TEST(VsockOptions, Forms)
{
    std::string longest = "/" + std::string(106, 'x');

    EXPECT_EQ(code_of_all({"1:unix:" + longest}, {}), 0);
    EXPECT_EQ(code_of_all({}, {"unix:" + longest + ":1"}), 0);
    for (const std::string &value : {
             std::string(), std::string("1"), std::string("1:"),
             std::string(":unix:/a"), std::string("x:unix:/a"),
             std::string("-1:unix:/a"), std::string("4294967295:unix:/a"),
             std::string("1:unix:"), std::string("1:unix"),
             std::string("1:seqpacket:/a"), std::string("1:udp:a:1"),
             std::string("1:tcp:"), std::string("1:tcp:host"),
             std::string("1:tcp:host:0"), std::string("1:tcp:host:65536"),
             std::string("1:tcp:host:"), std::string("1:tcp:host:x\n"),
             std::string("9000:unix:/a"), "1:unix:" + longest + "x"}) {
        EXPECT_EQ(code_of_all({value}, {}), 3) << value;
    }
    for (const std::string &value : {
             std::string(), std::string("unix"), std::string("unix:/a"),
             std::string("unix::1"), std::string("unix:/a:"),
             std::string("unix:/a:x"), std::string("unix:/a:4294967295"),
             std::string("tcp:1"), std::string("tcp:1:x"),
             std::string("tcp:0:1"), std::string("tcp::65536:1"),
             std::string("vsock:1:1"), "unix:" + longest + "x:1"}) {
        EXPECT_EQ(code_of_all({}, {value}), 3) << value;
    }
    for (const char *value : {"", "+", "1+", "+1", "1,2", "x", "4294967295"}) {
        EXPECT_EQ(code_of_all({}, {}, {value}, 1), 3) << value;
    }
}

TEST(VsockOptions, Together)
{
    EXPECT_EQ(code_of_all({"1:unix:/a", "2:unix:/a"}, {}), 0);
    EXPECT_EQ(code_of_all({"1:unix:/a", "01:unix:/b"}, {}), 2);
    EXPECT_EQ(code_of_all({}, {"unix:/a:1", "unix:/b:1"}), 0);
    EXPECT_EQ(code_of_all({}, {"unix:/a:1", "seqpacket:/a:2"}), 2);
    EXPECT_EQ(code_of_all({}, {"tcp::1:1", "tcp::1:2"}), 2);
    EXPECT_EQ(code_of_all({}, {}, {"1"}), 1);
    EXPECT_EQ(code_of_all({}, {}, {"1+2", "1"}, 1), 2);
    EXPECT_EQ(code_of_all({}, {}, {}, 0), 3);
    EXPECT_EQ(code_of_all({}, {}, {}, UINT32_MAX), 3);
    EXPECT_EQ(code_of_all({}, {}, {}, 1), 0);
}

/* What the supervisor's sandbox must allow */
TEST(VsockOptions, WhatTheBackEndUses)
{
    auto uses_tcp = [](const char *connect, const char *listen) {
        VsockOptions options;

        options.add_connect(connect);
        options.add_listen(listen);
        return options.uses_tcp();
    };
    EXPECT_FALSE(VsockOptions().uses_tcp());
    EXPECT_FALSE(uses_tcp("1:unix:/tcp:1", "unix:/a/tcp:1:2"));
    EXPECT_TRUE(uses_tcp("1:tcp:host:1", "unix:/a:1"));
    EXPECT_TRUE(uses_tcp("1:unix:/a", "tcp:[::1]:1:1"));

    VsockOptions options;
    options.add_listen("unix:/a/b/c:1");
    options.add_listen("seqpacket:/d:2");
    options.add_listen("tcp:127.0.0.1:1:3");
    EXPECT_EQ(options.socket_directories(),
              (std::vector<std::string>{"/a/b", "/"}));
}

} // namespace
