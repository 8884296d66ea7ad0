/*
 * Enclave image files for tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "eif-image.h"

#include <gnutls/crypto.h>

GByteArray *test_eif_bytes(uint8_t seed, size_t size)
{
    GByteArray *bytes = g_byte_array_sized_new(size);
    size_t i;

    g_byte_array_set_size(bytes, size);
    for (i = 0; i < size; i++) {
        bytes->data[i] = seed + i * 7 + (i >> 8) * 13 + (i >> 16) * 101;
    }
    return bytes;
}

TestSection *test_eif_add(TestEif *eif, uint16_t type, GByteArray *data)
{
    TestSection *section = &eif->sections[eif->num_sections++];

    g_assert_cmpuint(eif->num_sections, <=, TEST_EIF_MAX_SECTIONS);
    *section = (TestSection) { .type = type, .data = data };
    return section;
}

void test_eif_clear(TestEif *eif)
{
    while (eif->num_sections) {
        g_byte_array_unref(eif->sections[--eif->num_sections].data);
    }
}

uint32_t test_eif_crc(uint32_t crc, const uint8_t *data, size_t size)
{
    size_t i;
    int bit;

    crc = ~crc;
    for (i = 0; i < size; i++) {
        crc ^= data[i];
        for (bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
        }
    }
    return ~crc;
}

static void append_filler(GByteArray *out, size_t size)
{
    static const uint8_t filler[] = "filler";

    while (size--) {
        g_byte_array_append(out, &filler[size % 6], 1);
    }
}

GByteArray *test_eif_build(TestEif *eif)
{
    GByteArray *out = g_byte_array_new();
    uint8_t header[548] = ".eif";
    uint32_t crc;
    unsigned i;

    stw_be_p(header + 0x4, eif->version);
    stw_be_p(header + 0x6, eif->flags);
    stq_be_p(header + 0x8, 1024 * 1024 * 1024);
    stq_be_p(header + 0x10, 2);
    stw_be_p(header + 0x1a, eif->num_sections);

    g_byte_array_append(out, header, sizeof(header));
    for (i = 0; i < eif->num_sections; i++) {
        TestSection *section = &eif->sections[i];
        uint8_t section_header[12] = { };

        append_filler(out, section->gap);
        section->at = out->len;
        if (i < 32) {
            stq_be_p(header + 0x1c + i * 8, section->at);
            stq_be_p(header + 0x11c + i * 8, section->data->len);
        }
        stw_be_p(section_header, section->type);
        stq_be_p(section_header + 4, section->data->len);
        g_byte_array_append(out, section_header, sizeof(section_header));
        g_byte_array_append(out, section->data->data, section->data->len);
    }
    append_filler(out, eif->tail);

    crc = test_eif_crc(0, header, 0x220);
    for (i = 0; i < eif->num_sections; i++) {
        const TestSection *section = &eif->sections[i];

        crc = test_eif_crc(crc, out->data + section->at,
                           12 + section->data->len);
    }
    stl_be_p(header + 0x220, crc);
    memcpy(out->data, header, sizeof(header));
    return out;
}

void test_eif_write(const char *path, const GByteArray *bytes)
{
    FILE *file;

    /*
     * Do not use g_file_set_contents() or overwrite an old file: some file
     * systems would then wait for the disk, thousands of times.
     */
    unlink(path);
    file = fopen(path, "wb");
    g_assert(file);
    if (bytes->len) {
        g_assert(fwrite(bytes->data, 1, bytes->len, file) == bytes->len);
    }
    g_assert(fclose(file) == 0);
}

void test_eif_pcr(uint8_t pcr[48], const GByteArray *const *parts)
{
    g_autoptr(GChecksum) inner = g_checksum_new(G_CHECKSUM_SHA384);
    g_autoptr(GChecksum) outer = g_checksum_new(G_CHECKSUM_SHA384);
    uint8_t extended[96] = { };
    gsize size = 48;

    for (; *parts; parts++) {
        g_checksum_update(inner, (*parts)->data, (*parts)->len);
    }
    g_checksum_get_digest(inner, extended + 48, &size);
    g_checksum_update(outer, extended, sizeof(extended));
    g_checksum_get_digest(outer, pcr, &size);
}

/* CBOR */

