/*
 * The output of describe-eif
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_DESCRIPTION_HH
#define QEMU_NITRO_CLI_IMAGE_DESCRIPTION_HH

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "image/eif_file.hh"
#include "support/bytes.hh"

/*
 * Read the image and describe it, with the keys of AWS's nitro-cli in its
 * order.  Throws Error if the file is not an image, or if the signature does
 * not verify.  A wrong CRC, or a signature of another image, is a part of the
 * description.
 */
nlohmann::ordered_json describe_eif(const std::string &path);

/* Read only the metadata section.  Returns nothing if the image has none.
 * Throws Error if the section is too large. */
std::optional<Bytes> metadata_of(const EifFile &file);

/*
 * Check the metadata section of an image that is built.  Throws Error if
 * describe_metadata() would refuse it: the section is larger than what it was
 * made from, and nested deeper.
 */
void check_metadata(const std::string &section);

/*
 * ImageName, ImageVersion and Metadata of an image's metadata section (JSON),
 * without missing fields.  Custom keys are added to the builder's keys, and
 * cannot replace them.
 */
nlohmann::ordered_json describe_metadata(const Bytes &section);

#endif
