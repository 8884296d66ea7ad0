/*
 * Container images: what `docker save` writes, and OCI archives
 *
 * Formats: the OCI image specification (image layout, index, manifest,
 * configuration), and the docker image specification 1.2 for manifest.json.
 * Each layer's digest is checked, so a damaged archive is never used in part.
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

/* Who runs the command, in numbers */
struct ContainerUser {
    uint32_t uid = 0, gid = 0;
    std::vector<uint32_t> groups;   /* besides gid */

    bool is_root() const { return !uid && !gid && groups.empty(); }
};

struct Container {
    std::string name;               /* with which it was saved; may be empty */
    std::string id;                 /* in hex */
    std::vector<std::string> entrypoint, cmd, env;
    std::string working_folder;     /* "/" if it has none */
    ContainerUser user;
    nlohmann::ordered_json info;    /* for the metadata */
    LayeredTree root;
};

/* Which of an archive's images is taken */
struct Wanted {
    /* a name, as docker takes it: "app" is docker.io/library/app:latest */
    std::optional<std::string> name;
    /* an engine has saved it under the name, and may know it by another */
    bool is_alone = false;
    Architecture architecture = x86_64;
};

/*
 * Read the image in an archive, open as `file` and called `archive` in
 * messages.  What is unpacked goes to memory, and to a file in the directory
 * `room`.  Throws Error for what is damaged, hostile, for another
 * architecture, or is not the one image that was asked for.
 */
Container read_container(const Descriptor &file, const std::string &archive,
                         const Wanted &wanted, const std::string &room,
                         UnpackLimit limit = {});

#endif
