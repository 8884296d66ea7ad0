/*
 * Ramdisks: archives in cpio's "newc" form
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cpio.hh"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <memory>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace {

const char *const check_tree = "Check the folder given with --rootfs.";

/* A header's fields are eight hex digits; that is how large a file may be. */
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

/* Extended attributes would be lost: say so rather than lose them. */
void refuse_attributes(const std::string &path)
{
    char names[4096];
    ssize_t size = llistxattr(path.c_str(), names, sizeof(names));

    for (ssize_t i = 0; i < size;) {
        std::string name(names + i);

        if (name.rfind("security.selinux", 0) != 0) {
            throw Error(Code::file, path + ": a ramdisk cannot hold its"
                        " extended attribute " + name,
                        "Remove the attribute, with setfattr -x.");
        }
        i += name.size() + 1;
    }
}

/* An archive: what stands between the files, and the files */
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

void Cpio::add_folders(const std::string &name)
{
    for (size_t at = name.find('/'); at != std::string::npos;
         at = name.find('/', at + 1)) {
        Entry &folder = entries_[name.substr(0, at)];

        if (!folder.mode) {
            folder.mode = S_IFDIR | 0755;
        }
    }
}

void Cpio::add(const std::string &name, Entry entry)
{
    add_folders(name);
    entries_[name] = std::move(entry);
}

void Cpio::add(const std::string &name, uint32_t mode, ContentPtr data)
{
    add(name, Entry{mode, 0, 0, {}, std::move(data), {}});
}

void Cpio::add_path(const std::string &path, const std::string &name,
                    const struct stat &top)
{
    struct stat st;
    Entry entry;

    if (lstat(path.c_str(), &st)) {
        fail(path);
    }
    refuse_attributes(path);
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
    entry.mode = st.st_mode;
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

ContentPtr Cpio::write() const
{
    std::map<std::pair<uint64_t, uint64_t>, std::pair<uint32_t, uint32_t>>
        links;      /* of a file: its inode number, how many names it has */
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

        if (e.link) {
            auto &[number, names] = links[*e.link];

            /* Linux takes the data from the last of the names. */
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
