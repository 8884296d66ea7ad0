/*
 * Tests of atomic_file.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/atomic_file.hh"

#include "support/test_support.hh"

namespace {

class Atomic : public DirectoryTest {
protected:
    void put(const std::string &file, const std::string &text) const
    {
        AtomicFile out(path(file));

        out.write(text.data(), text.size());
        out.commit();
    }
};

TEST_F(Atomic, AllOrNothing)
{
    {
        AtomicFile out(path("file"));

        out.write("half", 4);
        EXPECT_FALSE(std::filesystem::exists(path("file")));
    }
    EXPECT_EQ(count(), 0u);
    put("file", "whole");
    EXPECT_EQ(read("file"), "whole");
    {
        AtomicFile out(path("file"));

        out.write("half", 4);
        EXPECT_EQ(read("file"), "whole");
    }
    EXPECT_EQ(read("file"), "whole");
    EXPECT_EQ(count(), 1u);
}

TEST_F(Atomic, Modes)
{
    mode_t before = umask(027);

    put("new", "");
    umask(before);
    EXPECT_EQ(mode("new"), 0640u);
    ASSERT_EQ(chmod(path("new").c_str(), 0604), 0);
    put("new", "again");
    EXPECT_EQ(mode("new"), 0604u);
}

TEST_F(Atomic, ThroughALink)
{
    write("file", "old");
    std::filesystem::create_symlink("file", path("link"));
    put("link", "new");
    EXPECT_EQ(read("file"), "new");
    EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
}

TEST_F(Atomic, LongName)
{
    std::string name(255, 'n');

    put(name, "text");
    EXPECT_EQ(read(name), "text");
}

/* A file of an earlier process with the same number does not matter. */
TEST_F(Atomic, StaleName)
{
    std::string stale = "file." + std::to_string(getpid()) + ".new";

    write(stale, "stale");
    put("file", "text");
    EXPECT_EQ(read("file"), "text");
    EXPECT_EQ(read(stale), "stale");
    EXPECT_EQ(count(), 2u);
}

TEST_F(Atomic, Refusals)
{
    for (const std::string &bad : {dir, path("none/file"), path("file/"),
                                   std::string("/dev/null"), std::string()}) {
        EXPECT_EQ(code_of([&] { AtomicFile out(bad); }), 19) << bad;
    }
    EXPECT_EQ(count(), 0u);
}

} // namespace
