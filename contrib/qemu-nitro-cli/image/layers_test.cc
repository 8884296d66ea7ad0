/*
 * Tests of archive_reader.cc and layers.cc: the limits of unpacking
 *
 * tests/functional/cli_build_test.py tests the content of container images.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/layers.hh"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/errors.hh"
#include "support/test_support.hh"

namespace {

using Maker = std::unique_ptr<archive, int (*)(archive *)>;

/* "sha256:" and the digest of no bytes */
const char *const digest_of_nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb924"
                                      "27ae41e4649b934ca495991b7852b855";

class Unpack : public testing::Test {
protected:
    Blob keep(const void *data, size_t size)
    {
        Blob blob = {spool, spool->begin(), size};

        spool->write(0, data, size);
        spool->finish(size);
        return blob;
    }

    /* A tar archive of files of zeros, compressed if `zipped` */
    Blob tar(int files, size_t size, bool zipped = false)
    {
        Bytes out(1 << 22), zeros(size);
        size_t used = 0;
        Maker a(archive_write_new(), archive_write_free);

        archive_write_set_format_ustar(a.get());
        if (zipped) {
            archive_write_add_filter_gzip(a.get());
        }
        archive_write_open_memory(a.get(), out.data(), out.size(), &used);
        for (int i = 0; i < files; i++) {
            archive_entry *e = archive_entry_new();

            archive_entry_set_pathname(e, ("f" + std::to_string(i)).c_str());
            archive_entry_set_mode(e, S_IFREG | 0644);
            archive_entry_set_size(e, size);
            EXPECT_EQ(archive_write_header(a.get(), e), ARCHIVE_OK);
            archive_write_data(a.get(), zeros.data(), size);
            archive_entry_free(e);
        }
        EXPECT_EQ(archive_write_close(a.get()), ARCHIVE_OK);
        return keep(out.data(), used);
    }

    /* A tar archive of empty files, and links: "NAME -> TARGET" is a symbolic
     * link, "NAME = TARGET" a hard link */
    Blob tar_of(const std::vector<std::string> &entries)
    {
        Bytes out(1 << 22);
        size_t used = 0;
        Maker a(archive_write_new(), archive_write_free);

        archive_write_set_format_pax(a.get());
        archive_write_open_memory(a.get(), out.data(), out.size(), &used);
        for (const std::string &text : entries) {
            archive_entry *e = archive_entry_new();
            size_t symlink = text.find(" -> "), link = text.find(" = ");

            archive_entry_set_mode(e, S_IFREG | 0644);
            archive_entry_set_size(e, 0);
            archive_entry_set_pathname(
                e, text.substr(0, std::min(symlink, link)).c_str());
            if (symlink != text.npos) {
                archive_entry_set_mode(e, S_IFLNK | 0777);
                archive_entry_set_symlink(e, text.substr(symlink + 4).c_str());
            } else if (link != text.npos) {
                archive_entry_set_hardlink(e, text.substr(link + 3).c_str());
            }
            EXPECT_EQ(archive_write_header(a.get(), e), ARCHIVE_OK);
            archive_entry_free(e);
        }
        EXPECT_EQ(archive_write_close(a.get()), ARCHIVE_OK);
        return keep(out.data(), used);
    }

    /* Is a layer with these entries accepted? */
    bool accepts(const std::vector<std::string> &entries,
                 UnpackLimit limit = {}, uint64_t max_steps = 1000)
    {
        LayeredTree tree(spool, max_steps);
        Blob layer = tar_of(entries);

        try {
            tree.apply(layer, "layer", limit);
            return true;
        } catch (const Error &) {
            return false;
        }
    }

    /* One file with 512 bytes at 4096, and holes */
    Blob sparse_tar(size_t size)
    {
        Bytes out(1 << 20), zeros(size);
        size_t used = 0;
        Maker a(archive_write_new(), archive_write_free);
        archive_entry *e = archive_entry_new();

        std::fill_n(zeros.begin() + 4096, 512, 'x');
        archive_write_set_format_pax_restricted(a.get());
        archive_write_open_memory(a.get(), out.data(), out.size(), &used);
        archive_entry_set_pathname(e, "f");
        archive_entry_set_mode(e, S_IFREG | 0644);
        archive_entry_set_size(e, size);
        archive_entry_sparse_add_entry(e, 4096, 512);
        EXPECT_EQ(archive_write_header(a.get(), e), ARCHIVE_OK);
        archive_write_data(a.get(), zeros.data(), size);
        archive_entry_free(e);
        EXPECT_EQ(archive_write_close(a.get()), ARCHIVE_OK);
        return keep(out.data(), used);
    }

