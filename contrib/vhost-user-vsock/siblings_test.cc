/*
 * Tests of siblings.cc, and of the streams between siblings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "siblings.hh"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>

namespace {

constexpr uint64_t anne = 16, emily = 17, stranger = 18;

class SiblingsTest : public testing::Test {
protected:
    SiblingsTest()
    {
        siblings.add(anne, {"b", "c"}, annes, annes_share,
                     [](SiblingRequest &) {});
        siblings.add(emily, {"a", "b"}, emilys, emilys_share,
                     [this](SiblingRequest &request) {
            calls++;
            taken = {request.from_cid, request.from_port, request.to_port,
                     request.type,
                     takes ? std::move(request.stream) : nullptr};
        });
        siblings.add(stranger, {"d"}, strangers, strangers_share,
                     [](SiblingRequest &) {});
    }
    std::unique_ptr<Stream> connect(uint64_t to, uint16_t type = type_stream)
    {
        PacketHeader request;

        request.src_port = 1;
        request.dst_cid = to;
        request.dst_port = 2;
        request.type = type;
        return siblings.connect(anne, request);
    }
    /* Anne's end, connected to the one in `taken` */
    std::unique_ptr<Stream> connected(uint16_t type)
    {
        auto mine = connect(emily, type);

        emilys.run_once(0);
        taken.stream->guest_accepted(1);
        EXPECT_EQ(mine->status(), Stream::Status::connected);
        return mine;
    }
    static ssize_t write(Stream &stream, std::string text)
    {
        iovec v = {text.data(), text.size()};

        return stream.writev(&v, 1);
    }
    static std::string read(Stream &stream)
    {
        std::array<char, 100> text;
        iovec v = {text.data(), text.size()};
        ssize_t n = stream.readv(&v, 1);

        return n > 0 ? std::string(text.data(), n) : n == 0 ? "(end)" : "";
    }

    Loop annes, emilys, strangers;
    DescriptorShare annes_share, emilys_share, strangers_share;
    Siblings siblings;
    SiblingRequest taken = {};
    bool takes = true;
    int calls = 0;
};

TEST_F(SiblingsTest, OnlyThoseWithACommonGroup)
{
    EXPECT_TRUE(connect(emily));
    EXPECT_FALSE(connect(stranger));
    EXPECT_FALSE(connect(anne));
    EXPECT_FALSE(connect(99));
}

TEST_F(SiblingsTest, ConnectedWhenTheOtherHasAccepted)
{
    auto mine = connect(emily);

    EXPECT_EQ(mine->status(), Stream::Status::connecting);
    EXPECT_EQ(calls, 0);        /* accept() runs in its thread */
    emilys.run_once(0);
    ASSERT_EQ(calls, 1);
    EXPECT_EQ(taken.from_cid, anne);
    EXPECT_EQ(taken.from_port, 1U);
    EXPECT_EQ(taken.to_port, 2U);
    EXPECT_EQ(mine->status(), Stream::Status::connecting);
    taken.stream->guest_accepted(1);
    EXPECT_EQ(mine->status(), Stream::Status::connected);
}

TEST_F(SiblingsTest, RefusedWhenItIsNotTaken)
{
    auto mine = connect(emily);

    takes = false;
    emilys.run_once(0);
    ASSERT_EQ(calls, 1);
    taken.stream.reset();
    EXPECT_EQ(mine->status(), Stream::Status::failed);
}

TEST_F(SiblingsTest, BytesBothWays)
{
    auto mine = connected(type_stream);

    EXPECT_EQ(write(*mine, "to emily"), 8);
    EXPECT_EQ(read(*taken.stream), "to emily");
    EXPECT_EQ(write(*taken.stream, "to anne"), 7);
    EXPECT_EQ(read(*mine), "to anne");
    mine.reset();
    EXPECT_EQ(read(*taken.stream), "(end)");
}

TEST_F(SiblingsTest, MessagesKeepTheirBoundsAndRecords)
{
    auto mine = connected(type_seqpacket);

    mine->set_ends_record(true);
    EXPECT_EQ(write(*mine, "first"), 5);
    mine->set_ends_record(false);
    EXPECT_EQ(write(*mine, "second"), 6);

    EXPECT_EQ(taken.stream->message_size(), 5);
    EXPECT_EQ(read(*taken.stream), "first");
    EXPECT_TRUE(taken.stream->ends_record());
    EXPECT_EQ(taken.stream->message_size(), 6);
    EXPECT_EQ(read(*taken.stream), "second");
    EXPECT_FALSE(taken.stream->ends_record());
}

/* Both ends are the caller's, until they are closed. */
TEST_F(SiblingsTest, DescriptorsAreOfTheCallersShare)
{
    annes_share.set_limit(5);
    auto one = connect(emily);
    emilys.run_once(0);
    std::unique_ptr<Stream> other_end = std::move(taken.stream);
    auto two = connect(emily);

    EXPECT_TRUE(one && two);
    EXPECT_EQ(annes_share.used(), 4u);
    EXPECT_FALSE(connect(emily));      /* one is left, but it needs two */
    EXPECT_EQ(annes_share.used(), 4u);
    EXPECT_EQ(emilys_share.used(), 0u);
    emilys.run_once(0);
    one.reset();
    EXPECT_EQ(annes_share.used(), 3u);
    EXPECT_TRUE(connect(emily));
    emilys.run_once(0);
    other_end.reset();
    two.reset();
    taken.stream.reset();
    EXPECT_EQ(annes_share.used(), 0u);
}

TEST_F(SiblingsTest, CallsThatWaitAreBounded)
{
    size_t made = 0;
    rlimit descriptors;

    /* The test must not end because of too few descriptors. */
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
    descriptors.rlim_cur = descriptors.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
    while (made <= max_pending_requests && connect(emily)) {
        made++;
    }
    EXPECT_EQ(made, max_pending_requests);
    emilys.run_once(0);
    EXPECT_EQ(static_cast<size_t>(calls), made);
    EXPECT_TRUE(connect(emily));
}

} // namespace
