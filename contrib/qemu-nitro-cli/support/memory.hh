/*
 * How much memory the program may take for a while
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_MEMORY_HH
#define QEMU_NITRO_CLI_SUPPORT_MEMORY_HH

#include <cstdint>
#include <string>

/*
 * A quarter, in bytes, of what the host has available and of what the
 * program's control groups allow; 0 if that cannot be known.  `root` stands
 * before the paths of /proc and /sys, for tests.
 */
uint64_t spare_memory(const std::string &root = "");

#endif
