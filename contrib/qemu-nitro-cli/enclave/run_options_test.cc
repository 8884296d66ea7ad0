/*
 * Tests of run_options.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/run_options.hh"

#include "support/test_support.hh"

namespace {

const char *const good = R"("eif_path": "a.eif", "memory_mib": 128)";

RunOptions from(const std::string &fields)
{
    return run_options_from_json("{" + fields + "}", "file");
}

int code(const std::string &fields)
{
    return code_of([&] { from(good + (", " + fields)); });
}

TEST(Memory, Units)
{
    EXPECT_EQ(parse_memory("512"), 512u);
    EXPECT_EQ(parse_memory("512M"), 512u);
    EXPECT_EQ(parse_memory("2g"), 2048u);
    EXPECT_EQ(parse_memory("16T"), uint64_t{1} << 24);
    for (const char *text : {"", "M", "1K", "1GB", "17T", "16777217", "1MM",
                             "18014398509481985G", "-1G", "1.5G", "G1"}) {
        EXPECT_EQ(code_of([&] { parse_memory(text); }), 3) << text;
    }
}

TEST(Memory, FourTimesTheImage)
{
    constexpr uint64_t mib = 1 << 20;
    auto check = [](uint64_t memory, uint64_t image) {
        return code_of([=] { check_memory(memory, image); });
    };

    EXPECT_EQ(check(64, 1), 0);
    EXPECT_EQ(check(63, 1), 26);
    EXPECT_EQ(check(400, 100 * mib), 0);
    EXPECT_EQ(check(399, 100 * mib), 26);
    /* a quarter of a MiB more, or a byte, is a MiB of memory more */
    EXPECT_EQ(check(400, 100 * mib + 1), 26);
    EXPECT_EQ(check(401, 100 * mib + mib / 4), 0);
    EXPECT_EQ(check(401, 100 * mib + mib / 4 + 1), 26);
    EXPECT_EQ(check(1 << 24, UINT64_MAX), 26);
}

TEST(Memory, WhatOthersLeave)
{
    auto check = [](uint64_t memory, uint64_t host, uint64_t taken) {
        return code_of([=] { check_memory_left(memory, host, taken); });
    };

    EXPECT_EQ(check(64, 64, 0), 0);
    EXPECT_EQ(check(65, 64, 0), 27);
    EXPECT_EQ(check(64, 128, 64), 0);
    EXPECT_EQ(check(64, 128, 65), 27);
    EXPECT_EQ(check(64, 128, 129), 27);
    EXPECT_EQ(check(64, 128, UINT64_MAX), 27);
}

TEST(Config, All)
{
    RunOptions o = from(R"("eif_path": "x", "memory_mib": 64, "cpu_ids": [3, 1],
        "enclave_name": "n", "enclave_cid": 4294967294, "debug_mode": true,
        "attach_console": false, "other": {"a": []})");

    EXPECT_EQ(o.eif_path, "x");
    EXPECT_EQ(o.memory_mib, 64u);
    EXPECT_EQ(o.cpu_ids, (std::vector<uint64_t>{3, 1}));
    EXPECT_FALSE(o.cpu_count);
    EXPECT_EQ(o.name, "n");
    EXPECT_EQ(o.cid, 4294967294u);
    EXPECT_TRUE(o.debug_mode);
    EXPECT_FALSE(o.attach_console);
}

TEST(Config, ConsoleNeedsDebugMode)
{
    RunOptions o = from(good + std::string(
        R"(, "cpu_count": 1, "debug_mode": false, "attach_console": true)"));

    EXPECT_TRUE(o.debug_mode);
}

TEST(Config, Parent)
{
    const std::string cpus = good + std::string(R"(, "cpu_count": 1, )");
    RunOptions o = from(cpus + R"("parent_id": "i-0123456789abcdef0",
        "parent_role": "arn:aws-cn:iam::123456789012:role/a/b+=,.@-_c",
        "console_log": "log")");

    EXPECT_EQ(o.parent_id, "i-0123456789abcdef0");
    EXPECT_EQ(o.parent_role, "arn:aws-cn:iam::123456789012:role/a/b+=,.@-_c");
    EXPECT_EQ(o.console_log, "log");
    for (const char *id : {"", "i-", "i-0123456789ABCDEF0", "0123456789abcdef0",
                           "i-0123456789abcdef0 ", "i-0123456789abcdef0-enc"}) {
        EXPECT_EQ(code(R"("cpu_count": 1, "parent_id": ")" + std::string(id)
                       + '"'), 3) << id;
    }
    for (const std::string &role : {
             std::string(), std::string("role"),
             std::string("arn:aws:iam::123456789012:instance-profile/a"),
             std::string("arn:aws:iam::12345678901:role/a"),
             std::string("arn:aws:iam::123456789012:role/"),
             std::string("arn:aws:iam::123456789012:role/a "),
             std::string("arn:aws:iam::123456789012:role/a\\n"),
             "arn:aws:iam::123456789012:role/" + std::string(1000, 'a')}) {
        EXPECT_EQ(code(R"("cpu_count": 1, "parent_role": ")" + role + '"'), 3)
            << role;
    }
    EXPECT_EQ(code(R"("cpu_count": 1, "console_log": "")"), 3);
    EXPECT_EQ(code(R"("cpu_count": 1, "console_log": 1)"), 3);
}

