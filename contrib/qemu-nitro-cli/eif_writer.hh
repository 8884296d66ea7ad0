/*
 * Writing enclave image files (EIF)
 *
 * The form of AWS's builder: version 4; the sections in the order kernel,
 * command line, metadata, ramdisks, signature, without gaps.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_EIF_WRITER_HH
#define QEMU_NITRO_CLI_EIF_WRITER_HH

#include <array>
#include <optional>
#include <string>

#include "common.hh"

using Pcr = std::array<uint8_t, 48>;

/* What an image is made of; all in memory. */
struct EifParts {
    Bytes kernel;
    std::string cmdline;
    std::string metadata;           /* JSON */
    std::vector<Bytes> ramdisks;
};

/* Whom an image is signed by: PEM texts */
struct Signer {
    Bytes certificate;
    Bytes private_key;
};

struct Measurements {
    Pcr pcr0, pcr1, pcr2;
    std::optional<Pcr> pcr8;        /* of a signed image */
};

/* extend(zero, SHA-384(data)): how a register comes from what it measures */
Pcr measure(const std::vector<const Bytes *> &data);

/* The measurements of an image; PCR8 is left out. */
Measurements measure_parts(const EifParts &parts);

/*
 * The signature section for an image with this PCR0: a CBOR array of one map
 * with the certificate and a COSE_Sign1 (RFC 9052) over the register.
 */
Bytes sign_pcr0(const Pcr &pcr0, const Signer &signer, Pcr *pcr8);

/* The bytes of the image, and its measurements */
std::pair<Bytes, Measurements> make_eif(const EifParts &parts,
                                        const std::optional<Signer> &signer);

/*
 * Write a file as a whole or not at all: under another name first, which is
 * removed if anything fails.
 */
void write_file(const std::string &path, const Bytes &data);

#endif
