/*
 * Signing enclave images
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/signer.hh"

#include <algorithm>
#include <cbor.h>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "image/certificate.hh"
#include "support/arguments.hh"
#include "support/cose.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/gnutls_handles.hh"
#include "support/pem.hh"

namespace {

constexpr size_t max_section = 32768;       /* bytes, in the format */

/* A function of libcbor that encodes the head of an item */
using HeadEncoder = size_t (*)(size_t, unsigned char *, size_t);

void put_head(Bytes &out, HeadEncoder encode, size_t value)
{
    unsigned char head[9];
    size_t n = encode(value, head, sizeof(head));

    out.insert(out.end(), head, head + n);
}

size_t encode_uint(size_t value, unsigned char *buffer, size_t size)
{
    return cbor_encode_uint(value, buffer, size);
}

void put_text(Bytes &out, const std::string &text)
{
    put_head(out, cbor_encode_string_start, text.size());
    out.insert(out.end(), text.begin(), text.end());
}

void put_bytes(Bytes &out, const Bytes &data)
{
    put_head(out, cbor_encode_bytestring_start, data.size());
    out.insert(out.end(), data.begin(), data.end());
}

/* AWS's tools write bytes as an array of small integers. */
template <typename T> void put_numbers(Bytes &out, const T &data)
{
    put_head(out, cbor_encode_array_start, data.size());
    for (uint8_t byte : data) {
        put_head(out, encode_uint, byte);
    }
}

/* The advice for most errors */
const char *const check_signer = "Check --signing-certificate and"
    " --private-key: PEM, with a key on the curve P-256, P-384 or P-521.";

void check(int result, const char *what)
{
    if (result < 0) {
        throw Error(Code::signing, std::string(what) + ": "
                    + gnutls_strerror(result), check_signer);
    }
}

const char *const supported_keys = "Images are signed with a key on the curve"
    " P-256, P-384 or P-521, in PEM: openssl ecparam -name secp384r1 -genkey"
    " -noout -out KEY";

/* A description of a key: its kind, and its size or curve */
std::string describe_key(gnutls_pubkey_t key)
{
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    unsigned bits = 0;
    int algorithm = gnutls_pubkey_get_pk_algorithm(key, &bits);
    auto pk = static_cast<gnutls_pk_algorithm_t>(algorithm);
    const char *name = gnutls_pk_get_name(pk);
    Datum x, y;

    if (algorithm == GNUTLS_PK_ECDSA) {
        gnutls_pubkey_export_ecc_raw(key, &curve, &x.value, &y.value);
        const char *on = gnutls_ecc_curve_get_name(curve);

        return std::string("on the curve ") + (on ? on : "of no known name");
    }
    return std::string("of the kind ") + (name ? name : "unknown") + ", with "
        + std::to_string(bits) + " bits";
}

/* The public part of a private key */
PublicKeyHandle public_part(gnutls_privkey_t key)
{
    PublicKeyHandle part;

    check(gnutls_pubkey_init(&part.value), "private key");
    check(gnutls_pubkey_import_privkey(part.value, key, 0, 0), "private key");
    return part;
}

const CoseAlgorithm &algorithm_of(gnutls_privkey_t key, const std::string &path)
{
    PublicKeyHandle part = public_part(key);
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    Datum x, y;

    gnutls_pubkey_export_ecc_raw(part.value, &curve, &x.value, &y.value);
    for (const CoseAlgorithm &a : cose_algorithms) {
        if (a.curve == curve) {
            return a;
        }
    }
    throw Error(Code::signing, path + ": the private key is "
                + describe_key(part.value) + ", which cannot sign images",
                supported_keys);
}

/* OpenSSH has a form of its own for private keys, which GnuTLS cannot read. */
[[noreturn]] void refuse_openssh(const Bytes &text, const PemBlock &block,
                                 const std::string &path)
{
    std::string kind = openssh_key_type(text, block);

    if (!kind.empty() && !kind.starts_with("ecdsa-")) {
        throw Error(Code::signing, path + " is a private key in OpenSSH's form"
                    " of the kind " + kind + ", which cannot sign images",
                    supported_keys);
    }
    throw Error(Code::signing, path + " is a private key in OpenSSH's form",
                "Convert a copy of it, in its place: ssh-keygen -p -m PKCS8 -N"
                " '' -f COPY");
}

