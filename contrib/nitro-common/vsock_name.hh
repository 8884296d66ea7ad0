/*
 * The name of a Unix socket that is one end of a vsock connection
 *
 * A program that accepts a connection on a Unix socket can ask for the name of
 * the other end, with getpeername().  vhost-user-vsock gives its end a name in
 * the abstract namespace (unix(7)), so that the program can know which guest,
 * and which of its ports, it is connected to:
 *
 *   a zero byte, then nitro-vsock/CID/PORT/UNIQUE
 *
 * CID and PORT are decimal.  UNIQUE is any text: two connections have different
 * names, also if one of them is already closed in the guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_VSOCK_NAME_HH
#define NITRO_COMMON_VSOCK_NAME_HH

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/random.h>

#include "decimal.hh"

struct VsockName {
    uint32_t cid, port;
};

/* UNIQUE is 64 random bits.  Returns "" if there are no random numbers. */
inline std::string vsock_name(const VsockName &end)
{
    uint64_t unique;

    if (getrandom(&unique, sizeof(unique), GRND_NONBLOCK) != sizeof(unique)) {
        return "";
    }
    return std::string(1, '\0') + "nitro-vsock/" + std::to_string(end.cid)
        + "/" + std::to_string(end.port) + "/" + std::to_string(unique);
}

/* `name` is all of sun_path, including its zero byte. */
inline std::optional<VsockName> parse_vsock_name(std::string_view name)
{
    constexpr std::string_view prefix("\0nitro-vsock/", 13);

    if (!name.starts_with(prefix)) {
        return {};
    }
    name.remove_prefix(prefix.size());
    size_t first = name.find('/');
    if (first == std::string_view::npos) {
        return {};
    }
    size_t second = name.find('/', first + 1);
    if (second == std::string_view::npos) {
        return {};
    }
    auto cid = parse_decimal(name.substr(0, first), 0, UINT32_MAX);
    auto port = parse_decimal(name.substr(first + 1, second - first - 1), 0,
                              UINT32_MAX);
    if (!cid || !port) {
        return {};
    }
    return VsockName{static_cast<uint32_t>(*cid),
                     static_cast<uint32_t>(*port)};
}

#endif
