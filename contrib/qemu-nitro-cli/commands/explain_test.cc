/*
 * Tests of explain.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/explain.hh"

#include <gtest/gtest.h>

#include "support/errors.hh"

namespace {

TEST(Explain, Forms)
{
    for (const char *text : {"E19", "e19", "19"}) {
        ASSERT_TRUE(explain(text)) << text;
        EXPECT_EQ(explain(text)->number, 19);
    }
    EXPECT_EQ(explain("E1")->number, 1);
    for (const char *text : {"", "E", "E99", "E019", "19 ", "-1", "EE1",
                             "99999999999999999999", "61"}) {
        EXPECT_FALSE(explain(text)) << text;
    }
}

TEST(Explain, EveryNumberHasOne)
{
    for (int code = 0; code <= 60; code++) {
        std::string number = std::to_string(code);

        for (const std::string &form : {number, "e" + number, "E" + number}) {
            ASSERT_TRUE(explain(form)) << form;
            EXPECT_EQ(explain(form)->number, code);
        }
    }
    EXPECT_EQ(explain("E04")->number, 4);
    /* Those that this program itself reports */
    for (Code code : {Code::missing_argument, Code::conflicting_argument,
                      Code::invalid_argument, Code::socket, Code::json,
                      Code::file, Code::cpu_twice, Code::cpu_id,
                      Code::cpu_count, Code::cpu_list, Code::memory,
                      Code::memory_left, Code::eif, Code::boot, Code::console,
                      Code::building, Code::docker_build, Code::docker_pull,
                      Code::blobs, Code::name, Code::signature_check,
                      Code::signing}) {
        EXPECT_TRUE(explain(std::to_string(static_cast<int>(code)))->is_used);
    }
    for (const char *form : {"", "E", "61", "99", "019", "E 1", "-1", "1x",
                             "99999999999999999999", "EE1"}) {
        EXPECT_FALSE(explain(form)) << form;
    }
}

} // namespace
