/*
 * Tests of process.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/process.hh"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#include "support/test_support.hh"

namespace {

class Process : public DirectoryTest {
protected:
    /* A child that waits to be killed */
    static pid_t sleeper()
    {
        pid_t pid = fork();

        if (pid == 0) {
            pause();
            _exit(0);
        }
        return pid;
    }
    static int wait_status(pid_t pid)
    {
        int status = 0;

        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        return status;
    }
};

TEST_F(Process, IsTheOneThatStartedThen)
{
    pid_t pid = sleeper();
    ProcessId process = process_id(pid), other = process;

    EXPECT_GT(process.start, 0u);
    EXPECT_EQ(process_id(pid).start, process.start);
    other.start++;
    EXPECT_FALSE(send_signal(other, SIGKILL));
    EXPECT_TRUE(kill_and_wait(other));
    EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), 0);

    EXPECT_TRUE(send_signal(process, 0));
    EXPECT_TRUE(kill_and_wait(process));
    EXPECT_FALSE(send_signal(process, 0));      /* nobody has waited yet */
    EXPECT_EQ(WTERMSIG(wait_status(pid)), SIGKILL);
    EXPECT_FALSE(send_signal(process, 0));
    EXPECT_EQ(process_id(pid).start, 0u);
}

TEST_F(Process, RunsOnWhereItCannotBeSeen)
{
    pid_t pid = sleeper();
    ProcessId process = process_id(pid);

    for (rlim_t more : {0, 1}) {
        FewDescriptors few(more);

        EXPECT_EQ(code_of([&] { send_signal(process, SIGKILL); }), 19);
        EXPECT_EQ(code_of([&] { kill_and_wait(process); }), 19);
    }
    EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), 0);
    EXPECT_TRUE(kill_and_wait(process));
    wait_status(pid);
}

TEST_F(Process, NoneOfTheFirst)
{
    for (pid_t pid : {0, 1, -1}) {
        ProcessId process = process_id(pid);

        EXPECT_FALSE(send_signal(process, 0)) << pid;
        EXPECT_FALSE(send_signal({pid, 0}, 0)) << pid;
    }
}

/* The name is between parentheses, and may contain some. */
TEST_F(Process, NameThatMisleads)
{
    std::string program = path("a) R 1 (b");

    std::filesystem::copy("/bin/sleep", program);
    pid_t pid = start_bound({program, "1000"}, {0, 1, 2, {}});
    ASSERT_GT(pid, 0);
    uint64_t start = process_id(pid).start;
    while (std::ifstream("/proc/" + std::to_string(pid) + "/comm").peek()
           != 'a') {
        usleep(1000);
    }
    EXPECT_EQ(process_id(pid).start, start);
    EXPECT_TRUE(kill_and_wait({pid, start}));
    wait_status(pid);
}

TEST_F(Process, FilesOfAChild)
{
    Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
    Descriptor out(open(path("out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC,
                        0600));
    Descriptor kept(open(path("kept").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC,
                         0600));
    Descriptor secret(open(path("secret").c_str(), O_CREAT | O_WRONLY
                           | O_CLOEXEC, 0600));
    std::string fd = std::to_string(kept.get());
    pid_t pid = start_bound({"/bin/sh", "-c", "readlink /proc/$$/fd/*;"
                             " echo text >&" + fd + "; echo error >&2"},
                            {null.get(), out.get(), out.get(), {kept.get()}});

    ASSERT_GT(pid, 0);
    EXPECT_EQ(wait_status(pid), 0);
    std::string out_text = read("out");
    EXPECT_TRUE(out_text.starts_with("/dev/null\n"));
    EXPECT_TRUE(out_text.ends_with("error\n"));
    EXPECT_NE(out_text.find(path("kept")), std::string::npos);
    EXPECT_EQ(out_text.find(path("secret")), std::string::npos);
    EXPECT_EQ(read("kept"), "text\n");
}

TEST_F(Process, ProgramThatIsNotThere)
{
    Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
    Descriptor out(open(path("out").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC,
                        0600));
    pid_t pid = start_bound({"/nonexistent"},
                            {null.get(), null.get(), out.get(), {}});

    ASSERT_GT(pid, 0);
    EXPECT_EQ(WEXITSTATUS(wait_status(pid)), 127);
    EXPECT_NE(read("out").find("/nonexistent"), std::string::npos);
}

/* Even SIGKILL of the parent ends the child: its end of the pipe closes. */
TEST_F(Process, BoundToItsParent)
{
    int ends[2];

    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0) {
        start_bound({"/bin/sleep", "1000"}, {0, ends[1], 2, {}});
        pause();
    }
    close(ends[1]);
    pollfd closed = {ends[0], POLLIN, 0};
    EXPECT_EQ(poll(&closed, 1, 100), 0);
    kill(parent, SIGKILL);
    EXPECT_EQ(poll(&closed, 1, 60000), 1);
    EXPECT_TRUE(closed.revents & POLLHUP);
    wait_status(parent);
    close(ends[0]);
}

TEST_F(Process, FindProgram)
{
    EXPECT_EQ(find_program("sh").substr(find_program("sh").size() - 3), "/sh");
    EXPECT_EQ(code_of([] { find_program("no-such-program"); }), 19);
    /* a directory, or a file that is not executable, is ignored */
    write("text", "");
    setenv("PATH", dir.c_str(), 1);
    EXPECT_EQ(code_of([] { find_program("text"); }), 19);
    std::filesystem::create_directory(path("folder"));
    EXPECT_EQ(code_of([] { find_program("folder"); }), 19);
    ASSERT_EQ(chmod(path("text").c_str(), 0700), 0);
    EXPECT_EQ(find_program("text"), path("text"));
    setenv("PATH", "/usr/bin:/bin", 1);
}

TEST_F(Process, DirectoriesOfAllLinks)
{
    char *const before = program_invocation_name;
    std::string called = path("first/link");

    for (const char *directory : {"first", "second", "third"}) {
        std::filesystem::create_directory(path(directory));
    }
    std::filesystem::create_symlink("../second/link", called);
    std::filesystem::create_symlink(path("third/program"),
                                    path("second/link"));
    write("third/program", "");
    program_invocation_name = called.data();
    std::vector<std::string> directories = program_directories();
    ASSERT_EQ(directories.size(), 4u);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(std::filesystem::canonical(directories[i]),
                  path(std::vector{"first", "second", "third"}[i]));
    }

    /* links in a circle end too */
    std::filesystem::remove(path("second/link"));
    std::filesystem::create_symlink("../first/link", path("second/link"));
    EXPECT_GT(program_directories().size(), 2u);
    program_invocation_name = before;
}

} // namespace
