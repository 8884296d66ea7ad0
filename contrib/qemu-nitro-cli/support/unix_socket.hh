/*
 * Unix stream sockets, which do not block
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_UNIX_SOCKET_HH
#define QEMU_NITRO_CLI_SUPPORT_UNIX_SOCKET_HH

#include <string>

#include "descriptor.hh"

/* A socket that listens at `path`.  Empty, with errno set, on failure: also if
 * a file is there, or the path is too long. */
Descriptor listen_unix(const std::string &path);

/* A socket that is connected to `path`.  Empty, with errno set, on failure. */
Descriptor connect_unix(const std::string &path);

#endif
