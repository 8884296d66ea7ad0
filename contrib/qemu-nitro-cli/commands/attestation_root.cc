/*
 * The command attestation-root
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <iostream>

#include "attestation/root.hh"
#include "support/arguments.hh"
#include "support/atomic_file.hh"
#include "support/files.hh"

namespace {

const char *const attestation_root_usage =
    "qemu-nitro-cli attestation-root [--output FILE]\n"
    "\n"
    "Print the root certificate, PEM, that the attestation documents of this\n"
    "user's enclaves chain to: what a verifier of them pins, in place of AWS's.\n"
    "It is made once, and kept with its key in $XDG_DATA_HOME/qemu-nitro\n"
    "(~/.local/share/qemu-nitro).\n"
    "\n"
    "  --output FILE          write it there\n";

} // namespace

void attestation_root_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {{"output"}});

    if (arguments.help()) {
        std::cout << attestation_root_usage;
        return;
    }
    std::optional<std::string> output = arguments.single("output");
    Bytes text = read_file(attestation_root().certificate);

    if (!output) {
        std::cout.write(reinterpret_cast<const char *>(text.data()),
                        text.size());
        return;
    }
    AtomicFile file(*output);
    file.write(text.data(), text.size());
    file.commit();
}
