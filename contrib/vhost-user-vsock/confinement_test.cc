/*
 * Tests of confinement.cc and landlock.cc
 *
 * Each runs in a child process, because the sandbox is permanent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "confinement.hh"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>

#include "landlock.hh"
#include "sandbox_testing.hh"
#include "testing/temporary_directory.hh"

namespace {

/* The errno with which a call fails in a confined child; 0 if it succeeds */
int error_of(const std::vector<VmOptions> &vms,
             const std::function<long()> &call)
{
    std::string error;

    return error_in_sandbox([&] { return confine(vms, &error); }, call);
}

class ConfinementTest : public testing::Test {
protected:
    ConfinementTest()
    {
        vms_[0].socket = directory_ / "vhost.sock";
    }

    int error_of(const std::function<long()> &call)
    {
        return ::error_of(vms_, call);
    }

    TemporaryDirectory directory_;
    std::vector<VmOptions> vms_{1};
};

} // namespace

TEST_F(ConfinementTest, OpensAndMakesNoFile)
{
    std::string path = directory_ / "file";

    EXPECT_NE(error_of([] { return open("/etc/passwd", O_RDONLY); }), 0);
    EXPECT_NE(error_of([&] {
        return open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    }), 0);
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    EXPECT_NE(error_of([&] { return mkdir(path.c_str(), 0700); }), 0);
    EXPECT_NE(error_of([&] {
        return rename((directory_ / "").c_str(), path.c_str());
    }), 0);
}

TEST_F(ConfinementTest, RemovesItsOwnSocketsAlone)
{
    TemporaryDirectory other;
    std::string own = vms_[0].socket, foreign = other / "file";

    for (const std::string &path : {own, foreign}) {
        close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
    }
    EXPECT_EQ(error_of([&] { return unlink(own.c_str()); }), 0);
    EXPECT_NE(access(own.c_str(), F_OK), 0);
    if (has_landlock()) {
        EXPECT_EQ(error_of([&] { return unlink(foreign.c_str()); }), EACCES);
        EXPECT_EQ(access(foreign.c_str(), F_OK), 0);
    }
    unlink(foreign.c_str());
}

TEST_F(ConfinementTest, StartsNoProcess)
{
    char *const none[] = {nullptr};

    EXPECT_EQ(error_of([&] { return execve("/bin/true", none, none); }),
              EPERM);
    EXPECT_EQ(error_of([] { return syscall(SYS_fork); }), EPERM);
    EXPECT_EQ(error_of([] {
        return syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0);
    }), EPERM);
}

TEST_F(ConfinementTest, StartsThreads)
{
    EXPECT_EQ(error_of([] {
        int result = -1;

        std::thread([&result] { result = 0; }).join();
        return result;
    }), 0);
}

TEST_F(ConfinementTest, ReachesNoOtherProcess)
{
    pid_t parent = getpid();

    EXPECT_EQ(error_of([&] { return kill(parent, SIGCONT); }), EPERM);
    EXPECT_EQ(error_of([&] { return ptrace(PTRACE_ATTACH, parent, 0, 0); }),
              EPERM);
    EXPECT_EQ(error_of([&] {
        return syscall(SYS_pidfd_open, parent, 0);
    }), EPERM);
    if (has_landlock()) {
        EXPECT_EQ(error_of([&] {
            return syscall(SYS_tgkill, parent, parent, SIGCONT);
        }), EPERM);
    }
}

TEST_F(ConfinementTest, UsesTheSocketsOfItsOptions)
{
    EXPECT_EQ(error_of([] { return socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
    EXPECT_EQ(error_of([] { return socket(AF_INET6, SOCK_STREAM, 0); }), 0);
    EXPECT_EQ(error_of([] { return socket(AF_NETLINK, SOCK_RAW, 0); }), EPERM);
    EXPECT_EQ(error_of([] { return socket(AF_PACKET, SOCK_RAW, 0); }), EPERM);
}

/* The errno of a TCP connection to a port that somebody listens on */
int connect_to_tcp(const std::vector<VmOptions> &vms)
{
    sockaddr_in address = {};
    socklen_t size = sizeof(address);
    Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto *generic = reinterpret_cast<sockaddr *>(&address);

    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener.get(), generic, size);
    listen(listener.get(), 1);
    getsockname(listener.get(), generic, &size);
    return error_of(vms, [&] {
        return connect(socket(AF_INET, SOCK_STREAM, 0), generic, size);
    });
}

TEST_F(ConfinementTest, ConnectsToTcpOnlyIfAnOptionDoes)
{
    std::string error;

    if (syscall(SYS_landlock_create_ruleset, nullptr, 0, 1) >= 4) {
        EXPECT_EQ(connect_to_tcp(vms_), EACCES);
    }
    vms_[0].host.connects[80] = *tcp_endpoint("127.0.0.1", 80, &error);
    EXPECT_EQ(connect_to_tcp(vms_), 0);
}

TEST_F(ConfinementTest, MakesNothingExecutable)
{
    EXPECT_EQ(error_of([] {
        void *page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return mprotect(page, 4096, PROT_READ | PROT_EXEC);
    }), EPERM);
    EXPECT_EQ(error_of([] {
        return mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
    }), EPERM);
}

TEST_F(ConfinementTest, DumpsNoCore)
{
    EXPECT_EQ(error_of([] {
        rlimit limit = {1, 1};

        getrlimit(RLIMIT_CORE, &limit);
        return limit.rlim_max == 0 ? 0 : -1;
    }), 0);
    EXPECT_EQ(error_of([] {
        const rlimit limit = {0, 0};

        return setrlimit(RLIMIT_NOFILE, &limit);
    }), EPERM);
}

TEST(Landlock, AllowsWhatItIsTold)
{
    TemporaryDirectory readable, writable, other;
    std::string name = "file";

    for (TemporaryDirectory *directory : {&readable, &writable, &other}) {
        close(open((*directory / name).c_str(), O_CREAT | O_WRONLY, 0600));
    }
    if (!has_landlock()) {
        GTEST_SKIP() << "this kernel has no Landlock";
    }
    auto opens = [&](const TemporaryDirectory &directory, int flags) {
        return in_child([&] {
            Landlock landlock(Landlock::Tcp::allowed,
                              Landlock::Signals::refused);

            landlock.allow_read(readable / "");
            landlock.allow_write(writable / name);
            landlock.allow_read("/not/there");
            return !landlock.enforce() ? 255 :
                open((directory / name).c_str(), flags) < 0 ? errno : 0;
        });
    };
    EXPECT_EQ(opens(readable, O_RDONLY), 0);
    EXPECT_EQ(opens(readable, O_RDWR), EACCES);
    EXPECT_EQ(opens(writable, O_RDWR), 0);
    EXPECT_EQ(opens(other, O_RDONLY), EACCES);
}
