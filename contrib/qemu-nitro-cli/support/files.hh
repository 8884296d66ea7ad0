/*
 * Files that are read whole, directories of this user alone, and locks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_FILES_HH
#define QEMU_NITRO_CLI_SUPPORT_FILES_HH

#include <optional>
#include <string>

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
