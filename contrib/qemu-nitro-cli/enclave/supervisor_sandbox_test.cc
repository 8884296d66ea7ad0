/*
 * Tests of supervisor_sandbox.cc
 *
 * Each call is made in a child, which stays in the sandbox.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/supervisor_sandbox.hh"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox_testing.hh"
#include "support/atomic_file.hh"
#include "support/test_support.hh"
#include "support/unix_socket.hh"

namespace {

class SupervisorSandboxTest : public DirectoryTest {
protected:
    SupervisorSandboxTest()
    {
        for (const char *name : {"runtime", "runtime/own", "runtime/other",
                                 "sockets", "programs"}) {
            std::filesystem::create_directory(path(name));
        }
        for (const char *name : {"runtime/lock", "runtime/own/enclave.json",
                                 "runtime/other/enclave.json", "secret",
                                 "programs/backend"}) {
            write(name, "content");
        }
        sandbox.enclave = path("runtime/own");
        sandbox.runtime = path("runtime");
        sandbox.programs = path("programs");
        sandbox.socket_directories = {path("sockets")};
    }

    /* The errno with which a call fails in the sandbox; 0 if it succeeds */
    int error_of(const std::function<long()> &call) const
    {
        return error_in_sandbox([this] {
            return enter_supervisor_sandbox(sandbox);
        }, call);
    }
    int error_of_open(const std::string &file, int flags) const
    {
        return error_of([&] { return open(file.c_str(), flags, 0600); });
    }
    int error_of_listen(const std::string &file) const
    {
        return error_of([&] { return listen_unix(file) ? 0 : -1; });
    }

    SupervisorSandbox sandbox;
};

int connect_to_tcp()
{
    sockaddr_in address = {};

    address.sin_family = AF_INET;
    address.sin_port = htons(1);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(socket(AF_INET, SOCK_STREAM, 0),
                   reinterpret_cast<sockaddr *>(&address), sizeof(address));
}

} // namespace

TEST_F(SupervisorSandboxTest, ChangesFilesOfItsEnclave)
{
    EXPECT_EQ(error_of([&] {
        AtomicFile file(path("runtime/own/enclave.json"));
        file.write("new", 3);
        file.commit();
        return 0;
    }), 0);
    EXPECT_EQ(read("runtime/own/enclave.json"), "new");
    EXPECT_EQ(error_of_listen(path("runtime/own/vsock.sock")), 0);
    EXPECT_EQ(error_of_listen(path("sockets/one")), 0);
    EXPECT_EQ(error_of_open(path("runtime/lock"), O_RDWR | O_CREAT), 0);
    EXPECT_EQ(error_of([&] {
        std::error_code error;
        std::filesystem::remove_all(sandbox.enclave, error);
        return rmdir(sandbox.enclave.c_str());
    }), 0);
    EXPECT_FALSE(std::filesystem::exists(sandbox.enclave));
}

TEST_F(SupervisorSandboxTest, ChangesNoOtherFile)
{
    if (!has_landlock()) {
        GTEST_SKIP() << "this kernel has no Landlock";
    }
    for (const char *file : {"secret", "runtime/other/enclave.json"}) {
        EXPECT_EQ(error_of_open(path(file), O_RDONLY), EACCES) << file;
        EXPECT_EQ(error_of([&] { return unlink(path(file).c_str()); }),
                  EACCES) << file;
    }
    for (const char *file : {"new", "programs/new", "sockets/new",
                             "runtime/new", "runtime/other/new"}) {
        EXPECT_EQ(error_of_open(path(file), O_CREAT | O_WRONLY), EACCES)
            << file;
    }
    EXPECT_EQ(error_of_open(path("programs/backend"), O_RDWR), EACCES);
    EXPECT_EQ(error_of_listen(path("runtime/other/socket")), EACCES);
    EXPECT_EQ(error_of_open("/etc/passwd", O_RDONLY), EACCES);
}

TEST_F(SupervisorSandboxTest, StartsPrograms)
{
    char program[] = "/bin/true";
    char *const words[] = {program, nullptr};

    EXPECT_EQ(error_of_open(path("programs/backend"), O_RDONLY), 0);
    EXPECT_EQ(error_of([&] {
        pid_t pid = fork();
        int status = 1;

        if (pid == 0) {
            execv(program, words);
            _exit(1);
        }
        waitpid(pid, &status, 0);
        return status == 0 ? 0 : -1;
    }), 0);
}

TEST_F(SupervisorSandboxTest, UsesTcpIfTheBackEndDoes)
{
    if (!has_landlock(4)) {
        GTEST_SKIP() << "this kernel's Landlock does not know TCP";
    }
    EXPECT_EQ(error_of(connect_to_tcp), EACCES);
    EXPECT_EQ(error_of_open("/etc/hosts", O_RDONLY), EACCES);
    sandbox.uses_tcp = true;
    EXPECT_EQ(error_of(connect_to_tcp), ECONNREFUSED);
    EXPECT_EQ(error_of_open("/etc/hosts", O_RDONLY), 0);
}

TEST_F(SupervisorSandboxTest, RefusesSystemCalls)
{
    pid_t parent = getpid();

    EXPECT_EQ(error_of([&] {
        return ptrace(PTRACE_ATTACH, parent, 0, 0);
    }), EPERM);
    EXPECT_EQ(error_of([] { return unshare(CLONE_NEWUSER); }), EPERM);
    EXPECT_EQ(error_of([] {
        return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr,
                       nullptr, nullptr);
    }), EPERM);
    EXPECT_EQ(error_of([] {
        clone_args args = {};

        args.flags = CLONE_NEWUSER;
        return syscall(SYS_clone3, &args, sizeof(args));
    }), ENOSYS);
    EXPECT_EQ(error_of([] {
        return syscall(SYS_io_uring_setup, 0, nullptr);
    }), EPERM);
}

TEST_F(SupervisorSandboxTest, ShowsNoMemory)
{
    EXPECT_EQ(error_of([] {
        rlimit limit = {1, 1};

        getrlimit(RLIMIT_CORE, &limit);
        return limit.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
            prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -1;
    }), 0);
}
