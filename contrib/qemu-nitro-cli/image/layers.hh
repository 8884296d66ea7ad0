/*
 * The root file system of a container image, from its layers
 *
 * Format: the OCI image specification, "Image Layer Filesystem Changeset".  The
 * tree is in memory; the files' data is not.  Symbolic links in the path of an
 * entry are followed within the tree, so no entry can be outside of it.
 *
 * A path can have 2000 names, and symbolic links lead to more.  So each name
 * has a node of its own, and the work for all paths together is limited.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_LAYERS_HH
#define QEMU_NITRO_CLI_IMAGE_LAYERS_HH

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "image/archive_reader.hh"
#include "image/cpio.hh"

class LayeredTree {
public:
    /* `max_steps` is how many names are looked at in all, in paths, targets of
     * links and removed directories. */
    explicit LayeredTree(std::shared_ptr<Spool> spool,
                         uint64_t max_steps = 300000000)
        : spool_(std::move(spool)), steps_left_(max_steps) {}

    /*
     * Apply the next layer: a tar archive, compressed or not, or no bytes.
     * `name` is for messages.  Data that is not compressed is not copied.  The
     * caller has to check the digests.
     */
    ArchiveReader::Digests apply(const Blob &layer, const std::string &name,
                                 UnpackLimit &limit);

    /* The data of a file, after following links; null if there is no file. */
    ContentPtr file(const std::string &path) const;

    void add_to(Cpio &cpio, const std::string &prefix) const;

private:
    struct Node {
        Cpio::Entry entry;      /* its mode is 0 for a root without an entry */
        unsigned layer = 0;     /* the layer of the entry */
        std::map<std::string, std::unique_ptr<Node>> children;
    };
    /* A name in a path, and its node; null if the tree does not have it */
    struct Step {
        std::string name;
        Node *node;
    };
    using Place = std::vector<Step>;    /* from the root, which has no Step */

    Place resolve(const std::string &path, bool last) const;
    Node *node_at(const Place &place) const;
    static Node *child_of(const Node *directory, const std::string &name);
    void count_step(const std::string &path) const;
    void apply_entry(ArchiveReader &reader, archive_entry *entry);
    Cpio::Entry entry_of(ArchiveReader &reader, archive_entry *entry,
                         const std::string &path);
    void whiteout(const Place &directory, const std::string &name);
    bool remove_lower(Node &node, const std::string &path);
    bool remove_lower_children(Node &node, const std::string &path);
    Node *directory_at(ArchiveReader &reader, const Place &place,
                       const std::string &path);
    void put(ArchiveReader &reader, const Place &directory,
             const std::string &name, const std::string &path,
             Cpio::Entry entry);
    Cpio::Entry hard_link(ArchiveReader &reader, const std::string &path,
                          const std::string &target);
    static void add_to(Cpio &cpio, const std::string &path, const Node &node);

    std::shared_ptr<Spool> spool_;
    std::unique_ptr<Node> root_ = std::make_unique<Node>();
    Node hidden_;               /* files that only hard links give a name */
    unsigned layer_ = 0;
    uint64_t links_ = 0;
    mutable uint64_t steps_left_;
};

#endif
