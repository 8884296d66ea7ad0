/*
 * The files that are in each image: the kernel, the init program, and modules
 *
 * They are files of a directory, the blobs, under the names that AWS's builder
 * gives them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_BLOBS_HH
#define QEMU_NITRO_CLI_IMAGE_BLOBS_HH

#include <string>

#include "image/architecture.hh"
#include "image/content.hh"

/* The kernel.  Throws Error if it is for another architecture. */
ContentPtr kernel_of(const std::string &blobs,
                     const Architecture &architecture);

/* The first line of the file with the kernel's command line */
std::string command_line_of(const std::string &blobs,
                            const Architecture &architecture);

/* The version in the kernel, or "unknown" */
std::string kernel_version(const std::string &blobs,
                           const Architecture &architecture);

/*
 * The ramdisk with init, and nsm.ko or the modules that modules_load_order
 * lists.  Throws Error for programs and modules of another architecture.
 */
ContentPtr first_ramdisk(const std::string &blobs,
                         const Architecture &architecture);

#endif
