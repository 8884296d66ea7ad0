/*
 * A filter of system calls, made with libseccomp, that releases itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_SECCOMP_FILTER_HH
#define NITRO_COMMON_SECCOMP_FILTER_HH

#include <memory>
#include <seccomp.h>

struct SeccompFilterDeleter {
    void operator()(void *filter) const { seccomp_release(filter); }
};

/* Made from seccomp_init(); empty if that failed */
using SeccompFilter = std::unique_ptr<void, SeccompFilterDeleter>;

#endif
