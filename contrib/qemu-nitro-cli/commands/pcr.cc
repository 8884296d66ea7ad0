/*
 * The command pcr, which computes a PCR from a certificate or a file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <iostream>

#include "image/certificate.hh"
#include "image/measurements.hh"
#include "support/arguments.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/json.hh"
#include "support/progress.hh"

namespace {

const char *const pcr_usage =
    "qemu-nitro-cli pcr --signing-certificate FILE | --input FILE\n"
    "\n"
    "Print the register that is extended, from zero, with the SHA-384 of a\n"
    "certificate (PCR8 of the images that it signs) or of any file.\n"
    "\n"
    "  --signing-certificate FILE  PEM\n"
    "  --input FILE                anything\n";

Pcr measure_file(const std::string &path)
{
    auto fail = [&path](int error) {
        throw Error(Code::file, path + ": " + error_text(error),
                    "Check that the file exists and can be read.");
    };
    constexpr size_t piece_size = 1 << 20;
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));

    if (!file) {
        fail(errno);
    }
    Bytes piece(piece_size);
    Measurer measurer;
    Progress progress("measuring", 0);
    ssize_t n;

    while ((n = read_fully(file.get(), piece.data(), piece.size())) > 0) {
        measurer.add(piece.data(), n);
        progress.add(n);
    }
    if (n < 0) {
        fail(errno);
    }
    return measurer.finish();
}

} // namespace

void pcr_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"signing-certificate"}, {"input"}});

    if (arguments.help()) {
        std::cout << pcr_usage;
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
    if (certificate) {
        std::string path = arguments.required("signing-certificate");
        Bytes der = certificate_der(read_file(path), path);

        print_json({{"PCR8", hex(measure(der))}});
    } else {
        print_json({{"PCR", hex(measure_file(arguments.required("input")))}});
    }
}
