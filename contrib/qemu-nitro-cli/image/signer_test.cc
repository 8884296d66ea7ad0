/*
 * Tests of signer.cc: signatures verify, and wrong files are refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/signer.hh"

#include <cbor.h>
#include <ctime>

#include "image/certificate.hh"
#include "support/arguments.hh"
#include "support/cose.hh"
#include "support/gnutls_handles.hh"
#include "support/test_support.hh"

namespace {

using PrivateX509Handle = Handle<gnutls_x509_privkey_t,
                                 gnutls_x509_privkey_deinit>;

struct CborDelete {
    void operator()(cbor_item_t *item) const { cbor_decref(&item); }
};
using CborPointer = std::unique_ptr<cbor_item_t, CborDelete>;

std::string text_of(const gnutls_datum_t &data)
{
    return {reinterpret_cast<char *>(data.data), data.size};
}

CborPointer load(std::span<const uint8_t> data)
{
    cbor_load_result result;
    CborPointer item(cbor_load(data.data(), data.size(), &result));

    EXPECT_EQ(result.error.code, CBOR_ERR_NONE);
    EXPECT_EQ(result.read, data.size());
    return item;
}

/* An array of small integers, as AWS's tools write bytes */
Bytes numbers(const cbor_item_t *array)
{
    Bytes bytes;

    for (size_t i = 0; i < cbor_array_size(array); i++) {
        bytes.push_back(cbor_get_int(cbor_array_handle(array)[i]));
    }
    return bytes;
}

std::span<const uint8_t> bytes_of(const cbor_item_t *item)
{
    return {cbor_bytestring_handle(item), cbor_bytestring_length(item)};
}

class SignerTest : public DirectoryTest {
protected:
    /* The names of two new files, with a certificate and its key */
    std::pair<std::string, std::string>
    make(const std::string &name, gnutls_pk_algorithm_t kind, unsigned bits,
         time_t begin = time(nullptr) - 60, time_t end = time(nullptr) + 3600)
    {
        PrivateX509Handle key;
        CertificateHandle certificate;
        Datum key_text, text;
        uint8_t serial = 1;

        EXPECT_GE(gnutls_x509_privkey_init(&key.value), 0);
        EXPECT_GE(gnutls_x509_privkey_generate(key.value, kind, bits, 0), 0);
        EXPECT_GE(gnutls_x509_crt_init(&certificate.value), 0);
        gnutls_x509_crt_t x509 = certificate.value;
        gnutls_x509_crt_set_version(x509, 3);
        gnutls_x509_crt_set_serial(x509, &serial, 1);
        gnutls_x509_crt_set_activation_time(x509, begin);
        gnutls_x509_crt_set_expiration_time(x509, end);
        gnutls_x509_crt_set_dn_by_oid(x509, GNUTLS_OID_X520_COMMON_NAME, 0,
                                      name.data(), name.size());
        gnutls_x509_crt_set_key(x509, key.value);
        /* Ed25519 has one hash only. */
        auto hash = kind == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512
                                                    : GNUTLS_DIG_SHA256;
        EXPECT_GE(gnutls_x509_crt_sign2(x509, x509, key.value, hash, 0), 0);
        EXPECT_GE(gnutls_x509_crt_export2(x509, GNUTLS_X509_FMT_PEM,
                                          &text.value), 0);
        EXPECT_GE(gnutls_x509_privkey_export2_pkcs8(
                      key.value, GNUTLS_X509_FMT_PEM, nullptr,
                      GNUTLS_PKCS_PLAIN, &key_text.value), 0);
        return {write(name + ".pem", text_of(text.value)),
                write(name + ".key", text_of(key_text.value))};
    }
    std::pair<std::string, std::string> make_on(gnutls_ecc_curve_t curve)
    {
        return make(gnutls_ecc_curve_get_name(curve), GNUTLS_PK_ECDSA,
                    GNUTLS_CURVE_TO_BITS(curve));
    }
    static int refusal(const std::string &certificate, const std::string &key)
    {
        return code_of([&] { Signer signer(certificate, key); });
    }
};

/* Take the section apart, and verify it with the certificate in it. */
void check_section(const Bytes &section, const Pcr &pcr0,
                   const CoseAlgorithm &algorithm)
{
    CborPointer list = load(section);
    ASSERT_EQ(cbor_array_size(list.get()), 1U);
    const cbor_item_t *map = cbor_array_handle(list.get())[0];
    ASSERT_EQ(cbor_map_size(map), 2U);
    Bytes pem = numbers(cbor_map_handle(map)[0].value);
    Bytes cose = numbers(cbor_map_handle(map)[1].value);

    CborPointer sign1 = load(cose);
    ASSERT_EQ(cbor_array_size(sign1.get()), 4U);
    cbor_item_t **parts = cbor_array_handle(sign1.get());
    auto header = bytes_of(parts[0]), payload = bytes_of(parts[2]),
         signature = bytes_of(parts[3]);
    CborPointer fields = load(header);
    ASSERT_EQ(cbor_map_size(fields.get()), 1U);
    EXPECT_EQ(cbor_get_int(cbor_map_handle(fields.get())[0].key), 1U);
    EXPECT_EQ(-1 - static_cast<int>(
                  cbor_get_int(cbor_map_handle(fields.get())[0].value)),
              algorithm.number);
    CborPointer claims = load(payload);
    ASSERT_EQ(cbor_map_size(claims.get()), 2U);
    EXPECT_EQ(cbor_get_int(cbor_map_handle(claims.get())[0].value), 0U);
    EXPECT_EQ(numbers(cbor_map_handle(claims.get())[1].value),
              Bytes(pcr0.begin(), pcr0.end()));

    ASSERT_EQ(signature.size(), 2 * algorithm.width);
    gnutls_datum_t r = datum(signature.first(algorithm.width));
    gnutls_datum_t s = datum(signature.last(algorithm.width));
    Bytes data = sig_structure(header, payload);
    gnutls_datum_t message = datum(data), pem_data = datum(pem);
    CertificateHandle certificate;
    PublicKeyHandle key;
    Datum der;
    ASSERT_GE(gnutls_x509_crt_init(&certificate.value), 0);
    ASSERT_GE(gnutls_x509_crt_import(certificate.value, &pem_data,
                                     GNUTLS_X509_FMT_PEM), 0);
    ASSERT_GE(gnutls_pubkey_init(&key.value), 0);
    ASSERT_GE(gnutls_pubkey_import_x509(key.value, certificate.value, 0), 0);
    ASSERT_GE(gnutls_encode_rs_value(&der.value, &r, &s), 0);
    EXPECT_GE(gnutls_pubkey_verify_data2(key.value, algorithm.sign, 0,
                                         &message, &der.value), 0);
}

