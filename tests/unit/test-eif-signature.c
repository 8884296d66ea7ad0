/*
 * Enclave image files: the signature
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/eif-signature.h"
#include "eif-test.h"

/* The validity of the certificates, in seconds since 1970 */
#define NOT_BEFORE  1700000000  /* 2023-11-14T22:13:20Z */
#define NOT_AFTER   1800000000  /* 2027-01-15T08:00:00Z */
#define NOW         1750000000

static const uint8_t zero_pcr[NITRO_PCR_SIZE];

enum { P256, P384, P521, OTHER_P256, RSA, NUM_SIGNERS };

static TestSigner *signers[NUM_SIGNERS];

/* Keys are made when they are first needed: some tests need none. */
static const TestSigner *get_signer(unsigned i)
{
    static const gnutls_ecc_curve_t curves[] = {
        [P256] = GNUTLS_ECC_CURVE_SECP256R1,
        [P384] = GNUTLS_ECC_CURVE_SECP384R1,
        [P521] = GNUTLS_ECC_CURVE_SECP521R1,
        [OTHER_P256] = GNUTLS_ECC_CURVE_SECP256R1,
        [RSA] = GNUTLS_ECC_CURVE_INVALID,
    };

    if (!signers[i]) {
        signers[i] = test_signer_new(curves[i], NOT_BEFORE, NOT_AFTER);
    }
    return signers[i];
}

/* The PCR0 of make_standard() */
static void standard_pcr0(uint8_t pcr0[NITRO_PCR_SIZE])
{
    g_auto(TestEif) eif = { };
    Expected expected;

    make_standard(&eif);
    expected_pcrs(&eif, NULL, &expected);
    memcpy(pcr0, expected.pcr0, NITRO_PCR_SIZE);
}

/* Load make_standard() with the signature @section; takes that. */
static EifImage *load_signed(GByteArray *section, EifResult *result)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    EifImage *image;

    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE, section);
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, result, &error_abort);
    eif_check_crc(image, result, &error_abort);
    return image;
}

/* The signature @section is good, and @signer's; takes it. */
static void accept_signature(GByteArray *section, const TestSigner *signer)
{
    const GByteArray *certificate[] = { signer->der, NULL };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = load_signed(section, &result);
    uint8_t pcr8[NITRO_PCR_SIZE];

    assert_pcr(result.pcr8, zero_pcr);
    eif_verify_signature(image, &result, NOW, &error_abort);
    test_eif_pcr(pcr8, certificate);
    assert_pcr(result.pcr8, pcr8);
}

/* The signature @section is refused; takes it. */
static void refuse_signature(GByteArray *section, const char *words)
{
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = load_signed(section, &result);
    Error *err = NULL;

    g_assert_false(eif_verify_signature(image, &result, NOW, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), image_path));
    expect_error(&err, words);
    assert_pcr(result.pcr8, zero_pcr);
}

/* A certificate of each curve, and each way of writing the section */
static void test_signed(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    unsigned curve, form, flags;

    standard_pcr0(pcr0);
    for (curve = P256; curve <= P521; curve++) {
        for (form = 0; form < FORM__MAX; form++) {
            for (flags = 0; flags < 4; flags++) {
                TestSignature how = {
                    .form = form,
                    .indefinite = flags & 1,
                    .tagged = flags & 2,
                };

                accept_signature(test_sign(get_signer(curve), pcr0, &how),
                                 get_signer(curve));
            }
        }
    }
}

/*
 * Only some signatures have an r or s that begins with zero bytes, or with a
 * set bit, which would make it negative in DER.
 */
static void test_signed_often(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { .form = FORM_STRING };
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < 600; i++) {
        accept_signature(test_sign(get_signer(P256), pcr0, &how),
                         get_signer(P256));
    }
}

