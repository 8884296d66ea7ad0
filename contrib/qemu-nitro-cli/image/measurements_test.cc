/*
 * Tests of measurements.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/measurements.hh"

#include "support/test_support.hh"

namespace {

/* (head -c 48 /dev/zero; printf abc | openssl sha384 -binary) | sha384sum */
const char *const pcr_of_abc =
    "93732e3733514a841c982cfa75ea76ab55fe011acb9cd980"
    "ef4523913c65be1b0998e04d77f8c174f81a82151619ca40";

Bytes bytes(const std::string &text)
{
    return {text.begin(), text.end()};
}

TEST(Measurements, Register)
{
    EXPECT_EQ(hex(measure(bytes("abc"))), pcr_of_abc);
    EXPECT_NE(measure({}), Pcr());
}

TEST(Measurements, InPieces)
{
    Measurer measurer;

    measurer.add("a", 1);
    measurer.add("", 0);
    measurer.add("bc", 2);
    EXPECT_EQ(hex(measurer.finish()), pcr_of_abc);
}

TEST(Measurements, Json)
{
    Measurements m;

    m.pcr0.fill(0x10);
    m.pcr2.fill(0x32);
    std::string text = to_json(m).dump();
    EXPECT_EQ(text.find("PCR8"), std::string::npos);
    EXPECT_TRUE(text.starts_with(R"({"HashAlgorithm":"Sha384 { ... }",)"
                                 R"("PCR0":"1010)"));
    m.pcr8.emplace().fill(0x88);
    EXPECT_TRUE(to_json(m).dump().ends_with(R"(88"})"));
    EXPECT_EQ(to_json(m)["PCR1"], std::string(96, '0'));
}

} // namespace
