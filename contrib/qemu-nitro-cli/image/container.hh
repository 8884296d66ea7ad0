/*
 * Container images: archives of `docker save`, and OCI archives
 *
 * Formats: the OCI image specification (image layout, index, manifest,
 * configuration), and the docker image specification 1.2 for manifest.json.
 * The digest of each layer is checked, so no image is built from a damaged
* archive.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CONTAINER_HH
#define QEMU_NITRO_CLI_IMAGE_CONTAINER_HH

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "descriptor.hh"
#include "image/architecture.hh"
#include "image/layers.hh"

/* The numeric ids that the command runs with */
struct ContainerUser {
    uint32_t uid = 0, gid = 0;
    std::vector<uint32_t> groups;   /* besides gid */

    bool is_root() const { return !uid && !gid && groups.empty(); }
};

struct Container {
    std::string name;               /* the name in the archive; may be empty */
    std::string id;                 /* in hex */
    std::vector<std::string> entrypoint, cmd, env;
    std::string working_directory;  /* "/" by default */
    ContainerUser user;
    nlohmann::ordered_json info;    /* for the metadata */
    LayeredTree root;
};

/* The choice of one of an archive's images */
struct ImageSelector {
    /* as for docker: a name ("app" is docker.io/library/app:latest), a name
     * with the digest of a manifest, or an id or its first digits */
    std::optional<std::string> name;
    /* an engine saved only this image, perhaps with another name */
    bool is_only_image = false;
    Architecture architecture = x86_64;
};

/*
 * Read the image in an archive, open as `file`; `archive` is its name for
 * messages.  Unpacked data goes to memory, and to a file in `directory`.
 * Throws Error if the archive is damaged or hostile, or if it does not have one
 * matching image.
 */
Container read_container(const Descriptor &file, const std::string &archive,
                         const ImageSelector &selector,
                         const std::string &directory, UnpackLimit limit = {});

#endif
