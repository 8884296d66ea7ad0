/*
 * The amount of memory that the program may use temporarily
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/memory.hh"

#include <algorithm>
#include <fstream>
#include <limits>

namespace {

constexpr uint64_t part = 4;        /* a quarter is used */
constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

/* A limit of a control group; some files say "max" or nothing */
uint64_t limit_in(const std::string &path)
{
    std::ifstream file(path);
    uint64_t bytes;

    return file >> bytes ? bytes : unlimited;
}

/* The limits of the program's group and of all its parents */
uint64_t group_limit(const std::string &root)
{
    const std::string groups = root + "/sys/fs/cgroup";
    uint64_t least = limit_in(groups + "/memory/memory.limit_in_bytes");
    std::ifstream file(root + "/proc/self/cgroup");

    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("0::/")) {    /* not of version 2 */
            continue;
        }
        std::string path = line.substr(3);
        for (size_t end = path.size(); end != std::string::npos;
             end = end ? path.rfind('/', end - 1) : std::string::npos) {
            least = std::min(least, limit_in(groups + path.substr(0, end)
                                             + "/memory.max"));
        }
    }
    return least;
}

uint64_t available(const std::string &root)
{
    std::ifstream file(root + "/proc/meminfo");

    for (std::string line; std::getline(file, line);) {
        const std::string key = "MemAvailable:";

        if (line.starts_with(key)) {
            return strtoull(line.c_str() + key.size(), nullptr, 10) << 10;
        }
    }
    return 0;
}

} // namespace

uint64_t spare_memory(const std::string &root)
{
    return std::min(available(root), group_limit(root)) / part;
}
