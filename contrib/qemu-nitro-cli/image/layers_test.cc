/*
 * Tests of archive_reader.cc and layers.cc: what is unpacked is bounded
 *
 * What container images may hold is tested from outside, in
 * tests/functional/cli_build_test.py.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/layers.hh"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/errors.hh"

namespace {

using Maker = std::unique_ptr<archive, int (*)(archive *)>;

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

    ASSERT_LT(bomb.size, 10000u);
    Layer layer = decompress(spool, bomb, "bomb", enough);
    EXPECT_GT(layer.tar.size, 1u << 20);
    EXPECT_EQ(layer.digest, sha256_of(bomb));
    EXPECT_LT(enough.bytes, 1u << 20);
    EXPECT_THROW(decompress(spool, bomb, "bomb", less), Error);
}

/* What is not compressed is used where it is, and costs nothing. */
TEST_F(Unpack, InPlace)
{
    Blob tar_blob = tar(3, 1000);
    UnpackLimit limit{0, 3};
    LayeredTree tree(spool);
    uint64_t before = spool->begin();

    Layer layer = decompress(spool, tar_blob, "layer", limit);
    EXPECT_EQ(layer.tar.position, tar_blob.position);
    EXPECT_EQ(layer.digest, "");
    EXPECT_EQ(tree.apply(layer.tar, "layer", limit), sha256_of(tar_blob));
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

/* Holes take no place in the archive, but in the image. */
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
