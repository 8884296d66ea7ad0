/*
 * Tests of runtime.cc: locks, and the removal of ended enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/runtime.hh"

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <sys/wait.h>

#include "support/files.hh"
#include "support/test_support.hh"

namespace {

const std::string one = "i-0123456789abcdef0-enc0000000000000001";
const std::string two = "i-0123456789abcdef0-enc0000000000000002";

class RuntimeDirectory : public DirectoryTest {
protected:
    RuntimeDirectory() { setenv("XDG_RUNTIME_DIR", dir.c_str(), 1); }
    ~RuntimeDirectory() override { unsetenv("XDG_RUNTIME_DIR"); }

    /* An enclave that runs as long as the lock is held */
    static Descriptor add(const Runtime &runtime, const Enclave &enclave)
    {
        Descriptor lock = runtime.add(enclave.id);

        std::ofstream(runtime.directory(enclave.id).state())
            << enclave.to_file();
        return lock;
    }
    static Enclave enclave(const std::string &id, const std::string &name,
                           uint64_t start = 0)
    {
        Enclave e;

        e.id = id;
        e.name = name;
        e.supervisor.start = start;
        return e;
    }
};

TEST_F(RuntimeDirectory, IsPrivate)
{
    mode_t before = umask(0);
    Runtime runtime;
    Descriptor lock = runtime.add(one), held = runtime.lock();

    umask(before);
    EXPECT_EQ(mode("qemu-nitro"), 0700u);
    EXPECT_EQ(mode("qemu-nitro/lock"), 0600u);
    EXPECT_EQ(mode("qemu-nitro/" + one), 0700u);
    EXPECT_EQ(mode("qemu-nitro/" + one + "/lock"), 0600u);
}

TEST_F(RuntimeDirectory, OfSomebodyElse)
{
    std::filesystem::create_directory(path("qemu-nitro"));
    for (unsigned bad : {0755, 0710, 0701}) {
        ASSERT_EQ(chmod(path("qemu-nitro").c_str(), bad), 0);
        EXPECT_EQ(code_of([] { Runtime(); }), 19) << bad;
    }
    std::filesystem::rename(path("qemu-nitro"), path("other"));
    ASSERT_EQ(chmod(path("other").c_str(), 0700), 0);
    std::filesystem::create_symlink("other", path("qemu-nitro"));
    EXPECT_EQ(code_of([] { Runtime(); }), 19);
    std::filesystem::remove(path("qemu-nitro"));
    write("qemu-nitro", "a file");
    EXPECT_EQ(code_of([] { Runtime(); }), 19);
    setenv("XDG_RUNTIME_DIR", path("none").c_str(), 1);
    EXPECT_EQ(code_of([] { Runtime(); }), 19);
}

TEST_F(RuntimeDirectory, PathOfSocketsIsShortEnough)
{
    /* i-...-enc.../vsock.sock_4294967295 has 61 bytes, a socket's path 107. */
    for (size_t size : {45u, 46u}) {
        std::string directory = path(std::string(
            size - path("/qemu-nitro").size(), 'x'));

        std::filesystem::create_directory(directory);
        setenv("XDG_RUNTIME_DIR", directory.c_str(), 1);
        EXPECT_EQ(code_of([] { Runtime(); }), size == 45 ? 0 : 19);
    }
}

TEST_F(RuntimeDirectory, LivesAsLongAsItsLock)
{
    Runtime runtime;
    Descriptor second = add(runtime, enclave(two, "second", 2));
    Descriptor first = add(runtime, enclave(one, "first", 1));
    auto found = runtime.enclaves();

    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].name, "first");
    EXPECT_EQ(found[1].name, "second");
    EXPECT_EQ(runtime.find(two, {}).name, "second");
    EXPECT_EQ(runtime.find({}, "first").id, one);

    first.reset();
    found = runtime.enclaves();
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].id, two);
    EXPECT_FALSE(std::filesystem::exists(runtime.directory(one).path));
    EXPECT_EQ(code_of([&] { runtime.find({}, "first"); }), 58);
}

TEST_F(RuntimeDirectory, Finding)
{
    Runtime runtime;
    Descriptor lock = add(runtime, enclave(one, "name"));

    EXPECT_EQ(code_of([&] { runtime.find(one, "name"); }), 2);
    EXPECT_EQ(code_of([&] { runtime.find({}, {}); }), 1);
    EXPECT_EQ(code_of([&] { runtime.find(two, {}); }), 11);
    EXPECT_EQ(code_of([&] { runtime.find("", {}); }), 11);
    EXPECT_EQ(code_of([&] { runtime.find("lock", {}); }), 11);
    EXPECT_EQ(code_of([&] { runtime.find("../qemu-nitro/" + one, {}); }), 11);
    EXPECT_EQ(code_of([&] { runtime.find({}, "nam"); }), 58);
}

TEST_F(RuntimeDirectory, WhatIsNoEnclaveIsLeftAlone)
{
    Runtime runtime;

    write("qemu-nitro/file", "");
    std::filesystem::create_directory(path("qemu-nitro/folder"));
    EXPECT_TRUE(runtime.enclaves().empty());
    EXPECT_TRUE(std::filesystem::exists(path("qemu-nitro/file")));
    EXPECT_TRUE(std::filesystem::exists(path("qemu-nitro/folder")));
}

