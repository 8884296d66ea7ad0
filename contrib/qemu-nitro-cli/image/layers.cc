/*
 * The root file system of a container image, from its layers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/layers.hh"

#include <algorithm>
#include <climits>
#include <cstring>
#include <list>
#include <sys/stat.h>

#include "support/bytes.hh"
#include "support/errors.hh"

namespace {

constexpr int max_links = 40;           /* in a path, as in Linux */
constexpr char whiteout_mark[] = ".wh.";
constexpr char opaque_mark[] = ".wh..wh..opq";

std::list<std::string> split(const std::string &path)
{
    std::list<std::string> parts;

    for (size_t at = 0; at <= path.size();) {
        size_t end = std::min(path.find('/', at), path.size());
        std::string part = path.substr(at, end - at);

        if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
        at = end + 1;
    }
    return parts;
}

std::string join(const std::string &directory, const std::string &name)
{
    return directory.empty() || name.empty() ? directory + name
                                             : directory + "/" + name;
}

std::string parent(const std::string &path)
{
    size_t slash = path.rfind('/');

    return slash == std::string::npos ? "" : path.substr(0, slash);
}

/*
 * The path of an entry, or of the target of a hard link; messages call it
 * `what`.  As in docker, ".." removes the name before it, even if that is a
 * symbolic link.  No path leads out of the image.
 */
std::string path_of(const ArchiveReader &reader, const char *name,
                    const std::string &what)
{
    std::string path;

    if (!name || !*name) {
        reader.fail(what + " has no name", fix_layer);
    }
    if (strlen(name) >= PATH_MAX) {
        reader.fail(what + " has a name of " + std::to_string(strlen(name))
                    + " bytes, more than " + std::to_string(PATH_MAX - 1),
                    fix_layer);
    }
    for (const std::string &part : split(name)) {
        if (part.size() > NAME_MAX) {
            reader.fail(what + " " + name + " has a name of "
                        + std::to_string(part.size()) + " bytes in it, more"
                        " than " + std::to_string(NAME_MAX), fix_layer);
        }
        if (part != "..") {
            path = join(path, part);
        } else if (!path.empty()) {
            path = parent(path);
        } else if (*name != '/') {      /* the root's parent is the root */
            reader.fail(what + " " + name + " leads out of the image",
                        fix_layer);
        }
    }
    return path;
}

/* Add each name once: a header may have an attribute in two forms. */
std::vector<std::string> attributes_of(archive_entry *entry)
{
    std::vector<std::string> found;
    const char *name;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size)
           == ARCHIVE_OK) {
        if (is_worth_a_warning(name) &&
            std::ranges::find(found, name) == found.end()) {
            found.emplace_back(name);
        }
    }
    for (auto [type, list] : {
             std::pair{ARCHIVE_ENTRY_ACL_TYPE_ACCESS |
                       ARCHIVE_ENTRY_ACL_TYPE_NFS4, "system.posix_acl_access"},
             {ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default"}}) {
        if (archive_entry_acl_count(entry, type)) {
            found.emplace_back(list);
        }
    }
    std::ranges::sort(found);       /* libarchive does not order them */
    return found;
}

/*
 * The mask of an access control list limits the permissions of the group.  A
 * mode has no mask, so the mask is applied here.
 */
mode_t mode_without_list(archive_entry *entry)
{
    mode_t mode = archive_entry_filetype(entry) | archive_entry_perm(entry);
    int type, permissions, tag, id;
    const char *name;

    if (archive_entry_acl_reset(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS)) {
        while (archive_entry_acl_next(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
                                      &type, &permissions, &tag, &id, &name)
               == ARCHIVE_OK) {
            if (tag == ARCHIVE_ENTRY_ACL_MASK) {
                mode &= ~S_IRWXG | (permissions & 7) << 3;
            }
        }
    }
    return mode;
}

uint32_t id_of(const ArchiveReader &reader, const std::string &path,
               int64_t id)
{
    if (id < 0 || id >= UINT32_MAX) {
        reader.fail(path + ": owner " + std::to_string(id)
                    + " is not between 0 and 4294967294", fix_layer);
    }
    return id;
}

} // namespace

