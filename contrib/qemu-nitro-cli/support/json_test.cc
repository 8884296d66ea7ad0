/*
 * Tests of json.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/json.hh"

#include "support/test_support.hh"

namespace {

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

TEST(Json, NumbersTooLarge)
{
    EXPECT_EQ(code_of([] { parse(R"({"a":1e400})"); }), 35);
    EXPECT_EQ(code_of([] { parse(R"({"a":[-1e999999999]})"); }), 35);
    EXPECT_EQ(code_of([] { parse(R"({"a":1e-400})"); }), 0);
    EXPECT_EQ(code_of([] { parse(R"({"a":)" + std::string(400, '9') + "}"); }),
              35);
}

TEST(Json, Depth)
{
    auto nested = [](size_t depth) {
        return R"({"a":)" + std::string(depth - 1, '[')
            + std::string(depth - 1, ']') + "}";
    };

    EXPECT_EQ(code_of([&] { parse(nested(64)); }), 0);
    EXPECT_EQ(code_of([&] { parse(nested(65)); }), 35);
    /* A number is no level. */
    EXPECT_EQ(code_of([] { parse("{\"a\":" + std::string(63, '[') + "1"
                                 + std::string(63, ']') + "}"); }), 0);
    EXPECT_EQ(code_of([&] { parse(nested(1000000)); }), 35);
    EXPECT_EQ(code_of([] { parse("{\"a\":" + std::string(1000000, '[')); }),
              35);
}

} // namespace
