/*
 * What describe-eif tells of an image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_DESCRIPTION_HH
#define QEMU_NITRO_CLI_IMAGE_DESCRIPTION_HH

#include <nlohmann/json.hpp>
#include <string>

#include "image/eif_file.hh"
#include "support/bytes.hh"

/*
 * Read the image and describe it, with nitro-cli's keys in its order.  Throws
 * Error for what is no image, and for a signature that does not verify; a
 * wrong CRC or a signature of another image is told, not thrown.
 */
nlohmann::ordered_json describe_eif(const std::string &path);

/* Only what its metadata section says, without reading the rest; an empty
 * object if it has none. */
nlohmann::ordered_json describe_metadata_of(const EifFile &file);

/*
 * ImageName, ImageVersion and Metadata as an image's metadata section (JSON)
 * has them; what is not there is left out.  Custom keys stand beside the
 * builder's own, which they cannot replace.
 */
nlohmann::ordered_json describe_metadata(const Bytes &section);

#endif
