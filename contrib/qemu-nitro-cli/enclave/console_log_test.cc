/*
 * Tests of console_log.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/console_log.hh"

#include <unistd.h>

#include "support/test_support.hh"

namespace {

constexpr LogLimits small = {8192, 16384, 8192};

class Console : public DirectoryTest {
protected:
    /* Read the rest, with "(N)" for N lost bytes */
    static std::string rest(ConsoleReader &reader)
    {
        std::string text;

        reader.read_on([&](const char *data, size_t size) {
            text.append(data, size);
        }, [&](uint64_t bytes) { text += "(" + std::to_string(bytes) + ")"; });
        return text;
    }
    static void add(ConsoleLog &log, const std::string &text)
    {
        log.write(text.data(), text.size());
    }
};

TEST_F(Console, ReadersAreIndependent)
{
    ConsoleLog log(path("log"));
    ConsoleReader one(path("log"));

    EXPECT_EQ(mode("log"), 0600u);
    EXPECT_EQ(rest(one), "");
    add(log, "first\n");
    ConsoleReader two(path("log"));
    EXPECT_EQ(rest(one), "first\n");
    add(log, "second\n");
    EXPECT_EQ(rest(one), "second\n");
    EXPECT_EQ(rest(two), "first\nsecond\n");
    EXPECT_EQ(rest(two), "");
}

TEST_F(Console, FullDisk)
{
    ConsoleLog log(Descriptor(open("/dev/full", O_RDWR)));

    EXPECT_FALSE(log.write("text", 4));
    EXPECT_EQ(errno, ENOSPC);
}

TEST_F(Console, MiddleIsGivenUp)
{
    ConsoleLog log(path("log"), small);
    const std::string begin(8192, 'b'), middle(100000, 'm'), end(16384, 'e');

    add(log, begin);
    for (char c : middle) {
        log.write(&c, 1);
    }
    add(log, end);
    ConsoleReader reader(path("log"));
    std::string text = rest(reader);
    EXPECT_EQ(text.substr(0, 8193), begin + "(");
    EXPECT_TRUE(text.ends_with(end));
    EXPECT_LT(text.size(), 8192u + 20 + 16384 + 8192 + 4096);
    EXPECT_EQ(text.find('\0'), std::string::npos);
    /* every byte has its offset */
    EXPECT_EQ(std::filesystem::file_size(path("log")),
              begin.size() + middle.size() + end.size());
}

/* A hole of no bytes fails, as each hole does on some file systems. */
TEST_F(Console, FileSystemWithoutHoles)
{
    ConsoleLog log(path("log"), {.head = 4096, .tail = 4096, .slack = 0,
                                 .all = 20000});
    const std::string first(8193, 'a'), rest(20000 - 8193, 'b');

    EXPECT_TRUE(log.write(first.data(), first.size()));
    EXPECT_TRUE(log.write(rest.data(), rest.size() - 1));
    EXPECT_TRUE(log.write("b", 1));
    EXPECT_FALSE(log.write("c", 1));
    EXPECT_EQ(errno, EFBIG);
    EXPECT_EQ(read("log"), first + rest);
}

TEST_F(Console, ReaderThatIsLate)
{
    ConsoleLog log(path("log"), small);
    ConsoleReader reader(path("log"));

    add(log, std::string(8192, 'b'));
    EXPECT_EQ(rest(reader).size(), 8192u);
    for (int i = 0; i < 100; i++) {
        add(log, std::string(1000, 'm'));
    }
    EXPECT_EQ(rest(reader)[0], '(');
    add(log, "more");
    EXPECT_EQ(rest(reader), "more");
}

TEST_F(Console, LastLines)
{
    ConsoleLog log(path("log"));

    EXPECT_EQ(log.last_lines(3), "");
    add(log, std::string(100000, 'x') + "\n1\n2\r\n\x1b[1m3\n");
    EXPECT_EQ(log.last_lines(3), "1\n2\n[1m3");
    EXPECT_EQ(log.last_lines(1), "[1m3");
}

TEST_F(Console, OneWriter)
{
    ConsoleLog log(path("log"));

    EXPECT_EQ(code_of([&] { ConsoleLog other(path("log")); }), 44);
    EXPECT_EQ(code_of([&] { ConsoleReader reader(path("none")); }), 44);
}

TEST_F(Console, Removed)
{
    ConsoleLog log(path("log"));
    ConsoleReader reader(path("log"));

    EXPECT_FALSE(reader.removed());
    add(log, "last");
    EXPECT_EQ(unlink(path("log").c_str()), 0);
    EXPECT_TRUE(reader.removed());
    EXPECT_EQ(rest(reader), "last");
}

TEST(Tail, Printable)
{
    EXPECT_EQ(printable_tail("", 5), "");
    EXPECT_EQ(printable_tail("\n\n", 5), "");
    EXPECT_EQ(printable_tail("a\nb", 1), "b");
    EXPECT_EQ(printable_tail("a\nb\n\n", 2), "a\nb");
    EXPECT_EQ(printable_tail("a\tb\0c\x7f\xff\x9b" "d", 2), "a\tb");
    EXPECT_EQ(printable_tail(std::string("a\0\x7f\xff\x9b" "d", 6), 2), "ad");
}

TEST_F(Console, UserLog)
{
    write("log", "old words");
    ASSERT_EQ(chmod(path("log").c_str(), 0644), 0);
    {
        ConsoleLog log(open_user_log(path("log"), path("image")));

        EXPECT_EQ(mode("log"), 0600u);
        add(log, "new");
        EXPECT_EQ(code_of([&] { open_user_log(path("log"), ""); }), 19);
        EXPECT_EQ(read("log"), "new");
    }
    open_user_log(path("log"), path("image"));
    EXPECT_EQ(read("log"), "");
    open_user_log(path("made"), path("image"));
    EXPECT_EQ(mode("made"), 0600u);
}

TEST_F(Console, UserLogIsRefused)
{
    write("image", "bytes");
    std::filesystem::create_hard_link(path("image"), path("again"));
    std::filesystem::create_symlink("image", path("link"));
    ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
    for (const char *name : {"image", "again", "link", "fifo", "none/log",
                             ""}) {
        EXPECT_EQ(code_of([&] {
            open_user_log(path(name), path("image"));
        }), 19) << name;
    }
    EXPECT_EQ(code_of([&] { open_user_log("/dev/null", path("image")); }), 19);
    EXPECT_EQ(read("image"), "bytes");
}

} // namespace
