/*
 * The root certificate of this user's enclaves
 *
 * It is made when it is first needed and kept, so that verifiers can pin it
 * once.  Anybody who has its key can sign any document.  So only this user can
 * read the key, and the root must be trusted only in tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ATTESTATION_ROOT_HH
#define QEMU_NITRO_CLI_ATTESTATION_ROOT_HH

#include <string>

struct AttestationRoot {
    std::string certificate, key;   /* paths of PEM files */
};

/*
 * Returns the paths of $XDG_DATA_HOME/qemu-nitro/attestation-root.pem and .key.
 * Makes the files if they do not exist.  If the certificate has expired, makes
 * new ones and prints a message on stderr.  Throws Error on failure.
 */
AttestationRoot attestation_root();

#endif