    std::shared_ptr<Spool> spool = Spool::create("/tmp");
};

TEST_F(Unpack, CompressedStreamIsBounded)
{
    Blob bomb = tar(1, 1 << 20, true);
    UnpackLimit enough{2 << 20, 10}, less{1 << 20, 10};
    LayeredTree good(spool), bad(spool);

    ASSERT_LT(bomb.size, 10000u);
    auto found = good.apply(bomb, "bomb", enough);
    EXPECT_EQ(found.stored, sha256_of(bomb));
    EXPECT_EQ(found.tar, sha256_of(tar(1, 1 << 20)));
    EXPECT_EQ(read_all(*good.file("f0")), Bytes(1 << 20));
    /* Each byte is counted once. */
    EXPECT_LT(enough.bytes, 1u << 20);
    EXPECT_GT(enough.bytes, 900u << 10);
    EXPECT_THROW(bad.apply(bomb, "bomb", less), Error);
}

/* More than the decompressing thread reads ahead */
TEST_F(Unpack, LargeCompressedLayer)
{
    Blob zipped = tar(3, 1 << 20, true);
    UnpackLimit limit;
    LayeredTree tree(spool);

    EXPECT_EQ(tree.apply(zipped, "layer", limit).tar,
              sha256_of(tar(3, 1 << 20)));
    EXPECT_EQ(read_all(*tree.file("f2")), Bytes(1 << 20));
}

/* Data that is not compressed is not copied and not counted. */
TEST_F(Unpack, InPlace)
{
    Blob tar_blob = tar(3, 1000);
    UnpackLimit limit{0, 3};
    LayeredTree tree(spool);
    uint64_t before = spool->begin();

    auto found = tree.apply(tar_blob, "layer", limit);
    EXPECT_EQ(found.stored, sha256_of(tar_blob));
    EXPECT_EQ(found.tar, found.stored);
    EXPECT_EQ(spool->begin(), before);
    EXPECT_EQ(limit.entries, 0u);
    EXPECT_EQ(read_all(*tree.file("f2")), Bytes(1000));
}

TEST_F(Unpack, EntriesAreBounded)
{
    UnpackLimit entries{3000, 2};
    LayeredTree tree(spool);

    EXPECT_THROW(tree.apply(tar(3, 1000), "layer", entries), Error);
}

/* With "rootfs/" and a zero byte, 4088 bytes become Linux's PATH_MAX. */
TEST_F(Unpack, LongestPath)
{
    std::string directory;

    for (int i = 0; i < 19; i++) {
        directory += std::string(199, 'd') + "/";
    }
    ASSERT_EQ(directory.size(), 3800u);
    EXPECT_TRUE(accepts({directory + std::string(144, 'd') + "/"
                         + std::string(143, 'f')}));
    EXPECT_FALSE(accepts({directory + std::string(144, 'd') + "/"
                          + std::string(144, 'f')}));
    /* as long, with a link in the path */
    EXPECT_TRUE(accepts({"l -> " + directory, directory + "f",
                         "l/" + std::string(144, 'd') + "/"
                         + std::string(143, 'f')}));
    EXPECT_FALSE(accepts({"l -> " + directory, directory + "f",
                          "l/" + std::string(144, 'd') + "/"
                          + std::string(144, 'f')}));
}

TEST_F(Unpack, ImpliedDirectoriesAreBounded)
{
    /* The names are "a", "a/b" and "a/b/c". */
    EXPECT_TRUE(accepts({"a/b/c"}, {.entries = 3}));
    EXPECT_FALSE(accepts({"a/b/c"}, {.entries = 2}));
    EXPECT_TRUE(accepts({"a/b/c"}, {.names = 9}));
    EXPECT_FALSE(accepts({"a/b/c"}, {.names = 8}));
    EXPECT_TRUE(accepts({"a/b/c", "a/b/c"}, {.names = 9}));
}

/* The names of extended attributes are kept, each once. */
TEST_F(Unpack, AttributesAreBounded)
{
    Bytes out(1 << 20);
    size_t used = 0;
    Maker a(archive_write_new(), archive_write_free);
    archive_entry *e = archive_entry_new();

    archive_write_set_format_pax(a.get());
    archive_write_open_memory(a.get(), out.data(), out.size(), &used);
    archive_entry_set_pathname(e, "f");
    archive_entry_set_mode(e, S_IFREG | 0644);
    archive_entry_set_size(e, 0);
    archive_entry_xattr_add_entry(e, "user.a", "1", 1);
    archive_entry_xattr_add_entry(e, "user.b", "1", 1);
    EXPECT_EQ(archive_write_header(a.get(), e), ARCHIVE_OK);
    archive_entry_free(e);
    EXPECT_EQ(archive_write_close(a.get()), ARCHIVE_OK);

    Blob layer = keep(out.data(), used);
    for (uint64_t names : {13, 12}) {
        UnpackLimit limit{.names = names};
        LayeredTree tree(spool);

        EXPECT_EQ(code_of([&] { tree.apply(layer, "layer", limit); }),
                  names == 13 ? 0 : 48);
    }
}

