/*
 * Tests of arguments.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/arguments.hh"

#include "support/test_support.hh"

namespace {

const std::vector<Option> options = {
    {"memory"}, {"memory-more"}, {"debug", false},
    {.name = "ids", .takes_more = true},
};

Arguments parse(std::vector<std::string> words)
{
    std::vector<char *> argv;

    words.insert(words.begin(), "command");
    for (std::string &word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    return Arguments(words.size(), argv.data(), options);
}

int code(const std::vector<std::string> &words)
{
    return code_of([&] { parse(words); });
}

TEST(Arguments, Values)
{
    Arguments a = parse({"--memory", "5", "--debug", "--memory-more=x=y"});

    EXPECT_EQ(a.required("memory"), "5");
    EXPECT_EQ(a.single("memory-more"), "x=y");
    EXPECT_TRUE(a.has("debug"));
    EXPECT_FALSE(a.has("ids"));
    EXPECT_FALSE(a.single("ids"));
    EXPECT_FALSE(a.help());
    EXPECT_TRUE(parse({}).all("ids").empty());
}

TEST(Arguments, ValuesThatLookLikeOptions)
{
    EXPECT_EQ(parse({"--memory", "-5"}).single("memory"), "-5");
    EXPECT_EQ(parse({"--memory", "--other"}).single("memory"), "--other");
    EXPECT_EQ(parse({"--memory=--debug"}).single("memory"), "--debug");
    EXPECT_EQ(code({"--memory", "--debug"}), 1);
    EXPECT_EQ(code({"--memory", "--ids=1"}), 1);
    EXPECT_EQ(code({"--memory", "--help"}), 1);
}

TEST(Arguments, AllUpToTheNextOption)
{
    Arguments a = parse({"--ids", "1", "2", "--debug", "--ids=3", "4"});

    EXPECT_EQ(a.all("ids"), (std::vector<std::string>{"1", "2", "3", "4"}));
    EXPECT_TRUE(a.has("debug"));
}

TEST(Arguments, Refusals)
{
    for (const char *word : {"--mem", "--memor", "--memorys", "--d", "-m",
                             "-", "--", "word", "", "--=", "--=5", "-debug"}) {
        EXPECT_EQ(code({word}), 3) << word;
        EXPECT_EQ(code({"--debug", word}), 3) << word;
    }
    EXPECT_EQ(code({"--debug=1"}), 3);
    EXPECT_EQ(code({"--memory", "5", "6"}), 3);
    EXPECT_EQ(code({"--memory"}), 1);
    EXPECT_EQ(code({"--ids"}), 1);
}

TEST(Arguments, OnceAndNotEmpty)
{
    Arguments a = parse({"--memory", "1", "--memory", "2", "--memory-more="});

    EXPECT_EQ(code_of([&] { a.single("memory"); }), 2);
    EXPECT_EQ(code_of([&] { a.required("memory-more"); }), 1);
    EXPECT_EQ(code_of([&] { a.required("ids"); }), 1);
    EXPECT_EQ(a.all("memory"), (std::vector<std::string>{"1", "2"}));
}

TEST(Arguments, Help)
{
    EXPECT_TRUE(parse({"--help"}).help());
    EXPECT_TRUE(parse({"--debug", "-h", "--nonsense"}).help());
}

TEST(Arguments, Numbers)
{
    EXPECT_EQ(parse_number("n", "0", 5), 0u);
    EXPECT_EQ(parse_number("n", "0005", 5), 5u);
    EXPECT_EQ(parse_number("n", "18446744073709551615", UINT64_MAX),
              UINT64_MAX);
    for (const char *text : {"", "6", "-1", "+1", " 1", "1 ", "0x1", "1.0",
                             "18446744073709551616",
                             "99999999999999999999999999"}) {
        EXPECT_EQ(code_of([&] { parse_number("n", text, 5); }), 3) << text;
    }
    EXPECT_EQ(code_of([] {
        parse_number("n", "18446744073709551616", UINT64_MAX);
    }), 3);
    EXPECT_EQ(code_of([] { parse_number("n", "1", 0); }), 3);
}

TEST(Arguments, Sanitized)
{
    EXPECT_EQ(sanitized("a b"), "a b");
    EXPECT_EQ(sanitized(std::string("a\nb\x7f\0c", 6)), "a?b??c");
}

} // namespace
