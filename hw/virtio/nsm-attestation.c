/*
 * Attestation documents of the Nitro Secure Module
 *
 * The chain of certificates is like that of a document from EC2: it has the
 * same depth, constraints, lifetimes and suffixes of the common names, so that
 * a verifier which checks them can be tested:
 *
 *   root -> regional -> zonal -> instance -> the one that signs documents
 *
 * Each certificate below the root is made when it is first needed.  It is
 * renewed when it would expire before a new certificate of the level below.
 * GnuTLS holds the private keys, and wipes them when it frees them.  They are
 * not written anywhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cbor.h"
#include "qemu/cose.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/virtio/nsm-attestation.h"
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <gnutls/x509-ext.h>

/* A field of each subject, to show that the certificate is not AWS's */
#define ORGANIZATION        "QEMU"
#define ORGANIZATIONAL_UNIT "nitro-enclave emulation"
#define REGION              ".us-east-1.aws"

#define COMMON_NAME_MAX     64          /* characters: RFC 5280, appendix A.1 */
#define CA_FILE_MAX         (64 * KiB)
#define SERIAL_SIZE         16          /* bytes */
#define COORDINATE_SIZE     48          /* bytes: P-384 */

#define MINUTE_S            60
#define HOUR_S              (60 * MINUTE_S)
#define DAY_S               (24 * HOUR_S)
#define YEAR_S              (365ll * DAY_S)

/* Validity begins this long before now: a verifier's clock may be behind. */
#define CLOCK_SKEW_S        (5 * MINUTE_S)

/* The last certificate of a document is valid for at least this long. */
#define SIGNER_LEFT_S       (1 * HOUR_S)

typedef enum NsmLevel {
    NSM_ROOT,
    NSM_REGIONAL,
    NSM_ZONAL,
    NSM_INSTANCE,
    NSM_SIGNER,
    NSM_NUM_LEVELS,
} NsmLevel;

static const struct {
    const char *suffix;                 /* of the common name */
    int path_length;                    /* -1: not limited */
    int64_t life_s;
} nsm_levels[] = {
    [NSM_ROOT] = { "aws.nitro-enclaves", -1, 30 * YEAR_S },
    [NSM_REGIONAL] = { REGION ".nitro-enclaves", 2, 20 * DAY_S },
    [NSM_ZONAL] = { ".zonal" REGION ".nitro-enclaves", 1, 6 * DAY_S },
    [NSM_INSTANCE] = { REGION ".nitro-enclaves", 0, 1 * DAY_S },
    [NSM_SIGNER] = { REGION, -1, 3 * HOUR_S + 3 },
};

typedef struct NsmCertificate {
    gnutls_privkey_t key;
    gnutls_x509_crt_t crt;              /* NULL: not made yet */
    gnutls_datum_t der;
} NsmCertificate;

struct NsmAttestation {
    char *module_id;
    NsmClock *clock;
    void *clock_opaque;
    NsmCertificate chain[NSM_NUM_LEVELS];
    char *root_pem;
};

static void nsm_certificate_clear(NsmCertificate *c)
{
    if (c->crt) {
        gnutls_x509_crt_deinit(c->crt);
    }
    if (c->key) {
        gnutls_privkey_deinit(c->key);
    }
    gnutls_free(c->der.data);
    *c = (NsmCertificate) { };
}

/* Check @ret of a GnuTLS function; @what names the operation. */
static bool nsm_ok(int ret, const char *what, Error **errp)
{
    if (ret < 0) {
        error_setg(errp, "%s: %s", what, gnutls_strerror(ret));
    }
    return ret >= 0;
}

static int64_t nsm_now_s(const NsmAttestation *a)
{
    return a->clock(a->clock_opaque) / 1000;
}

static int64_t nsm_host_clock(void *opaque)
{
    return g_get_real_time() / 1000;
}

/* Certificates */

static bool nsm_make_key(NsmCertificate *c, Error **errp)
{
    return nsm_ok(gnutls_privkey_init(&c->key), "private key", errp) &&
           nsm_ok(gnutls_privkey_generate(
                     c->key, GNUTLS_PK_ECDSA,
                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), 0),
                  "generating a P-384 key", errp);
}

