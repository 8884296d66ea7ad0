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
 * Let the engine build the image `uri` from the directory `build_from`.  If
 * there is no `build_from`, let it pull the image, unless it has the image for
 * this platform.  Then let it save the image to an unnamed file in the
 * `directory`.  The engine's own output goes to stderr.
 */
Descriptor save_image(const std::string &uri,
                      const std::optional<std::string> &build_from,
                      const std::string &platform,
                      const std::string &directory);

#endif
