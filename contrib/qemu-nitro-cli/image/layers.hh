/*
 * The root file system of a container image, from its layers
 *
 * Format: the OCI image specification, "Image Layer Filesystem Changeset".  The
 * tree is in memory; the files' data is not.  Symbolic links in the path of an
 * entry are followed within the tree, so no entry can be outside of it.
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

#include "image/archive_reader.hh"
#include "image/cpio.hh"

class LayeredTree {
public:
    explicit LayeredTree(std::shared_ptr<Spool> spool)
        : spool_(std::move(spool)) {}

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
        Cpio::Entry entry;
        unsigned layer;         /* the layer of the entry */
    };

    std::string resolve(const std::string &path, bool last) const;
    void apply_entry(ArchiveReader &reader, archive_entry *entry);
    Cpio::Entry entry_of(ArchiveReader &reader, archive_entry *entry,
                         const std::string &path);
    void whiteout(const std::string &directory, const std::string &name);
    void remove_lower(const std::string &path);
    void put(ArchiveReader &reader, const std::string &path,
             Cpio::Entry entry);
    Cpio::Entry hard_link(ArchiveReader &reader, const std::string &path,
                          const std::string &target);

    std::shared_ptr<Spool> spool_;
    /* by path, without a leading slash; the root is "" */
    std::map<std::string, Node> nodes_;
    unsigned layer_ = 0;
    uint64_t links_ = 0;
};

#endif
