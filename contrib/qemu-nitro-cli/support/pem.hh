/*
 * Files of keys and certificates: their PEM blocks (RFC 7468), and what they
 * are in words
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_PEM_HH
#define QEMU_NITRO_CLI_SUPPORT_PEM_HH

#include <string>
#include <vector>

#include "support/bytes.hh"

/* A block is a part of the text, so that a key is not copied about. */
struct PemBlock {
    std::string label;              /* "CERTIFICATE" */
    size_t begin, size;             /* with both of its lines */

    bool is_certificate() const;
    bool is_private_key() const;
    /* What it is, in words, with an article */
    std::string kind() const;
};

std::vector<PemBlock> pem_blocks(const Bytes &text);

/* What a file is, in words, that has not the block that was looked for */
std::string kind_of_pem_file(const Bytes &text);

/* Whether a block of a private key needs a password */
bool is_encrypted(const Bytes &text, const PemBlock &block);

/*
 * The name of the curve that a private key is on, where GnuTLS does not know
 * the curve; empty if it is none of the usual ones.
 */
std::string foreign_curve(const Bytes &text, const PemBlock &block);

#endif
