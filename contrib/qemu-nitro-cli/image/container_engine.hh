/*
 * Container images that docker or podman has, can pull or can build
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CONTAINER_ENGINE_HH
#define QEMU_NITRO_CLI_IMAGE_CONTAINER_ENGINE_HH

#include <optional>
#include <string>

#include "descriptor.hh"

/*
 * Have the engine build the image `uri` from the directory `build_from`, if
 * there is one, or else pull it unless it is there, for that platform.  Then
 * save it, to a file without a name in the directory `room`.  The engine's own
 * output goes to stderr.
 */
Descriptor save_image(const std::string &uri,
                      const std::optional<std::string> &build_from,
                      const std::string &platform, const std::string &room);

#endif