void test_cbor_head(GByteArray *out, unsigned major, uint64_t value,
                    TestCborWidth width)
{
    uint8_t head[9];
    size_t size;

    if (width == CBOR_8_BYTES || value > UINT32_MAX) {
        head[0] = 27;
        stq_be_p(head + 1, value);
        size = 9;
    } else if (value > UINT16_MAX) {
        head[0] = 26;
        stl_be_p(head + 1, value);
        size = 5;
    } else if (value > UINT8_MAX) {
        head[0] = 25;
        stw_be_p(head + 1, value);
        size = 3;
    } else if (value > 23) {
        head[0] = 24;
        head[1] = value;
        size = 2;
    } else {
        head[0] = value;
        size = 1;
    }
    head[0] |= major << 5;
    g_byte_array_append(out, head, size);
}

void test_cbor_string(GByteArray *out, unsigned major, const void *data,
                      size_t size)
{
    test_cbor_head(out, major, size, CBOR_SHORTEST);
    g_byte_array_append(out, data, size);
}

static void append_byte(GByteArray *out, uint8_t byte)
{
    g_byte_array_append(out, &byte, 1);
}

void test_cbor_bytes(GByteArray *out, TestBytesForm form,
                     const uint8_t *data, size_t size)
{
    TestCborWidth width = form == FORM_WIDE_ARRAY ? CBOR_8_BYTES
                                                  : CBOR_SHORTEST;
    size_t i;

    switch (form) {
    case FORM_STRING:
        test_cbor_string(out, 2, data, size);
        return;
    case FORM_INDEFINITE_STRING:
        append_byte(out, 0x5f);
        test_cbor_string(out, 2, data, size / 3);
        test_cbor_string(out, 2, data, 0);
        test_cbor_string(out, 2, data + size / 3, size - size / 3);
        append_byte(out, 0xff);
        return;
    case FORM_INDEFINITE_ARRAY:
        append_byte(out, 0x9f);
        break;
    default:
        test_cbor_head(out, 4, size, width);
        break;
    }
    for (i = 0; i < size; i++) {
        test_cbor_head(out, 0, data[i], width);
    }
    if (form == FORM_INDEFINITE_ARRAY) {
        append_byte(out, 0xff);
    }
}

static bool is_indefinite(TestBytesForm form)
{
    return form == FORM_INDEFINITE_ARRAY || form == FORM_INDEFINITE_STRING;
}

/* The start or, with the same arguments, the end of an array or map */
static void cbor_open(GByteArray *out, unsigned major, size_t count,
                      bool indefinite)
{
    if (indefinite) {
        append_byte(out, major << 5 | 31);
    } else {
        test_cbor_head(out, major, count, CBOR_SHORTEST);
    }
}

static void cbor_close(GByteArray *out, bool indefinite)
{
    if (indefinite) {
        append_byte(out, 0xff);
    }
}

static void cbor_text(GByteArray *out, const char *text, bool indefinite)
{
    size_t len = strlen(text);

    if (indefinite) {
        append_byte(out, 0x7f);
        test_cbor_string(out, 3, text, len / 2);
        test_cbor_string(out, 3, text + len / 2, len - len / 2);
        append_byte(out, 0xff);
    } else {
        test_cbor_string(out, 3, text, len);
    }
}

GByteArray *test_hex(const char *hex)
{
    GByteArray *out = g_byte_array_new();

    for (; *hex; hex += 2) {
        append_byte(out, g_ascii_xdigit_value(hex[0]) << 4 |
                         g_ascii_xdigit_value(hex[1]));
    }
    return out;
}

/* Signatures */

static void check_gnutls(int ret)
{
    if (ret < 0) {
        g_error("GnuTLS: %s", gnutls_strerror(ret));
    }
}

static GByteArray *export_certificate(gnutls_x509_crt_t crt,
                                      gnutls_x509_crt_fmt_t format)
{
    GByteArray *out = g_byte_array_new();
    gnutls_datum_t datum;

    check_gnutls(gnutls_x509_crt_export2(crt, format, &datum));
    g_byte_array_append(out, datum.data, datum.size);
    gnutls_free(datum.data);
    return out;
}

