/*
 * Files that are read whole, directories of this user alone, and locks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/files.hh"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "support/errors.hh"

namespace {

const char *const read_advice = "Check that the file exists and can be read.";

/* How often waiting for a lock is interrupted, after its time is over */
constexpr int alarm_ms = 50;

/*
 * Interrupts a system call that waits, after some time, and again and again:
 * the signal may come just before the call.
 */
class Alarm {
public:
    explicit Alarm(int milliseconds)
    {
        struct sigaction action = {};
        itimerval timer = {time_of(alarm_ms), time_of(milliseconds)};
        sigset_t set;

        action.sa_handler = [](int) {};
        sigaction(SIGALRM, &action, &action_);
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(SIG_UNBLOCK, &set, &mask_);
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
    Alarm(const Alarm &) = delete;
    Alarm &operator=(const Alarm &) = delete;
    ~Alarm()
    {
        itimerval none = {};

        setitimer(ITIMER_REAL, &none, nullptr);
        sigprocmask(SIG_SETMASK, &mask_, nullptr);
        sigaction(SIGALRM, &action_, nullptr);
    }

private:
    static timeval time_of(int milliseconds)
    {
        return {milliseconds / 1000, milliseconds % 1000 * 1000};
    }

    struct sigaction action_;
    sigset_t mask_;
};

} // namespace

std::optional<Bytes> read_file_if_there(const std::string &path)
{
    constexpr size_t piece = 64 << 10, max_size = 16 << 20;
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes data;

    if (!file && errno == ENOENT) {
        return {};
    }
    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno), read_advice);
    }
    while (data.size() <= max_size) {
        size_t had = data.size();

        data.resize(had + piece);
        ssize_t n = read(file.get(), data.data() + had, piece);
        if (n < 0) {
            throw Error(Code::file, path + ": " + error_text(errno),
                        read_advice);
        }
        data.resize(had + n);
        if (n == 0) {
            return data;
        }
    }
    throw Error(Code::file, path + ": more than "
                + std::to_string(max_size >> 20) + " MiB",
                "Check that this is the right file.");
}

Bytes read_file(const std::string &path)
{
    std::optional<Bytes> data = read_file_if_there(path);

    if (!data) {
        throw Error(Code::file, path + ": " + error_text(ENOENT), read_advice);
    }
    return *std::move(data);
}

void make_private_directory(const std::string &path)
{
    struct stat st;

    if (mkdir(path.c_str(), 0700) && errno != EEXIST) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that this folder can be made.");
    }
    if (lstat(path.c_str(), &st) || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077)) {
        throw Error(Code::file, path + ": this is no folder of "
                    + "user " + std::to_string(geteuid()) + " alone",
                    "Remove it, or give it to that user with mode 0700.");
    }
}

/* The kernel gives the lock to those who wait one after the other. */
bool take_lock(const Descriptor &file, int operation, int milliseconds)
{
    auto end = std::chrono::steady_clock::now()
        + std::chrono::milliseconds(milliseconds);
    auto take = [&](int how) {
        if (flock(file.get(), operation | how) == 0) {
            return true;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            throw Error(Code::file, "a lock: " + error_text(errno),
                        "Try again.");
        }
        return false;
    };

    if (take(LOCK_NB)) {
        return true;
    }
    if (milliseconds <= 0) {
        return false;
    }
    Alarm alarm(milliseconds);
    while (!take(0)) {
        if (std::chrono::steady_clock::now() >= end) {
            return false;
        }
    }
    return true;
}

Descriptor lock_file(const std::string &path, int milliseconds)
{
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC
                         | O_NOFOLLOW, 0600));

    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that this file can be written.");
    }
    if (!take_lock(file, LOCK_EX, milliseconds)) {
        return Descriptor();
    }
    return file;
}

