/*
 * AWS Nitro Enclaves image files (EIF): the signature
 *
 * The signature section is at most EIF_MAX_SIGNATURE_SIZE bytes of CBOR
 * (RFC 8949) around a COSE_Sign1 message (RFC 9052) and a PEM certificate.
 *
 * Relies on GnuTLS for certificates and signatures.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cbor.h"
#include "qemu/cose.h"
#include "hw/core/eif-signature.h"
#include "eif-internal.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

/* Reading fields, in CBOR */

/* Returns the name of @what in the image @path for messages, to be freed. */
static char *eif_part_name(const char *path, const char *what)
{
    return g_strdup_printf("'%s': %s", path, what);
}

/*
 * Read bytes into the GByteArray @out, from a byte string or from an array of
 * integers, as which some serializers write a list of bytes.
 */
static bool eif_read_bytes(CborReader *r, const char *name, void *out,
                           Error **errp)
{
    CborHead head, item;
    uint8_t byte;

    if (!cbor_next(r, &head, errp)) {
        return false;
    }
    if (head.kind == CBOR_KIND_BYTES) {
        return cbor_read_string(r, &head, out, errp);
    }
    if (head.kind != CBOR_KIND_ARRAY) {
        error_setg(errp, "%s: %s is neither a byte string nor an array",
                   r->what, name);
        return false;
    }
    while (cbor_more(r, &head)) {
        if (!cbor_expect(r, &item, CBOR_KIND_UINT, name, errp)) {
            return false;
        }
        if (item.value > UINT8_MAX) {
            error_setg(errp, "%s: %s has a byte with the value %" PRIu64
                       ", at most 255 is possible", r->what, name, item.value);
            return false;
        }
        byte = item.value;
        g_byte_array_append(out, &byte, 1);
    }
    return true;
}

/* Read an unsigned integer into the uint64_t @out. */
static bool eif_read_uint(CborReader *r, const char *name, void *out,
                          Error **errp)
{
    CborHead item;

    if (!cbor_expect(r, &item, CBOR_KIND_UINT, name, errp)) {
        return false;
    }
    *(uint64_t *)out = item.value;
    return true;
}

/*
 * The signature
 */

static const struct {
    EifAlgorithm cose;
    const char *name;
    gnutls_ecc_curve_t curve;
    gnutls_sign_algorithm_t sign;
    size_t width;               /* of r and of s, in bytes */
} eif_algorithms[] = {
    { EIF_ALGORITHM_ES256, "ES256", GNUTLS_ECC_CURVE_SECP256R1,
      GNUTLS_SIGN_ECDSA_SHA256, 32 },
    { EIF_ALGORITHM_ES384, "ES384", GNUTLS_ECC_CURVE_SECP384R1,
      GNUTLS_SIGN_ECDSA_SHA384, 48 },
    { EIF_ALGORITHM_ES512, "ES512", GNUTLS_ECC_CURVE_SECP521R1,
      GNUTLS_SIGN_ECDSA_SHA512, 66 },
};

/* A COSE_Sign1 message (RFC 9052, 4.2) */
typedef struct EifCoseSign1 {
    GByteArray *protected_header;
    unsigned algorithm;         /* an index into eif_algorithms[] */
    GByteArray *payload;
    GByteArray *signature;
} EifCoseSign1;

static void eif_cose_sign1_clear(EifCoseSign1 *cose)
{
    g_byte_array_unref(cose->protected_header);
    g_byte_array_unref(cose->payload);
    g_byte_array_unref(cose->signature);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EifCoseSign1, eif_cose_sign1_clear)

/*
 * The section is an array.  Only its first item is read: a map with a
 * certificate in PEM and a serialized COSE_Sign1.
 */
