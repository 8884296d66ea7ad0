/*
 * The program that runs as if on the parent instance: its start and its end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/program.hh"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "parent/filter.hh"
#include "parent/notifications.hh"
#include "parent/target.hh"
#include "passing.hh"
#include "support/errors.hh"

namespace {

const char *const other_ways = "Without it, run-enclave --connect and --listen"
    " connect the enclave to TCP and Unix sockets, and programs can use the"
    " sockets in its directory; see the manual.";

[[noreturn]] void unsupported(const std::string &what, int error)
{
    throw Error(Code::boot, "this system does not let the command parent"
                " answer system calls: " + what + ": " + error_text(error),
                other_ways);
}

/* A message from the child, with the listener if there is one */
struct Report {
    int error;
};

bool send_report(int channel, int error, int listener)
{
    const Report report = {error};
    std::span<const int> passed(&listener, listener >= 0 ? 1 : 0);

    return send_with_descriptors(channel, &report, sizeof(report), passed)
        == sizeof(report);
}

/* Returns false at the end: the child has started the program, or has died. */
bool receive_report(const Descriptor &channel, int *error,
                    Descriptor *listener)
{
    Report report = {};
    ssize_t n = receive_with_descriptor(channel.get(), &report, sizeof(report),
                                        0, listener);

    *error = report.error;
    return n == sizeof(report);
}

/* The path that execvp() will find, if there is one */
std::string path_of(const std::string &program)
{
    if (program.find('/') != std::string::npos) {
        return program;
    }
    const char *path = getenv("PATH");
    std::istringstream directories(path ? path
                                        : "/usr/local/bin:/usr/bin:/bin");

    for (std::string directory; std::getline(directories, directory, ':');) {
        std::string file = (directory.empty() ? "." : directory) + "/"
            + program;

        if (access(file.c_str(), X_OK) == 0) {
            return file;
        }
    }
    return "";
}

/* Such a program runs as this user: an unprivileged process can install a
 * filter only with no_new_privs. */
void warn_of_set_uid(const std::string &program)
{
    std::string path = path_of(program);
    struct stat st;

    if (!path.empty() && stat(path.c_str(), &st) == 0 &&
        (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
         ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
          st.st_gid != getegid()))) {
        fprintf(stderr, "warning: %s is set-uid or set-gid: under the command"
                " parent it runs as user %u (no_new_privs)\n",
                printable(path).c_str(), geteuid());
    }
}

/* Is the filter of another parent command in force?  Its AF_VSOCK sockets are
 * Unix sockets, which can be bound to a name that the kernel chooses. */
bool is_nested()
{
    Descriptor probe(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr any = {};

    any.sa_family = AF_UNIX;
    return probe && bind(probe.get(), &any, sizeof(any.sa_family)) == 0;
}

/* The program also uses standard input and output. */
void leave_standard_files()
{
    Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));

    for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        dup2(null.get(), standard);
    }
}

/* The descriptors that belong only to the program: a process that waits for
 * them to be closed must not wait for this process. */
void close_others(int kept)
{
    constexpr int first = STDERR_FILENO + 1;

    if (kept > first) {
        close_range(first, kept - 1, 0);
    }
    close_range(std::max(kept + 1, first), ~0U, 0);
}

} // namespace

Program::Program(std::vector<std::string> words) : words_(std::move(words))
{
    sigset_t all, mask;
    int ends[2];

    warn_of_set_uid(words_[0]);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
        throw Error(Code::boot, "socketpair: " + error_text(errno),
                    "Try again.");
    }
    channel_.reset(ends[0]);
    Descriptor theirs(ends[1]);
    /* The supervisor reads signals from a descriptor; the program does not. */
    sigfillset(&all);
    for (int s : {SIGTSTP, SIGTTIN, SIGTTOU}) {
        sigdelset(&all, s);
    }
    sigprocmask(SIG_BLOCK, &all, &mask);
    pid_ = fork();
    if (pid_ == 0) {
        channel_.reset();           /* to notice the end of the other one */
        be_child(theirs.get(), mask);
    }
    if (pid_ < 0) {
        throw Error(Code::boot, "fork: " + error_text(errno),
                    "Try again.");
    }
    signal(SIGCHLD, SIG_DFL);   /* It may have been ignored before. */
    int fd = theirs.get();
    theirs.reset();
    close_others(channel_.get());
    try {
        receive_listener(fd);
    } catch (...) {
        end_child();
        throw;
    }
}

Program::~Program()
{
    end_child();
}

/* The child ends, unless start() was called. */
void Program::end_child()
{
    if (channel_ && pid_ > 0) {
        channel_.reset();
        waitpid(pid_, nullptr, 0);
    }
}

void Program::be_child(int fd, const sigset_t &mask)
{
    std::vector<char *> arguments;
    int listener = -1, error = 0;
    char go;

    try {
        listener = load_filter(make_filter());
    } catch (const Error &) {
        listener = -ENOSYS;
    }
    if (listener < 0) {
        error = -listener;
        listener = -1;
    }
    if (!send_report(fd, error, listener)) {
        _exit(1);
    }
    close(listener);
    if (recv(fd, &go, 1, 0) != 1) {
        _exit(1);
    }
    for (std::string &word : words_) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    execvp(arguments[0], arguments.data());
    send_report(fd, errno, -1);
    _exit(1);
}

void Program::receive_listener(int fd)
{
    int error;

    if (!receive_report(channel_, &error, &listener_)) {
        throw Error(Code::boot, "the process of " + words_[0]
                    + " was killed", "Try again.");
    }
    if (error == EBUSY && is_nested()) {
        return;             /* There is a supervisor already. */
    }
    if (error) {
        unsupported("seccomp", error);
    }
    /* Access the program's files and memory once, as the supervisor will do, to
     * find out early whether this is permitted. */
    Target child(pid_);
    char byte;
    if (!child.file(fd)) {
        unsupported("pidfd_getfd", errno);
    }
    if (!child.read(reinterpret_cast<uint64_t>(&byte), &byte, 1)) {
        unsupported("process_vm_readv", errno);
    }
    Notifications notifications(Descriptor(dup(listener_.get())));
    if (!notifications.can_install()) {
        unsupported("SECCOMP_ADDFD_FLAG_SEND, which Linux 5.14 has", errno);
    }
}

void Program::start()
{
    Descriptor none;
    int error;

    send(channel_.get(), "", 1, MSG_NOSIGNAL);
    if (receive_report(channel_, &error, &none)) {
        throw Error(Code::file, words_[0] + ": " + error_text(error),
                    "Give a program that can be executed.");
    }
    channel_.reset();
    leave_standard_files();
}

void end_like(int status)
{
    fflush(nullptr);
    if (WIFSIGNALED(status)) {
        const rlimit no_core = {0, 0};
        int number = WTERMSIG(status);
        sigset_t set;

        /* Only the program's core dump is useful. */
        setrlimit(RLIMIT_CORE, &no_core);
        signal(number, SIG_DFL);
        sigemptyset(&set);
        sigaddset(&set, number);
        sigprocmask(SIG_UNBLOCK, &set, nullptr);
        raise(number);
        _exit(128 + number);
    }
    _exit(WEXITSTATUS(status));
}