/*
 * Follow the symbolic links of a path in the tree, and with `last` also a link
 * at its end.  Throws if there are too many.
 */
std::string LayeredTree::resolve(const std::string &path, bool last) const
{
    std::list<std::string> parts = split(path);
    std::string at;
    int links = 0;

    while (!parts.empty()) {
        std::string part = parts.front();

        parts.pop_front();
        if (part == "..") {
            at = parent(at);
            continue;
        }
        std::string next = join(at, part);
        auto node = nodes_.find(next);
        if (node == nodes_.end() || !S_ISLNK(node->second.entry.mode) ||
            (parts.empty() && !last)) {
            at = next;
            continue;
        }
        if (++links > max_links) {
            throw Error(Code::building, path + ": more than "
                        + std::to_string(max_links) + " symbolic links",
                        "Mend the links in the container image.");
        }
        Bytes target = read_all(*node->second.entry.data);
        std::string text(target.begin(), target.end());
        if (text.starts_with('/')) {
            at.clear();
        }
        parts.splice(parts.begin(), split(text));
    }
    return at;
}

/* Remove the entries of lower layers at or below a path. */
void LayeredTree::remove_lower(const std::string &path)
{
    auto remove = [this](auto from, auto to) {
        bool kept = false;

        while (from != to) {
            if (from->second.layer < layer_) {
                from = nodes_.erase(from);
            } else {
                kept = true;
                ++from;
            }
        }
        return kept;
    };
    /* '0' is the next character after '/'. */
    bool kept = remove(nodes_.lower_bound(path + "/"),
                       nodes_.lower_bound(path + "0"));
    if (!kept) {
        auto node = nodes_.find(path);

        if (node != nodes_.end() && node->second.layer < layer_) {
            nodes_.erase(node);
        }
    }
}

void LayeredTree::whiteout(const std::string &directory,
                           const std::string &name)
{
    if (name == opaque_mark) {
        std::string prefix = directory.empty() ? "" : directory + "/";
        auto from = nodes_.lower_bound(prefix);

        std::vector<std::string> children;
        for (; from != nodes_.end() && from->first.starts_with(prefix);
             ++from) {
            children.push_back(from->first);
        }
        /* from the bottom up: a directory that still has an entry stays */
        std::reverse(children.begin(), children.end());
        for (const std::string &child : children) {
            if (!child.empty()) {
                remove_lower(child);
            }
        }
    } else if (!name.starts_with(".wh..wh.")) {
        remove_lower(join(directory, name.substr(strlen(whiteout_mark))));
    }
    /* Other names with two prefixes belong to AUFS and not to the image. */
}

/* Add a node.  A directory replaces a lower layer's, and keeps its entries. */
void LayeredTree::put(ArchiveReader &reader, const std::string &path,
                      Cpio::Entry entry)
{
    for (std::string directory = parent(path); !directory.empty();
         directory = parent(directory)) {
        auto node = nodes_.find(directory);

        if (node == nodes_.end()) {
            Cpio::Entry made;

            made.mode = S_IFDIR | 0755;
            nodes_[directory] = {made, layer_};
        } else if (!S_ISDIR(node->second.entry.mode)) {
            reader.fail(path + ": " + directory + " is not a directory",
                        fix_layer);
        }
    }
    if (!S_ISDIR(entry.mode)) {
        if (path.empty()) {
            reader.fail("the root is not a directory", fix_layer);
        }
        nodes_.erase(nodes_.lower_bound(path + "/"),
                     nodes_.lower_bound(path + "0"));
    }
    nodes_[path] = {std::move(entry), layer_};
}

