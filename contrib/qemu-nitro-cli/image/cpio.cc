/*
 * Ramdisks: archives in cpio's "newc" form
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/cpio.hh"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <memory>
#include <set>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "support/bytes.hh"
#include "support/errors.hh"

namespace {

const char *const check_tree = "Check the directory given with --rootfs.";

/* The size in a header has eight hex digits, which limits a file. */
Bytes header_of(const std::string &name, const Cpio::Entry &e, uint32_t inode,
                uint32_t links, uint32_t size)
{
    Bytes out;
    char header[111];

    snprintf(header, sizeof(header),
             "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
             inode, e.mode, e.uid, e.gid, links, 0u, size, 0u, 0u,
             e.device.first, e.device.second,
             static_cast<uint32_t>(name.size() + 1), 0u);
    out.insert(out.end(), header, header + 110);
    out.insert(out.end(), name.begin(), name.end());
    out.push_back(0);
    out.resize((out.size() + 3) & ~size_t{3});
    return out;
}

[[noreturn]] void fail(const std::string &path)
{
    throw Error(Code::file, path + ": " + error_text(errno), check_tree);
}

/* The names of all extended attributes of a file */
std::vector<std::string> attributes_of(const std::string &path)
{
    std::vector<std::string> found;
    std::string names;
    ssize_t size;

    do {
        size = llistxattr(path.c_str(), nullptr, 0);
        names.resize(std::max<ssize_t>(size, 0));
        /* With a size of 0, the call would return only the size. */
        size = names.empty() ? size : llistxattr(path.c_str(), names.data(),
                                                 names.size());
    } while (size < 0 && errno == ERANGE);
    if (size < 0 && errno != ENOTSUP) {
        fail(path);
    }
    for (ssize_t i = 0; i < size; i += strlen(&names[i]) + 1) {
        if (is_worth_a_warning(&names[i])) {
            found.emplace_back(&names[i]);
        }
    }
    return found;
}

/*
 * If a file has an access control list, the group bits of its mode are the mask
 * of the list.  A ramdisk has no lists, so the group gets the permissions that
 * its own entry in the list has.
 */
mode_t mode_without_list(const std::string &path, mode_t mode)
{
    constexpr uint16_t group_entry = 4;     /* ACL_GROUP_OBJ */
    constexpr size_t first = 4, step = 8;   /* bytes (posix_acl_xattr.h) */
    uint8_t list[4096];
    ssize_t size = lgetxattr(path.c_str(), "system.posix_acl_access", list,
                             sizeof(list));

    for (size_t at = first; at + step <= static_cast<size_t>(
             std::max<ssize_t>(size, 0)); at += step) {
        if (list[at] + (list[at + 1] << 8) == group_entry) {
            mode &= ~S_IRWXG | (list[at + 2] & 7) << 3;
        }
    }
    return mode;
}

/* Linux skips an entry whose name, or target of a link, is longer. */
void check_lengths(const std::string &name, const Cpio::Entry &entry)
{
    constexpr size_t limit = PATH_MAX;      /* with the NUL byte of a name */
    size_t target = S_ISLNK(entry.mode) && entry.data ? entry.data->size() : 0;
    auto refuse = [&](const char *what, size_t size, size_t most) {
        throw Error(Code::building, shortened(name) + ": its " + what
                    + " in the ramdisk has " + std::to_string(size)
                    + " bytes, more than " + std::to_string(most),
                    "Use shorter names.");
    };

    if (name.size() >= limit) {
        refuse("path", name.size(), limit - 1);
    }
    if (target > limit) {
        refuse("target", target, limit);
    }
}

/* An archive: headers and padding, and the files between them */
class CpioContent : public Content {
public:
    void add(const Bytes &head, const ContentPtr &data)
    {
        pending_.insert(pending_.end(), head.begin(), head.end());
        size_ += head.size();
        if (data && data->size()) {
            parts_.push_back(content_of(std::move(pending_)));
            parts_.push_back(data);
            pending_ = Bytes(-data->size() & 3);
            size_ += data->size() + pending_.size();
        }
    }
    void end() { parts_.push_back(content_of(std::move(pending_))); }

    uint64_t size() const override { return size_; }
    void copy(const ByteSink &sink) const override
    {
        for (const ContentPtr &part : parts_) {
            part->copy(sink);
        }
    }

private:
    Bytes pending_;
    std::vector<ContentPtr> parts_;
    uint64_t size_ = 0;
};

} // namespace

void Cpio::add_parents(const std::string &name)
{
    for (size_t at = name.rfind('/'); at != std::string::npos;
         at = name.rfind('/', at - 1)) {
        auto [directory, is_new] = entries_.try_emplace(name.substr(0, at));

        if (!is_new) {
            return;         /* Its own parents are there too. */
        }
        directory->second.mode = S_IFDIR | 0755;
    }
}