static void test_parsed_signature(void)
{
    static const EifAlgorithm algorithms[] = {
        [P256] = EIF_ALGORITHM_ES256,
        [P384] = EIF_ALGORITHM_ES384,
        [P521] = EIF_ALGORITHM_ES512,
    };
    uint8_t pcr0[NITRO_PCR_SIZE], wrong[NITRO_PCR_SIZE];
    TestSignature how = { };
    unsigned i;

    standard_pcr0(pcr0);
    memcpy(wrong, pcr0, sizeof(wrong));
    wrong[NITRO_PCR_SIZE - 1] ^= 1;
    for (i = P256; i <= P521; i++) {
        const TestSigner *signer = get_signer(i);
        g_auto(EifResult) result = { };
        g_autoptr(EifImage) image =
            load_signed(test_sign(signer, pcr0, &how), &result);
        g_autoptr(EifSignature) signature =
            eif_signature_parse(image, &result, &error_abort);

        g_assert_cmpint(signature->algorithm, ==, algorithms[i]);
        g_assert_cmpmem(signature->certificate->data,
                        signature->certificate->len,
                        signer->der->data, signer->der->len);
        g_assert_cmpint(signature->not_before, ==, NOT_BEFORE);
        g_assert_cmpint(signature->not_after, ==, NOT_AFTER);
        assert_pcr(signature->pcr0, pcr0);
        g_assert_true(eif_signature_covers(signature, pcr0));
        g_assert_true(eif_signature_covers(signature, result.image_pcr0));
        g_assert_false(eif_signature_covers(signature, wrong));
    }
}

/* An added ramdisk changes PCR0, but not what the signature covers. */
static void test_signed_with_added(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(GByteArray) added = test_eif_bytes(70, 5000);
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Expected expected;
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };

    make_standard(&eif);
    expected_pcrs(&eif, added, &expected);
    standard_pcr0(pcr0);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                 test_sign(get_signer(P384), pcr0, &how));
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);
    test_eif_write(other_path, added);
    image = eif_open(image_path, &error_abort);
    eif_add_ramdisk(image, other_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    assert_pcr(result.pcr0, expected.pcr0);
    assert_pcr(result.image_pcr0, expected.image_pcr0);
    g_assert_true(memcmp(result.pcr0, pcr0, NITRO_PCR_SIZE) != 0);
    eif_verify_signature(image, &result, NOW, &error_abort);
}

static void test_unsigned(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) bytes = NULL;
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Error *err = NULL;

    make_standard(&eif);
    bytes = test_eif_build(&eif);
    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &error_abort);
    eif_load(image, NULL, &result, &error_abort);
    eif_verify_signature(image, &result, NOW, &error_abort);
    assert_pcr(result.pcr8, zero_pcr);
    g_assert_null(eif_signature_parse(image, &result, &err));
    expect_error(&err, "not signed");
}

static void test_validity(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = NULL;
    Error *err = NULL;

    standard_pcr0(pcr0);
    image = load_signed(test_sign(get_signer(P256), pcr0, &how), &result);
    g_assert_false(eif_verify_signature(image, &result, NOT_BEFORE - 1, &err));
    expect_error(&err, "valid|2023-11-14T22:13:20Z|2023-11-14T22:13:19Z");
    g_assert_false(eif_verify_signature(image, &result, 0, &err));
    expect_error(&err, "valid|1970-01-01T00:00:00Z");
    g_assert_false(eif_verify_signature(image, &result, NOT_AFTER + 1, &err));
    expect_error(&err, "expired|2027-01-15T08:00:00Z|2027-01-15T08:00:01Z");
    g_assert_false(eif_verify_signature(image, &result, INT64_MAX, &err));
    expect_error(&err, "expired|2027-01-15T08:00:00Z");
    assert_pcr(result.pcr8, zero_pcr);
    eif_verify_signature(image, &result, NOT_BEFORE, &error_abort);
    eif_verify_signature(image, &result, NOT_AFTER, &error_abort);
}

/* RFC 5280's way of saying that a certificate does not expire */
static void test_no_expiration(void)
{
    g_autoptr(TestSigner) signer =
        test_signer_new(GNUTLS_ECC_CURVE_SECP256R1, NOT_BEFORE,
                        GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION);
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_auto(EifResult) result = { };
    g_autoptr(EifImage) image = NULL;

    standard_pcr0(pcr0);
    image = load_signed(test_sign(signer, pcr0, &how), &result);
    eif_verify_signature(image, &result, 10000000000, &error_abort);
}

