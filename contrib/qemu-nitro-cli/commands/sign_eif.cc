/*
 * The command sign-eif, which signs an existing image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <algorithm>
#include <iostream>

#include "image/eif_file.hh"
#include "image/eif_writer.hh"
#include "support/arguments.hh"
#include "support/errors.hh"
#include "support/json.hh"

namespace {

const char *const sign_eif_usage =
    "qemu-nitro-cli sign-eif --eif-path FILE --signing-certificate FILE\n"
    "    --private-key FILE\n"
    "\n"
    "Sign an enclave image in its place; a signature that it has is replaced.\n"
    "Prints the measurements.\n"
    "\n"
    "  --eif-path FILE             the image\n"
    "  --signing-certificate FILE  PEM\n"
    "  --private-key FILE          PEM, on the curve P-256, P-384 or P-521\n";

/* The first version of the format with signatures */
constexpr uint16_t first_signed_version = 3;

/*
 * Copy the image without its signature, and sign the copy.  The copy replaces
 * the original when it is complete.
 */
Measurements sign_eif(const std::string &path, const Signer &signer)
{
    EifFile image(path);
    AtomicFile file(path);
    const EifImage &old = image.image();
    EifWriter writer(file, {
        .version = std::max(old.version, first_signed_version),
        .flags = old.flags,
        .default_memory = old.default_mem,
        .default_cpus = old.default_cpus,
    });

    image.load([&](const EifSection &section, uint64_t offset,
                   const uint8_t *data, size_t size) {
        if (section.type == EIF_SECTION_SIGNATURE) {
            return;
        }
        if (offset == 0) {
            writer.begin(static_cast<SectionType>(section.type),
                         section.size);
        }
        writer.write(data, size);
    });
    if (!image.crc_matches()) {
        throw Error(Code::eif, path + " is damaged: its CRC is not that of its"
                    " content", "Build the image again.");
    }
    Measurements measured = writer.finish(
        image.measurements_without_signature(), &signer);
    file.commit();
    return measured;
}

} // namespace

void sign_eif_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"eif-path"}, {"signing-certificate"},
                                     {"private-key"}});

    if (arguments.help()) {
        std::cout << sign_eif_usage;
        return;
    }
    std::string path = arguments.required("eif-path");
    arguments.required("signing-certificate");
    std::optional<Signer> signer = signer_of(arguments);
    print_json({{"Measurements", to_json(sign_eif(path, *signer))}}, path);
}