void import_key(gnutls_privkey_t key, const Bytes &text,
                const std::string &path)
{
    std::vector<PemBlock> blocks = pem_blocks(text);
    auto block = std::ranges::find_if(blocks, &PemBlock::is_private_key);

    if (block == blocks.end()) {
        KeyFile file = describe_key_file(text);

        throw Error(Code::signing, path + " is " + file.kind
                    + ", where a private key in PEM is needed",
                    file.to_key.empty() ? supported_keys
                    : "Make one with: " + file.to_key);
    }
    if (block->label == "OPENSSH PRIVATE KEY") {
        refuse_openssh(text, *block, path);
    }
    if (is_encrypted(text, *block)) {
        throw Error(Code::signing, path + " is an encrypted private key, and"
                    " no password can be given", "Decrypt it with: openssl"
                    " pkey -in " + path + " -out KEY");
    }
    gnutls_datum_t pem = {const_cast<uint8_t *>(text.data()) + block->begin,
                          static_cast<unsigned>(block->size)};
    int result = gnutls_privkey_import_x509_raw(key, &pem, GNUTLS_X509_FMT_PEM,
                                                nullptr, 0);
    if (result < 0) {
        std::string curve = foreign_curve(text, *block);

        if (curve.starts_with("given by")) {
            throw Error(Code::signing, path + ": the private key's curve is "
                        + curve, "Name the curve, with: openssl ec -in FILE"
                        " -param_enc named_curve -out KEY");
        }
        throw Error(Code::signing, path + ": " + (curve.empty() ?
                    block->kind() + " that cannot be read: "
                    + gnutls_strerror(result) :
                    "the private key is on a curve that cannot sign images: "
                    + curve), supported_keys);
    }
}

/* Only the certificate: the file may also have a key. */
Bytes pem_of(gnutls_x509_crt_t certificate)
{
    Datum pem;

    check(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM,
                                  &pem.value), "signing certificate");
    return Bytes(pem.value.data, pem.value.data + pem.value.size);
}

void warn_of_omitted_blocks(const std::string &path, const Bytes &pem)
{
    constexpr size_t max_named = 3, max_name = 100;
    std::vector<std::string> left_out = beside_certificate(pem);
    std::string all;

    for (size_t i = 0; i < std::min(left_out.size(), max_named); i++) {
        all += (i ? "; " : "") + left_out[i].substr(0, max_name);
    }
    if (left_out.size() > max_named) {
        all += "; and " + std::to_string(left_out.size() - max_named)
            + " more";
    }
    if (!all.empty()) {
        fprintf(stderr, "warning: %s: only its first certificate goes into the"
                " image; left out: %s\n", path.c_str(),
                printable(all).c_str());
    }
}

/* An integer as exactly `width` bytes; GnuTLS drops or adds leading zeros. */
void put_fixed(Bytes &out, const gnutls_datum_t &value, size_t width)
{
    const uint8_t *p = value.data, *end = p + value.size;

    while (p < end && *p == 0) {
        p++;
    }
    out.insert(out.end(), width - (end - p), 0);
    out.insert(out.end(), p, end);
}

Bytes ecdsa(gnutls_privkey_t key, const CoseAlgorithm &algorithm,
            const Bytes &data)
{
    gnutls_datum_t message = datum(data);
    Datum der, r, s;
    Bytes out;

    /* RFC 6979: the same image and key give the same signature. */
    check(gnutls_privkey_sign_data2(key, algorithm.sign,
                                    GNUTLS_PRIVKEY_FLAG_REPRODUCIBLE,
                                    &message, &der.value), "signing");
    check(gnutls_decode_rs_value(&der.value, &r.value, &s.value), "signing");
    put_fixed(out, r.value, algorithm.width);
    put_fixed(out, s.value, algorithm.width);
    return out;
}

/* Does the certificate hold the public part of the key? */
void check_match(gnutls_privkey_t key, const std::string &key_path,
                 gnutls_x509_crt_t certificate, const std::string &path)
{
    PublicKeyHandle ours = public_part(key), theirs;
    uint8_t a[64], b[64];
    size_t a_size = sizeof(a), b_size = sizeof(b);

    check(gnutls_pubkey_get_key_id(ours.value, GNUTLS_KEYID_USE_SHA256, a,
                                   &a_size), "private key");
    check(gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, b,
                                     &b_size), "signing certificate");
    if (a_size == b_size && memcmp(a, b, a_size) == 0) {
        return;
    }
    std::string kinds;
    if (gnutls_pubkey_init(&theirs.value) >= 0 &&
        gnutls_pubkey_import_x509(theirs.value, certificate, 0) >= 0 &&
        describe_key(theirs.value) != describe_key(ours.value)) {
        kinds = ": the certificate's is " + describe_key(theirs.value)
            + ", and this one is " + describe_key(ours.value);
    }
    throw Error(Code::signing, key_path + " is not the key of the certificate"
                " in " + path + kinds, check_signer);
}

