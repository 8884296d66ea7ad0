/*
 * Landlock: which files a process and its children can reach
 *
 * The constants and structs are those of <linux/landlock.h>; the header of the
 * oldest supported host (Linux 6.1) has only some of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "landlock.hh"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <iterator>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

/* Rights to files: LANDLOCK_ACCESS_FS_... */
constexpr uint64_t execute = 1 << 0, write_file = 1 << 1, read_file = 1 << 2,
    read_directory = 1 << 3, remove_directory = 1 << 4, remove_file = 1 << 5,
    make_file = 1 << 8, make_socket = 1 << 9, truncate_file = 1 << 14,
    ioctl_device = 1 << 15;

constexpr uint64_t reading = execute | read_file | read_directory;
constexpr uint64_t writing = read_file | write_file | truncate_file;
/* The rights that a rule for a file may have */
constexpr uint64_t of_files = execute | write_file | read_file | truncate_file |
    ioctl_device;

/* LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP */
constexpr uint64_t all_of_tcp = 3;
/* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL */
constexpr uint64_t scope_abstract_sockets = 1, scope_signals = 2;

constexpr unsigned create_version = 1;  /* LANDLOCK_CREATE_RULESET_VERSION */
constexpr int rule_path_beneath = 1;        /* LANDLOCK_RULE_PATH_BENEATH */

struct RulesetAttr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

struct __attribute__((packed)) PathBeneathAttr {
    uint64_t allowed_access;
    int32_t parent_fd;
};

/* The number of file rights in each version of the interface, from 1 */
constexpr int rights_of_version[] = {13, 14, 15, 15, 16};
constexpr int version_with_tcp = 4, version_with_scopes = 6;

} // namespace

Landlock::Landlock(Tcp tcp, Signals signals)
{
    RulesetAttr attr = {};
    long version = syscall(SYS_landlock_create_ruleset, nullptr, 0,
                           create_version);

    if (version < 1) {
        error_ = errno;
        return;
    }
    int last = std::min<long>(version, std::size(rights_of_version));
    file_rights_ = (1ULL << rights_of_version[last - 1]) - 1;
    attr.handled_access_fs = file_rights_;
    size_t size = offsetof(RulesetAttr, handled_access_net);
    if (version >= version_with_tcp) {
        attr.handled_access_net = tcp == Tcp::refused ? all_of_tcp : 0;
        size = offsetof(RulesetAttr, scoped);
    }
    if (version >= version_with_scopes) {
        attr.scoped = scope_abstract_sockets |
            (signals == Signals::refused ? scope_signals : 0);
        size = sizeof(attr);
    }
    rules_ = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    error_ = errno;
}

Landlock::~Landlock()
{
    if (rules_ >= 0) {
        close(rules_);
    }
}

void Landlock::allow(const std::string &path, uint64_t rights)
{
    struct stat st;

    if (rules_ < 0) {
        return;
    }
    int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode)) {
        rights &= of_files;
    }
    PathBeneathAttr attr = {rights & file_rights_, fd};
    syscall(SYS_landlock_add_rule, rules_, rule_path_beneath, &attr, 0);
    close(fd);
}

void Landlock::allow_read(const std::string &path)
{
    allow(path, reading);
}

void Landlock::allow_write(const std::string &path)
{
    allow(path, writing);
}

void Landlock::allow_device(const std::string &path)
{
    allow(path, writing | ioctl_device);
}

void Landlock::allow_sockets_in(const std::string &path)
{
    allow(path, read_directory | make_socket | remove_file);
}

void Landlock::allow_files_in(const std::string &path)
{
    allow(path, writing | read_directory | make_file | make_socket |
          remove_file);
}

void Landlock::allow_removal_in(const std::string &path)
{
    allow(path, read_directory | remove_directory);
}

bool Landlock::enforce()
{
    if (rules_ < 0) {
        errno = error_;
        return false;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, rules_, 0) == 0;
}
