/*
 * Showing an enclave's console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_CONSOLE_HH
#define QEMU_NITRO_CLI_ENCLAVE_CONSOLE_HH

#include <cstdint>
#include <optional>

#include "enclave/runtime.hh"

/*
 * Write the console to stdout, from its first line.  Ends when the enclave
 * ends, after the given number of seconds, or when stdout is closed by its
 * reader.
 */
void show_console(const Enclave &enclave, const Runtime &runtime,
                  std::optional<uint64_t> seconds);

#endif
