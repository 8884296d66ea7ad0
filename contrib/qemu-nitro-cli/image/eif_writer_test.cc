/*
 * Tests of eif_writer.cc and builder.cc, with an independent decoder of images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/builder.hh"
#include "support/errors.hh"
#include "support/files.hh"

#include <cstdlib>
#include <fcntl.h>
#include <glib.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <utility>
#include <zlib.h>

namespace {

uint64_t number(const Bytes &b, size_t at, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        value = value << 8 | b.at(at + i);
    }
    return value;
}

std::vector<std::pair<unsigned, Bytes>> sections(const Bytes &b)
{
    std::vector<std::pair<unsigned, Bytes>> out;
    size_t expected = 548;

    for (size_t i = 0; i < number(b, 0x1a, 2); i++) {
        size_t at = number(b, 0x1c + 8 * i, 8);
        size_t size = number(b, 0x11c + 8 * i, 8);

        EXPECT_EQ(at, expected);
        EXPECT_EQ(number(b, at + 4, 8), size);
        out.emplace_back(number(b, at, 2), Bytes(b.begin() + at + 12,
                                                 b.begin() + at + 12 + size));
        expected = at + 12 + size;
    }
    EXPECT_EQ(expected, b.size());
    return out;
}

/* SHA-384 by another library than the program's */
Bytes sha384(const Bytes &data)
{
    char *hex = g_compute_checksum_for_data(G_CHECKSUM_SHA384, data.data(),
                                            data.size());
    Bytes out;

    for (int i = 0; i < 48; i++) {
        out.push_back(std::stoi(std::string(hex + 2 * i, 2), nullptr, 16));
    }
    g_free(hex);
    return out;
}

Bytes pcr(const Bytes &data)
{
    Bytes both(48), hash = sha384(data);

    both.insert(both.end(), hash.begin(), hash.end());
    return sha384(both);
}

Bytes bytes(const Pcr &p)
{
    return Bytes(p.begin(), p.end());
}

EifParts parts()
{
    return {x86_64, content_of("KK"), "cmd", "{}",
            {content_of("a"), content_of("bc"), content_of("d")}};
}

std::pair<Bytes, Measurements> make_eif(const EifParts &parts)
{
    char dir[] = "/tmp/eif-test-XXXXXX";
    std::string path = std::string(mkdtemp(dir)) + "/image";
    Measurements m;

    {
        AtomicFile file(path);
        m = write_eif(file, parts, nullptr);
        file.commit();
    }
    Bytes image = read_file(path);
    EXPECT_EQ(unlink(path.c_str()), 0);
    /* there is no other file */
    EXPECT_EQ(rmdir(dir), 0);
    return {image, m};
}

TEST(EifWriter, Layout)
{
    auto [image, m] = make_eif(parts());
    auto found = sections(image);

    EXPECT_EQ(Bytes(image.begin(), image.begin() + 4),
              (Bytes{'.', 'e', 'i', 'f'}));
    EXPECT_EQ(number(image, 4, 2), 4u);
    EXPECT_EQ(number(image, 6, 2), 0u);
    EXPECT_EQ(number(image, 8, 8), 1u << 30);
    EXPECT_EQ(number(image, 16, 8), 2u);
    ASSERT_EQ(found.size(), 6u);
    EXPECT_EQ(found[0], std::make_pair(1u, Bytes{'K', 'K'}));
    EXPECT_EQ(found[1], std::make_pair(2u, Bytes{'c', 'm', 'd'}));
    EXPECT_EQ(found[2], std::make_pair(5u, Bytes{'{', '}'}));
    EXPECT_EQ(found[3], std::make_pair(3u, Bytes{'a'}));
    EXPECT_EQ(found[5], std::make_pair(3u, Bytes{'d'}));

    uint32_t crc = crc32(0, image.data(), 544);
    crc = crc32(crc, image.data() + 548, image.size() - 548);
    EXPECT_EQ(number(image, 544, 4), crc);
}