static bool eif_read_signature_section(const char *path,
                                       const GByteArray *section,
                                       GByteArray *certificate,
                                       GByteArray *cose, Error **errp)
{
    g_autofree char *name = eif_part_name(path, "the signature section");
    CborReader r = { name, section->data, section->len };
    CborField fields[] = {
        { "signing_certificate", eif_read_bytes, certificate },
        { "signature", eif_read_bytes, cose },
    };
    CborHead array, map;

    if (!cbor_expect(&r, &array, CBOR_KIND_ARRAY, "the item", errp)) {
        return false;
    }
    if (!cbor_more(&r, &array)) {
        error_setg(errp, "'%s': the signature section is an empty array",
                   path);
        return false;
    }
    if (!cbor_expect(&r, &map, CBOR_KIND_MAP, "the item", errp) ||
        !cbor_read_map(&r, &map, fields, ARRAY_SIZE(fields), 1, errp)) {
        return false;
    }
    while (cbor_more(&r, &array)) {
        if (!cbor_skip(&r, 1, errp)) {
            return false;
        }
    }
    return cbor_end(&r, errp);
}

/*
 * The header must be exactly {1: algorithm}.  The signature also covers other
 * parameters, so a verifier that does not know them must not ignore them.
 */
static bool eif_read_protected_header(const char *path, EifCoseSign1 *cose,
                                      Error **errp)
{
    g_autofree char *name = eif_part_name(path, "the signature's protected "
                                          "header");
    CborReader r = {
        name, cose->protected_header->data, cose->protected_header->len,
    };
    CborHead map = { }, label, alg;
    unsigned i;

    /* An empty map may be encoded as an empty byte string (RFC 9052, 3). */
    if (r.size && !cbor_expect(&r, &map, CBOR_KIND_MAP, "the item", errp)) {
        return false;
    }
    if (!cbor_more(&r, &map)) {
        error_setg(errp, "%s names no algorithm", r.what);
        return false;
    }
    if (!cbor_expect(&r, &label, CBOR_KIND_UINT, "a label", errp)) {
        return false;
    }
    if (label.value != COSE_HEADER_ALG) {
        error_setg(errp, "%s has a parameter %" PRIu64 ", only %d (the "
                   "algorithm) is allowed", r.what, label.value,
                   COSE_HEADER_ALG);
        return false;
    }
    if (!cbor_expect(&r, &alg, CBOR_KIND_NEGINT, "the algorithm", errp)) {
        return false;
    }
    if (cbor_more(&r, &map)) {
        error_setg(errp, "%s has more parameters than the algorithm", r.what);
        return false;
    }
    for (i = 0; i < ARRAY_SIZE(eif_algorithms); i++) {
        if (alg.value == -1 - eif_algorithms[i].cose) {
            cose->algorithm = i;
            return cbor_end(&r, errp);
        }
    }
    error_setg(errp, "%s has the unsupported algorithm %" PRId64 "%s, "
               "only ES256 (-7), ES384 (-35) and ES512 (-36) are supported",
               r.what, -1 - (int64_t)MIN(alg.value, INT64_MAX),
               alg.value > INT64_MAX ? " or less" : "");
    return false;
}

/* Read the next item of the COSE_Sign1 that began with @array. */
static bool eif_read_sign1_bytes(CborReader *r, CborHead *array,
                                 const char *name, GByteArray *out,
                                 Error **errp)
{
    CborHead item;

    if (!cbor_more(r, array)) {
        error_setg(errp, "%s is too short an array, it has no %s", r->what,
                   name);
        return false;
    }
    return cbor_expect(r, &item, CBOR_KIND_BYTES, name, errp) &&
           cbor_read_string(r, &item, out, errp);
}

static bool eif_read_unprotected_header(CborReader *r, CborHead *array,
                                        Error **errp)
{
    CborHead map;

    if (!cbor_more(r, array)) {
        error_setg(errp, "%s is too short an array, it has no unprotected "
                   "header", r->what);
        return false;
    }
    if (!cbor_expect(r, &map, CBOR_KIND_MAP, "the unprotected header", errp)) {
        return false;
    }
    if (cbor_more(r, &map)) {
        error_setg(errp, "%s has an unprotected header that is not empty",
                   r->what);
        return false;
    }
    return true;
}

