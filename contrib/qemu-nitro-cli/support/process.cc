/*
 * Other processes: identifying them, finding programs, starting them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/process.hh"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "descriptor.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

namespace fs = std::filesystem;

constexpr int kill_wait_ms = 10000;

/* Fail if it is not known whether the process runs. */
[[noreturn]] void fail(pid_t pid)
{
    throw Error(Code::file, "process " + std::to_string(pid) + ": "
                + error_text(errno), "Try again; see what the limits are:"
                " ulimit -a");
}

/* Read state and start time of a process from /proc/PID/stat (proc(5)).
 * Returns false if there is no such process.  Throws Error if reading fails. */
bool read_stat(pid_t pid, char *state, uint64_t *start)
{
    constexpr int start_field = 22;
    std::string path = "/proc/" + std::to_string(pid) + "/stat", word;
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    char text[4096];
    ssize_t size = file ? read(file.get(), text, sizeof(text)) : -1;

    if (size < 0 && (errno == ENOENT || errno == ESRCH)) {
        return false;
    }
    if (size < 0) {
        fail(pid);
    }
    /* The name may have any characters; it ends at the last parenthesis. */
    std::string line(text, size);
    if (line.rfind(')') == std::string::npos) {
        return false;
    }
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    for (int field = 3; field <= start_field; field++) {
        if (!(rest >> word)) {
            return false;
        }
        if (field == 3) {
            *state = word[0];
        }
    }
    *start = strtoull(word.c_str(), nullptr, 10);
    return true;
}

/* A pidfd, if it is still the same process and it runs.  Throws Error if this
 * cannot be determined. */
Descriptor open_process(const ProcessId &process)
{
    uint64_t start;
    char state;

    if (process.pid <= 1) {
        return Descriptor();
    }
    /* Open the pidfd before reading the start: its process never changes. */
    Descriptor fd(syscall(SYS_pidfd_open, process.pid, 0));
    /* If the number is now a thread's, this is a different error. */
    if (!fd && errno != ESRCH && errno != EINVAL && errno != ENOENT) {
        fail(process.pid);
    }
    if (!fd || !read_stat(process.pid, &state, &start) ||
        start != process.start || state == 'Z') {
        return Descriptor();
    }
    return fd;
}

bool is_program(const fs::path &path)
{
    return access(path.c_str(), X_OK) == 0 && fs::is_regular_file(path);
}

std::vector<fs::path> path_directories()
{
    const char *path = getenv("PATH");
    std::istringstream words(path ? path : "/usr/local/bin:/usr/bin:/bin");
    std::vector<fs::path> directories;
    std::string word;

    while (std::getline(words, word, ':')) {
        directories.emplace_back(word.empty() ? "." : word);
    }
    return directories;
}

/* The link or file that was executed to start this program */
fs::path called_file()
{
    std::string called_as = program_invocation_name;

    if (called_as.find('/') != std::string::npos) {
        return called_as;
    }
    for (const fs::path &directory : path_directories()) {
        if (is_program(directory / called_as)) {
            return directory / called_as;
        }
    }
    return {};
}

[[noreturn]] void become(std::vector<std::string> command,
                         const ChildFiles &files,
                         const std::function<bool()> &confine, pid_t parent)
{
    std::vector<char *> words;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);   /* It tells what it cannot write. */
    if (confine && !confine()) {
        dprintf(files.err, "%s: it cannot be confined: %s\n",
                command[0].c_str(), error_text(errno).c_str());
        _exit(127);
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
        dup2(files.in, 0) < 0 || dup2(files.out, 1) < 0 ||
        dup2(files.err, 2) < 0) {
        _exit(127);
    }
    for (int fd : files.kept) {
        fcntl(fd, F_SETFD, 0);
    }
    words.reserve(command.size() + 1);
    for (std::string &word : command) {
        words.push_back(word.data());
    }
    words.push_back(nullptr);
    execv(words[0], words.data());
    dprintf(2, "%s: %s\n", words[0], error_text(errno).c_str());
    _exit(127);
}

} // namespace

ProcessId process_id(pid_t pid)
{
    ProcessId process{pid, 0};
    char state;

    read_stat(pid, &state, &process.start);
    return process;
}

bool send_signal(const ProcessId &process, int signal)
{
    Descriptor fd = open_process(process);

    return fd && syscall(SYS_pidfd_send_signal, fd.get(), signal, nullptr, 0)
        == 0;
}

bool kill_and_wait(const ProcessId &process)
{
    Descriptor fd = open_process(process);

    if (!fd) {
        return true;
    }
    syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
    pollfd ended = {fd.get(), POLLIN, 0};
    return poll(&ended, 1, kill_wait_ms) == 1;
}

std::vector<std::string> program_directories()
{
    std::vector<std::string> directories;
    std::error_code error;
    fs::path file = called_file();

    for (int i = 0; i < max_symlinks && !file.empty(); i++) {
        directories.push_back(fs::absolute(file.parent_path()));
        fs::path target = fs::read_symlink(file, error);
        if (error) {
            break;
        }
        file = file.parent_path() / target;
    }
    fs::path exe = fs::read_symlink("/proc/self/exe", error);
    if (!error) {
        directories.push_back(exe.parent_path());
    }
    return directories;
}

std::string find_program(const std::string &name)
{
    std::vector<fs::path> places;

    for (const fs::path bin : program_directories()) {
        places.push_back(bin);
        places.push_back(bin / "../libexec/qemu-nitro-enclave");
        places.push_back(bin / "../libexec");
    }
    for (const fs::path &directory : path_directories()) {
        places.push_back(directory);
    }
    for (const fs::path &place : places) {
        if (is_program(place / name)) {
            return fs::absolute(place / name);
        }
    }
    throw Error(Code::file, "the program " + name + " is not found",
                "Put it beside qemu-nitro-cli, or in $PATH.");
}

pid_t start_bound(const std::vector<std::string> &command,
                  const ChildFiles &files,
                  const std::function<bool()> &confine)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        become(command, files, confine, parent);
    }
    return pid;
}
