/*
 * The options of build-enclave, and what it prints
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.hh"

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "arguments.hh"
#include "build_enclave.hh"

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
    "and nsm.ko if there is one) come from the folder $NITRO_CLI_BLOBS.\n";

std::string hex(const Pcr &pcr)
{
    std::string text;
    char digits[3];

    for (uint8_t byte : pcr) {
        snprintf(digits, sizeof(digits), "%02x", byte);
        text += digits;
    }
    return text;
}

void print_measurements(const Measurements &m)
{
    nlohmann::ordered_json json = {
        {"HashAlgorithm", "Sha384 { ... }"},
        {"PCR0", hex(m.pcr0)},
        {"PCR1", hex(m.pcr1)},
        {"PCR2", hex(m.pcr2)},
    };

    if (m.pcr8) {
        json["PCR8"] = hex(*m.pcr8);
    }
    std::cout << nlohmann::ordered_json{{"Measurements", json}}.dump(2)
              << std::endl;
}

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

std::optional<Signer> signer(const Arguments &arguments)
{
    std::optional<std::string> certificate =
        arguments.single("signing-certificate");
    std::optional<std::string> key = arguments.single("private-key");

    if (!certificate && !key) {
        return {};
    }
    if (!certificate || !key) {
        throw Error(Code::missing_argument, std::string(certificate ?
                    "--private-key" : "--signing-certificate")
                    + " is missing", "Signing needs both.");
    }
    return Signer{read_file(*certificate), read_file(*key)};
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
    const char *blobs = getenv("NITRO_CLI_BLOBS");
    if (!blobs || !*blobs) {
        throw Error(Code::missing_argument, "NITRO_CLI_BLOBS is not set",
                    "Set it to the folder with bzImage, cmdline and init.");
    }
    options.blobs = blobs;
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

    auto [image, measured] = make_eif(build_parts(options), signer(arguments));
    write_file(arguments.required("output-file"), image);
    print_measurements(measured);
}
