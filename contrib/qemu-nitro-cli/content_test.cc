/*
 * Tests of content.cc, json_input.cc and common.cc: what is read
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "content.hh"

#include <sys/stat.h>

#include "json_input.hh"
#include "test_support.hh"

namespace {

std::string text_of(const Bytes &data)
{
    return {data.begin(), data.end()};
}

class Reading : public FolderTest {
};

TEST_F(Reading, Memory)
{
    EXPECT_EQ(content_of("text")->size(), 4u);
    EXPECT_EQ(text_of(read_all(*content_of("text"))), "text");
    EXPECT_EQ(read_all(*content_of("")), Bytes());
}

TEST_F(Reading, File)
{
    const std::string large(3000001, 'x');
    ContentPtr content = content_of_file(write("file", large));

    EXPECT_EQ(content->size(), large.size());
    EXPECT_EQ(text_of(read_all(*content)), large);
    EXPECT_EQ(text_of(read_all(*content)), large);
}

TEST_F(Reading, FileThatChanges)
{
    ContentPtr content = content_of_file(write("file", "before"));

    write("file", "other");
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
    write("other", "before");
    std::filesystem::rename(path("other"), path("file"));
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
    std::filesystem::remove(path("file"));
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
}

TEST_F(Reading, WhatIsNoFile)
{
    ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(code_of([&] { content_of_file(path("fifo")); }), 19);
    EXPECT_EQ(code_of([&] { content_of_file(dir); }), 19);
    EXPECT_EQ(code_of([] { content_of_file("/dev/zero"); }), 19);
    EXPECT_EQ(code_of([&] { content_of_file(path("none")); }), 19);
}

TEST_F(Reading, Spool)
{
    auto spool = Spool::create(dir);
    EXPECT_EQ(count(), 0u);

    spool->write(0, "one", 3);
    ContentPtr one = spool->finish(3);
    spool->write(2, "two", 3);              /* with a hole before it */
    ContentPtr two = spool->finish(7);      /* and one behind */
    ContentPtr three = spool->finish(2 << 20);
    EXPECT_EQ(text_of(read_all(*one)), "one");
    EXPECT_EQ(text_of(read_all(*two)), std::string("\0\0two\0\0", 7));
    EXPECT_EQ(read_all(*three), Bytes(2 << 20));
    EXPECT_EQ(text_of(read_all(*spool->content(1, 4))),
              std::string("ne\0\0", 4));
    spool.reset();                          /* what refers to it keeps it */
    EXPECT_EQ(text_of(read_all(*one)), "one");
    EXPECT_EQ(code_of([&] { Spool::create(path("none")); }), 19);
}

TEST_F(Reading, SmallFile)
{
    EXPECT_EQ(text_of(read_file(write("file", "text"))), "text");
    EXPECT_EQ(read_file("/dev/null"), Bytes());
    EXPECT_EQ(code_of([] { read_file("/dev/zero"); }), 19);
    EXPECT_EQ(code_of([&] { read_file(dir); }), 19);
    EXPECT_EQ(code_of([&] { read_file(path("none")); }), 19);
}

nlohmann::json parse(const std::string &text)
{
    return parse_json({text.begin(), text.end()}, "origin", Code::eif, "do");
}

TEST(Json, Objects)
{
    EXPECT_EQ(parse(R"({"a": [1]})")["a"][0], 1);
    for (const char *text : {"", " ", "[]", "1", "null", "{", "{}x", "{'a':1}",
                             "{\"a\":\"\xff\"}"}) {
        EXPECT_EQ(code_of([&] { parse(text); }), 35) << text;
    }
    EXPECT_EQ(code_of([] { parse(std::string("{}\0", 3)); }), 35);
    Bytes list = {'[', '5', ']'};
    EXPECT_EQ(parse_any_json(list, "origin", Code::eif, "do")[0], 5);
}

TEST(Json, Utf8)
{
    for (const char *text : {"", "a", "\u00e9\u6f22", "\x7f"}) {
        EXPECT_TRUE(is_utf8(text)) << text;
    }
    for (const char *text : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80"}) {
        EXPECT_FALSE(is_utf8(text)) << text;
    }
}

TEST(Json, Depth)
{
    auto nested = [](size_t depth) {
        return R"({"a":)" + std::string(depth - 1, '[')
            + std::string(depth - 1, ']') + "}";
    };

    EXPECT_EQ(code_of([&] { parse(nested(60)); }), 0);
    EXPECT_EQ(code_of([&] { parse(nested(70)); }), 35);
    EXPECT_EQ(code_of([&] { parse(nested(1000000)); }), 35);
    EXPECT_EQ(code_of([] { parse("{\"a\":" + std::string(1000000, '[')); }),
              35);
}

} // namespace
