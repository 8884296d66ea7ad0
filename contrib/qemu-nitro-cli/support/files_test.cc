/*
 * Tests of files.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/files.hh"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "support/test_support.hh"

namespace {

class Files : public DirectoryTest {};

TEST_F(Files, ReadWhole)
{
    EXPECT_TRUE(read_file(write("empty", "")).empty());
    EXPECT_EQ(read_file(write("one", "a")), Bytes{'a'});
    for (size_t size : {65535, 65536, 65537, 16 << 20}) {
        std::string text(size, 'x');

        EXPECT_EQ(read_file(write("large", text)),
                  Bytes(text.begin(), text.end())) << size;
    }
}

TEST_F(Files, NotReadable)
{
    std::string large((16 << 20) + 1, 'x');

    EXPECT_EQ(code_of([&] { read_file(write("large", large)); }), 19);
    EXPECT_EQ(code_of([] { read_file("/dev/zero"); }), 19);
    EXPECT_EQ(code_of([&] { read_file(dir); }), 19);
    EXPECT_EQ(code_of([&] { read_file(path("none")); }), 19);
    EXPECT_EQ(code_of([&] { read_file(write("file", "") + "/x"); }), 19);
    EXPECT_FALSE(read_optional_file(path("none")));
    EXPECT_EQ(code_of([&] { read_optional_file(dir); }), 19);
}

TEST_F(Files, ReadAndWriteFully)
{
    Descriptor file = make_nameless_file(dir);
    std::string data(3, '?');

    EXPECT_EQ(count(), 0U);
    EXPECT_EQ(pwrite_fully(file.get(), "abcdef", 6, 10), 6);
    EXPECT_EQ(pread_fully(file.get(), data.data(), 3, 12), 3);
    EXPECT_EQ(data, "cde");
    EXPECT_EQ(pread_fully(file.get(), data.data(), 3, 15), 1);
    EXPECT_EQ(data, "fde");
    EXPECT_EQ(pread_fully(file.get(), data.data(), 3, 16), 0);
    EXPECT_EQ(pread_fully(file.get(), data.data(), 0, 0), 0);
    EXPECT_EQ(pread_fully(-1, data.data(), 1, 0), -1);
    EXPECT_EQ(pwrite_fully(-1, data.data(), 1, 0), -1);
    EXPECT_EQ(read_fully(-1, data.data(), 1), -1);
}

/* read() of a pipe returns what it contains, which may be less. */
TEST_F(Files, ReadFullyFromAPipe)
{
    int ends[2];
    char data[6] = {};

    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Descriptor in(ends[0]), out(ends[1]);
    pid_t child = fork();
    if (child == 0) {
        bool sent = true;

        for (const char *piece : {"ab", "c", "de"}) {
            sent = sent && ::write(out.get(), piece, strlen(piece)) > 0;
            usleep(1000);
        }
        _exit(sent ? 0 : 1);
    }
    out.reset();
    EXPECT_EQ(read_fully(in.get(), data, 4), 4);
    EXPECT_STREQ(data, "abcd");
    EXPECT_EQ(read_fully(in.get(), data, 4), 1);
    EXPECT_EQ(read_fully(in.get(), data, 4), 0);
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST_F(Files, TemporaryFiles)
{
    TemporaryFile made = make_temporary_file(dir);

    EXPECT_TRUE(made.file);
    EXPECT_EQ(count(), made.path.empty() ? 0U : 1U);
    EXPECT_FALSE(make_temporary_file(path("none")).file);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_FALSE(make_nameless_file(path("none")));
    /* This file system has no unnamed files. */
    EXPECT_FALSE(make_nameless_file("/proc"));
}

TEST_F(Files, PrivateDirectory)
{
    make_private_directory(path("new"));
    EXPECT_EQ(mode("new"), 0700U);
    make_private_directory(path("new"));
    chmod(path("new").c_str(), 0710);
    EXPECT_EQ(code_of([&] { make_private_directory(path("new")); }), 19);
    write("file", "");
    EXPECT_EQ(code_of([&] { make_private_directory(path("file")); }), 19);
    std::filesystem::create_symlink(dir, path("link"));
    EXPECT_EQ(code_of([&] { make_private_directory(path("link")); }), 19);
    EXPECT_EQ(code_of([&] { make_private_directory(path("a/b")); }), 19);
}

TEST_F(Files, Locks)
{
    Descriptor held = lock_file(path("lock"), 0);

    ASSERT_TRUE(held);
    EXPECT_FALSE(lock_file(path("lock"), 10));
    Descriptor other(open(path("lock").c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_FALSE(take_lock(other, LOCK_SH, 10));
    held.reset();
    EXPECT_TRUE(take_lock(other, LOCK_SH, 0));
    std::filesystem::create_symlink("elsewhere", path("link"));
    EXPECT_EQ(code_of([&] { lock_file(path("link"), 0); }), 19);
    EXPECT_FALSE(std::filesystem::exists(path("elsewhere")));
}

/* A waiter gets the lock when it is free, and SIGALRM is restored. */
TEST_F(Files, WaitingForALock)
{
    Descriptor held = lock_file(path("lock"), 0);
    struct sigaction before, after;

    ASSERT_EQ(sigaction(SIGALRM, nullptr, &before), 0);
    EXPECT_FALSE(lock_file(path("lock"), 60));
    ASSERT_EQ(sigaction(SIGALRM, nullptr, &after), 0);
    EXPECT_EQ(before.sa_handler, after.sa_handler);

    pid_t child = fork();
    if (child == 0) {
        held.reset();
        _exit(lock_file(path("lock"), 60000) ? 0 : 1);
    }
    usleep(1000);
    held.reset();
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

} // namespace
