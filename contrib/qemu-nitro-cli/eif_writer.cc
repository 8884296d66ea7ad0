/*
 * Writing enclave image files (EIF)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "eif_writer.hh"

#include <algorithm>
#include <cbor.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <memory>
#include <sys/stat.h>
#include <zlib.h>

namespace {

constexpr uint16_t version = 4;
constexpr uint64_t default_memory = 1 << 30;    /* bytes */
constexpr uint64_t default_cpus = 2;
constexpr size_t max_sections = 32;
constexpr size_t header_size = 548;

enum Section : uint16_t { kernel = 1, cmdline, ramdisk, signature, metadata };

template <typename T> void put(Bytes &out, T value)
{
    for (int shift = 8 * sizeof(T) - 8; shift >= 0; shift -= 8) {
        out.push_back(value >> shift);
    }
}

void put_at(Bytes &out, size_t at, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[at + i] = value >> (56 - 8 * i);
    }
}

/* The encoder of libcbor that writes the head of an item */
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

const char *const check_signer = "Check --signing-certificate and"
    " --private-key: PEM, with a key on the curve P-256, P-384 or P-521.";

void check(int result, const char *what)
{
    if (result < 0) {
        throw Error(Code::signing, std::string(what) + ": "
                    + gnutls_strerror(result), check_signer);
    }
}

template <typename T, auto deinit> struct Handle {
    T value = nullptr;
    Handle() = default;
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle()
    {
        if (value) {
            deinit(value);
        }
    }
};

using Key = Handle<gnutls_privkey_t, gnutls_privkey_deinit>;
using PublicKey = Handle<gnutls_pubkey_t, gnutls_pubkey_deinit>;
using Certificate = Handle<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;

struct Datum {
    gnutls_datum_t value = {nullptr, 0};
    Datum() = default;
    Datum(const Datum &) = delete;
    Datum &operator=(const Datum &) = delete;
    ~Datum() { gnutls_free(value.data); }
};

gnutls_datum_t datum(const Bytes &data)
{
    return {const_cast<uint8_t *>(data.data()),
            static_cast<unsigned>(data.size())};
}

/* What COSE (RFC 9053, 2.1) says of a curve */
struct Algorithm {
    gnutls_ecc_curve_t curve;
    unsigned cose;      /* the algorithm is -1 - cose */
    gnutls_sign_algorithm_t sign;
    size_t width;       /* bytes of r, and of s */
};

constexpr Algorithm algorithms[] = {
    {GNUTLS_ECC_CURVE_SECP256R1, 6, GNUTLS_SIGN_ECDSA_SHA256, 32},
    {GNUTLS_ECC_CURVE_SECP384R1, 34, GNUTLS_SIGN_ECDSA_SHA384, 48},
    {GNUTLS_ECC_CURVE_SECP521R1, 35, GNUTLS_SIGN_ECDSA_SHA512, 66},
};

const Algorithm &algorithm_of(gnutls_privkey_t key)
{
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
    Datum x, y, k;

    gnutls_privkey_export_ecc_raw(key, &curve, &x.value, &y.value, &k.value);
    if (k.value.data) {
        gnutls_memset(k.value.data, 0, k.value.size);
    }
    for (const Algorithm &a : algorithms) {
        if (a.curve == curve) {
            return a;
        }
    }
    throw Error(Code::signing, "the private key is on none of the curves that"
                " sign images", check_signer);
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

Bytes ecdsa(gnutls_privkey_t key, const Algorithm &algorithm,
            const Bytes &data)
{
    gnutls_datum_t message = datum(data);
    Datum der, r, s;
    Bytes out;

    check(gnutls_privkey_sign_data2(key, algorithm.sign, 0, &message,
                                    &der.value), "signing");
    check(gnutls_decode_rs_value(&der.value, &r.value, &s.value), "signing");
    put_fixed(out, r.value, algorithm.width);
    put_fixed(out, s.value, algorithm.width);
    return out;
}

/* Does the certificate hold the public part of the key? */
void check_match(gnutls_privkey_t key, gnutls_x509_crt_t certificate)
{
    PublicKey ours, theirs;
    uint8_t a[64], b[64];
    size_t a_size = sizeof(a), b_size = sizeof(b);

    check(gnutls_pubkey_init(&ours.value), "private key");
    check(gnutls_pubkey_import_privkey(ours.value, key, 0, 0), "private key");
    check(gnutls_pubkey_get_key_id(ours.value, GNUTLS_KEYID_USE_SHA256, a,
                                   &a_size), "private key");
    check(gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, b,
                                     &b_size), "signing certificate");
    if (a_size != b_size || memcmp(a, b, a_size) != 0) {
        throw Error(Code::signing, "the private key is not that of the signing"
                    " certificate", check_signer);
    }
}

} // namespace

Pcr measure(const std::vector<const Bytes *> &data)
{
    Bytes both(2 * std::tuple_size<Pcr>());
    gnutls_hash_hd_t hash;
    Pcr pcr;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA384) < 0) {
        throw std::runtime_error("SHA-384 is not available");
    }
    for (const Bytes *piece : data) {
        gnutls_hash(hash, piece->data(), piece->size());
    }
    gnutls_hash_deinit(hash, both.data() + std::tuple_size<Pcr>());
    gnutls_hash_fast(GNUTLS_DIG_SHA384, both.data(), both.size(), pcr.data());
    return pcr;
}

Measurements measure_parts(const EifParts &parts)
{
    Bytes cmdline_bytes(parts.cmdline.begin(), parts.cmdline.end());
    std::vector<const Bytes *> all = {&parts.kernel, &cmdline_bytes};
    std::vector<const Bytes *> first = all, rest;

    for (size_t i = 0; i < parts.ramdisks.size(); i++) {
        all.push_back(&parts.ramdisks[i]);
        (i ? rest : first).push_back(&parts.ramdisks[i]);
    }
    return {measure(all), measure(first), measure(rest), {}};
}

