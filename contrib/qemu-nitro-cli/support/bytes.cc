/*
 * Bytes, and how they are printed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/bytes.hh"

std::string hex(std::span<const uint8_t> data)
{
    const char *digits = "0123456789abcdef";
    std::string text;

    for (uint8_t byte : data) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}