static void test_wrong_signatures(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE], wrong[NITRO_PCR_SIZE];
    TestSignature how = { };
    g_autoptr(GByteArray) message = NULL;
    unsigned i, at;

    standard_pcr0(pcr0);
    memcpy(wrong, pcr0, sizeof(wrong));
    wrong[0] ^= 0x80;

    for (i = P256; i <= P521; i++) {
        how = (TestSignature) { .damaged = true };
        refuse_signature(test_sign(get_signer(i), pcr0, &how),
                         "signature is wrong");
        how = (TestSignature) { };
        refuse_signature(test_sign(get_signer(i), wrong, &how),
                         "another image|PCR0");
    }

    /* The certificate of another key */
    how = (TestSignature) { .certificate = get_signer(OTHER_P256)->pem };
    refuse_signature(test_sign(get_signer(P256), pcr0, &how),
                     "signature is wrong");

    /* A payload that was changed after it was signed */
    how = (TestSignature) { .form = FORM_STRING };
    message = test_cose_sign1(get_signer(P256), wrong, &how);
    for (at = 0; memcmp(message->data + at, wrong, sizeof(wrong)); at++) {
        g_assert_cmpuint(at + sizeof(wrong), <, message->len);
    }
    memcpy(message->data + at, pcr0, sizeof(pcr0));
    refuse_signature(test_signature_section(FORM_ARRAY, get_signer(P256)->pem,
                                            message), "signature is wrong");
}

/* Each change of the measured content of a signed image is detected. */
static void test_tampered_image(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };
    unsigned i;

    standard_pcr0(pcr0);
    for (i = 0; i < 6; i++) {
        g_auto(TestEif) eif = { };
        g_autoptr(GByteArray) bytes = NULL;
        g_autoptr(EifImage) image = NULL;
        g_auto(EifResult) result = { };
        Error *err = NULL;
        bool ok;

        make_standard(&eif);
        test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                     test_sign(get_signer(P256), pcr0, &how));
        eif.sections[i].data->data[3] ^= 4;
        bytes = test_eif_build(&eif);
        test_eif_write(image_path, bytes);
        image = eif_open(image_path, &error_abort);
        eif_load(image, NULL, &result, &error_abort);
        eif_check_crc(image, &result, &error_abort);
        ok = eif_verify_signature(image, &result, NOW, &err);
        if (eif.sections[i].type == EIF_SECTION_METADATA) {
            g_assert_true(ok);
        } else {
            g_assert_false(ok);
            expect_error(&err, "another image");
        }
    }
}

static void test_wrong_algorithms(void)
{
    static const struct {
        unsigned signer;
        int algorithm;
        const char *words;
    } cases[] = {
        { P384, -7, "ES256|SECP256R1|SECP384R1" },
        { P521, -7, "ES256|SECP256R1|SECP521R1" },
        { P256, -35, "ES384|SECP384R1|SECP256R1" },
        { P521, -35, "ES384|SECP384R1|SECP521R1" },
        { P256, -36, "ES512|SECP521R1|SECP256R1" },
        { P384, -36, "ES512|SECP521R1|SECP384R1" },
        { P256, -8, "unsupported|-8" },
        { P256, -37, "unsupported|-37" },
        { RSA, -7, "RSA" },
    };
    uint8_t pcr0[NITRO_PCR_SIZE];
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        TestSignature how = { .algorithm = cases[i].algorithm };

        refuse_signature(test_sign(get_signer(cases[i].signer), pcr0, &how),
                         cases[i].words);
    }
}

static void test_wrong_widths(void)
{
    static const int widths[] = { -64, -2, -1, 1, 2, 32, 64 };
    uint8_t pcr0[NITRO_PCR_SIZE];
    int i;

    standard_pcr0(pcr0);
    for (i = 0; i < ARRAY_SIZE(widths); i++) {
        TestSignature how = { .width = widths[i] };
        g_autofree char *words = g_strdup_printf("%d bytes|ES256|64",
                                                 64 + widths[i]);

        refuse_signature(test_sign(get_signer(P256), pcr0, &how), words);
    }
}

static void test_certificates(void)
{
    uint8_t pcr0[NITRO_PCR_SIZE];
    const TestSigner *signer = get_signer(P256);
    g_autoptr(GByteArray) certificate = g_byte_array_new();
    TestSignature how = { .certificate = certificate };

    standard_pcr0(pcr0);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");
    g_byte_array_append(certificate, signer->der->data, signer->der->len);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");
    g_byte_array_set_size(certificate, 0);
    g_byte_array_append(certificate, signer->pem->data, signer->pem->len / 2);
    refuse_signature(test_sign(signer, pcr0, &how), "certificate|PEM");

    /* Of several, the first is that of the signer. */
    g_byte_array_set_size(certificate, 0);
    g_byte_array_append(certificate, signer->pem->data, signer->pem->len);
    g_byte_array_append(certificate, get_signer(P384)->pem->data,
                        get_signer(P384)->pem->len);
    accept_signature(test_sign(signer, pcr0, &how), signer);
}

