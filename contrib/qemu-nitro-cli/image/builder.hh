/*
 * Building an image from a directory or a container image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_BUILDER_HH
#define QEMU_NITRO_CLI_IMAGE_BUILDER_HH

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/container.hh"
#include "image/eif_writer.hh"

struct BuildOptions {
    std::string rootfs;             /* the directory of the root, or */
    std::optional<Container> container;     /* the container image that does */
    /*
     * The directory with the kernel, cmdline, init and, if the kernel has
     * modules, either nsm.ko, or modules_load_order and the modules in it
     */
    std::string blobs;
    Architecture architecture = x86_64;
    std::vector<std::string> cmd, env;
    std::optional<std::string> cmdline;
    std::string name, version;
    nlohmann::json custom;          /* metadata; null if there is none */
    int64_t build_time = 0;         /* seconds since 1970, UTC */
};

/* The parts of the image, in the layout of AWS's builder */
EifParts build_parts(const BuildOptions &options);

#endif