TEST(Config, Vsock)
{
    RunOptions o = from(good + std::string(R"(, "cpu_count": 1,
        "connect": ["1:unix:/a", "2:tcp:b:3"], "listen": ["tcp::4:5"],
        "forward_cid": 1, "forward_listen": [6, 7],
        "vsock_proxy_config": null)"));

    EXPECT_EQ(o.vsock.description().dump(),
              R"({"Connect":["1:unix:/a","2:tcp:b:3"],"Listen":["tcp::4:5"],)"
              R"("ForwardCID":1,"ForwardListen":[6,7]})");
    for (const char *field : {
             R"("connect": "1:unix:/a")", R"("connect": [1])",
             R"("connect": ["x"])", R"("listen": {})", R"("listen": [""])",
             R"("vsock_proxy_config": ["/dev/null"])",
             R"("forward_cid": "1")", R"("forward_cid": 0)",
             R"("forward_cid": 1, "forward_listen": "6")",
             R"("forward_cid": 1, "forward_listen": [4294967295])"}) {
        EXPECT_EQ(code(R"("cpu_count": 1, )" + std::string(field)), 3)
            << field;
    }
    EXPECT_EQ(code(R"("cpu_count": 1, "forward_listen": [6])"), 1);
    EXPECT_EQ(code(R"("cpu_count": 1, "connect": [], "listen": null)"), 0);
}

TEST(Config, NullIsNothing)
{
    RunOptions o = from(good + std::string(
        R"(, "cpu_count": 1, "cpu_ids": null, "enclave_name": null)"));

    EXPECT_EQ(o.cpu_count, 1u);
    EXPECT_FALSE(o.name);
    EXPECT_EQ(code(R"("cpu_count": null)"), 1);
}

TEST(Config, Refusals)
{
    EXPECT_EQ(code(R"("debug_mode": true)"), 1);
    EXPECT_EQ(code(R"("cpu_count": 1, "cpu_ids": [1])"), 2);
    EXPECT_EQ(code(R"("cpu_count": 129)"), 22);
    EXPECT_EQ(code(R"("cpu_ids": [1, 2, 1])"), 20);
    for (const char *fields : {
             R"("cpu_count": 0)", R"("cpu_count": -1)",
             R"("cpu_count": "1")", R"("cpu_count": 1.5)",
             R"("cpu_count": 4294967297)", R"("cpu_ids": [])",
             R"("cpu_ids": 1)", R"("cpu_ids": ["1"])",
             R"("cpu_ids": [4294967296])", R"("cpu_ids": [null])"}) {
        EXPECT_EQ(code(fields), 3) << fields;
    }
    for (const char *field : {
             R"("enclave_cid": 1)", R"("enclave_cid": 2)",
             R"("enclave_cid": 3)", R"("enclave_cid": 4294967295)",
             R"("enclave_cid": 4294967296)", R"("enclave_cid": "4")",
             R"("enclave_name": 5)", R"("debug_mode": 1)",
             R"("attach_console": "yes")", R"("memory_mib": "64")",
             R"("memory_mib": -1)", R"("eif_path": [])"}) {
        EXPECT_EQ(code(R"("cpu_count": 1, )" + std::string(field)), 3)
            << field;
    }
    for (const char *text : {"", "{", "[]", "null", "5", "{} {}",
                             "\xff\xfe"}) {
        EXPECT_EQ(code_of([&] { run_options_from_json(text, "f"); }), 17)
            << text;
    }
}

TEST(Names, ThatCannotBe)
{
    for (const std::string &name : {
             std::string(), std::string("a\\nb"), std::string("\\u0000"),
             std::string("\\u007f"), std::string(256, 'x')}) {
        EXPECT_EQ(code(R"("cpu_count": 1, "enclave_name": ")" + name + '"'),
                  58) << name;
    }
    EXPECT_EQ(code(R"("cpu_count": 1, "enclave_name": ")"
                   + std::string(255, 'x') + '"'), 0);
}