static void test_payloads(void)
{
    uint8_t value[64] = { };
    GByteArray *payloads[12] = { };
    static const char *const words[] = {
        "register 1 instead of 0",
        "register 18446744073709551615 instead of 0",
        "47 bytes|48",
        "49 bytes|48",
        "0 bytes|48",
        "payload is cut short",
        "payload|array instead of a map",
        "payload|register_index",
        "payload|register_value",
        "payload|more than one|register_index",
        "payload|follow",
        "payload|register_index|negative",
    };
    TestSignature how = { };
    int i;

    standard_pcr0(value);
    payloads[0] = test_payload(FORM_ARRAY, 1, value, 48);
    payloads[1] = test_payload(FORM_ARRAY, UINT64_MAX, value, 48);
    payloads[2] = test_payload(FORM_ARRAY, 0, value, 47);
    payloads[3] = test_payload(FORM_STRING, 0, value, 49);
    payloads[4] = test_payload(FORM_INDEFINITE_ARRAY, 0, value, 0);
    payloads[5] = g_byte_array_new();
    payloads[6] = test_hex("80");
    /* {}, {"register_index": 0}, {"register_index": 0, "register_index": 0} */
    payloads[7] = test_hex("a0");
    payloads[8] = test_hex("a16e72656769737465725f696e64657800");
    payloads[9] = test_hex("a26e72656769737465725f696e64657800"
                           "6e72656769737465725f696e64657800");
    payloads[10] = test_payload(FORM_STRING, 0, value, 48);
    g_byte_array_append(payloads[10], value, 1);
    payloads[11] = test_hex("a16e72656769737465725f696e64657820");
    for (i = 0; i < ARRAY_SIZE(payloads); i++) {
        how.payload = payloads[i];
        refuse_signature(test_sign(get_signer(P256), value, &how), words[i]);
        g_byte_array_unref(payloads[i]);
    }
}