TEST_F(RuntimeDirectory, GarbageHidesNothing)
{
    Runtime runtime;
    Descriptor good = add(runtime, enclave(one, "good"));
    Descriptor bad = runtime.add(two);

    for (const char *text : {"", "{", "[]", "{}"}) {
        write("qemu-nitro/" + two + "/enclave.json", text);
        EXPECT_EQ(runtime.enclaves().size(), 1u) << text;
    }
    /* and the state of another enclave is ignored */
    write("qemu-nitro/" + two + "/enclave.json", enclave(one, "x").to_file());
    EXPECT_EQ(runtime.enclaves().size(), 1u);
}

TEST_F(RuntimeDirectory, ProcessesOfTheDeadAreEnded)
{
    Runtime runtime;
    Enclave dead = enclave(one, "dead");
    pid_t pids[3];

    for (pid_t &pid : pids) {
        pid = fork();
        if (pid == 0) {
            pause();
            _exit(0);
        }
    }
    dead.qemu = process_id(pids[0]);
    dead.backend = process_id(pids[1]);
    add(runtime, dead).reset();
    EXPECT_TRUE(runtime.enclaves().empty());
    for (int i : {0, 1}) {
        int status = 0;
        EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
        EXPECT_EQ(WTERMSIG(status), SIGKILL);
    }
    /* A later process with the same number is not killed. */
    dead.qemu = process_id(pids[2]);
    dead.qemu.start--;
    add(runtime, dead).reset();
    EXPECT_TRUE(runtime.enclaves().empty());
    EXPECT_EQ(waitpid(pids[2], nullptr, WNOHANG), 0);
    kill(pids[2], SIGKILL);
    waitpid(pids[2], nullptr, 0);
}

/* If it is not known whether an enclave runs, it is not removed. */
TEST_F(RuntimeDirectory, DescriptorsRunOut)
{
    Runtime runtime;
    Descriptor lives = add(runtime, enclave(one, "lives"));

    for (rlim_t more = 0; more < 8; more++) {
        add(runtime, enclave(two, "dead")).reset();
        std::vector<Enclave> found;
        int code;

        {
            FewDescriptors few(more);

            code = code_of([&] { found = runtime.enclaves(); });
        }
        EXPECT_TRUE(code == 19 || (code == 0 && found.size() == 1)) << more;
        EXPECT_EQ(runtime.find(one, {}).name, "lives");
        runtime.remove(two);
    }
    {
        FewDescriptors few(0);

        EXPECT_EQ(code_of([&] { open_lock(runtime.directory(one)); }), 19);
        EXPECT_EQ(code_of([&] { runtime.remove(one); }), 19);
    }
    EXPECT_FALSE(open_lock(runtime.directory(two)));
    EXPECT_EQ(runtime.find(one, {}).name, "lives");
}

TEST_F(RuntimeDirectory, FilesThatCannotBeRead)
{
    Runtime runtime;
    Descriptor lives = add(runtime, enclave(one, "lives"));

    std::filesystem::remove(runtime.directory(one).lock());
    std::filesystem::create_symlink("lock", runtime.directory(one).lock());
    EXPECT_EQ(code_of([&] { runtime.enclaves(); }), 19);
    EXPECT_TRUE(std::filesystem::exists(runtime.directory(one).path));
    /* a file with the name of an enclave is ignored */
    std::filesystem::remove_all(runtime.directory(one).path);
    write("qemu-nitro/" + one, "");
    EXPECT_TRUE(runtime.enclaves().empty());
    EXPECT_TRUE(std::filesystem::exists(runtime.directory(one).path));
}

/* An unusable state file does not keep the user from other enclaves. */
TEST_F(RuntimeDirectory, UnusableStateOfAnother)
{
    const size_t largest = 4 << 20;
    Runtime runtime;
    const std::string state = runtime.directory(two).state();
    std::string padding = enclave(two, "bad").to_file();
    std::function<void()> spoil[] = {
        [&] { std::filesystem::create_symlink("enclave.json", state); },
        [&] { std::filesystem::create_directory(state); },
        [&] { std::ofstream(state) << padding << std::string(
                  largest + 1 - padding.size(), ' '); },
        [&] { std::ofstream{state} << "{"; },
    };

    for (const auto &make : spoil) {
        Descriptor good = add(runtime, enclave(one, "good"));
        Descriptor bad = runtime.add(two);
        make();

        EXPECT_EQ(runtime.find(one, {}).name, "good");
        EXPECT_EQ(runtime.find({}, "good").id, one);
        testing::internal::CaptureStderr();
        EXPECT_EQ(runtime.enclaves().size(), 1u);
        EXPECT_NE(testing::internal::GetCapturedStderr().find(
            "warning: " + state + ": "), std::string::npos);
        EXPECT_EQ(runtime.recorded().size(), 1u);
        /* It lives, so it is not removed before its end. */
        EXPECT_TRUE(std::filesystem::exists(runtime.directory(two).path));
        bad.reset();
        EXPECT_EQ(runtime.enclaves().size(), 1u);
        EXPECT_FALSE(std::filesystem::exists(runtime.directory(two).path));
        good.reset();
        EXPECT_EQ(code_of([&] { runtime.find(one, {}); }), 11);
        EXPECT_FALSE(std::filesystem::exists(runtime.directory(one).path));
    }
}

TEST_F(RuntimeDirectory, LargestStateFile)
{
    const size_t largest = 4 << 20;
    Runtime runtime;
    Descriptor lock = add(runtime, enclave(one, "large"));
    std::string text = enclave(one, "large").to_file();

    write("qemu-nitro/" + one + "/enclave.json",
          text + std::string(largest - text.size(), ' '));
    EXPECT_EQ(runtime.find(one, {}).name, "large");
}

} // namespace