TEST(Names, Unique)
{
    RunOptions o;

    o.eif_path = "/some.eif/hello.eif";
    EXPECT_EQ(unique_name(o, {}), "hello");
    EXPECT_EQ(unique_name(o, {"hello", "hello_2"}), "hello_1");
    EXPECT_EQ(unique_name(o, {"hello_1", "hello", "hello_2"}), "hello_3");
    o.eif_path = ".eif";
    EXPECT_EQ(unique_name(o, {}), ".eif");
    o.eif_path = "hello.eif.bak";
    EXPECT_EQ(unique_name(o, {}), "hello.eif.bak");
    o.eif_path = "a\nb.eif";
    EXPECT_EQ(code_of([&] { unique_name(o, {}); }), 58);
    o.name = "n.eif";
    EXPECT_EQ(unique_name(o, {"n.eif"}), "n.eif_1");
}

TEST(Cids, FreeOnes)
{
    EXPECT_EQ(choose_cid(0, {}), 16u);
    EXPECT_EQ(choose_cid(0, {17, 16, 4}), 18u);
    EXPECT_EQ(choose_cid(0, {17}), 16u);
    EXPECT_EQ(choose_cid(5, {16}), 5u);
    EXPECT_EQ(code_of([] { choose_cid(16, {17, 16}); }), 3);
}

TEST(Cpus, FreeOnes)
{
    RunOptions count, ids;

    count.cpu_count = 2;
    ids.cpu_ids = {7, 0};
    EXPECT_EQ(choose_cpus(count, {}, 2), (std::vector<uint64_t>{1, 2}));
    EXPECT_EQ(choose_cpus(count, {2, 1, 4}, 2),
              (std::vector<uint64_t>{3, 5}));
    EXPECT_EQ(choose_cpus(ids, {6}, 8), (std::vector<uint64_t>{7, 0}));
    EXPECT_EQ(code_of([&] { choose_cpus(count, {}, 1); }), 22);
    EXPECT_EQ(code_of([&] { choose_cpus(ids, {}, 7); }), 21);
    EXPECT_EQ(code_of([&] { choose_cpus(ids, {7}, 8); }), 21);
    EXPECT_EQ(code_of([&] { choose_cpus(ids, {0}, 8); }), 21);
}

TEST(Cpus, OfTheHost)
{
    setenv("NITRO_CLI_CPUS", "17", 1);
    EXPECT_EQ(host_cpus(), 17u);
    for (const char *text : {"x", "-1", "4294967296"}) {
        setenv("NITRO_CLI_CPUS", text, 1);
        EXPECT_EQ(code_of([] { host_cpus(); }), 3) << text;
    }
    setenv("NITRO_CLI_CPUS", "", 1);
    EXPECT_GE(host_cpus(), 1u);
    unsetenv("NITRO_CLI_CPUS");
    EXPECT_GE(host_cpus(), 1u);
}

TEST(CpuIds, AsWordsAndWithCommas)
{
    auto ids = [](std::vector<std::string> words) {
        std::vector<char *> argv;

        words.insert(words.begin(), {"run-enclave", "--eif-path", "x",
                                     "--memory", "64"});
        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        return run_options(Arguments(words.size(), argv.data(),
                                     run_option_list())).cpu_ids;
    };
    const std::vector<uint64_t> three = {5, 7, 9};

    EXPECT_EQ(ids({"--cpu-ids", "5", "7", "9"}), three);
    EXPECT_EQ(ids({"--cpu-ids", "5,7,9"}), three);
    EXPECT_EQ(ids({"--cpu-ids=5,7", "9"}), three);
    for (const char *word : {"5,", ",5", "5,,7", ",", "5, 7", "5;7"}) {
        EXPECT_EQ(code_of([&] { ids({"--cpu-ids", word}); }), 23) << word;
    }
    for (const char *word : {"", "x", "1-3", "4294967296", "0x1", "+1"}) {
        EXPECT_EQ(code_of([&] { ids({"--cpu-ids", word}); }), 23) << word;
    }
    EXPECT_EQ(code_of([&] { ids({"--cpu-ids", "5,7", "5"}); }), 20);
}

} // namespace