/* Only warn: images with an invalid certificate are useful for tests. */
void warn_of_validity(const std::string &path, gnutls_x509_crt_t certificate)
{
    time_t now = time(nullptr);
    time_t end = gnutls_x509_crt_get_expiration_time(certificate);
    bool expired = now > end && end != static_cast<time_t>(
        GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION);

    if (expired || now < gnutls_x509_crt_get_activation_time(certificate)) {
        fprintf(stderr, "warning: %s %s: images that it signs do not start\n",
                path.c_str(), expired ? "has expired" : "is not valid yet");
    }
}

} // namespace

struct Signer::Key {
    PrivateKeyHandle handle;
    const CoseAlgorithm *algorithm;
};

Signer::Signer(Signer &&) noexcept = default;
Signer::~Signer() = default;

Signer::Signer(const std::string &certificate_path,
               const std::string &key_path)
    : key_(std::make_unique<Key>())
{
    Bytes given = read_file(certificate_path), key = read_file(key_path);
    Bytes der = certificate_der(given, certificate_path);
    gnutls_datum_t der_data = datum(der);
    CertificateHandle certificate;

    check(gnutls_privkey_init(&key_->handle.value), key_path.c_str());
    import_key(key_->handle.value, key, key_path);
    gnutls_memset(key.data(), 0, key.size());
    check(gnutls_x509_crt_init(&certificate.value), certificate_path.c_str());
    check(gnutls_x509_crt_import(certificate.value, &der_data,
                                 GNUTLS_X509_FMT_DER),
          certificate_path.c_str());
    certificate_ = pem_of(certificate.value);
    key_->algorithm = &algorithm_of(key_->handle.value, key_path);
    check_match(key_->handle.value, key_path, certificate.value,
                certificate_path);
    warn_of_omitted_blocks(certificate_path, given);
    gnutls_memset(given.data(), 0, given.size());
    warn_of_validity(certificate_path, certificate.value);
    pcr8_ = measure(der);
}

Bytes Signer::sign(const Pcr &pcr0) const
{
    Bytes protected_header, payload, cose, out;

    put_head(protected_header, cbor_encode_map_start, 1);
    put_head(protected_header, encode_uint, COSE_HEADER_ALG);
    put_head(protected_header, [](size_t v, unsigned char *b, size_t n) {
        return cbor_encode_negint(v, b, n);
    }, -1 - key_->algorithm->number);

    put_head(payload, cbor_encode_map_start, 2);
    put_text(payload, "register_index");
    put_head(payload, encode_uint, 0);
    put_text(payload, "register_value");
    put_numbers(payload, pcr0);

    put_head(cose, cbor_encode_array_start, COSE_SIGN1_ITEMS);
    put_bytes(cose, protected_header);
    put_head(cose, cbor_encode_map_start, 0);
    put_bytes(cose, payload);
    put_bytes(cose, ecdsa(key_->handle.value, *key_->algorithm,
                          sig_structure(protected_header, payload)));

    put_head(out, cbor_encode_array_start, 1);
    put_head(out, cbor_encode_map_start, 2);
    put_text(out, "signing_certificate");
    put_numbers(out, certificate_);
    put_text(out, "signature");
    put_numbers(out, cose);
    if (out.size() > max_section) {
        throw Error(Code::signing, "the signature takes "
                    + std::to_string(out.size()) + " bytes, an image has room"
                    " for " + std::to_string(max_section), "Use a smaller"
                    " certificate.");
    }
    return out;
}

std::optional<Signer> signer_of(const Arguments &arguments)
{
    bool certificate = arguments.has("signing-certificate");
    bool key = arguments.has("private-key");

    if (!certificate && !key) {
        return {};
    }
    if (!certificate || !key) {
        throw Error(Code::missing_argument, std::string(certificate ?
                    "--private-key" : "--signing-certificate")
                    + " is missing", "Signing needs both.");
    }
    std::string key_path = arguments.required("private-key");
    /* As nitro-cli takes them */
    if (key_path.starts_with("arn:")) {
        throw Error(Code::signing, key_path + ": a key of AWS KMS cannot sign"
                    " here", "Give a private key in a file, PEM.");
    }
    return Signer(arguments.required("signing-certificate"), key_path);
}