/* Enough signatures to get an r or s with a leading zero byte */
TEST_F(SignerTest, EachCurve)
{
    for (const CoseAlgorithm &algorithm : cose_algorithms) {
        auto [certificate, key] = make_on(algorithm.curve);
        Signer signer(certificate, key);

        for (uint8_t i = 0; i < 100; i++) {
            Pcr pcr0{};

            pcr0[0] = i;
            check_section(signer.sign(pcr0), pcr0, algorithm);
        }
    }
}

TEST_F(SignerTest, SameInputSameSignature)
{
    auto [certificate, key] = make_on(GNUTLS_ECC_CURVE_SECP384R1);
    Signer one(certificate, key), two(certificate, key);
    Pcr other{};

    other[47] = 1;
    EXPECT_EQ(one.sign({}), two.sign({}));
    EXPECT_NE(one.sign({}), one.sign(other));
}

TEST_F(SignerTest, Pcr8MeasuresTheCertificate)
{
    auto [certificate, key] = make_on(GNUTLS_ECC_CURVE_SECP384R1);
    std::string text = read("SECP384R1.pem");

    EXPECT_EQ(Signer(certificate, key).pcr8(),
              measure(certificate_der({text.begin(), text.end()}, "")));
}

TEST_F(SignerTest, OnlyTheFirstCertificateIsTaken)
{
    auto [certificate, key] = make_on(GNUTLS_ECC_CURVE_SECP384R1);
    make("other", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(
        GNUTLS_ECC_CURVE_SECP384R1));
    std::string first = read("SECP384R1.pem");
    std::string both = write("both.pem", first + read("other.pem")
                             + read("other.key"));

    EXPECT_EQ(Signer(both, key).sign({}), Signer(certificate, key).sign({}));
    EXPECT_EQ(refusal(write("key-first.pem", read("other.key") + first), key),
              60);
}

TEST_F(SignerTest, ExpiredCertificateOnlyWarns)
{
    time_t now = time(nullptr);
    auto [certificate, key] = make("old", GNUTLS_PK_ECDSA,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), now - 200,
        now - 100);

    EXPECT_EQ(refusal(certificate, key), 0);
}

TEST_F(SignerTest, Refused)
{
    auto [certificate, key] = make_on(GNUTLS_ECC_CURVE_SECP384R1);
    auto [other, other_key] = make("other", GNUTLS_PK_ECDSA,
        GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1));
    auto [rsa, rsa_key] = make("rsa", GNUTLS_PK_RSA, 2048);
    auto [ed, ed_key] = make("ed", GNUTLS_PK_EDDSA_ED25519, 256);

    EXPECT_EQ(refusal(certificate, key), 0);
    EXPECT_EQ(refusal(certificate, other_key), 60);
    EXPECT_EQ(refusal(rsa, rsa_key), 60);
    EXPECT_EQ(refusal(ed, ed_key), 60);
    EXPECT_EQ(refusal(key, key), 60);
    EXPECT_EQ(refusal(certificate, certificate), 60);
    EXPECT_EQ(refusal(path("none"), key), 19);
    EXPECT_EQ(refusal(certificate, path("none")), 19);
    for (const char *text : {"", "x", "\x30\x82",
                             "-----BEGIN PRIVATE KEY-----\n",
                             "-----BEGIN PRIVATE KEY-----\nAAAA\n"
                             "-----END PRIVATE KEY-----\n",
                             "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                             "-----END ENCRYPTED PRIVATE KEY-----\n"}) {
        EXPECT_EQ(refusal(certificate, write("bad", text)), 60) << text;
        EXPECT_EQ(refusal(write("bad", text), key), 60) << text;
    }
    std::string cut = read("SECP384R1.key");
    EXPECT_EQ(refusal(certificate, write("cut", cut.substr(0, 100))), 60);
}

TEST_F(SignerTest, Options)
{
    auto [certificate, key] = make_on(GNUTLS_ECC_CURVE_SECP384R1);
    auto code = [](std::vector<std::string> words) {
        std::vector<char *> argv;

        words.insert(words.begin(), "command");
        for (std::string &word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        return code_of([&] {
            signer_of(Arguments(words.size(), argv.data(),
                                {{"signing-certificate"}, {"private-key"}}));
        });
    };

    EXPECT_EQ(code({}), 0);
    EXPECT_EQ(code({"--signing-certificate", certificate, "--private-key",
                    key}), 0);
    EXPECT_EQ(code({"--signing-certificate", certificate}), 1);
    EXPECT_EQ(code({"--private-key", key}), 1);
    EXPECT_EQ(code({"--signing-certificate", certificate, "--private-key",
                    "arn:aws:kms:eu-west-1:1:key/1"}), 60);
}

} // namespace
