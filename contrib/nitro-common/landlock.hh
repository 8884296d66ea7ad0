/*
 * Landlock: which files a process and its children can reach
 *
 * A process restricts itself and the programs that it starts, without
 * privileges.  If the kernel's version of Landlock does not know a right, this
 * right is not restricted.  Connecting to a Unix socket with a path is never
 * restricted.
 *
 * Linux, Documentation/userspace-api/landlock.rst
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_LANDLOCK_HH
#define NITRO_COMMON_LANDLOCK_HH

#include <cstdint>
#include <string>

class Landlock {
public:
    enum class Tcp { allowed, refused };
    enum class Signals { allowed, refused };    /* to other processes */

    /*
     * Rules that allow no file and no abstract Unix socket of another process.
     * With Tcp::refused there are neither TCP connections nor TCP listeners.
     */
    Landlock(Tcp tcp, Signals signals);
    Landlock(const Landlock &) = delete;
    Landlock &operator=(const Landlock &) = delete;
    ~Landlock();

    /* These allow a file, or a directory with all files below it.  A path that
     * does not exist is ignored. */
    void allow_read(const std::string &path);       /* and to execute */
    void allow_write(const std::string &path);      /* and to read */
    void allow_device(const std::string &path);     /* and its ioctls */
    /* Make and remove sockets in a directory, and list it */
    void allow_sockets_in(const std::string &path);
    /* Read, write, make and remove files and sockets in a directory */
    void allow_files_in(const std::string &path);
    /* List a directory, and remove empty directories in it */
    void allow_removal_in(const std::string &path);

    /*
     * Apply the rules to this thread and to all that it starts.  Call this
     * before starting other threads.  Afterwards, no set-uid program gets
     * privileges (no_new_privs).  Returns false, with errno set, on failure:
     * ENOSYS or EOPNOTSUPP if the kernel has no Landlock.
     */
    bool enforce();

private:
    void allow(const std::string &path, uint64_t rights);

    int rules_ = -1;                /* descriptor of the rule set */
    int error_ = 0;                 /* why there is no rule set */
    uint64_t file_rights_ = 0;      /* the rights that the kernel knows */
};

#endif
