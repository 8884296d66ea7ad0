/*
 * Tests of cpio.cc, with an independent reader of archives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/cpio.hh"

#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/errors.hh"

namespace {

struct Entry {
    std::string name, data;
    unsigned inode, mode, uid, gid, links, mtime;
};

unsigned field(const Bytes &b, size_t at, int index)
{
    return strtoul(std::string(b.begin() + at + 6 + 8 * index,
                               b.begin() + at + 14 + 8 * index).c_str(),
                   nullptr, 16);
}

std::vector<Entry> read(const Bytes &b)
{
    std::vector<Entry> entries;

    for (size_t at = 0;;) {
        EXPECT_EQ(std::string(b.begin() + at, b.begin() + at + 6), "070701");
        size_t name_size = field(b, at, 11), size = field(b, at, 6);
        size_t name = at + 110, data = (name + name_size + 3) & ~size_t{3};
        Entry e = {std::string(b.begin() + name, b.begin() + name
                               + name_size - 1),
                   std::string(b.begin() + data, b.begin() + data + size),
                   field(b, at, 0), field(b, at, 1), field(b, at, 2),
                   field(b, at, 3), field(b, at, 4), field(b, at, 5)};

        if (e.name == "TRAILER!!!") {
            return entries;
        }
        entries.push_back(e);
        at = (data + size + 3) & ~size_t{3};
    }
}

class Tree : public testing::Test {
protected:
    Tree() : dir(mkdtemp(name)) {}
    ~Tree() override
    {
        EXPECT_EQ(system(("rm -rf " + dir).c_str()), 0);
    }
    void file(const std::string &path, const std::string &text)
    {
        Descriptor fd(open((dir + "/" + path).c_str(), O_CREAT | O_WRONLY,
                           0644));
        ASSERT_EQ(write(fd.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
    }

    char name[32] = "/tmp/cpio-test-XXXXXX";
    std::string dir;
};

TEST(Cpio, NamesAreSortedAndDirectoriesAreMade)
{
    Cpio cpio;

    cpio.add("b/c/d", S_IFREG | 0600, content_of(std::string("xy")));
    cpio.add("a", S_IFREG | 0755, {});
    auto entries = read(read_all(*cpio.write()));
    ASSERT_EQ(entries.size(), 4u);
    EXPECT_EQ(entries[0].name, "a");
    EXPECT_EQ(entries[1].name, "b");
    EXPECT_EQ(entries[1].mode, unsigned{S_IFDIR | 0755});
    EXPECT_EQ(entries[2].name, "b/c");
    EXPECT_EQ(entries[3].name, "b/c/d");
    EXPECT_EQ(entries[3].data, "xy");
    EXPECT_EQ(entries[3].mode, unsigned{S_IFREG | 0600});
    for (const Entry &e : entries) {
        EXPECT_EQ(e.mtime, 0u);
    }
}

TEST_F(Tree, Contents)
{
    file("plain", "text");
    ASSERT_EQ(link((dir + "/plain").c_str(), (dir + "/second").c_str()), 0);
    ASSERT_EQ(symlink("plain", (dir + "/symbolic").c_str()), 0);
    ASSERT_EQ(mkdir((dir + "/folder").c_str(), 0700), 0);

    Cpio cpio;
    cpio.add_tree(dir, "root");
    auto entries = read(read_all(*cpio.write()));
    ASSERT_EQ(entries.size(), 5u);
    EXPECT_EQ(entries[1].name, "root/folder");
    EXPECT_EQ(entries[1].mode & 07777, 0700u);
    /* the links share an inode, and the last has the data */
    EXPECT_EQ(entries[2].inode, entries[3].inode);
    EXPECT_EQ(entries[2].links, 2u);
    EXPECT_EQ(entries[2].data, "");
    EXPECT_EQ(entries[3].data, "text");
    EXPECT_EQ(entries[4].data, "plain");
    EXPECT_TRUE(S_ISLNK(entries[4].mode));
}

/* Linux makes a symbolic link of each name, so each has the target. */
TEST_F(Tree, SymbolicLinkWithSeveralNames)
{
    ASSERT_EQ(symlink("target", (dir + "/a").c_str()), 0);
    ASSERT_EQ(link((dir + "/a").c_str(), (dir + "/b").c_str()), 0);

    Cpio cpio;
    cpio.add_tree(dir, "root");
    auto entries = read(read_all(*cpio.write()));
    ASSERT_EQ(entries.size(), 3u);
    for (int i : {1, 2}) {
        EXPECT_EQ(entries[i].data, "target");
        EXPECT_EQ(entries[i].links, 1u);
    }
    EXPECT_NE(entries[1].inode, entries[2].inode);
}

/* Linux skips an entry with a longer name, or with a longer target. */
TEST(Cpio, LongestName)
{
    const std::string longest = "rootfs/" + std::string(PATH_MAX - 8, 'x');
    Cpio cpio;

    cpio.add(longest, S_IFREG | 0644, {});
    EXPECT_THROW(cpio.add(longest + "x", S_IFREG | 0644, {}), Error);
    cpio.add("a", S_IFLNK | 0777, content_of(std::string(PATH_MAX, 'x')));
    EXPECT_THROW(cpio.add("a", S_IFLNK | 0777,
                          content_of(std::string(PATH_MAX + 1, 'x'))), Error);
}

TEST_F(Tree, SameInputSameBytes)
{
    file("one", "1");
    file("two", "2");
    Cpio a, b;
    a.add_tree(dir, "root");
    ASSERT_EQ(system(("touch -d 2001-01-01 " + dir + "/*").c_str()), 0);
    b.add_tree(dir, "root");
    EXPECT_EQ(read_all(*a.write()), read_all(*b.write()));
}

TEST_F(Tree, ItsOwnerIsRoot)
{
    file("mine", "1");
    file("theirs", "2");
    if (geteuid() != 0) {
        GTEST_SKIP() << "only root can give files away";
    }
    for (const char *name : {"", "/mine"}) {
        ASSERT_EQ(chown((dir + name).c_str(), 1234, 2345), 0);
    }
    ASSERT_EQ(chown((dir + "/theirs").c_str(), 70, 71), 0);

    Cpio cpio;
    cpio.add_tree(dir, "root");
    auto entries = read(read_all(*cpio.write()));
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0].uid, 0u);
    EXPECT_EQ(entries[1].uid, 0u);
    EXPECT_EQ(entries[1].gid, 0u);
    EXPECT_EQ(entries[2].uid, 70u);
    EXPECT_EQ(entries[2].gid, 71u);
}

TEST_F(Tree, ByASymbolicLink)
{
    std::string link = dir + ".link";
    file("one", "1");
    ASSERT_EQ(symlink(dir.c_str(), link.c_str()), 0);

    Cpio a, b;
    a.add_tree(dir, "root");
    b.add_tree(link, "root");
    EXPECT_EQ(read_all(*a.write()), read_all(*b.write()));
    unlink(link.c_str());
}

TEST_F(Tree, Missing)
{
    Cpio cpio;

    EXPECT_THROW(cpio.add_tree(dir + "/none", "root"), Error);
}

} // namespace
