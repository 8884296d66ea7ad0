/*
 * Tests of decimal numbers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "decimal.hh"

#include <gtest/gtest.h>
#include <string>

TEST(Decimal, Numbers)
{
    EXPECT_EQ(parse_decimal("0", 0, 5), 0u);
    EXPECT_EQ(parse_decimal("5", 5, 5), 5u);
    EXPECT_EQ(parse_decimal("0005", 0, 5), 5u);
    EXPECT_EQ(parse_decimal(std::string(100, '0') + "1", 0, 5), 1u);
    EXPECT_EQ(parse_decimal("18446744073709551615", 0, UINT64_MAX),
              UINT64_MAX);
}

TEST(Decimal, OutOfBounds)
{
    EXPECT_FALSE(parse_decimal("1", 2, 5));
    EXPECT_FALSE(parse_decimal("6", 2, 5));
    EXPECT_FALSE(parse_decimal("1", 0, 0));
    EXPECT_FALSE(parse_decimal("18446744073709551616", 0, UINT64_MAX));
    EXPECT_FALSE(parse_decimal("18446744073709551617", 0, UINT64_MAX));
    EXPECT_FALSE(parse_decimal(std::string(100, '9'), 0, UINT64_MAX));
}

TEST(Decimal, NoNumbers)
{
    for (std::string_view text : {"", " ", " 1", "1 ", "1\n", "+1", "-1", "-0",
                                  "1.", "1e0", "0x1", "a", "1a", "1,2",
                                  "\xd9\xa1"}) {
        EXPECT_FALSE(parse_decimal(text, 0, UINT64_MAX)) << text;
    }
    EXPECT_FALSE(parse_decimal(std::string_view("1\0", 2), 0, 9));
    EXPECT_FALSE(parse_decimal(std::string_view(), 0, 9));
}