TEST_F(Unpack, StepsAreBounded)
{
    EXPECT_TRUE(accepts({"a/b/c"}, {}, 2));
    EXPECT_FALSE(accepts({"a/b/c"}, {}, 1));
    /* each link leads through one more name */
    EXPECT_TRUE(accepts({"l -> a", "m -> l", "a/c", "m/c"}, {}, 4));
    EXPECT_FALSE(accepts({"l -> a", "m -> l", "a/c", "m/c"}, {}, 3));
    /* what a whiteout may remove */
    EXPECT_TRUE(accepts({"b", "c", ".wh..wh..opq", ".wh..wh..opq"}, {}, 4));
    EXPECT_FALSE(accepts({"b", "c", ".wh..wh..opq", ".wh..wh..opq"}, {}, 3));
}

/* Docker leaves them out, too. */
TEST_F(Unpack, EntriesOfAufs)
{
    UnpackLimit limit;
    LayeredTree tree(spool);

    tree.apply(tar_of({"old/a", "c"}), "layer", limit);
    tree.apply(tar_of({".wh..wh.aufs", ".wh..wh.plnk/1.2", "b/.wh..wh.x/y",
                       "d = .wh..wh.plnk/1.2", "old/.wh..wh..opq",
                       ".wh..wh..opq/e"}), "layer", limit);
    EXPECT_TRUE(tree.file("c"));
    EXPECT_TRUE(tree.file("d"));
    for (const char *name : {".wh..wh.aufs", ".wh..wh.plnk/1.2",
                             "b/.wh..wh.x/y", "old/a", ".wh..wh..opq/e"}) {
        EXPECT_FALSE(tree.file(name)) << name;
    }
    EXPECT_THROW(tree.apply(tar_of({"d = .wh..wh.plnk/1.2"}), "layer", limit),
                 Error);
}

/* A hole takes no space in the archive, but it does in the image. */
TEST_F(Unpack, SparseFilesAreBounded)
{
    Blob sparse = sparse_tar(1 << 20);
    UnpackLimit enough{1 << 20, 10}, less{(1 << 20) - 1, 10};
    LayeredTree good(spool), bad(spool);

    ASSERT_LT(sparse.size, 100000u);
    good.apply(sparse, "sparse", enough);
    EXPECT_EQ(enough.bytes, 0u);
    Bytes data = read_all(*good.file("f"));
    ASSERT_EQ(data.size(), 1u << 20);
    EXPECT_EQ(data[4096], 'x');
    EXPECT_EQ(std::ranges::count(data, 0), (1 << 20) - 512);
    EXPECT_THROW(bad.apply(sparse, "sparse", less), Error);
}

TEST_F(Unpack, LayersOfNothing)
{
    /* no bytes, compressed with gzip */
    const uint8_t zipped[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0,
                              0, 0, 0, 0, 0, 0, 0, 0};
    UnpackLimit limit;
    LayeredTree tree(spool);

    EXPECT_EQ(tree.apply(keep("", 0), "layer", limit).tar, digest_of_nothing);
    Blob blob = keep(zipped, sizeof(zipped));
    auto found = tree.apply(blob, "layer", limit);
    EXPECT_EQ(found.tar, digest_of_nothing);
    EXPECT_EQ(found.stored, sha256_of(blob));
}

/* Wherever the input is cut off, the decompressing thread ends. */
TEST_F(Unpack, CutShort)
{
    Blob zipped = tar(3, 1 << 20, true);

    for (uint64_t size : {1u, 5u, 11u, 100u, 1000u}) {
        Blob cut = {zipped.store, zipped.position, size};
        UnpackLimit limit;
        LayeredTree tree(spool);

        ASSERT_LT(size, zipped.size);
        EXPECT_THROW(tree.apply(cut, "layer", limit), Error) << size;
    }
}

TEST_F(Unpack, FilesAreRead)
{
    Blob layer = tar(2, 5000);
    UnpackLimit limit;
    LayeredTree tree(spool);

    tree.apply(layer, "layer", limit);
    ASSERT_TRUE(tree.file("f1"));
    EXPECT_EQ(read_all(*tree.file("/f1")), Bytes(5000));
    EXPECT_FALSE(tree.file("f2"));
}

} // namespace
