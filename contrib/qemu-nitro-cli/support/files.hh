/*
 * Files that are read whole, directories of this user alone, and locks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_FILES_HH
#define QEMU_NITRO_CLI_SUPPORT_FILES_HH

#include <optional>
#include <string>
#include <sys/types.h>

#include "descriptor.hh"
#include "support/bytes.hh"

/*
 * The content of a small file, as a certificate or a configuration is.  Throws
 * Error if it cannot be read, or is larger than 16 MiB.
 */
Bytes read_file(const std::string &path);

/* The same, but std::nullopt if there is no such file */
std::optional<Bytes> read_file_if_there(const std::string &path);

/*
 * read(), pread() and pwrite() of all `size` bytes, however many calls that
 * takes.  The first two return fewer bytes at the end of the file only.  All
 * return -1 with errno set on failure.
 */
ssize_t read_fully(int fd, void *data, size_t size);
ssize_t pread_fully(int fd, void *data, size_t size, off_t position);
ssize_t pwrite_fully(int fd, const void *data, size_t size, off_t position);

/* A new file in a directory: without a name where the file system can do that,
 * else with a random one.  `file` is empty, and errno set, if there is none. */
struct TemporaryFile {
    Descriptor file;
    std::string path;           /* empty if it has no name */
};
TemporaryFile make_temporary_file(const std::string &directory);

/* The same, but the file has no name in any case. */
Descriptor make_nameless_file(const std::string &directory);

/*
 * A directory of this user alone: made if it is not there.  Throws Error if it
 * is somebody else's, or if others may enter it.
 */
void make_private_directory(const std::string &path);

/*
 * Take the lock of an open file, LOCK_SH or LOCK_EX as for flock(), and wait
 * for it at most so long.  Returns whether it is held now.  Throws Error if the
 * system does not tell.
 */
bool take_lock(const Descriptor &file, int operation, int milliseconds);

/*
 * Take the lock of a file, which is made if it is not there.  Returns an empty
 * Descriptor if another process holds it for `milliseconds`.
 */
Descriptor lock_file(const std::string &path, int milliseconds);

#endif
