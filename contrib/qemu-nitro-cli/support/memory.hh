/*
 * The amount of memory that the program may use temporarily
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_MEMORY_HH
#define QEMU_NITRO_CLI_SUPPORT_MEMORY_HH

#include <cstdint>
#include <string>

/*
 * A quarter, in bytes, of the host's available memory and of what the program's
 * control groups allow; 0 if it is unknown.  `root` is a prefix for the paths
 * of /proc and /sys, for tests.
 */
uint64_t spare_memory(const std::string &root = "");

#endif
