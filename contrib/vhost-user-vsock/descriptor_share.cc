/*
 * A guest's share of the descriptors that the process may have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "descriptor_share.hh"

#include <filesystem>
#include <iterator>
#include <system_error>

/* Only the guest's own thread claims; other threads only give back. */
DescriptorClaim DescriptorShare::claim()
{
    if (*used_ >= limit_) {
        return DescriptorClaim();
    }
    ++*used_;
    return DescriptorClaim(used_);
}

size_t descriptor_share(size_t limit, size_t open, size_t guests)
{
    size_t fixed = open + guests * fixed_descriptors;

    return guests && limit > fixed ? (limit - fixed) / guests : 0;
}

size_t count_descriptors()
{
    constexpr size_t guess = 64;        /* where /proc is not mounted */
    std::error_code error;
    std::filesystem::directory_iterator all("/proc/self/fd", error);

    return error ? guess : std::distance(begin(all), end(all));
}
