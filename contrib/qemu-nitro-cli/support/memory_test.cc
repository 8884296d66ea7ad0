/*
 * Tests of memory.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/memory.hh"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

class SpareMemory : public testing::Test {
protected:
    SpareMemory() : root(mkdtemp(name)) {}
    ~SpareMemory() override { fs::remove_all(root); }

    void write(const std::string &path, const std::string &text)
    {
        fs::create_directories(fs::path(root + path).parent_path());
        std::ofstream(root + path) << text;
    }

    char name[32] = "/tmp/memory-test-XXXXXX";
    std::string root;
};

TEST_F(SpareMemory, OfTheHost)
{
    EXPECT_EQ(spare_memory(root), 0u);
    write("/proc/meminfo", "MemTotal:  900 kB\nMemAvailable:    400 kB\n");
    EXPECT_EQ(spare_memory(root), 100u << 10);
    write("/proc/meminfo", "MemAvailable: nonsense\n");
    EXPECT_EQ(spare_memory(root), 0u);
    EXPECT_GT(spare_memory(), 0u);
}

TEST_F(SpareMemory, OfControlGroups)
{
    write("/proc/meminfo", "MemAvailable: 1000 kB\n");
    write("/proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n");
    EXPECT_EQ(spare_memory(root), 250u << 10);
    write("/sys/fs/cgroup/a/b/memory.max", "max\n");
    EXPECT_EQ(spare_memory(root), 250u << 10);
    write("/sys/fs/cgroup/a/b/memory.max", "40000\n");
    EXPECT_EQ(spare_memory(root), 10000u);
    write("/sys/fs/cgroup/a/memory.max", "20000\n");
    EXPECT_EQ(spare_memory(root), 5000u);
    write("/sys/fs/cgroup/memory.max", "8000\n");
    EXPECT_EQ(spare_memory(root), 2000u);
    write("/proc/self/cgroup", "0::/\n");
    EXPECT_EQ(spare_memory(root), 2000u);
    write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n");
    EXPECT_EQ(spare_memory(root), 1000u);
}

} // namespace
