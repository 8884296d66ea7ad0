/*
 * The command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_OPTIONS_HH
#define VHOST_USER_VSOCK_OPTIONS_HH

#include <string>
#include <vector>

#include "device.hh"

extern const char *const usage;

/*
 * The guests to serve.  On failure returns none and sets `error`; asked for
 * help, returns none without an error.
 */
std::vector<VmOptions> parse_options(const std::vector<std::string> &arguments,
                                     std::string *error);

#endif
