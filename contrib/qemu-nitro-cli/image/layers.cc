/*
 * The root file system of a container image, from its layers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/layers.hh"

#include <algorithm>
#include <climits>
#include <cstring>
#include <deque>
#include <set>
#include <string_view>
#include <sys/stat.h>

#include "support/bytes.hh"
#include "support/errors.hh"

namespace {

constexpr int max_links = 40;           /* in a path, as in Linux */
/* Linux skips an entry of a ramdisk whose name has more than PATH_MAX bytes,
 * with "rootfs/" and the zero byte (init/initramfs.c, do_header()). */
constexpr size_t max_path = PATH_MAX - sizeof("rootfs/");
constexpr char whiteout_mark[] = ".wh.";
constexpr char opaque_mark[] = ".wh..wh..opq";
constexpr char aufs_links[] = ".wh..wh.plnk/";

std::vector<std::string_view> split(std::string_view path)
{
    std::vector<std::string_view> parts;

    for (size_t at = 0; at <= path.size();) {
        size_t end = std::min(path.find('/', at), path.size());
        std::string_view part = path.substr(at, end - at);

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
    for (std::string_view part : split(name)) {
        if (part.size() > NAME_MAX) {
            reader.fail(what + " " + name + " has a name of "
                        + std::to_string(part.size()) + " bytes in it, more"
                        " than " + std::to_string(NAME_MAX), fix_layer);
        }
        if (part != "..") {
            path.append(path.empty() ? "" : "/").append(part);
        } else if (!path.empty()) {
            path.resize(parent(path).size());
        } else if (*name != '/') {      /* the root's parent is the root */
            reader.fail(what + " " + name + " leads out of the image",
                        fix_layer);
        }
    }
    return path;
}

/* Add each name once: a header may have an attribute in two forms. */
std::vector<std::string> attributes_of(const ArchiveReader &reader,
                                       archive_entry *entry)
{
    std::set<std::string> found;        /* libarchive does not order them */
    const char *name;
    const void *value;
    size_t size;

    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size)
           == ARCHIVE_OK) {
        if (is_worth_a_warning(name)) {
            found.insert(name);
        }
    }
    for (auto [type, list] : {
             std::pair{ARCHIVE_ENTRY_ACL_TYPE_ACCESS |
                       ARCHIVE_ENTRY_ACL_TYPE_NFS4, "system.posix_acl_access"},
             {ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default"}}) {
        if (archive_entry_acl_count(entry, type)) {
            found.insert(list);
        }
    }
    for (const std::string &attribute : found) {
        reader.count_name(attribute.size());
    }
    return {found.begin(), found.end()};
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

/*
 * Does an entry belong to AUFS and not to the image?  Docker leaves out such
 * entries, too; hard links may lead to files in the directory `aufs_links`.
 */
bool is_of_aufs(const std::string &path)
{
    constexpr std::string_view prefix = ".wh..wh.";
    auto parts = split(path);

    return std::ranges::any_of(parts, [&](std::string_view part) {
        return part.starts_with(prefix) &&
            (part != opaque_mark || part.data() != &parts.back()[0]);
    });
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

/* Without this limit, an image of a few MB would take hours. */
void LayeredTree::count_step(const std::string &path) const
{
    if (!steps_left_) {
        throw Error(Code::building, shortened(path) + ": the paths, symbolic"
                    " links and whiteouts in the layers have too many names",
                    "Make a container image with fewer files, links or"
                    " layers.");
    }
    steps_left_--;
}

LayeredTree::Node *LayeredTree::node_at(const Place &place) const
{
    return place.empty() ? root_.get() : place.back().node;
}

/* Null if there is no such node, or no directory */
LayeredTree::Node *LayeredTree::child_of(const Node *directory,
                                         const std::string &name)
{
    if (!directory) {
        return nullptr;
    }
    auto child = directory->children.find(name);
    return child == directory->children.end() ? nullptr : child->second.get();
}

/*
 * Follow the symbolic links of a path in the tree, and with `last` also a link
 * at its end.  Throws if there are too many.
 */
LayeredTree::Place LayeredTree::resolve(const std::string &path,
                                        bool last) const
{
    std::deque<std::string> targets;    /* of links; `parts` refers to them */
    std::vector<std::string_view> parts = split(path);
    Place place;

    std::ranges::reverse(parts);                /* the next one is the last */
    while (!parts.empty()) {
        std::string part(parts.back());

        count_step(path);
        parts.pop_back();
        if (part == "..") {
            if (!place.empty()) {
                place.pop_back();
            }
            continue;
        }
        Node *next = child_of(node_at(place), part);
        if (!next || !S_ISLNK(next->entry.mode) || (parts.empty() && !last)) {
            place.push_back({std::move(part), next});
            continue;
        }
        if (targets.size() == max_links) {
            throw Error(Code::building, shortened(path) + ": more than "
                        + std::to_string(max_links) + " symbolic links",
                        "Mend the links in the container image.");
        }
        Bytes target = read_all(*next->entry.data);
        targets.emplace_back(target.begin(), target.end());
        if (targets.back().starts_with('/')) {
            place.clear();
        }
        auto more = split(targets.back());
        parts.insert(parts.end(), more.rbegin(), more.rend());
    }
    return place;
}

/* Remove what lower layers have below a node.  Returns whether anything is
 * left. */
bool LayeredTree::remove_lower_children(Node &node, const std::string &path)
{
    std::erase_if(node.children, [&](const auto &child) {
        return !remove_lower(*child.second, path);
    });
    return !node.children.empty();
}

/* The same for the node itself, which the caller removes if false is returned.
 * A directory stays if this layer has something in it. */
bool LayeredTree::remove_lower(Node &node, const std::string &path)
{
    count_step(path);
    return remove_lower_children(node, path) || node.layer == layer_;
}

void LayeredTree::whiteout(const Place &directory, const std::string &name)
{
    Node *node = node_at(directory);

    if (!node) {
        return;
    }
    if (name == opaque_mark) {
        remove_lower_children(*node, name);
        return;
    }
    auto child = node->children.find(name.substr(strlen(whiteout_mark)));
    if (child != node->children.end() && !remove_lower(*child->second, name)) {
        node->children.erase(child);
    }
}

/* The node of a directory.  It is made if a layer only implies it. */
LayeredTree::Node *LayeredTree::directory_at(ArchiveReader &reader,
                                             const Place &place,
                                             const std::string &path)
{
    Node *node = root_.get();
    size_t size = 0;

    for (const Step &step : place) {
        std::unique_ptr<Node> &child = node->children[step.name];

        size += step.name.size() + 1;
        if (!child) {
            reader.count_entry();
            reader.count_name(size - 1);
            child = std::make_unique<Node>();
            child->entry.mode = S_IFDIR | 0755;
            child->layer = layer_;
        } else if (!S_ISDIR(child->entry.mode)) {
            reader.fail(shortened(path) + ": " + path.substr(0, size - 1)
                        + " is not a directory", fix_layer);
        }
        node = child.get();
    }
    return node;
}

/* Add a node.  A directory replaces a lower layer's, and keeps its entries. */
void LayeredTree::put(ArchiveReader &reader, const Place &directory,
                      const std::string &name, const std::string &path,
                      Cpio::Entry entry)
{
    Node *node = root_.get();

    if (path.empty() && !S_ISDIR(entry.mode)) {
        reader.fail("the root is not a directory", fix_layer);
    }
    if (!path.empty()) {
        auto &child = directory_at(reader, directory, path)->children[name];

        if (!child) {
            reader.count_name(path.size());
            child = std::make_unique<Node>();
        }
        node = child.get();
    }
    if (!S_ISDIR(entry.mode)) {
        node->children.clear();
    }
    node->entry = std::move(entry);
    node->layer = layer_;
}

/* A hard link: another name for an existing entry */
Cpio::Entry LayeredTree::hard_link(ArchiveReader &reader,
                                   const std::string &path,
                                   const std::string &target)
{
    Node *node = target.starts_with(aufs_links)
        ? child_of(&hidden_, target.substr(target.rfind('/') + 1))
        : node_at(resolve(target, false));

    if (!node || S_ISDIR(node->entry.mode)) {
        reader.fail("the hard link " + path + " leads to " + target
                    + ", which is no file of the image", fix_layer);
    }
    if (!node->entry.link) {
        node->entry.link = {UINT64_MAX, links_++};
    }
    return node->entry;
}

/* An entry that is not a hard link, with its data unpacked */
Cpio::Entry LayeredTree::entry_of(ArchiveReader &reader, archive_entry *entry,
                                  const std::string &path)
{
    Cpio::Entry made;

    made.mode = mode_without_list(entry);
    made.attributes = attributes_of(reader, entry);
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

    if (is_of_aufs(path)) {
        if (path.starts_with(aufs_links) && !archive_entry_hardlink(entry) &&
            archive_entry_filetype(entry) == AE_IFREG) {
            reader.count_name(name.size());
            hidden_.children[name] = std::make_unique<Node>(
                Node{entry_of(reader, entry, path), layer_, {}});
        }
        return;
    }
    Place directory = resolve(parent(path), true);

    if (name.starts_with(whiteout_mark)) {
        std::string rest = name.substr(strlen(whiteout_mark));

        if (rest.empty() || rest == "." || rest == "..") {
            reader.fail(path + " removes nothing that has a name", fix_layer);
        }
        return whiteout(directory, name);
    }
    if (!path.empty()) {
        path.clear();
        for (const Step &step : directory) {
            path += step.name + "/";
        }
        path += name;
    }
    if (path.size() > max_path) {
        reader.fail(shortened(path) + " has a path of "
                    + std::to_string(path.size()) + " bytes, and the kernel"
                    " leaves out of a ramdisk what has more than "
                    + std::to_string(max_path), fix_layer);
    }
    if (const char *target = archive_entry_hardlink(entry)) {
        std::string to = path_of(reader, target,
                                 "the target of the hard link " + path + ",");
        Node *old = node_at(resolve(to, false));

        if (!old || old != (path.empty() ? root_.get()
                            : child_of(node_at(directory), name))) {
            put(reader, directory, name, path, hard_link(reader, path, to));
        }
        return;
    }
    put(reader, directory, name, path, entry_of(reader, entry, path));
}

ArchiveReader::Digests LayeredTree::apply(const Blob &layer,
                                          const std::string &name,
                                          UnpackLimit &limit)
{
    layer_++;
    hidden_.children.clear();
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
    const Node *node = node_at(resolve(path, true));

    return node && S_ISREG(node->entry.mode) ? node->entry.data : nullptr;
}

void LayeredTree::add_to(Cpio &cpio, const std::string &path, const Node &node)
{
    if (node.entry.mode) {
        cpio.add(path, node.entry);
    }
    for (const auto &[name, child] : node.children) {
        add_to(cpio, join(path, name), *child);
    }
}

void LayeredTree::add_to(Cpio &cpio, const std::string &prefix) const
{
    add_to(cpio, prefix, *root_);
}
