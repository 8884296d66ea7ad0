/*
 * The command line: the options of vhost-device-vsock, and more
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_OPTIONS_HH
#define VHOST_USER_VSOCK_OPTIONS_HH

#include <optional>
#include <string>
#include <vector>

#include "device.hh"

extern const char *const usage;

struct Options {
    std::vector<VmOptions> vms;
    std::string events;         /* empty: none */
    bool sandbox = true;        /* see confinement.hh */
    bool help = false;
};

/* Empty, with one line in `error`, for a command line with an error */
std::optional<Options> parse_options(const std::vector<std::string> &arguments,
                                     std::string *error);

#endif
