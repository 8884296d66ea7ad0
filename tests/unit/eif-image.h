/*
 * Enclave image files for tests
 *
 * Writes valid and invalid images, from the description of the format.  The
 * code shares nothing with hw/core/eif.c, which is under test.  It encodes CBOR
 * itself for the same reason, and because tests need encodings that no library
 * chooses.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_EIF_IMAGE_H
#define TESTS_UNIT_EIF_IMAGE_H

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#define TEST_EIF_MAX_SECTIONS 40    /* more than the limit */

typedef struct TestSection {
    uint16_t type;
    GByteArray *data;
    size_t gap;             /* bytes of a gap before the section */
    size_t at;              /* offset of its header; test_eif_build() sets it */
} TestSection;

typedef struct TestEif {
    uint16_t version;
    uint16_t flags;
    unsigned num_sections;
    TestSection sections[TEST_EIF_MAX_SECTIONS];
    size_t tail;            /* bytes after the last section */
} TestEif;

/* @size bytes that depend on @seed, and differ for each seed */
GByteArray *test_eif_bytes(uint8_t seed, size_t size);

/* Append a section; takes @data. */
TestSection *test_eif_add(TestEif *eif, uint16_t type, GByteArray *data);
void test_eif_clear(TestEif *eif);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TestEif, test_eif_clear)

/* The bytes of the file, with a correct CRC. */
GByteArray *test_eif_build(TestEif *eif);

/* CRC-32/ISO-HDLC, bit by bit: independent of tables and libraries */
uint32_t test_eif_crc(uint32_t crc, const uint8_t *data, size_t size);

/* Write the file @path. */
void test_eif_write(const char *path, const GByteArray *bytes);

/*
 * The PCR that measures @parts, one after the other: a list of GByteArrays
 * that ends in NULL.  By GLib's SHA-384.
 */
void test_eif_pcr(uint8_t pcr[48], const GByteArray *const *parts);

/* How CBOR heads are written */
typedef enum TestCborWidth {
    CBOR_SHORTEST,
    CBOR_8_BYTES,
} TestCborWidth;

void test_cbor_head(GByteArray *out, unsigned major, uint64_t value,
                    TestCborWidth width);
void test_cbor_string(GByteArray *out, unsigned major, const void *data,
                      size_t size);

/* The ways of writing bytes in a signature section */
typedef enum TestBytesForm {
    FORM_ARRAY,             /* array of integers */
    FORM_STRING,            /* byte string */
    FORM_INDEFINITE_ARRAY,
    FORM_INDEFINITE_STRING, /* in chunks, one of them empty */
    FORM_WIDE_ARRAY,        /* lengths and integers of eight bytes */
    FORM__MAX,
} TestBytesForm;

void test_cbor_bytes(GByteArray *out, TestBytesForm form,
                     const uint8_t *data, size_t size);

/* A key and a certificate for it */
typedef struct TestSigner {
    gnutls_privkey_t key;
    GByteArray *pem;
    GByteArray *der;
    int64_t not_before;
    int64_t not_after;
} TestSigner;

/*
 * @curve is GNUTLS_ECC_CURVE_INVALID for an RSA key.  The certificate is valid
 * from @not_before to @not_after, in seconds since 1970.
 */
TestSigner *test_signer_new(gnutls_ecc_curve_t curve, int64_t not_before,
                            int64_t not_after);
void test_signer_free(TestSigner *signer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestSigner, test_signer_free)

/* The deviations of a signature; all zero for a normal one */
typedef struct TestSignature {
    TestBytesForm form;         /* of certificate, message, register value */
    bool indefinite;            /* arrays and maps of the message */
    bool tagged;                /* tag 18 */
    int algorithm;              /* in the header, instead of the curve's */
    const GByteArray *payload;  /* instead of the usual map */
    const GByteArray *protected_header; /* instead of {1: algorithm} */
    const char *unprotected;    /* CBOR in hex, instead of an empty map */
    int width;                  /* added to that of the signature */
    bool damaged;               /* a bit of the signature flipped */
    const GByteArray *certificate;  /* instead of the signer's, in PEM */
} TestSignature;

/* The payload that says that register @index has @value. */
GByteArray *test_payload(TestBytesForm form, uint64_t index,
                         const uint8_t *value, size_t size);

/* The COSE_Sign1 message in which @signer signs @pcr0. */
GByteArray *test_cose_sign1(const TestSigner *signer,
                            const uint8_t pcr0[48],
                            const TestSignature *how);

/* A signature section with this message. */
GByteArray *test_signature_section(TestBytesForm form, const GByteArray *pem,
                                   const GByteArray *message);

/* Both together */
GByteArray *test_sign(const TestSigner *signer, const uint8_t pcr0[48],
                      const TestSignature *how);

/* Bytes from hexadecimal digits */
GByteArray *test_hex(const char *hex);

#endif
