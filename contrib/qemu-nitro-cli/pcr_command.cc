/*
 * The command pcr: what a register becomes from a certificate or a file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands.hh"

#include <iostream>

#include "arguments.hh"
#include "certificate.hh"
#include "measurements.hh"

namespace {

const char *const usage =
    "qemu-nitro-cli pcr --signing-certificate FILE | --input FILE\n"
    "\n"
    "Print the register that is extended, from zero, with the SHA-384 of a\n"
    "certificate (PCR8 of the images that it signs) or of any file.\n"
    "\n"
    "  --signing-certificate FILE  PEM\n"
    "  --input FILE                anything\n";

} // namespace

void pcr_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"signing-certificate"}, {"input"}});

    if (arguments.help()) {
        std::cout << usage;
        return;
    }
    bool certificate = arguments.has("signing-certificate");
    if (certificate && arguments.has("input")) {
        throw Error(Code::conflicting_argument, "--signing-certificate and"
                    " --input are both there", "Give one of them.");
    }
    if (!certificate && !arguments.has("input")) {
        throw Error(Code::missing_argument, "--signing-certificate or --input"
                    " is missing", "Give one of them.");
    }
    std::string path = arguments.required(certificate ? "signing-certificate"
                                                      : "input");
    Bytes data = read_file(path);
    if (certificate) {
        data = certificate_der(data, path);
    }
    print_json({{certificate ? "PCR8" : "PCR", hex(measure(data))}});
}