TestSigner *test_signer_new(gnutls_ecc_curve_t curve, int64_t not_before,
                            int64_t not_after)
{
    TestSigner *signer = g_new0(TestSigner, 1);
    static const uint8_t serial[] = { 1 };
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;

    check_gnutls(gnutls_x509_privkey_init(&key));
    if (curve == GNUTLS_ECC_CURVE_INVALID) {
        check_gnutls(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, 2048, 0));
    } else {
        check_gnutls(gnutls_x509_privkey_generate(
                         key, GNUTLS_PK_ECDSA,
                         GNUTLS_CURVE_TO_BITS(curve), 0));
    }
    check_gnutls(gnutls_x509_crt_init(&crt));
    check_gnutls(gnutls_x509_crt_set_version(crt, 3));
    check_gnutls(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)));
    check_gnutls(gnutls_x509_crt_set_dn(crt, "CN=signer", NULL));
    check_gnutls(gnutls_x509_crt_set_key(crt, key));
    check_gnutls(gnutls_x509_crt_set_activation_time(crt, not_before));
    check_gnutls(gnutls_x509_crt_set_expiration_time(crt, not_after));
    check_gnutls(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA384, 0));

    signer->not_before = not_before;
    signer->not_after = not_after;
    signer->pem = export_certificate(crt, GNUTLS_X509_FMT_PEM);
    signer->der = export_certificate(crt, GNUTLS_X509_FMT_DER);
    check_gnutls(gnutls_privkey_init(&signer->key));
    check_gnutls(gnutls_privkey_import_x509(signer->key, key,
                                            GNUTLS_PRIVKEY_IMPORT_COPY));
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return signer;
}

void test_signer_free(TestSigner *signer)
{
    g_byte_array_unref(signer->pem);
    g_byte_array_unref(signer->der);
    gnutls_privkey_deinit(signer->key);
    g_free(signer);
}

/* The parameters of an algorithm, by its COSE number */
static const struct {
    int cose;
    gnutls_ecc_curve_t curve;
    gnutls_sign_algorithm_t sign;
    size_t width;
} algorithms[] = {
    { -7, GNUTLS_ECC_CURVE_SECP256R1, GNUTLS_SIGN_ECDSA_SHA256, 32 },
    { -35, GNUTLS_ECC_CURVE_SECP384R1, GNUTLS_SIGN_ECDSA_SHA384, 48 },
    { -36, GNUTLS_ECC_CURVE_SECP521R1, GNUTLS_SIGN_ECDSA_SHA512, 66 },
};

/* The algorithm for the key; that of P-256 for keys that have none */
static unsigned usual_algorithm(gnutls_privkey_t key)
{
    gnutls_ecc_curve_t curve;
    unsigned i;

    if (gnutls_privkey_get_pk_algorithm(key, NULL) == GNUTLS_PK_ECDSA) {
        check_gnutls(gnutls_privkey_export_ecc_raw2(key, &curve, NULL, NULL,
                                                    NULL, 0));
        for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
            if (algorithms[i].curve == curve) {
                return i;
            }
        }
    }
    return 0;
}

/* Append @number, a big-endian integer, in @width bytes. */
static void append_fixed(GByteArray *out, gnutls_datum_t number, size_t width)
{
    while (number.size > width) {
        g_assert_cmpuint(number.data[0], ==, 0);
        number.data++;
        number.size--;
    }
    while (width-- > number.size) {
        append_byte(out, 0);
    }
    g_byte_array_append(out, number.data, number.size);
}

/* Sign @data; the signature is r and s, one after the other, as in COSE. */
static GByteArray *sign_raw(const TestSigner *signer, unsigned algorithm,
                            const GByteArray *data)
{
    gnutls_datum_t in = { data->data, data->len };
    GByteArray *out = g_byte_array_new();
    gnutls_datum_t der, r, s;

    if (gnutls_privkey_get_pk_algorithm(signer->key, NULL) !=
        GNUTLS_PK_ECDSA) {
        g_byte_array_set_size(out, 2 * algorithms[algorithm].width);
        memset(out->data, 0x55, out->len);
        return out;
    }
    check_gnutls(gnutls_privkey_sign_data2(signer->key,
                                           algorithms[algorithm].sign, 0, &in,
                                           &der));
    check_gnutls(gnutls_decode_rs_value(&der, &r, &s));
    append_fixed(out, r, algorithms[algorithm].width);
    append_fixed(out, s, algorithms[algorithm].width);
    gnutls_free(r.data);
    gnutls_free(s.data);
    gnutls_free(der.data);
    return out;
}

