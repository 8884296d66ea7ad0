/*
 * The CPU architecture that an image is built for
 *
 * This program builds, signs and describes images for both architectures.
 * QEMU's machine runs only those for x86_64.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_ARCHITECTURE_HH
#define QEMU_NITRO_CLI_IMAGE_ARCHITECTURE_HH

#include <cstdint>
#include <elf.h>
#include <optional>
#include <string>

struct Architecture {
    const char *name;           /* the value of --arch */
    const char *platform;       /* the name in container images */
    const char *kernel;         /* the kernel's file in the blobs */
    uint16_t flags;             /* of the image's header */
    /* ELF machines: the native one, and another that the kernel runs */
    uint16_t elf_machine, elf_machine_32;
};

constexpr Architecture x86_64 = {"x86_64", "linux/amd64", "bzImage", 0,
                                 EM_X86_64, EM_386};
constexpr Architecture aarch64 = {"aarch64", "linux/arm64", "Image", 1,
                                  EM_AARCH64, EM_ARM};

/* Find an architecture by its name, or by its name in container images. */
inline std::optional<Architecture> architecture_of(const std::string &name)
{
    if (name == x86_64.name || name == "amd64") {
        return x86_64;
    }
    if (name == aarch64.name || name == "arm64") {
        return aarch64;
    }
    return {};
}

#endif
