/*
 * Tests of sandbox.cc
 *
 * Each runs in a child, which stays in the sandbox.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/sandbox.hh"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sandbox_testing.hh"
#include "support/test_support.hh"

namespace {

void make_file(const std::string &path)
{
    close(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* A Unix socket that is listened on */
int listen_at(const std::string &path)
{
    sockaddr_un address = {};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr *>(&address),
                   sizeof(address)), 0);
    EXPECT_EQ(listen(fd, 1), 0);
    return fd;
}

long connect_to(const std::string &path)
{
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0),
                   reinterpret_cast<sockaddr *>(&address), sizeof(address));
}

/* Without namespaces, and with them if the host allows this */
class SandboxTest : public DirectoryTest,
                    public testing::WithParamInterface<bool> {
protected:
    SandboxTest()
    {
        sandbox_ = sandbox_of_programs();
        sandbox_.namespaces = GetParam();
        for (const char *name : {"own", "other"}) {
            std::filesystem::create_directory(path(name));
        }
        make_file(path("image"));
        make_file(path("secret"));
        sandbox_.readable.push_back(path("image"));
        sandbox_.directories.push_back(path("own"));
    }

    void SetUp() override
    {
        if (GetParam() && !namespaces_available()) {
            GTEST_SKIP() << "this host allows no mount namespace";
        }
        if (!GetParam() && !has_landlock()) {
            GTEST_SKIP() << "this kernel has no Landlock";
        }
    }

    /* The errno with which a call fails in the sandbox; 0 if it succeeds */
    int error_of(const std::function<long()> &call)
    {
        return error_in_sandbox([this] { return enter_sandbox(sandbox_); },
                                call);
    }

    int error_of_open(const std::string &file, int flags)
    {
        return error_of([&] { return open(file.c_str(), flags, 0600); });
    }

    Sandbox sandbox_;
};

} // namespace

TEST_P(SandboxTest, OpensWhatIsReadable)
{
    EXPECT_EQ(error_of_open(path("image"), O_RDONLY), 0);
    EXPECT_EQ(error_of_open("/dev/null", O_RDWR), 0);
    EXPECT_EQ(error_of_open("/proc/self/maps", O_RDONLY), 0);
    char program[] = "/bin/true";
    char *const words[] = {program, nullptr};
    EXPECT_EQ(error_of([&] { return execv(program, words); }), 0);
}

TEST_P(SandboxTest, OpensNothingElse)
{
    for (const std::string &file : {
             path("secret"), std::string("/etc/passwd"),
             std::string("/proc/1/cmdline")}) {
        int error = error_of_open(file, O_RDONLY);

        EXPECT_TRUE(error == EACCES || error == ENOENT) << file << error;
    }
    if (has_landlock()) {
        EXPECT_EQ(error_of_open(path("image"), O_RDWR), EACCES);
        EXPECT_EQ(error_of_open(path("own/new"), O_CREAT | O_WRONLY),
                  EACCES);
        EXPECT_EQ(error_of_open("/tmp/new", O_CREAT | O_WRONLY), EACCES);
    }
}

TEST_P(SandboxTest, ConnectsToItsOwnSockets)
{
    int own = listen_at(path("own/socket"));
    int other = listen_at(path("other/socket"));

    EXPECT_EQ(error_of([&] { return connect_to(path("own/socket")); }),
              0);
    if (GetParam()) {
        EXPECT_EQ(error_of([&] {
            return connect_to(path("other/socket"));
        }), ENOENT);
    }
    close(own);
    close(other);
}

TEST_P(SandboxTest, ReachesNoOtherProcess)
{
    pid_t parent = getpid();

    if (has_landlock(6)) {
        EXPECT_EQ(error_of([&] { return kill(parent, SIGCONT); }), EPERM);
    }
    if (has_landlock()) {
        EXPECT_EQ(error_of([&] {
            return ptrace(PTRACE_ATTACH, parent, 0, 0);
        }), EPERM);
    }
    if (has_landlock(4)) {
        sockaddr_in address = {};

        address.sin_family = AF_INET;
        address.sin_port = htons(1);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(error_of([&] {
            return connect(socket(AF_INET, SOCK_STREAM, 0),
                           reinterpret_cast<sockaddr *>(&address),
                           sizeof(address));
        }), EACCES);
    }
}

TEST_P(SandboxTest, DumpsNoCore)
{
    EXPECT_EQ(error_of([] {
        rlimit limit = {1, 1};

        getrlimit(RLIMIT_CORE, &limit);
        return limit.rlim_max == 0 ? 0 : -1;
    }), 0);
}

TEST_P(SandboxTest, LeavesOutWhatIsNotThere)
{
    sandbox_.readable.push_back("/not/there");
    sandbox_.directories.push_back("/not/there/either");
    EXPECT_EQ(error_of([] { return 0; }), 0);
}

INSTANTIATE_TEST_SUITE_P(, SandboxTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &kind) {
    return kind.param ? "Namespaces" : "LandlockAlone";
});