static bool nsm_set_public_key(NsmCertificate *c, Error **errp)
{
    gnutls_pubkey_t key;
    bool ok;

    if (!nsm_ok(gnutls_pubkey_init(&key), "public key", errp)) {
        return false;
    }
    ok = nsm_ok(gnutls_pubkey_import_privkey(key, c->key, 0, 0),
                "public key", errp) &&
         nsm_ok(gnutls_x509_crt_set_pubkey(c->crt, key), "public key", errp);
    gnutls_pubkey_deinit(key);
    return ok;
}

static bool nsm_set_serial(NsmCertificate *c, Error **errp)
{
    uint8_t serial[SERIAL_SIZE];

    if (!nsm_ok(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)),
                "serial number", errp)) {
        return false;
    }
    /* The number is positive, and always has the same length. */
    serial[0] = (serial[0] & 0x7f) | 0x40;
    return nsm_ok(gnutls_x509_crt_set_serial(c->crt, serial, sizeof(serial)),
                  "serial number", errp);
}

/*
 * Make the common name of a certificate at @level: random digits or a part of
 * the module id, cut so that the level's suffix fits behind it.
 */
static bool nsm_make_common_name(const NsmAttestation *a, NsmLevel level,
                                 GString *name, Error **errp)
{
    size_t max = COMMON_NAME_MAX - strlen(nsm_levels[level].suffix);
    uint64_t random;
    const char *end;

    switch (level) {
    case NSM_ROOT:
        break;
    case NSM_REGIONAL:
    case NSM_ZONAL:
        if (!nsm_ok(gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof(random)),
                    "common name", errp)) {
            return false;
        }
        g_string_printf(name, "%016" PRIx64, random);
        break;
    case NSM_INSTANCE:
        /* A module id is the instance's id, "-enc", and the enclave's id. */
        end = strstr(a->module_id, "-enc");
        g_string_append_len(name, a->module_id,
                            end ? end - a->module_id : -1);
        break;
    default:
        g_string_append(name, a->module_id);
    }
    g_string_truncate(name, MIN(name->len, max));
    g_string_append(name, nsm_levels[level].suffix);
    return true;
}

static bool nsm_set_subject(const NsmAttestation *a, NsmLevel level,
                            NsmCertificate *c, Error **errp)
{
    g_autoptr(GString) name = g_string_new(NULL);
    const struct {
        const char *oid, *value;
    } parts[] = {
        { GNUTLS_OID_X520_ORGANIZATION_NAME, ORGANIZATION },
        { GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, ORGANIZATIONAL_UNIT },
        { GNUTLS_OID_X520_COMMON_NAME, NULL },
    };
    int i;

    if (!nsm_make_common_name(a, level, name, errp)) {
        return false;
    }
    for (i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *value = parts[i].value ?: name->str;

        if (!nsm_ok(gnutls_x509_crt_set_dn_by_oid(c->crt, parts[i].oid, 0,
                                                  value, strlen(value)),
                    "subject", errp)) {
            return false;
        }
    }
    return true;
}

static int64_t nsm_end_of_life(const NsmCertificate *c)
{
    return gnutls_x509_crt_get_expiration_time(c->crt);
}

static bool nsm_set_validity(const NsmAttestation *a, NsmLevel level,
                             NsmCertificate *c, Error **errp)
{
    int64_t begin = nsm_now_s(a) - CLOCK_SKEW_S;
    int64_t end = begin + nsm_levels[level].life_s;

    /* A time_t of 32 bits ends in 2038. */
    if (sizeof(time_t) == sizeof(int32_t)) {
        end = MIN(end, INT32_MAX);
    }
    if (level != NSM_ROOT) {
        /* A certificate cannot outlive its issuer. */
        end = MIN(end, nsm_end_of_life(&a->chain[level - 1]));
    }
    return nsm_ok(gnutls_x509_crt_set_activation_time(c->crt, begin),
                  "validity", errp) &&
           nsm_ok(gnutls_x509_crt_set_expiration_time(c->crt, end),
                  "validity", errp);
}

/*
 * In AWS's documents this extension is not critical, and
 * gnutls_x509_crt_set_key_usage() makes it critical.
 */