static bool eif_read_cose_sign1(const char *path, const GByteArray *data,
                                EifCoseSign1 *cose, Error **errp)
{
    g_autofree char *name = eif_part_name(path, "the COSE_Sign1 of the "
                                          "signature section");
    CborReader r = { name, data->data, data->len };
    CborHead head;

    if (!cbor_next(&r, &head, errp)) {
        return false;
    }
    if (head.kind == CBOR_KIND_TAG) {
        if (head.value != COSE_SIGN1_TAG) {
            error_setg(errp, "%s has the tag %" PRIu64 " instead of %d", r.what,
                       head.value, COSE_SIGN1_TAG);
            return false;
        }
        if (!cbor_next(&r, &head, errp)) {
            return false;
        }
    }
    if (head.kind != CBOR_KIND_ARRAY) {
        error_setg(errp, "%s is not an array", r.what);
        return false;
    }
    if (!head.indefinite && head.value != COSE_SIGN1_ITEMS) {
        error_setg(errp, "%s is an array of %" PRIu64 " items instead of %d",
                   r.what, head.value, COSE_SIGN1_ITEMS);
        return false;
    }
    if (!eif_read_sign1_bytes(&r, &head, "protected header",
                              cose->protected_header, errp) ||
        !eif_read_unprotected_header(&r, &head, errp) ||
        !eif_read_sign1_bytes(&r, &head, "payload", cose->payload, errp) ||
        !eif_read_sign1_bytes(&r, &head, "signature", cose->signature, errp)) {
        return false;
    }
    if (cbor_more(&r, &head)) {
        error_setg(errp, "%s is an array of more than %d items", r.what,
                   COSE_SIGN1_ITEMS);
        return false;
    }
    return cbor_end(&r, errp) && eif_read_protected_header(path, cose, errp);
}

/* The payload is a map with the index and the value of a PCR. */
static bool eif_read_payload(const char *path, const GByteArray *payload,
                             uint8_t pcr0[NITRO_PCR_SIZE], Error **errp)
{
    g_autofree char *name = eif_part_name(path, "the signature's payload");
    CborReader r = { name, payload->data, payload->len };
    g_autoptr(GByteArray) value = g_byte_array_new();
    uint64_t index = 0;
    CborField fields[] = {
        { "register_index", eif_read_uint, &index },
        { "register_value", eif_read_bytes, value },
    };
    CborHead map;

    if (!cbor_expect(&r, &map, CBOR_KIND_MAP, "the item", errp) ||
        !cbor_read_map(&r, &map, fields, ARRAY_SIZE(fields), 0, errp) ||
        !cbor_end(&r, errp)) {
        return false;
    }
    if (index != 0) {
        error_setg(errp, "%s is about register %" PRIu64 " instead of 0",
                   r.what, index);
        return false;
    }
    if (value->len != NITRO_PCR_SIZE) {
        error_setg(errp, "%s has a register value of %u bytes instead of %d",
                   r.what, value->len, NITRO_PCR_SIZE);
        return false;
    }
    memcpy(pcr0, value->data, NITRO_PCR_SIZE);
    return true;
}

/* The signing certificate and its key, in GnuTLS's types */
typedef struct EifCertificate {
    gnutls_x509_crt_t crt;
    gnutls_pubkey_t key;
} EifCertificate;

static void eif_certificate_clear(EifCertificate *cert)
{
    gnutls_x509_crt_deinit(cert->crt);
    gnutls_pubkey_deinit(cert->key);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EifCertificate, eif_certificate_clear)

