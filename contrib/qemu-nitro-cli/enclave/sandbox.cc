/*
 * The sandbox of QEMU: only files and sockets of its own enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/sandbox.hh"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <set>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptor.hh"
#include "landlock.hh"

namespace {

namespace fs = std::filesystem;

bool write_file(const char *path, const std::string &text)
{
    Descriptor file(open(path, O_WRONLY | O_CLOEXEC));

    return file && write(file.get(), text.data(), text.size()) ==
        static_cast<ssize_t>(text.size());
}

/*
 * Enter a mount namespace.  This needs a privilege, so enter a user namespace
 * first, in which user and group stay the same.  Root has the privilege; in a
 * user namespace of its own it could not read the files of others.
 */
bool unshare_mounts()
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0) {
        return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }
    std::string uid = std::to_string(geteuid());
    std::string gid = std::to_string(getegid());

    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
        write_file("/proc/self/setgroups", "deny") &&
        write_file("/proc/self/uid_map", uid + " " + uid + " 1") &&
        write_file("/proc/self/gid_map", gid + " " + gid + " 1") &&
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/* A path that is visible below the new root, and its open file */
struct VisiblePath {
    std::string path;
    Descriptor source;
    bool is_directory;
};

/*
 * Open them before the new root is mounted, which may cover them.  A path below
 * a directory of the list needs no mount of its own.
 */
std::vector<VisiblePath> open_all(const Sandbox &sandbox)
{
    std::set<std::string> paths;
    std::vector<VisiblePath> visible;

    for (const auto *some : {&sandbox.readable, &sandbox.directories,
                             &sandbox.devices}) {
        paths.insert(some->begin(), some->end());
    }
    for (const std::string &path : paths) {
        struct stat st;
        bool is_covered = std::any_of(visible.begin(), visible.end(),
                                      [&](const VisiblePath &above) {
            return above.is_directory && path.compare(
                0, above.path.size() + 1, above.path + "/") == 0;
        });
        Descriptor source(open(path.c_str(), O_PATH | O_CLOEXEC));

        if (!is_covered && source && fstat(source.get(), &st) == 0) {
            visible.push_back({path, std::move(source),
                               S_ISDIR(st.st_mode) != 0});
        }
    }
    return visible;
}

/* Mount an opened file below the new root, at its old path. */
bool bind_mount(const std::string &root, const VisiblePath &visible)
{
    std::error_code error;
    fs::path target = root + visible.path;
    std::string source = "/proc/self/fd/"
        + std::to_string(visible.source.get());

    fs::create_directories(visible.is_directory ? target
                           : target.parent_path(), error);
    if (!visible.is_directory) {
        Descriptor file(open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC,
                             0600));
    }
    return mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC,
                 nullptr) == 0;
}

bool hide_others(const Sandbox &sandbox)
{
    /* Any directory can be used: it is covered only in this mount namespace. */
    const std::string root = "/tmp";

    if (!unshare_mounts()) {
        return false;
    }
    std::vector<VisiblePath> visible = open_all(sandbox);
    if (mount("tmpfs", root.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
              "mode=755,size=1m")) {
        return false;
    }
    for (const VisiblePath &each : visible) {
        if (!bind_mount(root, each)) {
            return false;
        }
    }
    /* Replace the old root by the new one, and unmount the old one. */
    return chdir(root.c_str()) == 0 &&
        syscall(SYS_pivot_root, ".", ".") == 0 &&
        umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

bool restrict_files(const Sandbox &sandbox)
{
    Landlock landlock(Landlock::Tcp::refused, Landlock::Signals::refused);

    for (const std::string &path : sandbox.readable) {
        landlock.allow_read(path);
    }
    for (const std::string &path : sandbox.devices) {
        landlock.allow_device(path);
    }
    /* EPERM: the system call filter of a container does not know it. */
    return landlock.enforce() || errno == ENOSYS || errno == EOPNOTSUPP ||
        errno == EPERM;
}

} // namespace

bool namespaces_available()
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        _exit(hide_others(sandbox_of_programs()) ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0;
}

Sandbox sandbox_of_programs()
{
    return {
        .readable = {
            "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/nix",
            "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime",
            "/etc/gnutls", "/etc/crypto-policies",
            "/proc/self", "/proc/cpuinfo", "/proc/meminfo",
            "/proc/sys/vm/overcommit_memory",
            "/sys/devices/system", "/sys/kernel/mm",
        },
        .directories = {},
        .devices = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"},
    };
}

bool enter_sandbox(const Sandbox &sandbox)
{
    const rlimit no_core = {0, 0};

    return setrlimit(RLIMIT_CORE, &no_core) == 0 &&
        (!sandbox.namespaces || hide_others(sandbox)) &&
        restrict_files(sandbox);
}