GByteArray *test_payload(TestBytesForm form, uint64_t index,
                         const uint8_t *value, size_t size)
{
    bool indefinite = is_indefinite(form);
    GByteArray *out = g_byte_array_new();

    cbor_open(out, 5, 2, indefinite);
    cbor_text(out, "register_index", indefinite);
    test_cbor_head(out, 0, index,
                   form == FORM_WIDE_ARRAY ? CBOR_8_BYTES : CBOR_SHORTEST);
    cbor_text(out, "register_value", indefinite);
    test_cbor_bytes(out, form, value, size);
    cbor_close(out, indefinite);
    return out;
}

/* The bytes that COSE signs, always in CBOR's shortest encoding */
static GByteArray *sig_structure(const GByteArray *protected_header,
                                 const GByteArray *payload)
{
    GByteArray *out = g_byte_array_new();

    test_cbor_head(out, 4, 4, CBOR_SHORTEST);
    test_cbor_string(out, 3, "Signature1", 10);
    test_cbor_string(out, 2, protected_header->data, protected_header->len);
    test_cbor_string(out, 2, NULL, 0);
    test_cbor_string(out, 2, payload->data, payload->len);
    return out;
}

static void append_unprotected(GByteArray *out, const TestSignature *how)
{
    if (how->unprotected) {
        g_autoptr(GByteArray) header = test_hex(how->unprotected);

        g_byte_array_append(out, header->data, header->len);
    } else {
        cbor_open(out, 5, 0, how->indefinite);
        cbor_close(out, how->indefinite);
    }
}

GByteArray *test_cose_sign1(const TestSigner *signer, const uint8_t pcr0[48],
                            const TestSignature *how)
{
    unsigned algorithm = usual_algorithm(signer->key);
    int number = how->algorithm ?: algorithms[algorithm].cose;
    int width = how->width;
    TestBytesForm strings = how->indefinite ? FORM_INDEFINITE_STRING
                                            : FORM_STRING;
    g_autoptr(GByteArray) header = g_byte_array_new();
    g_autoptr(GByteArray) payload = NULL;
    g_autoptr(GByteArray) tbs = NULL;
    g_autoptr(GByteArray) signature = NULL;
    GByteArray *out = g_byte_array_new();

    if (how->protected_header) {
        g_byte_array_append(header, how->protected_header->data,
                            how->protected_header->len);
    } else {
        cbor_open(header, 5, 1, how->indefinite);
        test_cbor_head(header, 0, 1, CBOR_SHORTEST);
        test_cbor_head(header, 1, -1 - number, CBOR_SHORTEST);
        cbor_close(header, how->indefinite);
    }
    if (how->payload) {
        payload = g_byte_array_new();
        g_byte_array_append(payload, how->payload->data, how->payload->len);
    } else {
        payload = test_payload(how->form, 0, pcr0, 48);
    }
    tbs = sig_structure(header, payload);
    signature = sign_raw(signer, algorithm, tbs);
    if (how->damaged) {
        signature->data[signature->len - 1] ^= 1;
    }
    while (width-- > 0) {
        append_byte(signature, 0);
    }
    g_byte_array_set_size(signature, signature->len + MIN(how->width, 0));

    if (how->tagged) {
        test_cbor_head(out, 6, 18, CBOR_SHORTEST);
    }
    cbor_open(out, 4, 4, how->indefinite);
    test_cbor_bytes(out, strings, header->data, header->len);
    append_unprotected(out, how);
    test_cbor_bytes(out, strings, payload->data, payload->len);
    test_cbor_bytes(out, strings, signature->data, signature->len);
    cbor_close(out, how->indefinite);
    return out;
}

GByteArray *test_signature_section(TestBytesForm form, const GByteArray *pem,
                                   const GByteArray *message)
{
    bool indefinite = is_indefinite(form);
    GByteArray *out = g_byte_array_new();

    cbor_open(out, 4, 1, indefinite);
    cbor_open(out, 5, 2, indefinite);
    cbor_text(out, "signing_certificate", indefinite);
    test_cbor_bytes(out, form, pem->data, pem->len);
    cbor_text(out, "signature", indefinite);
    test_cbor_bytes(out, form, message->data, message->len);
    cbor_close(out, indefinite);
    cbor_close(out, indefinite);
    return out;
}

GByteArray *test_sign(const TestSigner *signer, const uint8_t pcr0[48],
                      const TestSignature *how)
{
    g_autoptr(GByteArray) message = test_cose_sign1(signer, pcr0, how);

    return test_signature_section(how->form, how->certificate ?: signer->pem,
                                  message);
}