static bool eif_certificate_ok(int ret, const char *path, const char *what,
                               Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "'%s': the signing certificate %s: %s", path, what,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

static bool eif_read_certificate(EifCertificate *cert, const GByteArray *pem,
                                 EifSignature *signature, Error **errp)
{
    const char *path = signature->path;
    gnutls_datum_t text = { pem->data, pem->len };
    gnutls_datum_t der;

    if (!eif_certificate_ok(gnutls_x509_crt_init(&cert->crt), path,
                            "cannot be read", errp) ||
        !eif_certificate_ok(gnutls_pubkey_init(&cert->key), path,
                            "cannot be read", errp) ||
        !eif_certificate_ok(gnutls_x509_crt_import(cert->crt, &text,
                                                   GNUTLS_X509_FMT_PEM),
                            path, "is not X.509 in PEM", errp) ||
        !eif_certificate_ok(gnutls_pubkey_import_x509(cert->key, cert->crt, 0),
                            path, "has a key that cannot be used", errp) ||
        !eif_certificate_ok(gnutls_x509_crt_export2(cert->crt,
                                                    GNUTLS_X509_FMT_DER, &der),
                            path, "cannot be written as DER", errp)) {
        return false;
    }
    g_byte_array_append(signature->certificate, der.data, der.size);
    gnutls_free(der.data);

    signature->not_before = gnutls_x509_crt_get_activation_time(cert->crt);
    signature->not_after = gnutls_x509_crt_get_expiration_time(cert->crt);
    if (signature->not_before == -1 || signature->not_after == -1) {
        error_setg(errp, "'%s': the signing certificate has no readable "
                   "validity", path);
        return false;
    }
    /* GnuTLS returns this time, in 2106, for RFC 5280's "99991231235959Z". */
    if (signature->not_after == GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION) {
        signature->not_after = INT64_MAX;
    }
    return true;
}

/* GnuTLS does not check that the algorithm and the key's curve match. */
static bool eif_check_curve(const char *path, const EifCertificate *cert,
                            const EifCoseSign1 *cose, Error **errp)
{
    gnutls_ecc_curve_t needed = eif_algorithms[cose->algorithm].curve;
    gnutls_ecc_curve_t curve;

    if (gnutls_pubkey_get_pk_algorithm(cert->key, NULL) != GNUTLS_PK_ECDSA) {
        error_setg(errp, "'%s': the signing certificate's key is of the type "
                   "%s, only EC keys are supported", path,
                   gnutls_pk_get_name(
                       gnutls_pubkey_get_pk_algorithm(cert->key, NULL)));
        return false;
    }
    if (!eif_certificate_ok(gnutls_pubkey_export_ecc_raw2(cert->key, &curve,
                                                          NULL, NULL, 0),
                            path, "has a key that cannot be used", errp)) {
        return false;
    }
    if (curve != needed) {
        error_setg(errp, "'%s': the signature's algorithm %s needs a key on "
                   "%s, the signing certificate's key is on %s", path,
                   eif_algorithms[cose->algorithm].name,
                   gnutls_ecc_curve_get_name(needed),
                   gnutls_ecc_curve_get_name(curve));
        return false;
    }
    return true;
}

static bool eif_verify_cose_sign1(const char *path, const EifCoseSign1 *cose,
                                  const EifCertificate *cert, Error **errp)
{
    g_autoptr(GByteArray) tbs = g_byte_array_new();
    size_t width = eif_algorithms[cose->algorithm].width;
    gnutls_datum_t data;
    gnutls_datum_t r, s, der;
    int ret;

    if (cose->signature->len != 2 * width) {
        error_setg(errp, "'%s': the signature has %u bytes, %s has %zu", path,
                   cose->signature->len, eif_algorithms[cose->algorithm].name,
                   2 * width);
        return false;
    }
    r = (gnutls_datum_t) { cose->signature->data, width };
    s = (gnutls_datum_t) { cose->signature->data + width, width };
    cose_sign1_put_sig_structure(tbs, cose->protected_header->data,
                                 cose->protected_header->len,
                                 cose->payload->data, cose->payload->len);
    data = (gnutls_datum_t) { tbs->data, tbs->len };
    ret = gnutls_encode_rs_value(&der, &r, &s);
    if (ret >= 0) {
        ret = gnutls_pubkey_verify_data2(
            cert->key, eif_algorithms[cose->algorithm].sign, 0, &data, &der);
        gnutls_free(der.data);
    }
    if (ret < 0) {
        error_setg(errp, "'%s': the signature is wrong, the key of the signing "
                   "certificate did not make it: %s", path,
                   gnutls_strerror(ret));
        return false;
    }
    return true;
}

EifSignature *eif_signature_parse(const EifImage *image,
                                  const EifResult *result, Error **errp)
{
    g_autoptr(EifSignature) signature = g_new0(EifSignature, 1);
    g_autoptr(GByteArray) pem = g_byte_array_new();
    g_autoptr(GByteArray) message = g_byte_array_new();
    g_auto(EifCoseSign1) cose = {
        .protected_header = g_byte_array_new(),
        .payload = g_byte_array_new(),
        .signature = g_byte_array_new(),
    };
    g_auto(EifCertificate) cert = { };

    signature->path = g_strdup(image->path);
    signature->certificate = g_byte_array_new();
    if (!result->signature) {
        error_setg(errp, "'%s' is not signed", image->path);
        return NULL;
    }
    if (!eif_read_signature_section(image->path, result->signature, pem,
                                    message, errp) ||
        !eif_read_cose_sign1(image->path, message, &cose, errp) ||
        !eif_read_certificate(&cert, pem, signature, errp) ||
        !eif_check_curve(image->path, &cert, &cose, errp) ||
        !eif_verify_cose_sign1(image->path, &cose, &cert, errp) ||
        !eif_read_payload(image->path, cose.payload, signature->pcr0, errp)) {
        return NULL;
    }
    signature->algorithm = eif_algorithms[cose.algorithm].cose;
    return g_steal_pointer(&signature);
}

void eif_signature_free(EifSignature *signature)
{
    if (!signature) {
        return;
    }
    g_byte_array_unref(signature->certificate);
    g_free(signature->path);
    g_free(signature);
}

bool eif_signature_covers(const EifSignature *signature,
                          const uint8_t image_pcr0[NITRO_PCR_SIZE])
{
    return memcmp(signature->pcr0, image_pcr0, NITRO_PCR_SIZE) == 0;
}

bool eif_signature_check_validity(const EifSignature *signature, int64_t now,
                                  Error **errp)
{
    g_autofree char *is = nitro_time_to_text(now);

    if (now < signature->not_before) {
        g_autofree char *from = nitro_time_to_text(signature->not_before);

        error_setg(errp, "'%s': the signing certificate is valid only from %s "
                   "on, it is %s", signature->path, from, is);
        return false;
    }
    if (now > signature->not_after) {
        g_autofree char *until = nitro_time_to_text(signature->not_after);

        error_setg(errp, "'%s': the signing certificate expired at %s, it is "
                   "%s", signature->path, until, is);
        return false;
    }
    return true;
}

bool eif_verify_signature(const EifImage *image, EifResult *result,
                          int64_t now, Error **errp)
{
    g_autoptr(EifSignature) signature = NULL;

    if (!result->signature) {
        return true;
    }
    signature = eif_signature_parse(image, result, errp);
    if (!signature) {
        return false;
    }
    if (!eif_signature_covers(signature, result->image_pcr0)) {
        g_autofree char *signed_pcr0 = nitro_pcr_to_hex(signature->pcr0);
        g_autofree char *pcr0 = nitro_pcr_to_hex(result->image_pcr0);

        error_setg(errp, "'%s': the signature covers another image, whose PCR0 "
                   "is %s; this image's is %s", image->path, signed_pcr0, pcr0);
        return false;
    }
    return eif_signature_check_validity(signature, now, errp) &&
           eif_measure(signature->certificate->data,
                       signature->certificate->len, result->pcr8, errp);
}
