/*
 * PEM files of keys and certificates: their blocks (RFC 7468), and descriptions
 * for messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_PEM_HH
#define QEMU_NITRO_CLI_SUPPORT_PEM_HH

#include <string>
#include <vector>

#include "support/bytes.hh"

/* A block refers to the text, so that a key is not copied. */
struct PemBlock {
    std::string label;              /* "CERTIFICATE" */
    size_t begin, size;             /* with both of its lines */

    bool is_certificate() const;
    bool is_private_key() const;
    /* A description with its article, for messages */
    std::string kind() const;
};

std::vector<PemBlock> pem_blocks(const Bytes &text);

/* A description of a file that does not have the needed block */
std::string describe_pem_file(const Bytes &text);

/* Does a block of a private key need a password? */
bool is_encrypted(const Bytes &text, const PemBlock &block);

/*
 * The name of a private key's curve, for curves that GnuTLS does not know;
 * empty if it is not a common one.
 */
std::string foreign_curve(const Bytes &text, const PemBlock &block);

#endif
