/*
 * A back end, and the host programs at the other end of a guest's connections
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "testing/host_programs.hh"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>

#include "testing/front_end.hh"

namespace {

[[noreturn]] void fail(const std::string &what)
{
    throw std::runtime_error(what + ": "
                             + std::generic_category().message(errno));
}

sockaddr_un unix_address(const std::string &path)
{
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    memcpy(address.sun_path, path.c_str(), path.size());
    return address;
}

} // namespace

BackEnd::BackEnd(const std::string &program,
               const std::vector<std::string> &arguments,
               const std::string &log, size_t descriptor_limit)
{
    std::vector<char *> argv = {const_cast<char *>(program.c_str())};
    Descriptor out(open((log + ".out").c_str(),
                        O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    Descriptor err(open((log + ".err").c_str(),
                        O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

    for (const std::string &argument : arguments) {
        argv.push_back(const_cast<char *>(argument.c_str()));
    }
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) {
        fail("fork");
    }
    if (pid_ == 0) {
        /* The back end ends even if the test crashes. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = std::min<rlim_t>(descriptor_limit, limit.rlim_max);
        setrlimit(RLIMIT_NOFILE, &limit);
        dup2(out.get(), STDOUT_FILENO);
        dup2(err.get(), STDERR_FILENO);
        execv(program.c_str(), argv.data());
        _exit(127);
    }
}

BackEnd::~BackEnd()
{
    if (alive()) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

bool BackEnd::alive()
{
    if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) {
        pid_ = -1;
    }
    return pid_ > 0;
}

int BackEnd::stop()
{
    auto end = std::chrono::steady_clock::now()
        + std::chrono::milliseconds(max_wait);

    if (alive()) {
        kill(pid_, SIGTERM);
    }
    while (alive()) {
        if (std::chrono::steady_clock::now() > end) {
            kill(pid_, SIGKILL);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return status_;
}

size_t BackEnd::descriptors() const
{
    std::filesystem::directory_iterator list(
        "/proc/" + std::to_string(pid_) + "/fd");

    return std::distance(begin(list), end(list));
}

size_t BackEnd::resident() const
{
    std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
    size_t all = 0, resident = 0;

    file >> all >> resident;
    return resident * sysconf(_SC_PAGESIZE);
}

double BackEnd::cpu_seconds() const
{
    std::filesystem::directory_iterator threads(
        "/proc/" + std::to_string(pid_) + "/task");
    double total = 0;

    /* /proc/PID/stat counts clock ticks, which are too long for an idle one. */
    for (const auto &thread : threads) {
        std::ifstream file(thread.path() / "schedstat");
        double nanoseconds = 0;

        file >> nanoseconds;
        total += nanoseconds * 1e-9;
    }
    return total;
}

void raise_descriptor_limit()
{
    rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

HostSocket::HostSocket(Descriptor fd)
    : fd_(std::move(fd))
{
    timeval limit = {.tv_sec = max_wait / 1000, .tv_usec = 0};

    if (!fd_) {
        fail("a host's socket");
    }
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

HostSocket::HostSocket(const std::string &path, int type)
    : HostSocket(connect_unix(path, type))
{
}

void HostSocket::write(std::string_view data)
{
    while (!data.empty()) {
        ssize_t n = send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);

        if (n <= 0) {
            fail("a host program's write");
        }
        data.remove_prefix(n);
    }
}

std::string HostSocket::read(size_t size)
{
    std::string data(size, 0);

    for (size_t done = 0; done < size;) {
        ssize_t n = recv(fd_.get(), &data[done], size - done, 0);

        if (n == 0) {
            errno = EPIPE;
        }
        if (n <= 0) {
            fail("a host program has read " + std::to_string(done) + " of "
                 + std::to_string(size) + " bytes");
        }
        done += n;
    }
    return data;
}

std::string HostSocket::read_message(size_t size)
{
    std::string data(size, 0);
    ssize_t n = recv(fd_.get(), data.data(), size, 0);

    if (n <= 0) {
        fail("a host program has no message");
    }
    data.resize(n);
    return data;
}

std::string HostSocket::read_line()
{
    std::string line;

    for (char c = 0; c != '\n';) {
        c = read(1)[0];
        line += c;
    }
    line.pop_back();
    return line;
}

bool HostSocket::at_end()
{
    char byte;
    ssize_t n = recv(fd_.get(), &byte, 1, 0);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void HostSocket::shutdown_write()
{
    shutdown(fd_.get(), SHUT_WR);
}

HostListener::HostListener(const std::string &path, int type)
    : path_(path), fd_(socket(AF_UNIX, type | SOCK_CLOEXEC, 0))
{
    constexpr int backlog = 4096;
    sockaddr_un address = unix_address(path);

    if (bind(fd_.get(), reinterpret_cast<sockaddr *>(&address),
             sizeof(address)) || listen(fd_.get(), backlog)) {
        fail(path);
    }
}

HostListener::~HostListener()
{
    unlink(path_.c_str());
}

HostSocket HostListener::accept()
{
    if (!wait_readable(fd_.get(), max_wait)) {
        errno = ETIMEDOUT;
        fail(path_);
    }
    return HostSocket(Descriptor(::accept4(fd_.get(), nullptr, nullptr,
                                           SOCK_CLOEXEC)));
}
