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
     * Read two PEM files.  Throws Error if the key is not the certificate's.
     * Only the first certificate of the file goes into images.
     */
    Signer(const std::string &certificate_path, const std::string &key_path);
    Signer(Signer &&) noexcept;
    ~Signer();

    /* PCR8 of images with this signature */
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
 * The signer of --signing-certificate and --private-key, or none if neither is
 * given.
 */
std::optional<Signer> signer_of(const Arguments &arguments);

#endif
