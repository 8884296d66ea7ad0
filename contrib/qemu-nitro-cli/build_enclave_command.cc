/*
 * The options of build-enclave, and what it prints
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.hh"

#include <cstdlib>
#include <ctime>
#include <iostream>

#include "arguments.hh"
#include "build_enclave.hh"
#include "process.hh"

namespace {

const char *const build_usage =
    "qemu-nitro-cli build-enclave --rootfs DIR --cmd WORD... --output-file FILE"
    " [OPTION]...\n"
    "\n"
    "Make an enclave image whose root is the folder DIR, and print its\n"
    "measurements.  The same input gives the same measurements anywhere; with\n"
    "SOURCE_DATE_EPOCH set, it gives the same bytes.\n"
    "\n"
    "  --rootfs DIR           what becomes the root\n"
    "  --cmd WORD             of the command that runs there; once for each\n"
    "  --env NAME=VALUE       of its environment; once for each\n"
    "  --output-file FILE     where the image goes\n"
    "  --name, --version TEXT of the image, for its metadata\n"
    "  --cmdline TEXT         the kernel's command line, not that of the blobs\n"
    "  --signing-certificate, --private-key FILE\n"
    "                         PEM: sign the image\n"
    "\n"
    "The kernel, its command line and the init program (bzImage, cmdline, init,\n"
    "and nsm.ko if there is one) come from the folder $NITRO_CLI_BLOBS, or, if\n"
    "that is not set, are those installed with this program.\n";

/* When the image is built: now, or as SOURCE_DATE_EPOCH has it */
int64_t build_time()
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;

    if (!epoch) {
        return time(nullptr);
    }
    long long value = strtoll(epoch, &end, 10);
    if (!*epoch || *end || value < 0 || value > 253402300799) {
        throw Error(Code::invalid_argument, std::string("SOURCE_DATE_EPOCH=")
                    + epoch + " is no time in seconds",
                    "Set it to the seconds since 1970, or not at all.");
    }
    return value;
}

/* The user's, or those installed with this program, or built with it */
std::string find_blobs()
{
    const char *blobs = getenv("NITRO_CLI_BLOBS");

    if (blobs && *blobs) {
        return blobs;
    }
    for (const std::string &bin : own_folders()) {
        for (const char *place : {"/../share/qemu-nitro-enclave/blobs",
                                  "/../images/blobs"}) {
            if (access((bin + place + "/bzImage").c_str(), R_OK) == 0) {
                return bin + place;
            }
        }
    }
    throw Error(Code::blobs, "no blobs are installed with this program",
                "Set NITRO_CLI_BLOBS to a folder with bzImage, cmdline and"
                " init.");
}

} // namespace

void build_enclave_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {
        {"rootfs"}, {"cmd"}, {"env"}, {"output-file"}, {"name"}, {"version"},
        {"cmdline"}, {"signing-certificate"}, {"private-key"},
    });
    BuildOptions options;

    if (arguments.help()) {
        std::cout << build_usage;
        return;
    }
    options.blobs = find_blobs();
    options.rootfs = arguments.required("rootfs");
    arguments.required("output-file");
    if (!arguments.has("cmd")) {
        arguments.required("cmd");
    }
    options.cmd = arguments.all("cmd");
    options.env = arguments.all("env");
    options.cmdline = arguments.single("cmdline");
    options.name = arguments.single("name").value_or("enclave");
    options.version = arguments.single("version").value_or("1");
    options.build_time = build_time();

    std::optional<Signer> signer = signer_of(arguments);
    AtomicFile file(arguments.required("output-file"));
    Measurements measured = write_eif(file, build_parts(options),
                                      signer ? &*signer : nullptr);
    file.commit();
    print_json({{"Measurements", to_json(measured)}});
}
