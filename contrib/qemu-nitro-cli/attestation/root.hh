/*
 * The root certificate of this user's enclaves
 *
 * It is made when it is first needed and kept, so that verifiers can pin it
 * once.  Whoever has its key can make documents that say anything: it is this
 * user's alone, and never anything but a root for tests.
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
 * $XDG_DATA_HOME/qemu-nitro/attestation-root.pem and .key, made if they are
 * not there, and anew, with a word on stderr, if they have expired.  Throws
 * Error if they cannot be used.
 */
AttestationRoot attestation_root();

#endif
