/*
 * Tests of archive_reader.cc and layers.cc: what is unpacked is bounded
 *
 * What container images may hold is tested from outside, in
 * tests/functional/cli_build_test.py.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "layers.hh"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace {

using Maker = std::unique_ptr<archive, int (*)(archive *)>;

class Unpack : public testing::Test {
protected:
    Blob keep(const void *data, size_t size)
    {
        Blob blob = {spool->begin(), size};

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

    std::shared_ptr<Spool> spool = Spool::create("/tmp");
};

TEST_F(Unpack, CompressedStreamIsBounded)
{
    Blob bomb = tar(1, 1 << 20, true);
    UnpackLimit enough{2 << 20, 10}, less{1 << 20, 10};

    ASSERT_LT(bomb.size, 10000u);
    EXPECT_GT(decompress(*spool, bomb, "bomb", enough).size, 1u << 20);
    EXPECT_LT(enough.bytes, 1u << 20);
    EXPECT_THROW(decompress(*spool, bomb, "bomb", less), Error);
}

TEST_F(Unpack, FilesAreBoundedTogether)
{
    Blob layer = tar(3, 1000);
    UnpackLimit enough{3000, 3}, bytes{2999, 3}, entries{3000, 2};
    LayeredTree good(spool), bad(spool);

    good.apply(layer, "layer", enough);
    EXPECT_EQ(enough.bytes, 0u);
    EXPECT_EQ(enough.entries, 0u);
    EXPECT_THROW(bad.apply(layer, "layer", bytes), Error);
    EXPECT_THROW(bad.apply(layer, "layer", entries), Error);
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
