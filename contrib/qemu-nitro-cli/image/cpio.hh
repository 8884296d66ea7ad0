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
 * Does the build warn if it omits this extended attribute?  SELinux labels have
 * no meaning without their policy, so there is no warning for them.
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
        /* for a file with several names: the same pair for each name */
        std::optional<std::pair<uint64_t, uint64_t>> link;
        /* extended attributes: omitted, because a ramdisk cannot hold them */
        std::vector<std::string> attributes;
    };

    /* The omitted attributes of all entries, for one warning */
    struct OmittedAttributes {
        uint64_t files = 0, capabilities = 0;
        std::string first;          /* a name, and its attribute */
    };

    /*
     * Add an entry, with a name without a leading slash.  It replaces an entry
     * with the same name.  Missing parent directories are added, with mode
     * 0755.
     */
    void add(const std::string &name, Entry entry);
    void add(const std::string &name, uint32_t mode, ContentPtr data = {});

    /*
     * Add the directory `dir` with all its files, below `prefix`.  Hard links
     * stay links.  Files with the owner or the group of `dir` itself become
     * root's, so that the archive does not depend on the user who builds it.
     */
    void add_tree(const std::string &dir, const std::string &prefix);

    /*
     * The archive, padded to four bytes.  The data of the entries is read when
     * the archive is read.
     */
    ContentPtr write() const;

    OmittedAttributes omitted_attributes() const;

private:
    void add_parents(const std::string &name);
    void add_tree(const std::string &dir, const std::string &prefix,
                  const struct stat &top);
    void add_path(const std::string &path, const std::string &name,
                  const struct stat &top);

    std::map<std::string, Entry> entries_;
};

#endif