/* A hard link: another name for an existing entry */
Cpio::Entry LayeredTree::hard_link(ArchiveReader &reader,
                                   const std::string &path,
                                   const std::string &target)
{
    auto node = nodes_.find(resolve(target, false));

    if (node == nodes_.end() || S_ISDIR(node->second.entry.mode)) {
        reader.fail("the hard link " + path + " leads to " + target
                    + ", which is no file of the image", fix_layer);
    }
    if (!node->second.entry.link) {
        node->second.entry.link = {UINT64_MAX, links_++};
    }
    return node->second.entry;
}

/* An entry that is not a hard link, with its data unpacked */
Cpio::Entry LayeredTree::entry_of(ArchiveReader &reader, archive_entry *entry,
                                  const std::string &path)
{
    Cpio::Entry made;

    made.mode = mode_without_list(entry);
    made.attributes = attributes_of(entry);
    made.uid = id_of(reader, path, archive_entry_uid(entry));
    made.gid = id_of(reader, path, archive_entry_gid(entry));
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        if (archive_entry_size(entry) > UINT32_MAX) {
            reader.fail(path + ": " + std::to_string(archive_entry_size(entry))
                        + " bytes are too many for a ramdisk, which takes"
                        " files up to 4294967295", "Split the file, or make"
                        " it when the enclave starts.");
        } else {
            made.data = reader.data(spool_).content();
        }
        break;
    case AE_IFLNK: {
        std::string target = archive_entry_symlink(entry) ?: "";

        if (target.empty() || target.size() >= PATH_MAX) {
            reader.fail(path + ": a symbolic link of "
                        + std::to_string(target.size())
                        + " bytes, which must be 1 to 4095", fix_layer);
        }
        made.data = content_of(target);
        break;
    }
    case AE_IFCHR:
    case AE_IFBLK:
        made.device = {archive_entry_rdevmajor(entry),
                       archive_entry_rdevminor(entry)};
        break;
    case AE_IFDIR:
    case AE_IFIFO:
        break;
    default:
        reader.fail(path + ": of a kind that a ramdisk cannot hold",
                    fix_layer);
    }
    return made;
}

void LayeredTree::apply_entry(ArchiveReader &reader, archive_entry *entry)
{
    std::string path = path_of(reader, archive_entry_pathname(entry),
                               "the entry");
    std::string name = path.substr(path.rfind('/') + 1);
    std::string directory = resolve(parent(path), true);

    if (name.starts_with(whiteout_mark)) {
        std::string rest = name.substr(strlen(whiteout_mark));

        if (rest.empty() || rest == "." || rest == "..") {
            reader.fail(path + " removes nothing that has a name", fix_layer);
        }
        return whiteout(directory, name);
    }
    if (path.empty()) {
        directory.clear();
    }
    path = join(directory, name);
    if (const char *target = archive_entry_hardlink(entry)) {
        std::string to = path_of(reader, target,
                                 "the target of the hard link " + path + ",");

        if (resolve(to, false) != path || !nodes_.contains(path)) {
            put(reader, path, hard_link(reader, path, to));
        }
        return;
    }
    put(reader, path, entry_of(reader, entry, path));
}

ArchiveReader::Digests LayeredTree::apply(const Blob &layer,
                                          const std::string &name,
                                          UnpackLimit &limit)
{
    layer_++;
    if (!layer.size) {      /* some builders' form of an archive of nothing */
        std::string digest = sha256_of(layer);

        return {digest, digest};
    }
    auto reader = ArchiveReader::layer(layer, name, limit);

    while (archive_entry *entry = reader->next()) {
        apply_entry(*reader, entry);
    }
    return reader->digests();
}

ContentPtr LayeredTree::file(const std::string &path) const
{
    auto node = nodes_.find(resolve(path, true));

    return node != nodes_.end() && S_ISREG(node->second.entry.mode)
        ? node->second.entry.data : nullptr;
}

void LayeredTree::add_to(Cpio &cpio, const std::string &prefix) const
{
    for (const auto &[path, node] : nodes_) {
        cpio.add(join(prefix, path), node.entry);
    }
}