static bool nsm_set_signer_usage(NsmCertificate *c, Error **errp)
{
    static const char oid[] = GNUTLS_X509EXT_OID_KEY_USAGE;
    gnutls_datum_t der;
    int ret;

    if (!nsm_ok(gnutls_x509_ext_export_key_usage(GNUTLS_KEY_DIGITAL_SIGNATURE,
                                                 &der),
                "key usage", errp)) {
        return false;
    }
    ret = gnutls_x509_crt_set_extension_by_oid(c->crt, oid, der.data, der.size,
                                               0);
    gnutls_free(der.data);
    return nsm_ok(ret, "key usage", errp);
}

static bool nsm_set_constraints(NsmLevel level, NsmCertificate *c, Error **errp)
{
    unsigned usage = GNUTLS_KEY_KEY_CERT_SIGN;

    if (!nsm_ok(gnutls_x509_crt_set_basic_constraints(
                   c->crt, level != NSM_SIGNER, nsm_levels[level].path_length),
                "basic constraints", errp)) {
        return false;
    }
    if (level == NSM_SIGNER) {
        return nsm_set_signer_usage(c, errp);
    }
    if (level != NSM_INSTANCE) {
        usage |= GNUTLS_KEY_CRL_SIGN | GNUTLS_KEY_DIGITAL_SIGNATURE;
    }
    return nsm_ok(gnutls_x509_crt_set_key_usage(c->crt, usage), "key usage",
                  errp);
}

/*
 * Get the subject key identifier of @crt.  A root of the user's may have none:
 * then derive it from the key (RFC 5280, 4.2.1.2, method 1).
 */
static bool nsm_get_key_id(gnutls_x509_crt_t crt, uint8_t *id, size_t *size,
                           Error **errp)
{
    size_t max = *size;
    int ret = gnutls_x509_crt_get_subject_key_id(crt, id, size, NULL);

    if (ret < 0) {
        *size = max;
        ret = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA1, id, size);
    }
    return nsm_ok(ret, "key identifier", errp);
}

static bool nsm_set_key_ids(NsmCertificate *c, const NsmCertificate *issuer,
                            Error **errp)
{
    /* A root of the user's may have a long one. */
    uint8_t own[NSM_CERTIFICATE_MAX], issuers[NSM_CERTIFICATE_MAX];
    size_t own_size = sizeof(own), issuers_size = sizeof(issuers);

    return nsm_get_key_id(c->crt, own, &own_size, errp) &&
           nsm_ok(gnutls_x509_crt_set_subject_key_id(c->crt, own, own_size),
                  "subject key identifier", errp) &&
           nsm_get_key_id(issuer->crt, issuers, &issuers_size, errp) &&
           nsm_ok(gnutls_x509_crt_set_authority_key_id(c->crt, issuers,
                                                       issuers_size),
                  "authority key identifier", errp);
}

static bool nsm_make_der(NsmCertificate *c, Error **errp)
{
    if (!nsm_ok(gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_DER, &c->der),
                "certificate", errp)) {
        return false;
    }
    if (c->der.size > NSM_CERTIFICATE_MAX) {
        error_setg(errp, "a certificate of %u bytes (DER) is too large for"
                   " an attestation document: the limit is %d bytes",
                   c->der.size, NSM_CERTIFICATE_MAX);
        return false;
    }
    return true;
}

/* Make a new key and certificate for @level, and drop the old ones. */
static bool nsm_make_certificate(NsmAttestation *a, NsmLevel level,
                                 Error **errp)
{
    NsmCertificate *c = &a->chain[level];
    const NsmCertificate *issuer = level == NSM_ROOT ? c : c - 1;
    bool ok;

    nsm_certificate_clear(c);
    ok = nsm_make_key(c, errp) &&
         nsm_ok(gnutls_x509_crt_init(&c->crt), "certificate", errp) &&
         nsm_ok(gnutls_x509_crt_set_version(c->crt, 3), "version", errp) &&
         nsm_set_serial(c, errp) &&
         nsm_set_subject(a, level, c, errp) &&
         nsm_set_validity(a, level, c, errp) &&
         nsm_set_public_key(c, errp) &&
         nsm_set_constraints(level, c, errp) &&
         nsm_set_key_ids(c, issuer, errp) &&
         nsm_ok(gnutls_x509_crt_privkey_sign(c->crt, issuer->crt, issuer->key,
                                             GNUTLS_DIG_SHA384, 0),
                "signing a certificate", errp) &&
         nsm_make_der(c, errp);
    if (!ok) {
        nsm_certificate_clear(c);
    }
    return ok;
}

