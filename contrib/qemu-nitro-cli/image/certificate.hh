/*
 * Certificates: those that sign images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_CERTIFICATE_HH
#define QEMU_NITRO_CLI_IMAGE_CERTIFICATE_HH

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/bytes.hh"

/*
 * The certificate in a PEM text, in DER; of several, the first.  Throws an
 * Error that begins with `origin`, the option or file that it comes from, if
 * there is none, or if a private key stands before it.
 */
Bytes certificate_der(const Bytes &pem, const std::string &origin);

/* What else is in that text, in words: further certificates, keys */
std::vector<std::string> beside_certificate(const Bytes &pem);

/*
 * IssuerName, Algorithm, NotBefore, NotAfter and Signature of a certificate
 * in DER, as describe-eif prints them.  Names are the long ones of OpenSSL's,
 * sorted; of several values for one name, the last.
 */
nlohmann::ordered_json describe_certificate(const Bytes &der);

#endif
