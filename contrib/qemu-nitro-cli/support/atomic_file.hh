/*
 * A file that is replaced as a whole
 *
 * The file is written without a name.  When it is complete and on the disk, it
 * replaces the file with its name.  So after a crash of the machine, either the
 * old or the new file is there, and complete.  If the program ends before that,
 * a file with a random name may stay in the directory, which is harmless.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_ATOMIC_FILE_HH
#define QEMU_NITRO_CLI_SUPPORT_ATOMIC_FILE_HH

#include <cstdint>
#include <string>
#include <sys/types.h>

#include "descriptor.hh"

class AtomicFile {
public:
    /*
     * The file gets the path `path`, or the target of `path` if that is a
     * symbolic link.  A new file gets the mode `mode`, less the umask.  Throws
     * Error if no regular file can have this path.
     */
    explicit AtomicFile(const std::string &path, mode_t mode = 0666);
    AtomicFile(const AtomicFile &) = delete;
    AtomicFile &operator=(const AtomicFile &) = delete;
    ~AtomicFile();

    /* The directory of the file */
    std::string directory() const;

    void write(const void *data, size_t size);
    void write_at(uint64_t position, const void *data, size_t size);

    /*
     * Rename the file to its path.  It gets the mode and, if allowed, the owner
     * of the file that it replaces.
     */
    void commit();

private:
    [[noreturn]] void fail() const;
    void give_name();
    void flush_directory() const;

    std::string path_;
    std::string temporary_;         /* the temporary name, if any */
    Descriptor file_;
    uint64_t end_ = 0;
    bool replaces_ = false;
    mode_t mode_ = 0;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
};

#endif