/* Is the root valid @now?  Otherwise no verifier accepts a document. */
static bool nsm_check_validity(const NsmAttestation *a, int64_t now,
                               Error **errp)
{
    const NsmCertificate *root = &a->chain[NSM_ROOT];
    int64_t begin = gnutls_x509_crt_get_activation_time(root->crt);
    int64_t end = nsm_end_of_life(root);
    g_autofree char *now_text = nitro_time_to_text(now);
    g_autofree char *limit = nitro_time_to_text(now < begin ? begin : end);

    if (now >= begin && now <= end) {
        return true;
    }
    error_setg(errp, "the root certificate %s at %s, and now it is %s",
               now < begin ? "becomes valid" : "expired", limit, now_text);
    return false;
}

/* Should a (new) certificate be made for @level? */
static bool nsm_is_due(const NsmAttestation *a, NsmLevel level, int64_t now)
{
    const NsmCertificate *c = &a->chain[level];
    int64_t needed = level == NSM_SIGNER ? SIGNER_LEFT_S
                                     : nsm_levels[level + 1].life_s;

    if (!c->crt) {
        return true;
    }
    /* The host's clock was set back. */
    if (now < gnutls_x509_crt_get_activation_time(c->crt)) {
        return true;
    }
    /* If it expires with its issuer, a new one would not live longer. */
    return nsm_end_of_life(c) - now < needed &&
           nsm_end_of_life(c) < nsm_end_of_life(c - 1);
}

/* Make the certificates that are due, and all below them. */
static bool nsm_renew(NsmAttestation *a, int64_t now, Error **errp)
{
    bool due = false;
    int level;

    if (!nsm_check_validity(a, now, errp)) {
        return false;
    }
    for (level = NSM_REGIONAL; level < NSM_NUM_LEVELS; level++) {
        due = due || nsm_is_due(a, level, now);
        if (due && !nsm_make_certificate(a, level, errp)) {
            return false;
        }
    }
    return true;
}

/* The user's root */

/*
 * Read the file @name, which @option names.  The caller frees @text with
 * nsm_wipe().
 */
static bool nsm_read_file(const char *option, const char *name,
                          gnutls_datum_t *text, Error **errp)
{
    ERRP_GUARD();
    int fd = qemu_open(name, O_RDONLY, errp);
    ssize_t n = 0;

    if (fd < 0) {
        error_prepend(errp, "%s: ", option);
        return false;
    }
    text->data = g_malloc(CA_FILE_MAX + 1);
    text->size = 0;
    do {
        text->size += MAX(n, 0);
        n = read(fd, text->data + text->size, CA_FILE_MAX + 1 - text->size);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0) {
        error_setg_errno(errp, errno, "%s: cannot read %s", option, name);
    } else if (text->size > CA_FILE_MAX) {
        error_setg(errp, "%s: %s is larger than %d bytes, the limit",
                   option, name, (int)CA_FILE_MAX);
        n = -1;
    }
    qemu_close(fd);
    return n == 0;
}

static void nsm_wipe(gnutls_datum_t *text)
{
    if (text->data) {
        gnutls_memset(text->data, 0, CA_FILE_MAX + 1);
        g_free(text->data);
    }
}

static bool nsm_read_ca_cert(NsmCertificate *root, const char *name,
                             Error **errp)
{
    gnutls_datum_t text = { };
    bool ok = nsm_read_file("attestation-ca-cert", name, &text, errp) &&
              nsm_ok(gnutls_x509_crt_init(&root->crt), "certificate", errp);

    if (ok) {
        int ret = gnutls_x509_crt_import(root->crt, &text,
                                         GNUTLS_X509_FMT_PEM);

        if (ret < 0) {
            error_setg(errp, "attestation-ca-cert: %s has no certificate in"
                       " PEM: %s", name, gnutls_strerror(ret));
            ok = false;
        }
    }
    nsm_wipe(&text);
    return ok;
}

/*
 * Skip what is before the private key: "openssl ecparam -genkey" writes a PEM
 * block with the curve's parameters first, where GnuTLS would stop.
 */
