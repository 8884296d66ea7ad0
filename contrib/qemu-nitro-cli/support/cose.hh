/*
 * COSE_Sign1 (RFC 9052): the algorithms, and the bytes that are signed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_COSE_HH
#define QEMU_NITRO_CLI_SUPPORT_COSE_HH

#include <cstdint>
#include <gnutls/gnutls.h>
#include <span>

#include "qemu/cose.h"
#include "support/bytes.hh"

/* A signature algorithm (RFC 9053, 2.1), and its parameters of ECDSA */
struct CoseAlgorithm {
    int number;                         /* COSE_ES256 and so on */
    gnutls_ecc_curve_t curve;
    gnutls_sign_algorithm_t sign;
    size_t width;                       /* bytes of r, and of s */
};

inline constexpr CoseAlgorithm cose_algorithms[] = {
    {COSE_ES256, GNUTLS_ECC_CURVE_SECP256R1, GNUTLS_SIGN_ECDSA_SHA256, 32},
    {COSE_ES384, GNUTLS_ECC_CURVE_SECP384R1, GNUTLS_SIGN_ECDSA_SHA384, 48},
    {COSE_ES512, GNUTLS_ECC_CURVE_SECP521R1, GNUTLS_SIGN_ECDSA_SHA512, 66},
};

/* The only one that attestation documents have */
inline constexpr const CoseAlgorithm &es384 = cose_algorithms[1];

/*
 * The Sig_structure (RFC 9052, 4.4) of a message with the serialized
 * @protected_header and @payload, without external data.
 */
Bytes sig_structure(std::span<const uint8_t> protected_header,
                    std::span<const uint8_t> payload);

#endif
