/*
 * Bytes, and how they are printed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_BYTES_HH
#define QEMU_NITRO_CLI_SUPPORT_BYTES_HH

#include <cstdint>
#include <span>
#include <string>
#include <vector>

using Bytes = std::vector<uint8_t>;

/* In lower-case hexadecimal digits, without a separator */
std::string hex(std::span<const uint8_t> data);

#endif