static gnutls_datum_t nsm_find_key(const gnutls_datum_t *text)
{
    static const char parameters[] = "-----END EC PARAMETERS-----";
    char *begin = (char *)text->data;
    char *end = g_strstr_len(begin, text->size, parameters);
    size_t skip = end ? end + strlen(parameters) - begin : 0;

    return (gnutls_datum_t) { text->data + skip, text->size - skip };
}

static bool nsm_import_ca_key(const char *name, gnutls_x509_privkey_t key,
                              Error **errp)
{
    gnutls_datum_t text = { };
    bool ok = nsm_read_file("attestation-ca-key", name, &text, errp);

    if (ok) {
        gnutls_datum_t block = nsm_find_key(&text);
        int ret = gnutls_x509_privkey_import(key, &block,
                                             GNUTLS_X509_FMT_PEM);

        if (ret < 0) {
            error_setg(errp, "attestation-ca-key: %s has no unencrypted"
                       " private key in PEM: %s", name, gnutls_strerror(ret));
            ok = false;
        }
    }
    nsm_wipe(&text);
    return ok;
}

static bool nsm_check_ca_key(const NsmCertificate *root, const char *ca_cert,
                             const char *ca_key, gnutls_x509_privkey_t key,
                             Error **errp)
{
    uint8_t of_cert[64], of_key[64];
    size_t cert_size = sizeof(of_cert), key_size = sizeof(of_key);

    if (!nsm_ok(gnutls_x509_crt_get_key_id(root->crt, GNUTLS_KEYID_USE_SHA256,
                                           of_cert, &cert_size),
                ca_cert, errp) ||
        !nsm_ok(gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256,
                                               of_key, &key_size),
                ca_key, errp)) {
        return false;
    }
    if (cert_size != key_size || memcmp(of_cert, of_key, key_size)) {
        error_setg(errp, "attestation-ca-key: %s is not the key of the"
                   " certificate in %s", ca_key, ca_cert);
        return false;
    }
    return true;
}

static bool nsm_read_ca_key(NsmCertificate *root, const char *ca_cert,
                            const char *ca_key, Error **errp)
{
    gnutls_x509_privkey_t key;
    bool ok;

    if (!nsm_ok(gnutls_x509_privkey_init(&key), "private key", errp)) {
        return false;
    }
    ok = nsm_import_ca_key(ca_key, key, errp) &&
         nsm_check_ca_key(root, ca_cert, ca_key, key, errp) &&
         nsm_ok(gnutls_privkey_init(&root->key), "private key", errp) &&
         nsm_ok(gnutls_privkey_import_x509(root->key, key,
                                           GNUTLS_PRIVKEY_IMPORT_COPY),
                ca_key, errp);
    gnutls_x509_privkey_deinit(key);
    return ok;
}

static bool nsm_check_curve(gnutls_x509_crt_t crt, const char *name,
                            Error **errp)
{
    int algorithm = gnutls_x509_crt_get_pk_algorithm(crt, NULL);
    gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

    if (algorithm == GNUTLS_PK_ECDSA) {
        gnutls_x509_crt_get_pk_ecc_raw(crt, &curve, NULL, NULL);
    }
    if (curve != GNUTLS_ECC_CURVE_SECP384R1) {
        error_setg(errp, "attestation-ca-cert: the key of %s is %s, not ECDSA"
                   " on P-384", name,
                   curve != GNUTLS_ECC_CURVE_INVALID
                   ? gnutls_ecc_curve_get_name(curve)
                   : gnutls_pk_get_name(algorithm) ?: "of an unknown kind");
        return false;
    }
    return true;
}

static bool nsm_check_authority(gnutls_x509_crt_t crt, const char *name,
                                Error **errp)
{
    unsigned is_ca = 0, usage;
    int path_length = -1;

    if (gnutls_x509_crt_get_basic_constraints(crt, NULL, &is_ca,
                                              &path_length) < 0 || !is_ca) {
        error_setg(errp, "attestation-ca-cert: the certificate in %s is not"
                   " one of a CA (basicConstraints)", name);
        return false;
    }
    if (path_length >= 0 && path_length < NSM_INSTANCE) {
        error_setg(errp, "attestation-ca-cert: the certificate in %s allows"
                   " %d CAs below it (pathLenConstraint), and %d are needed",
                   name, path_length, NSM_INSTANCE);
        return false;
    }
    if (gnutls_x509_crt_get_key_usage(crt, &usage, NULL) >= 0 &&
        !(usage & GNUTLS_KEY_KEY_CERT_SIGN)) {
        error_setg(errp, "attestation-ca-cert: the certificate in %s may not"
                   " sign certificates (keyUsage without keyCertSign)", name);
        return false;
    }
    return true;
}

