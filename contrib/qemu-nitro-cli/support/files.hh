/*
 * Reading whole files, private directories, and locks
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

/* How many symbolic links are followed for one path; see path_resolution(7) */
inline constexpr int max_symlinks = 40;

/*
 * The content of a small file, such as a certificate or a configuration.
 * Throws Error if the file cannot be read, or is larger than 16 MiB.
 */
Bytes read_file(const std::string &path);

/* The same, but std::nullopt if there is no such file */
std::optional<Bytes> read_optional_file(const std::string &path);

/*
 * read(), pread() and pwrite() of all `size` bytes, in several calls if needed.
 * The first two return fewer bytes only at the end of the file.  All return -1,
 * with errno set, on failure.
 */
ssize_t read_fully(int fd, void *data, size_t size);
ssize_t pread_fully(int fd, void *data, size_t size, off_t position);
ssize_t pwrite_fully(int fd, const void *data, size_t size, off_t position);

/* The name of a temporary file: the X are replaced, as by mkstemp(3).  It is
 * not derived from another file's name, which may have the maximum length. */
inline constexpr char temporary_name[] = "/.qemu-nitro-cli.XXXXXX";

/* A new file in a directory: without a name if the file system supports this,
 * or else with a random name.  On failure, `file` is empty and errno is set. */
struct TemporaryFile {
    Descriptor file;
    std::string path;           /* empty if it has no name */
};
TemporaryFile make_temporary_file(const std::string &directory);

/* The same, but the file never has a name. */
Descriptor make_nameless_file(const std::string &directory);

/*
 * Make a private directory if it does not exist.  Throws Error if it belongs to
 * another user, or if other users have access to it.
 */
void make_private_directory(const std::string &path);

/*
 * Lock an open file, with LOCK_SH or LOCK_EX as for flock(), and wait at most
 * so long.  Returns whether it is locked now.  Throws Error if flock() fails.
 */
bool take_lock(const Descriptor &file, int operation, int milliseconds);

/*
 * Lock a file, which is created if it does not exist.  Returns an empty
 * Descriptor if another process holds the lock for `milliseconds`.
 */
Descriptor lock_file(const std::string &path, int milliseconds);

#endif
