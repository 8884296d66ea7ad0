/*
 * Decimal numbers from a command line, a file or a socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_DECIMAL_HH
#define NITRO_COMMON_DECIMAL_HH

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

/*
 * The number in `text`, which must be from `min` to `max`.  Leading zeros are
 * allowed; a sign, spaces and text after the digits are not.
 */
inline std::optional<uint64_t> parse_decimal(std::string_view text,
                                             uint64_t min, uint64_t max)
{
    const char *end = text.data() + text.size();
    uint64_t value;
    auto [rest, error] = std::from_chars(text.data(), end, value);

    if (error != std::errc() || rest != end || value < min || value > max) {
        return {};
    }
    return value;
}

#endif