static bool nsm_read_root(NsmAttestation *a, const char *ca_cert,
                          const char *ca_key, Error **errp)
{
    ERRP_GUARD();
    NsmCertificate *root = &a->chain[NSM_ROOT];

    if (!nsm_read_ca_cert(root, ca_cert, errp) ||
        !nsm_check_curve(root->crt, ca_cert, errp) ||
        !nsm_check_authority(root->crt, ca_cert, errp) ||
        !nsm_read_ca_key(root, ca_cert, ca_key, errp)) {
        return false;
    }
    /*
     * Certificates contain their issuer's name, and the root's may be long.
     * Make all of them now, so that one that is too large is an error here and
     * not when the guest asks for a document.
     */
    if (!nsm_make_der(root, errp) || !nsm_renew(a, nsm_now_s(a), errp)) {
        error_prepend(errp, "attestation-ca-cert: %s: ", ca_cert);
        return false;
    }
    return true;
}

/* Documents */

static void nsm_add_optional(GByteArray *out, const char *name,
                             const GByteArray *bytes)
{
    cbor_put_text(out, name);
    if (bytes) {
        cbor_put_bytes(out, bytes->data, bytes->len);
    } else {
        cbor_put_null(out);
    }
}

/* The order of the fields is that of documents from EC2. */
static GByteArray *nsm_make_payload(const NsmAttestation *a,
                                    const NsmDocument *document, int64_t now_ms)
{
    GByteArray *out = g_byte_array_new();
    int i;

    cbor_put_map(out, 9);
    cbor_put_text(out, "module_id");
    cbor_put_text(out, document->module_id);
    cbor_put_text(out, "digest");
    cbor_put_text(out, "SHA384");
    cbor_put_text(out, "timestamp");
    cbor_put_uint(out, now_ms);
    cbor_put_text(out, "pcrs");
    cbor_put_map(out, ctpop32(document->which_pcrs));
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        if (document->which_pcrs >> i & 1) {
            cbor_put_uint(out, i);
            cbor_put_bytes(out, document->pcrs[i], NITRO_PCR_SIZE);
        }
    }
    cbor_put_text(out, "certificate");
    cbor_put_bytes(out, a->chain[NSM_SIGNER].der.data,
                   a->chain[NSM_SIGNER].der.size);
    cbor_put_text(out, "cabundle");
    cbor_put_array(out, NSM_SIGNER);
    for (i = NSM_ROOT; i < NSM_SIGNER; i++) {
        cbor_put_bytes(out, a->chain[i].der.data, a->chain[i].der.size);
    }
    nsm_add_optional(out, "public_key", document->public_key);
    nsm_add_optional(out, "user_data", document->user_data);
    nsm_add_optional(out, "nonce", document->nonce);
    return out;
}

static GByteArray *nsm_make_protected(void)
{
    GByteArray *out = g_byte_array_new();

    cbor_put_map(out, 1);
    cbor_put_uint(out, COSE_HEADER_ALG);
    cbor_put_negint(out, -1 - COSE_ES384);
    return out;
}

/*
 * Write @n, an integer of a signature, as COORDINATE_SIZE bytes.  GnuTLS
 * returns no leading zeros, but one if the first bit is set.
 */
static void nsm_put_coordinate(uint8_t *out, const gnutls_datum_t *n)
{
    size_t size = MIN(n->size, COORDINATE_SIZE);

    memset(out, 0, COORDINATE_SIZE);
    memcpy(out + COORDINATE_SIZE - size, n->data + n->size - size, size);
}

