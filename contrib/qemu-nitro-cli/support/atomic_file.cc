/*
 * A file that is replaced as a whole
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/atomic_file.hh"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/random.h>
#include <sys/stat.h>

#include "support/errors.hh"
#include "support/files.hh"

namespace {

constexpr int max_tries = 100;

mode_t current_umask()
{
    mode_t mask = umask(0);

    umask(mask);
    return mask;
}

/* The path, or the target if it is a symbolic link, also one to no file.  A
 * loop of links stays a link. */
std::string target_of(std::string path)
{
    for (int links = 0; links < max_symlinks; links++) {
        std::error_code error;
        std::filesystem::path target = std::filesystem::read_symlink(path,
                                                                     error);
        if (error) {
            break;
        }
        path = std::filesystem::path(path).parent_path() / target;
    }
    return path;
}

} // namespace

void AtomicFile::fail() const
{
    throw Error(Code::file, path_ + ": " + error_text(errno),
                "Check that the directory exists, can be written to and has"
                " room.");
}

AtomicFile::AtomicFile(const std::string &path, mode_t mode)
    : path_(target_of(path))
{
    struct stat st;

    if (stat(path.c_str(), &st) == 0) {
        char real[PATH_MAX];

        /* A rename would also replace a device's file. */
        if (!S_ISREG(st.st_mode)) {
            throw Error(Code::file, path + ": " + (S_ISDIR(st.st_mode) ?
                        error_text(EISDIR) : "not a regular file"),
                        "Give the path of a file to write.");
        }
        if (!realpath(path.c_str(), real)) {
            fail();
        }
        path_ = real;
        replaces_ = true;
        mode_ = st.st_mode & 0777;
        uid_ = st.st_uid;
        gid_ = st.st_gid;
    } else if (errno != ENOENT || path.empty() || path.back() == '/') {
        fail();
    } else {
        mode_ = mode & ~current_umask();
    }

    TemporaryFile made = make_temporary_file(directory());
    if (!made.file) {
        fail();
    }
    file_ = std::move(made.file);
    temporary_ = made.path;
}

AtomicFile::~AtomicFile()
{
    if (!temporary_.empty()) {
        unlink(temporary_.c_str());
    }
}

std::string AtomicFile::directory() const
{
    size_t slash = path_.rfind('/');

    return slash == std::string::npos ? "."
           : slash == 0 ? "/" : path_.substr(0, slash);
}

void AtomicFile::write(const void *data, size_t size)
{
    write_at(end_, data, size);
    end_ += size;
}

void AtomicFile::write_at(uint64_t position, const void *data, size_t size)
{
    if (pwrite_fully(file_.get(), data, size, position) < 0) {
        fail();
    }
}

/*
 * A rename needs a file with a name.  If a random name exists, for example
 * after a crash, another one is used.
 */
void AtomicFile::give_name()
{
    std::string self = "/proc/self/fd/" + std::to_string(file_.get());

    for (int tries = 0; tries < max_tries; tries++) {
        std::string name = directory() + temporary_name;
        uint8_t random[3];

        if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
            fail();
        }
        name.replace(name.size() - 2 * sizeof(random), std::string::npos,
                     hex(random));
        if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(),
                   AT_SYMLINK_FOLLOW) == 0) {
            temporary_ = name;
            return;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    fail();
}

/* A new name is on the disk when its directory is. */
void AtomicFile::flush_directory() const
{
    Descriptor directory_file(open(directory().c_str(), O_RDONLY | O_DIRECTORY |
                                   O_CLOEXEC));

    /* Not every directory is readable, nor can all file systems sync it. */
    if (directory_file && fsync(directory_file.get()) && errno != EINVAL &&
        errno != ENOTSUP) {
        fail();
    }
}

void AtomicFile::commit()
{
    if (replaces_ && fchown(file_.get(), uid_, gid_)) {
        /* Without permission to change the owner, it stays the user's file. */
    }
    if (fchmod(file_.get(), mode_)) {
        fail();
    }
    if (fsync(file_.get()) && errno != EINVAL) {
        fail();
    }
    if (temporary_.empty()) {
        give_name();
    }
    if (rename(temporary_.c_str(), path_.c_str())) {
        fail();
    }
    temporary_.clear();
    flush_directory();
}
