/*
 * A file that is there as a whole or not at all
 *
 * It is written without a name.  When it is complete and on the disk, it
 * replaces the file that had its name, so that after a crash of the machine
 * one of the two is there, whole.  If the program ends before that, at most a
 * file with a random name stays in the folder, which does no harm.
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
     * To be at `path`, or where that leads if it is a symbolic link; throws
     * Error if no regular file can be there.
     */
    explicit AtomicFile(const std::string &path);
    AtomicFile(const AtomicFile &) = delete;
    AtomicFile &operator=(const AtomicFile &) = delete;
    ~AtomicFile();

    /* The folder it will be in */
    std::string folder() const;

    void write(const void *data, size_t size);
    void write_at(uint64_t position, const void *data, size_t size);

    /*
     * Put it in its place.  It has the mode and, where that is allowed, the
     * owner of the file that it replaces; a new one those that the umask
     * leaves.
     */
    void commit();

private:
    [[noreturn]] void fail() const;
    void give_name();
    void flush_folder() const;

    std::string path_;
    std::string temporary_;         /* the name it has meanwhile, if any */
    Descriptor file_;
    uint64_t end_ = 0;
    bool replaces_ = false;
    mode_t mode_ = 0;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
};

#endif