/* Sign with ECDSA and SHA-384; @signature is r and s (RFC 9053, 2.1). */
static bool nsm_sign(gnutls_privkey_t key, const GByteArray *bytes,
                     uint8_t signature[2 * COORDINATE_SIZE], Error **errp)
{
    gnutls_datum_t data = { bytes->data, bytes->len };
    gnutls_datum_t der = { }, r = { }, s = { };
    bool ok = nsm_ok(gnutls_privkey_sign_data2(key,
                                               GNUTLS_SIGN_ECDSA_SHA384, 0,
                                               &data, &der),
                     "signing a document", errp) &&
              nsm_ok(gnutls_decode_rs_value(&der, &r, &s),
                     "signing a document", errp);

    if (ok) {
        nsm_put_coordinate(signature, &r);
        nsm_put_coordinate(signature + COORDINATE_SIZE, &s);
    }
    gnutls_free(der.data);
    gnutls_free(r.data);
    gnutls_free(s.data);
    return ok;
}

/* COSE_Sign1 without its tag (RFC 9052, 4.2 and 4.4) */
static bool nsm_sign_payload(gnutls_privkey_t key, const GByteArray *payload,
                             GByteArray *out, Error **errp)
{
    g_autoptr(GByteArray) protected = nsm_make_protected();
    g_autoptr(GByteArray) to_sign = g_byte_array_new();
    uint8_t signature[2 * COORDINATE_SIZE];

    cose_sign1_put_sig_structure(to_sign, protected->data, protected->len,
                                 payload->data, payload->len);
    if (!nsm_sign(key, to_sign, signature, errp)) {
        return false;
    }

    cbor_put_array(out, COSE_SIGN1_ITEMS);
    cbor_put_bytes(out, protected->data, protected->len);
    cbor_put_map(out, 0);
    cbor_put_bytes(out, payload->data, payload->len);
    cbor_put_bytes(out, signature, sizeof(signature));
    return true;
}

bool nsm_attestation_sign(NsmAttestation *a, const NsmDocument *document,
                          GByteArray *out, Error **errp)
{
    int64_t now_ms = a->clock(a->clock_opaque);
    g_autoptr(GByteArray) payload = NULL;

    if (!nsm_renew(a, now_ms / 1000, errp)) {
        return false;
    }
    payload = nsm_make_payload(a, document, now_ms);
    if (payload->len > NSM_PAYLOAD_MAX) {
        error_setg(errp, "the payload of an attestation document has %u bytes:"
                   " the limit is %d", payload->len, NSM_PAYLOAD_MAX);
        return false;
    }
    return nsm_sign_payload(a->chain[NSM_SIGNER].key, payload, out, errp);
}

/* Life cycle */

static bool nsm_make_root_pem(NsmAttestation *a, Error **errp)
{
    gnutls_datum_t pem = { };
    bool ok = nsm_ok(gnutls_x509_crt_export2(a->chain[NSM_ROOT].crt,
                                             GNUTLS_X509_FMT_PEM, &pem),
                     "root certificate", errp);

    if (ok) {
        a->root_pem = g_strndup((char *)pem.data, pem.size);
    }
    gnutls_free(pem.data);
    return ok;
}

NsmAttestation *nsm_attestation_new(const NsmAttestationConfig *config,
                                    Error **errp)
{
    g_autoptr(NsmAttestation) a = g_new0(NsmAttestation, 1);
    bool ok;

    a->module_id = g_strdup(config->module_id);
    a->clock = config->clock ?: nsm_host_clock;
    a->clock_opaque = config->clock_opaque;

    if (!config->ca_cert != !config->ca_key) {
        error_setg(errp, "attestation-ca-%s needs attestation-ca-%s too",
                   config->ca_cert ? "cert" : "key",
                   config->ca_cert ? "key" : "cert");
        return NULL;
    }
    ok = config->ca_cert
         ? nsm_read_root(a, config->ca_cert, config->ca_key, errp)
         : nsm_make_certificate(a, NSM_ROOT, errp);
    if (!ok || !nsm_make_root_pem(a, errp)) {
        return NULL;
    }
    return g_steal_pointer(&a);
}

void nsm_attestation_free(NsmAttestation *a)
{
    int i;

    if (!a) {
        return;
    }
    for (i = 0; i < NSM_NUM_LEVELS; i++) {
        nsm_certificate_clear(&a->chain[i]);
    }
    g_free(a->root_pem);
    g_free(a->module_id);
    g_free(a);
}

const char *nsm_attestation_root(const NsmAttestation *a)
{
    return a->root_pem;
}
