/*
 * Tests of content.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/content.hh"

#include <fcntl.h>
#include <sys/stat.h>

#include "support/files.hh"
#include "support/test_support.hh"

namespace {

std::string text_of(const Bytes &data)
{
    return {data.begin(), data.end()};
}

class Reading : public DirectoryTest {
};

TEST_F(Reading, Memory)
{
    EXPECT_EQ(content_of("text")->size(), 4u);
    EXPECT_EQ(text_of(read_all(*content_of("text"))), "text");
    EXPECT_EQ(read_all(*content_of("")), Bytes());
}

TEST_F(Reading, File)
{
    const std::string large(3000001, 'x');
    ContentPtr content = content_of_file(write("file", large));

    EXPECT_EQ(content->size(), large.size());
    EXPECT_EQ(text_of(read_all(*content)), large);
    EXPECT_EQ(text_of(read_all(*content)), large);
}

TEST_F(Reading, FileThatChanges)
{
    ContentPtr content = content_of_file(write("file", "before"));

    write("file", "other");
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
    write("other", "before");
    std::filesystem::rename(path("other"), path("file"));
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
    std::filesystem::remove(path("file"));
    EXPECT_EQ(code_of([&] { read_all(*content); }), 19);
}

TEST_F(Reading, WhatIsNoFile)
{
    ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(code_of([&] { content_of_file(path("fifo")); }), 19);
    EXPECT_EQ(code_of([&] { content_of_file(dir); }), 19);
    EXPECT_EQ(code_of([] { content_of_file("/dev/zero"); }), 19);
    EXPECT_EQ(code_of([&] { content_of_file(path("none")); }), 19);
}

class Spooling : public Reading, public testing::WithParamInterface<uint64_t> {
};

/* In memory, in a file, and from one to the other */
INSTANTIATE_TEST_SUITE_P(Memory, Spooling,
                         testing::Values(0, 1, uint64_t{6} << 20,
                                         uint64_t{1} << 40));

TEST_P(Spooling, Spool)
{
    auto spool = Spool::create(dir, GetParam());
    EXPECT_EQ(count(), 0u);

    spool->write(0, "one", 3);
    ContentPtr one = spool->finish(3);
    spool->write(2, "two", 3);              /* with a hole before it */
    ContentPtr two = spool->finish(7);      /* and one after it */
    ContentPtr three = spool->finish(2 << 20);
    EXPECT_EQ(text_of(read_all(*one)), "one");
    EXPECT_EQ(text_of(read_all(*two)), std::string("\0\0two\0\0", 7));
    EXPECT_EQ(read_all(*three), Bytes(2 << 20));
    EXPECT_EQ(text_of(read_all(*spool->content(1, 4))),
              std::string("ne\0\0", 4));
    spool.reset();                          /* content keeps its store */
    EXPECT_EQ(text_of(read_all(*one)), "one");
    EXPECT_EQ(code_of([&] { Spool::create(path("none"), GetParam()); }), 19);
}

TEST_P(Spooling, Large)
{
    auto spool = Spool::create(dir, GetParam());
    Bytes data(19 << 20);

    for (size_t i = 0; i < data.size(); i++) {
        data[i] = i / 1000;
    }
    for (size_t at = 0; at < data.size(); at += data.size() / 19) {
        spool->write(at, data.data() + at, data.size() / 19);
    }
    ContentPtr all = spool->finish(data.size());
    EXPECT_TRUE(read_all(*all) == data);
    /* Later data may have a lower offset. */
    spool->write(uint64_t{9} << 30, "end", 3);
    spool->write(5, "begin", 5);
    ContentPtr sparse = spool->finish((uint64_t{9} << 30) + 3);
    EXPECT_EQ(sparse->size(), (uint64_t{9} << 30) + 3);
    EXPECT_EQ(text_of(read_all(*spool->content(data.size() + 4, 7))),
              std::string("\0begin\0", 7));
    EXPECT_EQ(text_of(read_all(*spool->content(
                  data.size() + (uint64_t{9} << 30) - 1, 4))),
              std::string("\0end", 4));
    EXPECT_TRUE(read_all(*all) == data);
}

TEST_F(Reading, Store)
{
    Descriptor file(open(write("file", "some text").c_str(), O_RDONLY));
    auto store = std::make_shared<FileStore>(file, path("file"));
    ContentPtr part = store->content(5, 4), behind = store->content(5, 5);

    file.reset();                           /* the store has its own */
    EXPECT_EQ(store->size(), 9u);
    EXPECT_EQ(text_of(read_all(*part)), "text");
    EXPECT_EQ(code_of([&] { read_all(*behind); }), 19);
    write("file", "other text, longer");
    EXPECT_EQ(code_of([&] { read_all(*part); }), 19);
}

TEST_F(Reading, SmallFile)
{
    EXPECT_EQ(text_of(read_file(write("file", "text"))), "text");
    EXPECT_EQ(read_file("/dev/null"), Bytes());
    EXPECT_EQ(code_of([] { read_file("/dev/zero"); }), 19);
    EXPECT_EQ(code_of([&] { read_file(dir); }), 19);
    EXPECT_EQ(code_of([&] { read_file(path("none")); }), 19);
}

} // namespace
