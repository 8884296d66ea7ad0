/*
 * A thread of the program that waits in a system call: its memory and files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/target.hh"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <sys/syscall.h>
#include <sys/uio.h>

namespace {

/* PIDFD_THREAD, since Linux 6.9; the headers of Debian 12 lack it. */
constexpr unsigned pidfd_thread = O_EXCL;

int pidfd_open(pid_t pid, unsigned flags)
{
    return static_cast<int>(syscall(SYS_pidfd_open, pid, flags));
}

/* The process of the thread; 0 if the thread has ended */
pid_t process_of(pid_t thread)
{
    std::ifstream status("/proc/" + std::to_string(thread) + "/status");

    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("Tgid:")) {
            return atoi(line.c_str() + 5);
        }
    }
    return 0;
}

iovec remote_iovec(uint64_t address, size_t size)
{
    /* An address in another process, which this process never uses */
    return {reinterpret_cast<void *>(address), size};
}

} // namespace

bool Target::read(uint64_t address, void *to, size_t size) const
{
    iovec local = {to, size}, remote = remote_iovec(address, size);

    return process_vm_readv(thread_, &local, 1, &remote, 1, 0)
        == static_cast<ssize_t>(size);
}

bool Target::write(uint64_t address, const void *from, size_t size) const
{
    iovec local = {const_cast<void *>(from), size};
    iovec remote = remote_iovec(address, size);

    return process_vm_writev(thread_, &local, 1, &remote, 1, 0)
        == static_cast<ssize_t>(size);
}

Descriptor Target::file(int fd) const
{
    Descriptor thread(pidfd_open(thread_, pidfd_thread));

    if (!thread && errno == EINVAL) {
        thread.reset(pidfd_open(process_of(thread_), 0));
    }
    return thread ? Descriptor(static_cast<int>(
                        syscall(SYS_pidfd_getfd, thread.get(), fd, 0)))
                  : Descriptor();
}

Descriptor Target::end() const
{
    return Descriptor(pidfd_open(thread_, pidfd_thread));
}
