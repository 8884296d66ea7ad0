/*
 * A thread of the program that waits in a system call: its memory and files
 *
 * The thread may be killed at any moment, and another one may get its number.
 * The caller checks afterwards that the system call is still waiting
 * (Notifications::is_waiting()), before it uses what was read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_TARGET_HH
#define QEMU_NITRO_CLI_PARENT_TARGET_HH

#include <cstdint>
#include <sys/types.h>

#include "descriptor.hh"

class Target {
public:
    explicit Target(pid_t thread) : thread_(thread) {}

    /* Read or write all bytes.  Return false if some are not mapped, or if
     * access is not permitted. */
    bool read(uint64_t address, void *to, size_t size) const;
    bool write(uint64_t address, const void *from, size_t size) const;

    template <class T> bool get(uint64_t address, T *value) const
    {
        return read(address, value, sizeof(T));
    }
    template <class T> bool put(uint64_t address, const T &value) const
    {
        return write(address, &value, sizeof(T));
    }

    /* The file of a descriptor of the thread, in a descriptor of this process.
     * On failure, returns an empty Descriptor, with errno set. */
    Descriptor file(int fd) const;

    /*
     * A descriptor that is readable when the thread has ended.  It is empty if
     * the thread has already ended, or if the kernel has this only for
     * processes.
     */
    Descriptor end() const;

private:
    pid_t thread_;
};

#endif
