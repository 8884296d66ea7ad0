/*
 * Ramdisks: archives in cpio's "newc" form, as Linux unpacks them
 *
 * Format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
 * Archives are reproducible: names in the order of their bytes, times of zero,
 * inode numbers counted from one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CPIO_HH
#define QEMU_NITRO_CLI_IMAGE_CPIO_HH

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "image/content.hh"

/*
 * Whether a build says that it leaves an extended attribute out.  Labels of
 * SELinux mean nothing without the policy that they were made for.
 */
inline bool is_worth_a_warning(const std::string &attribute)
{
    return attribute != "security.selinux";
}

class Cpio {
public:
    struct Entry {
        uint32_t mode = 0;          /* with the type, as in struct stat */
        uint32_t uid = 0, gid = 0;
        std::pair<uint32_t, uint32_t> device;
        ContentPtr data;            /* of a file or symbolic link; or null */
        /* for a file with several names: the same numbers for each */
        std::optional<std::pair<uint64_t, uint64_t>> link;
        /* extended attributes that a ramdisk cannot hold: they are left out */
        std::vector<std::string> attributes;
    };

    /* What is left out of all entries, for one warning about it */
    struct LeftOut {
        uint64_t files = 0, capabilities = 0;
        std::string first;          /* a name, and its attribute */
    };

    /*
     * An entry, its name without a leading slash.  One that is there already
     * is replaced.  The folders that lead to it are made, with mode 0755,
     * unless they are there.
     */
    void add(const std::string &name, Entry entry);
    void add(const std::string &name, uint32_t mode, ContentPtr data = {});

    /*
     * All of the folder `dir`, below `prefix`; hard links stay links.  The
     * owner and the group of the folder itself become root, wherever they are
     * in it, so that the archive does not depend on who checked it out.
     */
    void add_tree(const std::string &dir, const std::string &prefix);

    /*
     * The archive, padded to four bytes.  The entries' data is not copied: it
     * is read when the archive is.
     */
    ContentPtr write() const;

    LeftOut left_out() const;

private:
    void add_folders(const std::string &name);
    void add_tree(const std::string &dir, const std::string &prefix,
                  const struct stat &top);
    void add_path(const std::string &path, const std::string &name,
                  const struct stat &top);

    std::map<std::string, Entry> entries_;
};

#endif