/* Messages that are not a valid COSE_Sign1, in hexadecimal */
static void test_bad_messages(void)
{
    static const struct {
        const char *hex;
        const char *words;
    } cases[] = {
        { "", "COSE_Sign1|cut short" },
        { "00", "COSE_Sign1|not an array" },
        { "a0", "COSE_Sign1|not an array" },
        { "80", "COSE_Sign1|0 items|4" },
        { "8343a10126a040", "COSE_Sign1|3 items|4" },
        { "8543a10126a0404040", "COSE_Sign1|5 items|4" },
        { "9bffffffffffffffff", "COSE_Sign1|cut short" },
        { "9fff", "COSE_Sign1|no protected header" },
        { "9f43a10126ff", "COSE_Sign1|no unprotected header" },
        { "9f43a10126a0ff", "COSE_Sign1|no payload" },
        { "9f43a10126a040ff", "COSE_Sign1|no signature" },
        { "9f43a10126a0404040ff", "COSE_Sign1|more than 4" },
        { "9f43a10126a04040", "COSE_Sign1|more than 4" },
        { "d18443a10126a04040", "COSE_Sign1|tag 17|18" },
        { "d8628443a10126a04040", "COSE_Sign1|tag 98|18" },
        { "d2", "COSE_Sign1|cut short" },
        { "d2d28443a10126a04040", "COSE_Sign1|not an array" },
        { "84a10126a04040", "COSE_Sign1|protected header|map" },
        { "8443a10126404040", "unprotected header|byte string" },
        { "8443a10126a104004040", "unprotected header|not empty" },
        { "8443a10126bf0400ff4040", "unprotected header|not empty" },
        { "8443a10126a0f640", "COSE_Sign1|payload|null" },
        { "8443a10126a060", "COSE_Sign1|payload|text" },
        { "8443a10126a0405f41", "COSE_Sign1|cut short" },
        { "8443a10126a040ff", "COSE_Sign1|misplaced break" },
        { "8443a10126a0405f6161ff", "COSE_Sign1|piece|text" },
        { "8443a10126a0405f5f4100ffff", "COSE_Sign1|piece|indefinite" },
        { "8443a10126a040405f", "COSE_Sign1|1 bytes follow" },
        { "8443a10126a0405b7fffffffffffffff00", "COSE_Sign1|cut short" },
        { "8443a10126a0405bffffffffffffffff00", "COSE_Sign1|cut short" },
        { "8443a10126a0401c", "COSE_Sign1|not CBOR|0x1c" },
        { "8440a04040", "protected header|no algorithm" },
        { "8441a0a04040", "protected header|no algorithm" },
        { "8442bfffa04040", "protected header|no algorithm" },
        { "844180a04040", "protected header|array" },
        { "8443a10226a04040", "protected header|parameter 2|1" },
        { "8443a12026a04040", "protected header|label|negative" },
        { "8443a10107a04040", "protected header|algorithm|unsigned" },
        { "8448a101654553323536a04040", "protected header|algorithm|text" },
        { "8443a10127a04040", "protected header|unsupported|-8" },
        { "844ba1013bffffffffffffffffa04040", "protected header|unsupported" },
        { "8445a2012604f6a04040", "protected header|more parameters" },
        { "8445a201260126a04040", "protected header|more parameters" },
        { "8444bf0126ffa04040", "0 bytes|ES256|64" },
        { "8444a1012600a04040", "protected header|1 bytes follow" },
        { "8442a101a04040", "protected header|cut short" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(GByteArray) message = test_hex(cases[i].hex);

        refuse_signature(test_signature_section(FORM_ARRAY,
                                                get_signer(P256)->pem,
                                                message),
                         cases[i].words);
    }
}

/* "signing_certificate" and "signature", in CBOR */
#define CERTIFICATE "737369676e696e675f6365727469666963617465"
#define SIGNATURE "697369676e6174757265"

/* Invalid sections, in hexadecimal */
static void test_bad_sections(void)
{
    static const struct {
        const char *hex;
        const char *words;
    } cases[] = {
        { "", "signature section|cut short" },
        { "a0", "signature section|map instead of an array" },
        { "80", "signature section|empty array" },
        { "9fff", "signature section|empty array" },
        { "81", "signature section|cut short" },
        { "9f", "signature section|cut short" },
        { "8101", "signature section|unsigned integer instead of a map" },
        { "81c6a0", "signature section|tag instead of a map" },
        { "81ff", "signature section|misplaced break" },
        { "ff", "signature section|misplaced break" },
        { "1c", "signature section|not CBOR|0x1c" },
        { "f8", "signature section|cut short" },
        { "81f81f", "signature section|not CBOR|0xf8 at byte 1" },
        { "81f820", "signature section|simple value" },
        { "81a0", "signature section|no \"signing_certificate\"" },
        { "81bfff", "signature section|no \"signing_certificate\"" },
        { "81a1" CERTIFICATE "40", "signature section|no \"signature\"" },
        { "81a1" SIGNATURE "40",
          "signature section|no \"signing_certificate\"" },
        { "81a2" CERTIFICATE "40" CERTIFICATE "40",
          "signature section|more than one \"signing_certificate\"" },
        { "81a2" SIGNATURE "40" SIGNATURE "40",
          "signature section|more than one \"signature\"" },
        { "81a1" CERTIFICATE "811880", "no \"signature\"" },
        { "81a1" CERTIFICATE "82190100", "signing_certificate|256|255" },
        { "81a1" CERTIFICATE "811bffffffffffffffff",
          "signing_certificate|18446744073709551615|255" },
        { "81a1" CERTIFICATE "8120", "signing_certificate|negative" },
        { "81a1" CERTIFICATE "816161", "signing_certificate|text" },
        { "81a1" CERTIFICATE "a0", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "6161", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "f6", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "f94000", "signing_certificate|neither" },
        { "81a1" CERTIFICATE "9bffffffffffffffff00", "cut short" },
        { "81a1" CERTIFICATE "5bffffffffffffffff00", "cut short" },
        { "81bbffffffffffffffff" CERTIFICATE "40", "cut short" },
        { "9bffffffffffffffff" "a2" CERTIFICATE "40" SIGNATURE "40",
          "cut short" },
        { "81bf" CERTIFICATE "ff", "misplaced break" },
        { "81a17f4161ff00", "piece|byte string instead of a text string" },
        { "81a17f7f6161ffff00", "piece|indefinite" },
        { "81a2" CERTIFICATE "40" SIGNATURE "4000", "1 bytes follow" },
        { "82a2" CERTIFICATE "40" SIGNATURE "40", "cut short" },
        { "82a2" CERTIFICATE "40" SIGNATURE "40ff", "misplaced break" },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        refuse_signature(test_hex(cases[i].hex), cases[i].words);
    }
    refuse_signature(test_eif_bytes(0xff, 32768), "signature section");
}

static void append_hex(GByteArray *out, const char *hex)
{
    g_autoptr(GByteArray) bytes = test_hex(hex);

    g_byte_array_append(out, bytes->data, bytes->len);
}

/* The section for @pcr0, with more in its map and behind it */
static GByteArray *section_with(const char *in_map, unsigned pairs,
                                const char *behind, unsigned items)
{
    const TestSigner *signer = get_signer(P256);
    g_autoptr(GByteArray) message = NULL;
    GByteArray *out = g_byte_array_new();
    uint8_t pcr0[NITRO_PCR_SIZE];
    TestSignature how = { };

    standard_pcr0(pcr0);
    message = test_cose_sign1(signer, pcr0, &how);
    test_cbor_head(out, 4, 1 + items, CBOR_SHORTEST);
    test_cbor_head(out, 5, 2 + pairs, CBOR_SHORTEST);
    append_hex(out, in_map);
    append_hex(out, SIGNATURE);
    test_cbor_bytes(out, FORM_ARRAY, message->data, message->len);
    append_hex(out, CERTIFICATE);
    test_cbor_bytes(out, FORM_STRING, signer->pem->data, signer->pem->len);
    append_hex(out, behind);
    return out;
}

/* Unknown keys are skipped, with values of any kind. */
static void test_unknown_items(void)
{
    const TestSigner *signer = get_signer(P256);

    accept_signature(section_with("", 0, "", 0), signer);
    accept_signature(section_with("6178f6", 1, "", 0), signer);
    /* Keys that are no text, and the empty text */
    accept_signature(section_with("0001" "8101a0" "40f5" "60f93c00"
                                  "f6fa3f800000", 5, "", 0), signer);
    /* Values of every kind */
    accept_signature(section_with("", 0, "001817190100", 3), signer);
    accept_signature(section_with("", 0, "2038ff39010040436162637f6161ff", 6),
                     signer);
    accept_signature(section_with("", 0, "9f0102ffbf0102ffa2010203049fff", 4),
                     signer);
    accept_signature(section_with("", 0, "c000c600d200d862e0f8ff", 5),
                     signer);
}

/* @levels times @opening, and a 0 in the middle */
static char *nested(const char *opening, unsigned levels)
{
    GString *hex = g_string_new(NULL);

    while (levels--) {
        g_string_append(hex, opening);
    }
    g_string_append(hex, "00");
    return g_string_free(hex, false);
}

/* With the outermost array, nesting of 16 arrays and maps is accepted. */
static void test_nesting(void)
{
    /* Arrays, and maps in keys and in values */
    static const char *const openings[] = {
        "81", "9f", "a1", "bf", "a100", "bf00",
    };
    g_autofree char *just = nested("81", 15);
    g_autofree char *more = nested("81", 16);
    g_autofree char *tags = nested("d81e", 3000);
    int i;

    accept_signature(section_with("", 0, just, 1), get_signer(P256));
    refuse_signature(section_with("", 0, more, 1), "nested deeper|16");
    accept_signature(section_with("", 0, tags, 1), get_signer(P256));
    for (i = 0; i < ARRAY_SIZE(openings); i++) {
        g_autofree char *many = nested(openings[i], 15000);

        refuse_signature(section_with("", 0, many, 1), "nested deeper|16");
    }
}

/* A section that ends too early, wherever that is */
static void test_cut_short(void)
{
    TestSignature how = { .form = FORM_STRING, .tagged = true };
    uint8_t pcr0[NITRO_PCR_SIZE];
    g_autoptr(GByteArray) good = NULL;
    unsigned i;

    standard_pcr0(pcr0);
    good = test_sign(get_signer(P384), pcr0, &how);
    for (i = 0; i < good->len; i++) {
        GByteArray *cut = copy_bytes(good);

        g_byte_array_set_size(cut, i);
        refuse_signature(cut, "signature section is cut short");
    }
    accept_signature(g_steal_pointer(&good), get_signer(P384));
}

/* Random changes */

/* A position to change, often in the headers: data is not parsed */
static size_t random_offset(GRand *random, const TestEif *eif)
{
    const TestSection *section =
        &eif->sections[g_rand_int_range(random, 0, eif->num_sections)];

    switch (g_rand_int_range(random, 0, 4)) {
    case 0:
        return g_rand_int_range(random, 0, 0x1c);
    case 1:
        return g_rand_int_range(random, 0, 2) * 0x100 + 0x1c +
               g_rand_int_range(random, 0, eif->num_sections * 8);
    case 2:
        return section->at + g_rand_int_range(random, 0, 12);
    default:
        section = &eif->sections[eif->num_sections - 1];
        return section->at + 12 +
               g_rand_int_range(random, 0, section->data->len);
    }
}

/*
 * Open, load and verify a file that may be damaged anywhere.  Returns whether
 * it could be loaded.
 */
static bool try_image(const GByteArray *bytes, const uint8_t pcr0[48])
{
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    Error *err = NULL;

    test_eif_write(image_path, bytes);
    image = eif_open(image_path, &err);
    if (!image) {
        expect_error(&err, image_path);
        return false;
    }
    eif_load(image, NULL, &result, &error_abort);
    if (!result.signature) {
        return true;
    }
    if (eif_verify_signature(image, &result, NOW, &err)) {
        g_assert_cmpmem(result.image_pcr0, 48, pcr0, 48);
        g_assert_true(memcmp(result.pcr8, zero_pcr, NITRO_PCR_SIZE) != 0);
    } else {
        expect_error(&err, image_path);
        assert_pcr(result.pcr8, zero_pcr);
    }
    return true;
}

static void test_mutations(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(20231114);
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) good = NULL;
    TestSignature how = { .form = FORM_STRING };
    uint8_t pcr0[NITRO_PCR_SIZE];
    unsigned loaded = 0;
    int i, changes;

    standard_pcr0(pcr0);
    make_standard(&eif);
    test_eif_add(&eif, EIF_SECTION_SIGNATURE,
                 test_sign(get_signer(P256), pcr0, &how));
    good = test_eif_build(&eif);

    for (i = 0; i < 3000; i++) {
        g_autoptr(GByteArray) bytes = copy_bytes(good);

        for (changes = g_rand_int_range(random, 1, 4); changes; changes--) {
            uint8_t *byte = bytes->data + random_offset(random, &eif);

            if (g_rand_boolean(random)) {
                *byte ^= 1 << g_rand_int_range(random, 0, 8);
            } else {
                *byte = g_rand_int_range(random, 0, 256);
            }
        }
        loaded += try_image(bytes, pcr0);
    }
    /* Some files must have been loaded, and some refused. */
    g_assert_cmpuint(loaded, >, 100);
    g_assert_cmpuint(loaded, <, 2900);
}