void Cpio::add(const std::string &name, Entry entry)
{
    check_lengths(name, entry);
    add_parents(name);
    entries_[name] = std::move(entry);
}

void Cpio::add(const std::string &name, uint32_t mode, ContentPtr data)
{
    add(name, Entry{mode, 0, 0, {}, std::move(data), {}, {}});
}

void Cpio::add_path(const std::string &path, const std::string &name,
                    const struct stat &top)
{
    struct stat st;
    Entry entry;

    if (lstat(path.c_str(), &st)) {
        fail(path);
    }
    entry.attributes = attributes_of(path);
    if (S_ISREG(st.st_mode)) {
        if (st.st_size > UINT32_MAX) {
            throw Error(Code::file, path + ": " + std::to_string(st.st_size)
                        + " bytes are too many for a ramdisk, which takes"
                        " files up to 4294967295", check_tree);
        }
        entry.data = content_of_file(path);
    } else if (S_ISLNK(st.st_mode)) {
        Bytes target(PATH_MAX);
        ssize_t n = readlink(path.c_str(),
                             reinterpret_cast<char *>(target.data()),
                             target.size());
        if (n < 0) {
            fail(path);
        }
        target.resize(n);
        entry.data = content_of(std::move(target));
    } else if (S_ISSOCK(st.st_mode)) {
        throw Error(Code::file, path + ": a socket cannot be in a ramdisk",
                    "Remove it.");
    }
    entry.mode = S_ISLNK(st.st_mode) ? st.st_mode
                                     : mode_without_list(path, st.st_mode);
    entry.uid = st.st_uid == top.st_uid ? 0 : st.st_uid;
    entry.gid = st.st_gid == top.st_gid ? 0 : st.st_gid;
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
        entry.device = {major(st.st_rdev), minor(st.st_rdev)};
    }
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
        entry.link = {st.st_dev, st.st_ino};
    }
    add(name, std::move(entry));
}

void Cpio::add_tree(const std::string &dir, const std::string &prefix)
{
    std::unique_ptr<char, void (*)(void *)> real(realpath(dir.c_str(), nullptr),
                                                 free);
    struct stat top;

    if (!real || stat(real.get(), &top)) {
        fail(dir);
    }
    add_tree(real.get(), prefix, top);
}

void Cpio::add_tree(const std::string &dir, const std::string &prefix,
                    const struct stat &top)
{
    add_path(dir, prefix, top);

    std::unique_ptr<DIR, int (*)(DIR *)> stream(opendir(dir.c_str()),
                                                closedir);
    if (!stream) {
        fail(dir);
    }
    while (const dirent *e = readdir(stream.get())) {
        std::string name = e->d_name;

        if (name == "." || name == "..") {
            continue;
        }
        std::string path = dir + "/" + name;
        struct stat st;
        if (lstat(path.c_str(), &st)) {
            fail(path);
        }
        if (S_ISDIR(st.st_mode)) {
            add_tree(path, prefix + "/" + name, top);
        } else {
            add_path(path, prefix + "/" + name, top);
        }
    }
}

Cpio::OmittedAttributes Cpio::omitted_attributes() const
{
    std::set<std::pair<uint64_t, uint64_t>> seen;
    OmittedAttributes all;

    for (const auto &[name, e] : entries_) {
        if (e.attributes.empty() ||
            (e.link && !seen.insert(*e.link).second)) {
            continue;
        }
        if (!all.files++) {
            all.first = name + ", " + e.attributes[0];
        }
        all.capabilities += std::ranges::count(e.attributes,
                                               "security.capability");
    }
    return all;
}

ContentPtr Cpio::write() const
{
    std::map<std::pair<uint64_t, uint64_t>, std::pair<uint32_t, uint32_t>>
        links;      /* the inode number and the number of names of a file */
    std::map<std::pair<uint64_t, uint64_t>, uint32_t> written;
    uint32_t next = 1;
    auto out = std::make_shared<CpioContent>();

    for (const auto &[name, e] : entries_) {
        if (e.link) {
            links[*e.link].second++;
        }
    }
    for (const auto &[name, e] : entries_) {
        uint32_t inode, count = S_ISDIR(e.mode) ? 2 : 1;
        bool with_data = true;

        /* Linux makes a symbolic link of each name, from its own data. */
        if (e.link && !S_ISLNK(e.mode)) {
            auto &[number, names] = links[*e.link];

            /* Linux reads the data at the last name. */
            number = number ? number : next++;
            inode = number;
            count = names;
            with_data = ++written[*e.link] == names;
        } else {
            inode = next++;
        }
        ContentPtr data = with_data ? e.data : nullptr;
        out->add(header_of(name, e, inode, count, data ? data->size() : 0),
                 data);
    }
    out->add(header_of("TRAILER!!!", {}, 0, 1, 0), nullptr);
    out->end();
    return out;
}