Bytes sign_pcr0(const Pcr &pcr0, const Signer &signer, Pcr *pcr8)
{
    gnutls_datum_t pem = datum(signer.certificate);
    gnutls_datum_t key_pem = datum(signer.private_key);
    Certificate certificate;
    Datum der;
    Key key;

    check(gnutls_x509_crt_init(&certificate.value), "signing certificate");
    check(gnutls_x509_crt_import(certificate.value, &pem, GNUTLS_X509_FMT_PEM),
          "signing certificate");
    check(gnutls_privkey_init(&key.value), "private key");
    check(gnutls_privkey_import_x509_raw(key.value, &key_pem,
                                         GNUTLS_X509_FMT_PEM, nullptr, 0),
          "private key");
    check_match(key.value, certificate.value);
    check(gnutls_x509_crt_export2(certificate.value, GNUTLS_X509_FMT_DER,
                                  &der.value), "signing certificate");
    Bytes der_bytes(der.value.data, der.value.data + der.value.size);
    *pcr8 = measure({&der_bytes});

    const Algorithm &algorithm = algorithm_of(key.value);
    Bytes protected_header, payload, to_sign, cose, out;

    put_head(protected_header, cbor_encode_map_start, 1);
    put_head(protected_header, encode_uint, 1);
    put_head(protected_header, [](size_t v, unsigned char *b, size_t n) {
        return cbor_encode_negint(v, b, n);
    }, algorithm.cose);

    put_head(payload, cbor_encode_map_start, 2);
    put_text(payload, "register_index");
    put_head(payload, encode_uint, 0);
    put_text(payload, "register_value");
    put_numbers(payload, pcr0);

    put_head(to_sign, cbor_encode_array_start, 4);
    put_text(to_sign, "Signature1");
    put_bytes(to_sign, protected_header);
    put_bytes(to_sign, {});
    put_bytes(to_sign, payload);

    put_head(cose, cbor_encode_array_start, 4);
    put_bytes(cose, protected_header);
    put_head(cose, cbor_encode_map_start, 0);
    put_bytes(cose, payload);
    put_bytes(cose, ecdsa(key.value, algorithm, to_sign));

    put_head(out, cbor_encode_array_start, 1);
    put_head(out, cbor_encode_map_start, 2);
    put_text(out, "signing_certificate");
    put_numbers(out, signer.certificate);
    put_text(out, "signature");
    put_numbers(out, cose);
    return out;
}

std::pair<Bytes, Measurements> make_eif(const EifParts &parts,
                                        const std::optional<Signer> &signer)
{
    Measurements found = measure_parts(parts);
    std::vector<std::pair<Section, Bytes>> sections;
    Bytes out;

    sections.emplace_back(Section::kernel, parts.kernel);
    sections.emplace_back(Section::cmdline, Bytes(parts.cmdline.begin(),
                                                  parts.cmdline.end()));
    sections.emplace_back(Section::metadata, Bytes(parts.metadata.begin(),
                                                   parts.metadata.end()));
    for (const Bytes &ramdisk : parts.ramdisks) {
        sections.emplace_back(Section::ramdisk, ramdisk);
    }
    if (signer) {
        found.pcr8.emplace();
        sections.emplace_back(Section::signature,
                              sign_pcr0(found.pcr0, *signer, &*found.pcr8));
    }
    if (sections.size() > max_sections) {
        throw Error(Code::eif, std::to_string(sections.size())
                    + " sections do not fit an image, which has at most "
                    + std::to_string(max_sections), "Use fewer ramdisks.");
    }

    for (char c : {'.', 'e', 'i', 'f'}) {
        out.push_back(c);
    }
    put<uint16_t>(out, version);
    put<uint16_t>(out, 0);
    put<uint64_t>(out, default_memory);
    put<uint64_t>(out, default_cpus);
    put<uint16_t>(out, 0);
    put<uint16_t>(out, sections.size());
    const size_t offsets = out.size(), sizes = offsets + 8 * max_sections;
    out.resize(header_size);
    for (size_t i = 0; i < sections.size(); i++) {
        const auto &[type, data] = sections[i];

        put_at(out, offsets + 8 * i, out.size());
        put_at(out, sizes + 8 * i, data.size());
        put<uint16_t>(out, type);
        put<uint16_t>(out, 0);
        put<uint64_t>(out, data.size());
        out.insert(out.end(), data.begin(), data.end());
    }

    uint32_t crc = crc32_z(0, out.data(), header_size - 4);
    crc = crc32_z(crc, out.data() + header_size, out.size() - header_size);
    for (int i = 0; i < 4; i++) {
        out[header_size - 4 + i] = crc >> (24 - 8 * i);
    }
    return {std::move(out), found};
}

void write_file(const std::string &path, const Bytes &data)
{
    const char *advice = "Check that the folder exists and can be written to.";
    std::string name = path + ".XXXXXX";
    Descriptor file(mkostemp(name.data(), O_CLOEXEC));
    size_t done = 0;

    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno), advice);
    }
    while (done < data.size()) {
        ssize_t n = write(file.get(), data.data() + done, data.size() - done);

        if (n < 0) {
            break;
        }
        done += n;
    }
    mode_t mask = umask(0);
    umask(mask);
    if (done < data.size() || fchmod(file.get(), 0666 & ~mask) ||
        rename(name.c_str(), path.c_str())) {
        int error = errno;

        unlink(name.c_str());
        throw Error(Code::file, path + ": " + error_text(error), advice);
    }
}