int main(int argc, char **argv)
{
    static const EifTest tests[] = {
        { "/eif/signature/good", test_signed },
        { "/eif/signature/often", test_signed_often },
        { "/eif/signature/parsed", test_parsed_signature },
        { "/eif/signature/added", test_signed_with_added },
        { "/eif/signature/none", test_unsigned },
        { "/eif/signature/validity", test_validity },
        { "/eif/signature/no-expiration", test_no_expiration },
        { "/eif/signature/wrong", test_wrong_signatures },
        { "/eif/signature/tampered-image", test_tampered_image },
        { "/eif/signature/algorithms", test_wrong_algorithms },
        { "/eif/signature/widths", test_wrong_widths },
        { "/eif/signature/certificates", test_certificates },
        { "/eif/signature/payloads", test_payloads },
        { "/eif/signature/messages", test_bad_messages },
        { "/eif/signature/sections", test_bad_sections },
        { "/eif/signature/unknown-items", test_unknown_items },
        { "/eif/signature/nesting", test_nesting },
        { "/eif/signature/cut-short", test_cut_short },
        { "/eif/mutations", test_mutations },
    };
    unsigned i;
    int ret;

    ret = eif_test_main(argc, argv, tests, ARRAY_SIZE(tests));
    for (i = 0; i < NUM_SIGNERS; i++) {
        if (signers[i]) {
            test_signer_free(signers[i]);
        }
    }
    return ret;
}
