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
 * The first certificate in a PEM text, as DER.  Throws an Error that begins
 * with `origin`, the option or file of the text, if there is no certificate, or
 * if a private key comes before it.
 */
Bytes certificate_der(const Bytes &pem, const std::string &origin);

/* A description of the other blocks in that text: certificates, keys */
std::vector<std::string> beside_certificate(const Bytes &pem);

/*
 * IssuerName, Algorithm, NotBefore, NotAfter and Signature of a certificate
 * in DER, as describe-eif prints them.  Names are OpenSSL's long names, sorted.
 * If a name has several values, the last one is used.
 */
nlohmann::ordered_json describe_certificate(const Bytes &der);

#endif
