/*
 * Tests of message.cc: checks of a peer's messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "message.hh"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

VhostUserMsg make(int request, uint32_t size)
{
    VhostUserMsg m;

    memset(&m, 0, sizeof(m));
    m.request = request;
    m.flags = 1;
    m.size = size;
    return m;
}

TEST(Message, Version)
{
    VhostUserMsg m = make(VHOST_USER_GET_FEATURES, 0);

    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
    m.flags = 2;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
}

TEST(Message, UnknownRequests)
{
    for (int request : {0, 6, 19, 22, 33, 39, 1000, -1}) {
        EXPECT_NE(check_message(make(request, 0), max_queue_size), nullptr)
            << request;
    }
}

TEST(Message, FeaturesNeedVirtio1)
{
    VhostUserMsg m = make(VHOST_USER_SET_FEATURES, 8);

    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    m.payload.u64 = 1ull << 32;
    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
    m.size = 4;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
}

TEST(Message, QueueIndexes)
{
    VhostUserMsg m = make(VHOST_USER_SET_VRING_NUM, 8);

    m.payload.state = {1, 128};
    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
    m.payload.state = {2, 128};
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    for (unsigned num : {0u, 100u, 2048u, 0x80000000u}) {
        m.payload.state = {0, num};
        EXPECT_NE(check_message(m, max_queue_size), nullptr) << num;
    }

    m = make(VHOST_USER_SET_VRING_ADDR, 40);
    m.payload.addr.index = 2;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);

    m = make(VHOST_USER_SET_VRING_KICK, 8);
    m.payload.u64 = 5;
    m.fd_num = 1;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    m.payload.u64 = 1;
    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
    m.fd_num = 2;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    m.fd_num = 0;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    m.payload.u64 = 1 | VHOST_USER_VRING_NOFD_MASK;
    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
}

TEST(Message, MemoryTable)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd, 8192), 0);
    VhostUserMsg m = make(VHOST_USER_SET_MEM_TABLE,
                          8 + sizeof(VhostUserMemoryRegion));
    VhostUserMemoryRegion region = {0, 4096, 0x1000000, 4096};
    auto check = [&] {
        memcpy(&m.payload.memory.regions[0], &region, sizeof(region));
        return check_message(m, max_queue_size);
    };

    m.payload.memory.nregions = 1;
    m.fd_num = 1;
    m.fds[0] = fd;
    EXPECT_EQ(check(), nullptr);

    region.memory_size = 4097;      /* past the end of the file */
    EXPECT_NE(check(), nullptr);
    region.memory_size = 0;
    EXPECT_NE(check(), nullptr);
    region = {UINT64_MAX, 4096, 0, 0};
    EXPECT_NE(check(), nullptr);
    region = {0, 4096, 0, UINT64_MAX - 100};
    EXPECT_NE(check(), nullptr);
    region = {0, 4096, 0, 0};
    EXPECT_EQ(check(), nullptr);

    m.fd_num = 0;
    EXPECT_NE(check(), nullptr);
    m.fd_num = 1;
    m.payload.memory.nregions = 2;
    EXPECT_NE(check(), nullptr);
    m.payload.memory.nregions = 9;
    m.size = 8 + 9 * sizeof(VhostUserMemoryRegion);
    m.fd_num = 9;
    EXPECT_NE(check(), nullptr);
    close(fd);
}

TEST(Message, Configuration)
{
    VhostUserMsg m = make(VHOST_USER_GET_CONFIG, 12 + 8);

    m.payload.config.size = 8;
    EXPECT_EQ(check_message(m, max_queue_size), nullptr);
    m.payload.config.size = 9;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
    m.size = 4;
    EXPECT_NE(check_message(m, max_queue_size), nullptr);
}

/* Read a message of which the peer sends `size` bytes.  Then the peer closes
 * or, with `wait`, sends nothing more. */
MessageReader::Result read_back(const VhostUserMsg &m, size_t size,
                                bool wait = false)
{
    MessageReader reader(max_queue_size);
    int pair[2];

    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EXPECT_EQ(write(pair[0], &m, size), static_cast<ssize_t>(size));
    if (!wait) {
        close(pair[0]);
    }
    MessageReader::Result result = reader.read(pair[1]);
    if (result == MessageReader::Result::complete) {
        VhostUserMsg got = reader.take();

        EXPECT_EQ(memcmp(&got, &m, size), 0);
    }
    if (wait) {
        close(pair[0]);
    }
    close(pair[1]);
    return result;
}

TEST(Message, InPieces)
{
    VhostUserMsg m = make(VHOST_USER_SET_PROTOCOL_FEATURES, 8);
    MessageReader reader(max_queue_size);
    const char *bytes = reinterpret_cast<const char *>(&m);
    int pair[2];

    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 20; i++) {
            EXPECT_EQ(reader.read(pair[1]),
                      MessageReader::Result::incomplete);
            ASSERT_EQ(write(pair[0], bytes + i, 1), 1);
        }
        EXPECT_EQ(reader.read(pair[1]), MessageReader::Result::complete);
        VhostUserMsg got = reader.take();
        EXPECT_EQ(memcmp(&got, &m, 20), 0);
    }
    close(pair[0]);
    close(pair[1]);
}

TEST(Message, CutShortAnywhere)
{
    VhostUserMsg m = make(VHOST_USER_SET_PROTOCOL_FEATURES, 8);

    for (size_t size = 1; size < 20; size++) {
        EXPECT_EQ(read_back(m, size), MessageReader::Result::closed) << size;
        EXPECT_EQ(read_back(m, size, true),
                  MessageReader::Result::incomplete) << size;
    }
    EXPECT_EQ(read_back(m, 20), MessageReader::Result::complete);
    m.size = 0x7fffffff;
    EXPECT_EQ(read_back(m, 20), MessageReader::Result::refused);
}

} // namespace
