/*
 * Signing enclave images
 *
 * The signature section is a CBOR array (RFC 8949) of one map, with the
 * certificate in PEM and a COSE_Sign1 (RFC 9052) over PCR0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_SIGNER_HH
#define QEMU_NITRO_CLI_IMAGE_SIGNER_HH

#include <memory>
#include <optional>
#include <string>

#include "image/measurements.hh"
#include "support/bytes.hh"

class Arguments;

class Signer {
public:
    /*
     * From two files in PEM; throws Error unless they belong together.  Of the
     * first, only its first certificate goes into images.
     */
    Signer(const std::string &certificate_path, const std::string &key_path);
    Signer(Signer &&) noexcept;
    ~Signer();

    /* What the register 8 of images with this signature is */
    const Pcr &pcr8() const { return pcr8_; }

    /* The signature section of an image with this PCR0 */
    Bytes sign(const Pcr &pcr0) const;

private:
    struct Key;

    Bytes certificate_;             /* PEM, and nothing else */
    Pcr pcr8_;
    std::unique_ptr<Key> key_;
};

/*
 * The signer that --signing-certificate and --private-key name; none if
 * neither is there.
 */
std::optional<Signer> signer_of(const Arguments &arguments);

#endif
