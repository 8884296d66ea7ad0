/*
 * Tests of run_options.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/run_options.hh"

#include <cstring>

#include "support/test_support.hh"

namespace {

const char *const good = R"("eif_path": "a.eif", "memory_mib": 128)";

RunOptions from(const std::string &fields)
{
    return run_options_from_json("{" + fields + "}", "file");
}

/* The fields, and those that every file must have if they are not there */
std::string complete(std::string fields)
{
    for (const char *field : {R"("eif_path": "a.eif")",
                              R"("memory_mib": 128)"}) {
        std::string key(field, strcspn(field, ":"));

        if (fields.find(key) == fields.npos) {
            fields += std::string(", ") + field;
        }
    }
    return fields;
}

int code(const std::string &fields)
{
    return code_of([&] { from(complete(fields)); });
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
        RunOptions options;

        options.memory_mib = memory;
        return code_of([=] { check_memory(options, image); });
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
        RunOptions options;

        options.memory_mib = memory;
        return code_of([=] { check_memory_left(options, host, taken); });
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

/* What is wrong with a value is said of the file's key, not of an option. */
TEST(Config, MessagesNameTheKey)
{
    auto message = [](const std::string &fields) -> std::string {
        try {
            RunOptions options = from(complete(fields));

            check_memory(options, 1 << 20);
            check_memory_left(options, 1024, 0);
            choose_cid(options, {77});
            choose_cpus(options, {1}, 4);
            unique_name(options, {});
        } catch (const Error &e) {
            return std::string(e.what()) + e.advice;
        }
        return "";
    };
    const std::pair<const char *, const char *> cases[] = {
        {R"("cpu_count": 1, "cpu_ids": [1])", "cpu_ids"},
        {R"("cpu_count": 0)", "cpu_count"},
        {R"("cpu_count": 129)", "cpu_count"},
        {R"("cpu_count": 5)", "cpu_count"},
        {R"("cpu_ids": [2, 2])", "cpu_ids"},
        {R"("cpu_ids": [9])", "cpu_ids"},
        {R"("cpu_ids": [1])", "cpu_ids"},
        {R"("cpu_count": 1, "enclave_cid": 3)", "enclave_cid"},
        {R"("cpu_count": 1, "enclave_cid": 77)", "enclave_cid"},
        {R"("cpu_count": 1, "enclave_name": "")", "enclave_name"},
        {R"("cpu_count": 1, "eif_path": "a\n")", "eif_path"},
        {R"("cpu_count": 1, "memory_mib": 1)", "memory_mib"},
        {R"("cpu_count": 1, "memory_mib": 2000)", "memory_mib"},
        {R"("cpu_count": 1, "parent_id": "x")", "parent_id"},
        {R"("cpu_count": 1, "parent_role": "x")", "parent_role"},
        {R"("cpu_count": 1, "console_log": "")", "console_log"},
        {R"("cpu_count": 1, "console_log": "a\u0000")", "console_log"},
        {R"("cpu_count": 1, "eif_path": "a.eif\u0000b")", "eif_path"},
        {R"("cpu_count": 1, "connect": ["x"])", "connect"},
        {R"("cpu_count": 1, "connect": ["1:unix:/a", "1:unix:/b"])",
         "connect"},
        {R"("cpu_count": 1, "listen": ["x"])", "listen"},
        {R"("cpu_count": 1, "forward_cid": 0)", "forward_cid"},
        {R"("cpu_count": 1, "forward_listen": [1])", "forward_listen"},
        {R"("cpu_count": 1, "forward_cid": 1, "forward_listen": [1, 1])",
         "forward_listen"},
    };

    for (const auto &[fields, key] : cases) {
        std::string said = message(fields);

        EXPECT_NE(said.find(std::string("file: ") + key), said.npos)
            << fields << said;
        EXPECT_EQ(said.find("--"), said.npos) << fields << said;
    }
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
                             "\xff\xfe", R"({"cpu_count":1,"cpu_count":1})",
                             R"({"a":1,"\u0061":2})"}) {
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
    auto choose = [](uint64_t wanted, const std::set<uint32_t> &taken) {
        RunOptions options;

        options.cid = wanted;
        return choose_cid(options, taken);
    };

    EXPECT_EQ(choose(0, {}), 16u);
    EXPECT_EQ(choose(0, {17, 16, 4}), 18u);
    EXPECT_EQ(choose(0, {17}), 16u);
    EXPECT_EQ(choose(5, {16}), 5u);
    EXPECT_EQ(code_of([&] { choose(16, {17, 16}); }), 3);
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
    for (const char *text : {"x", "-1", "4294967296", "0", "00"}) {
        setenv("NITRO_CLI_CPUS", text, 1);
        EXPECT_EQ(code_of([] { host_cpus(); }), 3) << text;
    }
    setenv("NITRO_CLI_CPUS", "", 1);
    EXPECT_GE(host_cpus(), 1u);
    unsetenv("NITRO_CLI_CPUS");
    EXPECT_GE(host_cpus(), 1u);
}

TEST(Cpus, Count)
{
    auto refusal = [](const std::string &count) -> std::string {
        std::vector<std::string> words = {
            "run-enclave", "--eif-path", "x", "--memory", "64",
            "--cpu-count", count};
        std::vector<char *> argv;

        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        try {
            run_options(Arguments(words.size(), argv.data(),
                                  run_option_list()));
        } catch (const Error &e) {
            return std::string(e.what()) + e.advice;
        }
        return "";
    };

    EXPECT_EQ(refusal("1"), "");
    EXPECT_EQ(refusal("128"), "");
    /* The value and the range are named. */
    for (const char *text : {"0", "129", "999999", "-1", "two", "", "1.5",
                             "0x1", "1 ", "99999999999999999999"}) {
        std::string said = refusal(text);

        EXPECT_NE(said.find("--cpu-count"), said.npos) << text;
        EXPECT_NE(said.find(*text ? text : "\"\""), said.npos) << said;
        EXPECT_NE(said.find("1 to 128"), said.npos) << said;
    }
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
