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
struct KeyFile {
    std::string kind;           /* for messages, with an article */
    /* The command that extracts a certificate or a private key in PEM; empty if
     * the file has none. */
    std::string to_certificate, to_key;
};

KeyFile describe_key_file(const Bytes &text);

/* The type of a private key in OpenSSH's format, such as "ssh-ed25519" */
std::string openssh_key_type(const Bytes &text, const PemBlock &block);

/* Does a block of a private key need a password? */
bool is_encrypted(const Bytes &text, const PemBlock &block);

/*
 * The name of a private key's curve, for curves that GnuTLS does not know;
 * empty if it is not a common one.
 */
std::string foreign_curve(const Bytes &text, const PemBlock &block);

#endif
