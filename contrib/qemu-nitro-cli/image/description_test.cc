/*
 * Tests of description.cc and measurements.cc: the form of what is printed
 *
 * What describe-eif says of whole images is tested from outside, in
 * tests/functional/cli_image_test.py.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/description.hh"

#include <algorithm>
#include <glib.h>

#include "support/test_support.hh"

namespace {

std::string described(const std::string &section)
{
    return describe_metadata({section.begin(), section.end()}).dump();
}

TEST(Metadata, Order)
{
    EXPECT_EQ(described(R"({
        "CustomMetadata": {"Team": "a"}, "DockerInfo": {"Id": 1},
        "BuildMetadata": {"KernelVersion": "k", "OperatingSystem": "o",
            "BuildToolVersion": "v", "BuildTool": "b", "BuildTime": "t"},
        "ImageVersion": "1", "ImageName": "n"})"),
        R"({"ImageName":"n","ImageVersion":"1","Metadata":{"BuildTime":"t",)"
        R"("BuildTool":"b","BuildToolVersion":"v","OperatingSystem":"o",)"
        R"("KernelVersion":"k","DockerInfo":{"Id":1},"Team":"a"}})");
}

TEST(Metadata, MissingFieldsAreOmitted)
{
    EXPECT_EQ(described("{}"), R"({"Metadata":{}})");
    EXPECT_EQ(described(R"({"ImageName": "n", "Other": 1})"),
              R"({"ImageName":"n","Metadata":{}})");
    EXPECT_EQ(described(R"({"BuildMetadata": {"BuildTool": "b"}})"),
              R"({"Metadata":{"BuildTool":"b"}})");
}

TEST(Metadata, CustomKeysReplaceNothing)
{
    EXPECT_EQ(described(R"({"BuildMetadata": {"BuildTime": "true"},
        "CustomMetadata": {"BuildTime": "forged", "DockerInfo": 2,
                           "BuildTool": "forged", "A": 1}})"),
        R"({"Metadata":{"BuildTime":"true","A":1,"BuildTool":"forged",)"
        R"("DockerInfo":2}})");
}

/* An image is not built if describe-eif would refuse it. */
TEST(Metadata, ThatIsTooLarge)
{
    constexpr size_t largest = 16 << 20;
    std::string text = "{}";

    text.resize(largest, ' ');
    EXPECT_EQ(code_of([&] { check_metadata(text); }), 0);
    text += ' ';
    EXPECT_EQ(code_of([&] { check_metadata(text); }), 48);
    for (size_t levels : {64, 65}) {
        std::string nested = "{\"a\":" + std::string(levels - 1, '[')
            + std::string(levels - 1, ']') + "}";

        EXPECT_EQ(code_of([&] { check_metadata(nested); }),
                  levels == 64 ? 0 : 48);
        EXPECT_EQ(code_of([&] { described(nested); }), levels == 64 ? 0 : 35);
    }
}

TEST(Metadata, WrongTypes)
{
    for (const char *other : {"7", "[]", "null", "\"x\"", "true"}) {
        EXPECT_EQ(described(R"({"BuildMetadata": )" + std::string(other)
                            + R"(, "CustomMetadata": )" + other + "}"),
                  R"({"Metadata":{}})") << other;
        EXPECT_EQ(code_of([&] { described(other); }), 35) << other;
    }
    for (const char *text : {"", "{", "{}}", "\xff"}) {
        EXPECT_EQ(code_of([&] { described(text); }), 35) << text;
    }
}

/* SHA-384 by another library than the program's */
Bytes sha384(const Bytes &data)
{
    uint8_t digest[48];
    size_t size = sizeof(digest);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA384);

    g_checksum_update(sum, data.data(), data.size());
    g_checksum_get_digest(sum, digest, &size);
    g_checksum_free(sum);
    return {digest, digest + size};
}

Bytes register_of(const Bytes &data)
{
    Bytes extended(48), hash = sha384(data);

    extended.insert(extended.end(), hash.begin(), hash.end());
    return sha384(extended);
}

TEST(Measurement, InOneOrInPieces)
{
    for (size_t size : {0, 1, 111, 112, 128, 100000}) {
        Bytes data(size, 'x'), expected = register_of(data);
        Pcr whole = measure(data);
        Measurer pieces;

        EXPECT_EQ(Bytes(whole.begin(), whole.end()), expected) << size;
        for (size_t at = 0; at < size; at += 7) {
            pieces.add(data.data() + at, std::min<size_t>(7, size - at));
        }
        EXPECT_EQ(pieces.finish(), whole) << size;
    }
}

TEST(Measurement, Json)
{
    Measurements m;

    m.pcr1[0] = 0xab;
    m.pcr2[47] = 0x0c;
    std::string zeros(96, '0'), ab = "ab" + zeros.substr(2),
        c = zeros.substr(1) + "c";
    std::string unsigned_text = R"({"HashAlgorithm":"Sha384 { ... }",)"
        R"("PCR0":")" + zeros + R"(","PCR1":")" + ab + R"(","PCR2":")" + c;
    EXPECT_EQ(to_json(m).dump(), unsigned_text + "\"}");
    m.pcr8 = m.pcr1;
    EXPECT_EQ(to_json(m).dump(), unsigned_text + R"(","PCR8":")" + ab + "\"}");
}

} // namespace
