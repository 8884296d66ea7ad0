/*
 * Tests of bytes.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/bytes.hh"

#include <gtest/gtest.h>

namespace {

TEST(Bytes, Hex)
{
    const uint8_t data[] = {0x00, 0x0f, 0xf0, 0xa5};

    EXPECT_EQ(hex(data), "000ff0a5");
    EXPECT_EQ(hex({data, 1}), "00");
    EXPECT_EQ(hex({}), "");
}

} // namespace
