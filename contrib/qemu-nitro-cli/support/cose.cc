/*
 * COSE_Sign1 (RFC 9052): the bytes that are signed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/cose.hh"

#include <memory>

Bytes sig_structure(std::span<const uint8_t> protected_header,
                    std::span<const uint8_t> payload)
{
    std::unique_ptr<GByteArray, decltype(&g_byte_array_unref)> out(
        g_byte_array_new(), g_byte_array_unref);

    cose_sign1_put_sig_structure(out.get(), protected_header.data(),
                                 protected_header.size(), payload.data(),
                                 payload.size());
    return {out->data, out->data + out->len};
}
