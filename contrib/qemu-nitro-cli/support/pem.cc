/*
 * PEM files of keys and certificates
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/pem.hh"

#include <algorithm>
#include <string_view>
#include <utility>

#include "support/gnutls_handles.hh"

namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view begin_mark = "-----BEGIN ", end_mark = "-----END ",
                           dashes = "-----";

std::string_view view(const Bytes &text)
{
    return {reinterpret_cast<const char *>(text.data()), text.size()};
}

constexpr std::pair<std::string_view, const char *> kinds[] = {
    {"CERTIFICATE", "a certificate"},
    {"X509 CERTIFICATE", "a certificate"},
    {"TRUSTED CERTIFICATE", "a certificate in OpenSSL's own form"},
    {"CERTIFICATE REQUEST", "a request for a certificate"},
    {"NEW CERTIFICATE REQUEST", "a request for a certificate"},
    {"PRIVATE KEY", "a private key"},
    {"EC PRIVATE KEY", "a private key on an elliptic curve"},
    {"RSA PRIVATE KEY", "an RSA private key"},
    {"DSA PRIVATE KEY", "a DSA private key"},
    {"ENCRYPTED PRIVATE KEY", "an encrypted private key"},
    {"OPENSSH PRIVATE KEY", "a private key in OpenSSH's form"},
    {"PUBLIC KEY", "a public key"},
    {"EC PARAMETERS", "the name of a curve, without a key"},
};

/* Object identifiers, as encoded in a key (RFC 5480, SEC 2, RFC 5639) */
constexpr std::pair<std::string_view, const char *> curves[] = {
    {"\x06\x05\x2b\x81\x04\x00\x0a"sv, "secp256k1"},
    {"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07"sv, "brainpoolP256r1"},
    {"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"sv, "brainpoolP384r1"},
    {"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"sv, "brainpoolP512r1"},
    {"\x06\x07\x2a\x86\x48\xce\x3d\x01\x01"sv,
     "given by its parameters, not by its name"},
};

} // namespace

bool PemBlock::is_certificate() const
{
    return label == "CERTIFICATE" || label == "X509 CERTIFICATE";
}

bool PemBlock::is_private_key() const
{
    return label.ends_with("PRIVATE KEY");
}

std::string PemBlock::kind() const
{
    for (const auto &[name, kind] : kinds) {
        if (label == name) {
            return kind;
        }
    }
    return "a block " + label;
}

std::vector<PemBlock> pem_blocks(const Bytes &text)
{
    std::string_view all = view(text);
    std::vector<PemBlock> found;

    for (size_t at = 0; (at = all.find(begin_mark, at)) != all.npos;) {
        size_t name = at + begin_mark.size();
        size_t stop = all.find_first_of("-\r\n", name);
        std::string label(all.substr(name, stop - name));
        std::string end = std::string(end_mark) + label + std::string(dashes);
        size_t last = all.find(end, name);

        /* A block that is cut short ends at the next block, or at the end. */
        last = last == all.npos ? std::min(all.find(begin_mark, name),
                                           all.size())
                                : last + end.size();
        found.push_back({std::move(label), at, last - at});
        at = last;
    }
    return found;
}

std::string describe_pem_file(const Bytes &text)
{
    constexpr uint8_t sequence = 0x30;      /* what DER begins with */
    std::vector<PemBlock> blocks = pem_blocks(text);
    gnutls_datum_t data = datum(text);
    CertificateHandle certificate;
    PrivateKeyHandle key;

    if (text.empty()) {
        return "an empty file";
    }
    if (!blocks.empty()) {
        return blocks[0].kind();
    }
    if (text[0] != sequence) {
        return "a file without a block of PEM";
    }
    if (gnutls_x509_crt_init(&certificate.value) >= 0 &&
        gnutls_x509_crt_import(certificate.value, &data,
                               GNUTLS_X509_FMT_DER) >= 0) {
        return "a certificate in DER";
    }
    if (gnutls_privkey_init(&key.value) >= 0 &&
        gnutls_privkey_import_x509_raw(key.value, &data, GNUTLS_X509_FMT_DER,
                                       nullptr, 0) >= 0) {
        return "a private key in DER";
    }
    return "a file in DER";
}

bool is_encrypted(const Bytes &text, const PemBlock &block)
{
    std::string_view all = view(text).substr(block.begin, block.size);

    return block.label.starts_with("ENCRYPTED") ||
           all.find("Proc-Type: 4,ENCRYPTED") != all.npos;
}

std::string foreign_curve(const Bytes &text, const PemBlock &block)
{
    gnutls_datum_t pem = {const_cast<uint8_t *>(text.data()) + block.begin,
                          static_cast<unsigned>(block.size)};
    Datum der;
    std::string name;

    if (gnutls_pem_base64_decode2(nullptr, &pem, &der.value) < 0) {
        return name;
    }
    std::string_view data(reinterpret_cast<const char *>(der.value.data),
                          der.value.size);
    for (const auto &[identifier, curve] : curves) {
        if (name.empty() && data.find(identifier) != data.npos) {
            name = curve;
        }
    }
    gnutls_memset(der.value.data, 0, der.value.size);
    return name;
}
