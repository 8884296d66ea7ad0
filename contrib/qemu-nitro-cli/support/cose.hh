/*
 * COSE_Sign1 (RFC 9052): what of a message is signed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_COSE_HH
#define QEMU_NITRO_CLI_SUPPORT_COSE_HH

#include <cstdint>
#include <span>
#include <vector>

/*
 * The Sig_structure (RFC 9052, 4.4) of a message with the serialized
 * @protected_header and @payload, without external data.
 */
std::vector<uint8_t> sig_structure(std::span<const uint8_t> protected_header,
                                   std::span<const uint8_t> payload);

#endif