TEST(EifWriter, Measurements)
{
    auto [image, m] = make_eif(parts());

    EXPECT_EQ(bytes(m.pcr0), pcr({'K', 'K', 'c', 'm', 'd', 'a', 'b', 'c',
                                  'd'}));
    EXPECT_EQ(bytes(m.pcr1), pcr({'K', 'K', 'c', 'm', 'd', 'a'}));
    EXPECT_EQ(bytes(m.pcr2), pcr({'b', 'c', 'd'}));
    EXPECT_FALSE(m.pcr8);
}

TEST(EifWriter, TooManySections)
{
    EifParts many = parts();

    many.ramdisks.resize(29, content_of("x"));
    EXPECT_EQ(sections(make_eif(many).first).size(), 32u);
    many.ramdisks.resize(30, content_of("x"));

    char dir[] = "/tmp/eif-test-XXXXXX";
    std::string path = std::string(mkdtemp(dir)) + "/image";
    {
        AtomicFile file(path);
        EXPECT_THROW(write_eif(file, many, nullptr), Error);
    }
    EXPECT_EQ(rmdir(dir), 0);
}

class Build : public testing::Test {
protected:
    Build() : dir(mkdtemp(name))
    {
        file("bzImage", "kernel");
        file("cmdline", "console=ttyS0\n");
        file("init", "init");
        EXPECT_EQ(mkdir((dir + "/root").c_str(), 0755), 0);
        file("root/app", "app");
        options.blobs = dir;
        options.rootfs = dir + "/root";
        options.cmd = {"/app", "two words"};
        options.env = {"A=1"};
        options.name = "name";
        options.version = "2";
        options.build_time = 86400;
    }
    ~Build() override
    {
        EXPECT_EQ(system(("rm -rf " + dir).c_str()), 0);
    }
    void file(const std::string &path, const std::string &text)
    {
        AtomicFile out(dir + "/" + path);
        out.write(text.data(), text.size());
        out.commit();
    }
    static bool holds(const ContentPtr &content, const std::string &text)
    {
        Bytes b = read_all(*content);

        return std::string(b.begin(), b.end()).find(text) != std::string::npos;
    }

    char name[32] = "/tmp/build-test-XXXXXX";
    std::string dir;
    BuildOptions options;
};

TEST_F(Build, Layout)
{
    EifParts p = build_parts(options);

    EXPECT_EQ(p.cmdline, "console=ttyS0");
    ASSERT_EQ(p.ramdisks.size(), 2u);
    EXPECT_TRUE(holds(p.ramdisks[0], "init"));
    EXPECT_FALSE(holds(p.ramdisks[0], "nsm.ko"));
    for (const char *name : {"rootfs/app", "rootfs/dev", "rootfs/run",
                             "rootfs/sys", "rootfs/var", "rootfs/proc",
                             "rootfs/tmp", "/app\ntwo words\n", "A=1\n"}) {
        EXPECT_TRUE(holds(p.ramdisks[1], name)) << name;
    }
    auto json = nlohmann::json::parse(p.metadata);
    EXPECT_EQ(json["ImageName"], "name");
    EXPECT_EQ(json["ImageVersion"], "2");
    EXPECT_EQ(json["BuildMetadata"]["BuildTime"], "1970-01-02T00:00:00+00:00");
    EXPECT_TRUE(json["CustomMetadata"].is_null());
}

TEST_F(Build, Reproducible)
{
    Bytes first = make_eif(build_parts(options)).first;

    ASSERT_EQ(system(("touch -d 2001-01-01 " + dir + "/root/app").c_str()), 0);
    EXPECT_EQ(make_eif(build_parts(options)).first, first);
    options.cmdline = "other";
    EXPECT_NE(make_eif(build_parts(options)).first, first);
}

TEST_F(Build, Refused)
{
    std::string rootfs = std::exchange(options.rootfs, dir + "/none");
    EXPECT_THROW(build_parts(options), Error);
    options.rootfs = rootfs;

    std::string blobs = std::exchange(options.blobs, dir + "/root");
    EXPECT_THROW(build_parts(options), Error);
    options.blobs = blobs;

    options.cmd = {"", "word"};
    EXPECT_THROW(build_parts(options), Error);
}

} // namespace
