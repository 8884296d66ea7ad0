/*
 * PEM files of keys and certificates
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/pem.hh"

#include <algorithm>
#include <gnutls/pkcs12.h>
#include <gnutls/pkcs7.h>
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
    {"RSA PUBLIC KEY", "an RSA public key"},
    {"SSH2 PUBLIC KEY", "a public key in the form of SSH"},
    {"PKCS7", "a PKCS #7 file"},
    {"X509 CRL", "a list of revoked certificates"},
    {"PGP PRIVATE KEY BLOCK", "a key of OpenPGP"},
    {"PGP PUBLIC KEY BLOCK", "a key of OpenPGP"},
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

const char *const pkcs7_to_certificate =
    "openssl pkcs7 -in FILE -print_certs -out CERTIFICATE";

/* What some files begin with that are no PEM and no DER */
const std::pair<std::string_view, KeyFile> other_files[] = {
    {"ssh-", {"a public key in OpenSSH's form", {}, {}}},
    {"ecdsa-sha2-", {"a public key in OpenSSH's form", {}, {}}},
    {"PuTTY-User-Key-File", {"a private key in PuTTY's form", {},
                             "puttygen FILE -O private-openssh -o KEY"}},
    {"\xfe\xed\xfe\xed"sv, {"a Java key store", "keytool -exportcert -rfc"
                            " -keystore FILE -file CERTIFICATE", {}}},
    {"{", {"JSON", {}, {}}},
    {"\xff\xfe", {"text in UTF-16", "iconv -f UTF-16 -t ASCII -o CERTIFICATE"
                  " FILE", "iconv -f UTF-16 -t ASCII -o KEY FILE"}},
};

/* The size of the sequence that a file in DER is (X.690, 8.1.3) */
uint64_t der_size(const Bytes &text)
{
    constexpr uint8_t is_long = 0x80;
    size_t count = text.size() > 1 && (text[1] & is_long) ? text[1] & ~is_long
                                                          : 0;
    uint64_t size = count || text.size() < 2 ? 0 : text[1];

    if (text.size() < 2 + count || count > sizeof(uint32_t)) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        size = size << 8 | text[2 + i];
    }
    return 2 + count + size;
}

using Pkcs7Handle = Handle<gnutls_pkcs7_t, gnutls_pkcs7_deinit>;
using Pkcs12Handle = Handle<gnutls_pkcs12_t, gnutls_pkcs12_deinit>;
using RequestHandle = Handle<gnutls_x509_crq_t, gnutls_x509_crq_deinit>;

KeyFile der_file(const Bytes &text)
{
    constexpr auto form = GNUTLS_X509_FMT_DER;
    gnutls_datum_t data = datum(text);
    CertificateHandle certificate;
    PrivateKeyHandle key;
    PublicKeyHandle public_key;
    Pkcs12Handle pkcs12;
    Pkcs7Handle pkcs7;
    RequestHandle request;

    /* GnuTLS accepts some files that are cut short. */
    if (der_size(text) > text.size()) {
        return {"a file in DER that is cut short", {}, {}};
    }
    if (gnutls_x509_crt_init(&certificate.value) >= 0 &&
        gnutls_x509_crt_import(certificate.value, &data, form) >= 0) {
        return {"a certificate in DER",
                "openssl x509 -inform DER -in FILE -out CERTIFICATE", {}};
    }
    /* First: to the reader of keys it would be an encrypted key. */
    if (gnutls_pkcs12_init(&pkcs12.value) >= 0 &&
        gnutls_pkcs12_import(pkcs12.value, &data, form, 0) >= 0) {
        return {"a PKCS #12 file",
                "openssl pkcs12 -in FILE -clcerts -nokeys -out CERTIFICATE",
                "openssl pkcs12 -in FILE -nocerts -nodes -out KEY"};
    }
    if (gnutls_privkey_init(&key.value) >= 0) {
        int result = gnutls_privkey_import_x509_raw(key.value, &data, form,
                                                    nullptr, 0);
        if (result >= 0 || result == GNUTLS_E_DECRYPTION_FAILED) {
            return {result >= 0 ? "a private key in DER"
                                : "an encrypted private key in DER", {},
                    "openssl pkey -inform DER -in FILE -out KEY"};
        }
    }
    if (gnutls_pkcs7_init(&pkcs7.value) >= 0 &&
        gnutls_pkcs7_import(pkcs7.value, &data, form) >= 0) {
        return {"a PKCS #7 file in DER", std::string(pkcs7_to_certificate)
                + " -inform DER", {}};
    }
    if (gnutls_x509_crq_init(&request.value) >= 0 &&
        gnutls_x509_crq_import(request.value, &data, form) >= 0) {
        return {"a request for a certificate in DER", {}, {}};
    }
    if (gnutls_pubkey_init(&public_key.value) >= 0 &&
        gnutls_pubkey_import(public_key.value, &data, form) >= 0) {
        return {"a public key in DER", {}, {}};
    }
    return {"a file in DER", {}, {}};
}

/* Call with what is in a block, which may be a key and is wiped afterwards. */
template <typename Call>
void with_decoded(const Bytes &text, const PemBlock &block, Call call)
{
    gnutls_datum_t pem = {const_cast<uint8_t *>(text.data()) + block.begin,
                          static_cast<unsigned>(block.size)};
    Datum der;

    if (gnutls_pem_base64_decode2(nullptr, &pem, &der.value) < 0) {
        return;
    }
    call(std::string_view(reinterpret_cast<const char *>(der.value.data),
                          der.value.size));
    gnutls_memset(der.value.data, 0, der.value.size);
}

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

KeyFile describe_key_file(const Bytes &text)
{
    constexpr uint8_t sequence = 0x30;      /* what DER begins with */
    std::vector<PemBlock> blocks = pem_blocks(text);

    if (text.empty()) {
        return {"an empty file", {}, {}};
    }
    if (!blocks.empty()) {
        const PemBlock &first = blocks[0];

        return {first.kind(),
                first.label == "PKCS7" ? pkcs7_to_certificate
                : first.label == "TRUSTED CERTIFICATE"
                ? "openssl x509 -in FILE -out CERTIFICATE" : "", {}};
    }
    if (text[0] == sequence) {
        return der_file(text);
    }
    for (const auto &[begin, file] : other_files) {
        if (view(text).starts_with(begin)) {
            return file;
        }
    }
    return {"a file without a block of PEM", {}, {}};
}

std::string openssh_key_type(const Bytes &text, const PemBlock &block)
{
    std::string found;

    with_decoded(text, block, [&](std::string_view data) {
        for (std::string_view kind : {"ssh-ed25519", "ssh-rsa", "ssh-dss",
                                      "sk-ssh-ed25519@openssh.com",
                                      "sk-ecdsa-sha2-nistp256@openssh.com",
                                      "ecdsa-sha2-nistp256",
                                      "ecdsa-sha2-nistp384",
                                      "ecdsa-sha2-nistp521"}) {
            if (found.empty() && data.find(kind) != data.npos) {
                found = kind;
            }
        }
    });
    return found;
}

bool is_encrypted(const Bytes &text, const PemBlock &block)
{
    std::string_view all = view(text).substr(block.begin, block.size);

    return block.label.starts_with("ENCRYPTED") ||
           all.find("Proc-Type: 4,ENCRYPTED") != all.npos;
}

std::string foreign_curve(const Bytes &text, const PemBlock &block)
{
    std::string name;

    with_decoded(text, block, [&](std::string_view data) {
        for (const auto &[identifier, curve] : curves) {
            if (name.empty() && data.find(identifier) != data.npos) {
                name = curve;
            }
        }
    });
    return name;
}
