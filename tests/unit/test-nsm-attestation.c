/*
 * Tests of attestation documents: their form, their certificates, the renewal
 * of certificates, and the accepted roots
 *
 * The decoder of this test accepts only the one form of documents, so decoding
 * a document checks its bytes.  The tests set the clock, both for making
 * documents and for verifying them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "hw/virtio/nsm-attestation.h"
#include "nsm-bytes.h"
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

/* The registers in a document at start: bit i is set for register i. */
#define LOCKED_AT_START 0xffff

#define MODULE_ID   "i-0123456789abcdef0-enc0123456789abcdef"
#define LONGEST_ID  "01234567890123456789012345678901234567890123456789"

#define START_S     1700000000ll        /* 2023-11-14 22:13:20 UTC */
#define MINUTE_S    60ll
#define HOUR_S      (60 * MINUTE_S)
#define DAY_S       (24 * HOUR_S)

/* In the order of a document's cabundle, and what signs last */
enum { ROOT, REGIONAL, ZONAL, INSTANCE, SIGNER, NUM_CERTIFICATES };

/* The time */

static int64_t clock_ms;

static int64_t read_clock(void *opaque)
{
    g_assert_true(opaque == &clock_ms);
    return clock_ms;
}

static time_t gnutls_clock(time_t *out)
{
    time_t now = clock_ms / 1000;

    if (out) {
        *out = now;
    }
    return now;
}

static void set_clock(int64_t seconds)
{
    clock_ms = seconds * 1000;
}

/* Reading a document */

typedef struct Document {
    GByteArray *bytes;
    gnutls_datum_t payload;
    gnutls_datum_t signature;
    uint64_t timestamp;
    gnutls_datum_t der[NUM_CERTIFICATES];       /* in @bytes */
    gnutls_x509_crt_t crt[NUM_CERTIFICATES];
} Document;

typedef struct Cursor {
    const uint8_t *next;
    const uint8_t *end;
} Cursor;

/* Read the head of an item of type @major; it must have the shortest form. */
static uint64_t take_head(Cursor *c, unsigned major)
{
    unsigned size, i;
    uint64_t value;

    g_assert_true(c->next < c->end);
    g_assert_cmphex(*c->next >> 5, ==, major);
    value = *c->next++ & 0x1f;
    if (value < 24) {
        return value;
    }
    g_assert_cmpuint(value, <=, 27);
    size = 1 << (value - 24);
    g_assert_true(c->end - c->next >= size);
    for (value = 0, i = 0; i < size; i++) {
        value = value << 8 | *c->next++;
    }
    g_assert_cmpuint(value, >=, size == 1 ? 24 : 1ull << (size / 2 * 8));
    return value;
}

static gnutls_datum_t take_string(Cursor *c, unsigned major)
{
    uint64_t size = take_head(c, major);
    gnutls_datum_t string = { (unsigned char *)c->next, size };

    g_assert_cmpuint(size, <=, c->end - c->next);
    c->next += size;
    return string;
}

static gnutls_datum_t take_bytes(Cursor *c)
{
    return take_string(c, 2);
}

static void take_text(Cursor *c, const char *expected)
{
    gnutls_datum_t text = take_string(c, 3);

    g_assert_cmpmem(text.data, text.size, expected, strlen(expected));
}

static void take_field(Cursor *c, const char *name, const GByteArray *expected)
{
    take_text(c, name);
    if (expected) {
        gnutls_datum_t value = take_bytes(c);

        g_assert_cmpmem(value.data, value.size, expected->data, expected->len);
    } else {
        g_assert_cmphex(*c->next++, ==, 0xf6);
    }
}

static void take_certificate(Cursor *c, Document *d, int which)
{
    d->der[which] = take_bytes(c);
    g_assert_cmpuint(d->der[which].size, >, 300);
    g_assert_cmpuint(d->der[which].size, <=, 1024);
    g_assert_cmpint(gnutls_x509_crt_init(&d->crt[which]), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_import(d->crt[which], &d->der[which],
                                           GNUTLS_X509_FMT_DER), ==, 0);
}

/* The payload must have the values of @content, and no others. */
static void read_payload(Document *d, const NsmDocument *content)
{
    Cursor c = { d->payload.data, d->payload.data + d->payload.size };
    int i;

    g_assert_cmpuint(take_head(&c, 5), ==, 9);
    take_text(&c, "module_id");
    take_text(&c, content->module_id);
    take_text(&c, "digest");
    take_text(&c, "SHA384");
    take_text(&c, "timestamp");
    d->timestamp = take_head(&c, 0);
    take_text(&c, "pcrs");
    g_assert_cmpuint(take_head(&c, 5), ==, ctpop32(content->which_pcrs));
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        if (content->which_pcrs >> i & 1) {
            g_assert_cmpuint(take_head(&c, 0), ==, i);
            gnutls_datum_t value = take_bytes(&c);
            g_assert_cmpmem(value.data, value.size, content->pcrs[i], 48);
        }
    }
    take_text(&c, "certificate");
    take_certificate(&c, d, SIGNER);
    take_text(&c, "cabundle");
    g_assert_cmpuint(take_head(&c, 4), ==, 4);
    for (i = ROOT; i < SIGNER; i++) {
        take_certificate(&c, d, i);
    }
    take_field(&c, "public_key", content->public_key);
    take_field(&c, "user_data", content->user_data);
    take_field(&c, "nonce", content->nonce);
    g_assert_true(c.next == c.end);
}

static Document *read_document(GByteArray *in, const NsmDocument *content)
{
    Document *d = g_new0(Document, 1);
    Cursor c = { in->data, in->data + in->len };

    d->bytes = g_byte_array_ref(in);
    g_assert_cmpmem(in->data, 7, "\x84\x44\xa1\x01\x38\x22\xa0", 7);
    c.next += 7;
    d->payload = take_bytes(&c);
    d->signature = take_bytes(&c);
    g_assert_cmpuint(d->signature.size, ==, 96);
    g_assert_true(c.next == c.end);
    read_payload(d, content);
    return d;
}

static void document_free(Document *d)
{
    int i;

    for (i = 0; i < NUM_CERTIFICATES; i++) {
        gnutls_x509_crt_deinit(d->crt[i]);
    }
    g_byte_array_unref(d->bytes);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Document, document_free)

/* Verifying one */

/* ["Signature1", protected, h'', payload], RFC 9052, 4.4 */
static GByteArray *signed_bytes(const Document *d)
{
    GByteArray *out = bytes("84 6a 'Signature1' 44 a1 01 38 22 40 59");
    uint8_t size[] = { d->payload.size >> 8, d->payload.size };

    g_assert_cmpuint(d->payload.size, >=, 256);
    g_byte_array_append(out, size, sizeof(size));
    g_byte_array_append(out, d->payload.data, d->payload.size);
    return out;
}

static bool verifies(const Document *d, const GByteArray *what)
{
    gnutls_datum_t r = { d->signature.data, 48 };
    gnutls_datum_t s = { d->signature.data + 48, 48 };
    gnutls_datum_t data = { what->data, what->len };
    gnutls_datum_t der;
    gnutls_pubkey_t key;
    int ret;

    g_assert_cmpint(gnutls_encode_rs_value(&der, &r, &s), ==, 0);
    g_assert_cmpint(gnutls_pubkey_init(&key), ==, 0);
    g_assert_cmpint(gnutls_pubkey_import_x509(key, d->crt[SIGNER], 0), ==, 0);
    ret = gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_ECDSA_SHA384, 0, &data,
                                     &der);
    gnutls_pubkey_deinit(key);
    gnutls_free(der.data);
    return ret >= 0;
}

/* GnuTLS's verdict about the chain now, with @root as the only trust anchor */
static unsigned chain_status(const Document *d, gnutls_x509_crt_t root)
{
    gnutls_x509_crt_t chain[] = {
        d->crt[SIGNER], d->crt[INSTANCE], d->crt[ZONAL], d->crt[REGIONAL],
    };
    gnutls_x509_trust_list_t anchors;
    unsigned status = -1;

    g_assert_cmpint(gnutls_x509_trust_list_init(&anchors, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_trust_list_add_cas(anchors, &root, 1, 0),
                    ==, 1);
    g_assert_cmpint(gnutls_x509_trust_list_verify_crt(anchors, chain,
                                                      ARRAY_SIZE(chain), 0,
                                                      &status, NULL), ==, 0);
    gnutls_x509_trust_list_deinit(anchors, 0);
    return status;
}

static void assert_valid(const Document *d)
{
    g_autoptr(GByteArray) what = signed_bytes(d);
    int i;

    g_assert_true(verifies(d, what));
    g_assert_cmphex(chain_status(d, d->crt[ROOT]), ==, 0);
    for (i = 0; i < NUM_CERTIFICATES; i++) {
        g_assert_cmpint(gnutls_x509_crt_get_activation_time(d->crt[i]), <=,
                        clock_ms / 1000);
        g_assert_cmpint(gnutls_x509_crt_get_expiration_time(d->crt[i]), >=,
                        clock_ms / 1000);
    }
}

/* Making one */

static uint8_t some_pcrs[NSM_NUM_PCRS][NITRO_PCR_SIZE];

static NsmAttestation *attestation_with(const char *module_id,
                                        const char *ca_cert,
                                        const char *ca_key, Error **errp)
{
    NsmAttestationConfig config = {
        .module_id = module_id,
        .ca_cert = ca_cert,
        .ca_key = ca_key,
        .clock = read_clock,
        .clock_opaque = &clock_ms,
    };

    return nsm_attestation_new(&config, errp);
}

static NsmAttestation *attestation_of_run(void)
{
    return attestation_with(MODULE_ID, NULL, NULL, &error_abort);
}

static Document *sign(NsmAttestation *a, const NsmDocument *content)
{
    g_autoptr(GByteArray) out = g_byte_array_new();

    g_assert_true(nsm_attestation_sign(a, content, out, &error_abort));
    return read_document(out, content);
}

static Document *sign_id(NsmAttestation *a, const char *module_id)
{
    NsmDocument content = {
        .module_id = module_id,
        .pcrs = some_pcrs,
        .which_pcrs = LOCKED_AT_START,
    };

    return sign(a, &content);
}

static Document *sign_plain(NsmAttestation *a)
{
    return sign_id(a, MODULE_ID);
}

static void assert_fails(NsmAttestation *a, const NsmDocument *content)
{
    g_autoptr(GByteArray) out = bytes("01");
    Error *err = NULL;

    g_assert_false(nsm_attestation_sign(a, content, out, &err));
    g_assert_nonnull(err);
    error_free(err);
    g_assert_cmpmem(out->data, out->len, "\x01", 1);
}

static void assert_fails_now(NsmAttestation *a)
{
    NsmDocument content = { .module_id = MODULE_ID, .pcrs = some_pcrs };

    assert_fails(a, &content);
}

/* The form of documents */

static void test_payload(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    static const uint32_t which[] = {
        0xffff, 0xffffffff, 0, 1, 0x80000000, 0x0180ffff,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(which); i++) {
        NsmDocument content = {
            .module_id = MODULE_ID,
            .pcrs = some_pcrs,
            .which_pcrs = which[i],
        };
        g_autoptr(Document) d = sign(a, &content);

        assert_valid(d);
        g_assert_cmpuint(d->timestamp, ==, clock_ms);
        clock_ms += 1;
    }
}

static void test_fields(void)
{
    /* Sizes around those where the head gets longer */
    static const size_t sizes[] = {
        0, 1, 23, 24, 255, 256, 4073,
    };
    g_autoptr(NsmAttestation) a = attestation_of_run();
    int i, which;

    for (i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autoptr(GByteArray) field = g_byte_array_new();

        repeat(field, 0xf6, sizes[i]);
        for (which = 0; which < 8; which++) {
            NsmDocument content = {
                .module_id = MODULE_ID,
                .pcrs = some_pcrs,
                .which_pcrs = LOCKED_AT_START,
                .public_key = which & 1 ? field : NULL,
                .user_data = which & 2 ? field : NULL,
                .nonce = which & 4 ? field : NULL,
            };

            if (sizes[i] * ctpop32(which) <= 4073) {
                g_autoptr(Document) d = sign(a, &content);

                assert_valid(d);
            }
        }
    }
}

/* The payload is 16384 bytes long at most. */
static void test_payload_limit(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(GByteArray) user_data = g_byte_array_new();
    g_autoptr(Document) full = NULL;
    g_autoptr(Document) half = NULL;
    NsmDocument content = {
        .module_id = MODULE_ID,
        .pcrs = some_pcrs,
        .user_data = user_data,
    };

    /* Heads of strings this long have the same length. */
    repeat(user_data, 1, 1000);
    half = sign(a, &content);
    repeat(user_data, 1, 16384 - half->payload.size);
    full = sign(a, &content);
    g_assert_cmpuint(full->payload.size, ==, 16384);
    assert_valid(full);

    repeat(user_data, 1, 1);
    assert_fails(a, &content);
}

/* r and s have 48 bytes each, also if their values are small. */
static void test_signature_width(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    bool short_r = false, short_s = false;
    int i;

    for (i = 0; i < 8000 && !(short_r && short_s); i++) {
        g_autoptr(Document) d = sign_plain(a);
        bool r = d->signature.data[0] == 0, s = d->signature.data[48] == 0;

        if (r || s) {
            assert_valid(d);
            short_r |= r;
            short_s |= s;
        }
    }
    g_assert_true(short_r);
    g_assert_true(short_s);
}

/* After any change of the signed bytes, the signature does not verify. */
static void test_signature_covers(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    g_autoptr(GByteArray) what = signed_bytes(d);
    size_t i;

    for (i = 0; i < what->len; i += 97) {
        what->data[i] ^= 1;
        g_assert_false(verifies(d, what));
        what->data[i] ^= 1;
    }
    g_assert_true(verifies(d, what));
}

/* Certificates */

static char *name_of(gnutls_x509_crt_t crt, bool of_issuer)
{
    gnutls_datum_t text;
    char *name;

    g_assert_cmpint(of_issuer ? gnutls_x509_crt_get_issuer_dn3(crt, &text, 0)
                              : gnutls_x509_crt_get_dn3(crt, &text, 0), ==, 0);
    name = g_strndup((char *)text.data, text.size);
    gnutls_free(text.data);
    return name;
}

/* As it is in the certificate; GnuTLS's simpler function escapes some. */
static char *common_name_of(gnutls_x509_crt_t crt)
{
    gnutls_x509_ava_st part;
    gnutls_x509_dn_t name;
    int i;

    g_assert_cmpint(gnutls_x509_crt_get_subject(crt, &name), ==, 0);
    for (i = 0; ; i++) {
        g_assert_cmpint(gnutls_x509_dn_get_rdn_ava(name, i, 0, &part), ==, 0);
        if (!strcmp((char *)part.oid.data, GNUTLS_OID_X520_COMMON_NAME)) {
            return g_strndup((char *)part.value.data, part.value.size);
        }
    }
}

/* Constraints and key usage, each with whether it is critical */
static void test_extensions(void)
{
    static const struct {
        int path_length;
        unsigned usage;
    } wanted[] = {
        [ROOT] = { -1, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
                       GNUTLS_KEY_DIGITAL_SIGNATURE },
        [REGIONAL] = { 2, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
                          GNUTLS_KEY_DIGITAL_SIGNATURE },
        [ZONAL] = { 1, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
                       GNUTLS_KEY_DIGITAL_SIGNATURE },
        [INSTANCE] = { 0, GNUTLS_KEY_KEY_CERT_SIGN },
        [SIGNER] = { -1, GNUTLS_KEY_DIGITAL_SIGNATURE },
    };
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    int i;

    for (i = 0; i < NUM_CERTIFICATES; i++) {
        unsigned critical, is_ca, usage;
        gnutls_ecc_curve_t curve;
        int path_length;

        g_assert_cmpint(gnutls_x509_crt_get_version(d->crt[i]), ==, 3);
        g_assert_cmpint(gnutls_x509_crt_get_signature_algorithm(d->crt[i]),
                        ==, GNUTLS_SIGN_ECDSA_SHA384);
        g_assert_cmpint(gnutls_x509_crt_get_pk_ecc_raw(d->crt[i], &curve, NULL,
                                                       NULL), ==, 0);
        g_assert_cmpint(curve, ==, GNUTLS_ECC_CURVE_SECP384R1);

        g_assert_cmpint(gnutls_x509_crt_get_basic_constraints(
                            d->crt[i], &critical, &is_ca, &path_length),
                        >=, 0);
        g_assert_true(critical);
        g_assert_cmpint(is_ca, ==, i != SIGNER);
        g_assert_cmpint(path_length, ==, wanted[i].path_length);

        g_assert_cmpint(gnutls_x509_crt_get_key_usage(d->crt[i], &usage,
                                                      &critical), ==, 0);
        g_assert_cmphex(usage, ==, wanted[i].usage);
        g_assert_cmpint(critical, ==, i != SIGNER);
    }
}

static void test_names(void)
{
    static const char *const wanted[] = {
        [ROOT] = "^aws\\.nitro-enclaves$",
        [REGIONAL] = "^[0-9a-f]{16}\\.us-east-1\\.aws\\.nitro-enclaves$",
        [ZONAL] = "^[0-9a-f]{16}\\.zonal\\.us-east-1\\.aws\\.nitro-enclaves$",
        [INSTANCE] = "^i-0123456789abcdef0\\.us-east-1\\.aws\\."
                     "nitro-enclaves$",
        [SIGNER] = "^" MODULE_ID "\\.us-east-1\\.aws$",
    };
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    int i;

    for (i = 0; i < NUM_CERTIFICATES; i++) {
        g_autofree char *common_name = common_name_of(d->crt[i]);
        g_autofree char *subject = name_of(d->crt[i], false);
        g_autofree char *issuer = name_of(d->crt[i], true);
        g_autofree char *above = name_of(d->crt[MAX(i - 1, 0)], false);

        g_assert_true(g_regex_match_simple(wanted[i], common_name, 0, 0));
        g_assert_null(strstr(subject, "Amazon"));
        g_assert_nonnull(strstr(subject, "O=QEMU"));
        g_assert_cmpstr(issuer, ==, above);
    }
}

static void get_key_id(gnutls_x509_crt_t crt, bool authority, uint8_t id[64],
                       size_t *size)
{
    *size = 64;
    g_assert_cmpint(authority
                    ? gnutls_x509_crt_get_authority_key_id(crt, id, size, NULL)
                    : gnutls_x509_crt_get_subject_key_id(crt, id, size, NULL),
                    ==, 0);
}

/* Subject's and authority's, which RFC 5280 has as SHA-1 of the key */
static void test_key_ids(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    uint8_t id[64], other[64];
    size_t size, other_size;
    int i;

    for (i = 0; i < NUM_CERTIFICATES; i++) {
        get_key_id(d->crt[i], false, id, &size);
        other_size = sizeof(other);
        g_assert_cmpint(gnutls_x509_crt_get_key_id(d->crt[i], 0, other,
                                                   &other_size), ==, 0);
        g_assert_cmpmem(id, size, other, other_size);
        get_key_id(d->crt[MAX(i - 1, 0)], false, id, &size);
        get_key_id(d->crt[i], true, other, &other_size);
        g_assert_cmpmem(id, size, other, other_size);
    }
}

static void test_serials(void)
{
    uint8_t seen[64][32];
    int n = 0, run, i, j;

    for (run = 0; run < 4; run++) {
        g_autoptr(NsmAttestation) a = attestation_of_run();
        g_autoptr(Document) d = sign_plain(a);

        for (i = 0; i < NUM_CERTIFICATES; i++) {
            size_t size = sizeof(seen[n]);

            memset(seen[n], 0, size);
            g_assert_cmpint(gnutls_x509_crt_get_serial(d->crt[i], seen[n],
                                                       &size), ==, 0);
            g_assert_cmpuint(size, ==, 16);
            g_assert_cmphex(seen[n][0] & 0x80, ==, 0);
            for (j = 0; j < n; j++) {
                g_assert_true(memcmp(seen[n], seen[j], sizeof(seen[n])));
            }
            n++;
        }
    }
}

static void test_validity(void)
{
    static const int64_t wanted_s[] = {
        [ROOT] = 30 * 365 * DAY_S,
        [REGIONAL] = 20 * DAY_S,
        [ZONAL] = 6 * DAY_S,
        [INSTANCE] = DAY_S,
        [SIGNER] = 3 * HOUR_S + 3,
    };
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    int i;

    for (i = 0; i < NUM_CERTIFICATES; i++) {
        int64_t begin = gnutls_x509_crt_get_activation_time(d->crt[i]);
        int64_t end = gnutls_x509_crt_get_expiration_time(d->crt[i]);

        g_assert_cmpint(end - begin, ==, wanted_s[i]);
        g_assert_cmpint(START_S - begin, >=, 2 * MINUTE_S);
        g_assert_cmpint(START_S - begin, <=, 10 * MINUTE_S);
    }
    assert_valid(d);
}

/* The test's verifier accepts valid documents and refuses these */
static void test_verifier_sees(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(NsmAttestation) other = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    g_autoptr(Document) d2 = sign_plain(other);

    g_assert_cmphex(chain_status(d, d->crt[ROOT]), ==, 0);
    g_assert_cmphex(chain_status(d, d2->crt[ROOT]), !=, 0);
    set_clock(START_S + 4 * HOUR_S);
    g_assert_cmphex(chain_status(d, d->crt[ROOT]) & GNUTLS_CERT_EXPIRED, !=,
                    0);
    set_clock(START_S - HOUR_S);
    g_assert_cmphex(chain_status(d, d->crt[ROOT]) & GNUTLS_CERT_NOT_ACTIVATED,
                    !=, 0);
}

/* The readable root is the root of the documents. */
static void test_root(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) d = sign_plain(a);
    const char *pem = nsm_attestation_root(a);
    gnutls_datum_t text = { (unsigned char *)pem, strlen(pem) };
    gnutls_x509_crt_t root;

    g_assert_cmpint(gnutls_x509_crt_init(&root), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_import(root, &text, GNUTLS_X509_FMT_PEM),
                    ==, 0);
    g_assert_true(gnutls_x509_crt_equals(root, d->crt[ROOT]));
    g_assert_cmphex(chain_status(d, root), ==, 0);
    gnutls_x509_crt_deinit(root);
}

/* The names contain module ids of any form, up to the length limit. */
static void check_module_id(const char *id, const char *instance)
{
    g_autoptr(NsmAttestation) a = attestation_with(id, NULL, NULL,
                                                   &error_abort);
    g_autoptr(Document) d = sign_id(a, id);
    g_autofree char *common_name = common_name_of(d->crt[SIGNER]);
    g_autofree char *of_instance = common_name_of(d->crt[INSTANCE]);
    g_autofree char *wanted = g_strconcat(id, ".us-east-1.aws", NULL);
    g_autofree char *wanted_instance =
        g_strconcat(instance, ".us-east-1.aws.nitro-enclaves", NULL);

    assert_valid(d);
    g_assert_cmpstr(common_name, ==, wanted);
    g_assert_cmpstr(of_instance, ==, wanted_instance);
}

static void test_module_ids(void)
{
    check_module_id("x", "x");
    check_module_id("-enc", "");
    check_module_id("a-enc-enc", "a");
    /* 64 characters in all */
    check_module_id(LONGEST_ID, "01234567890123456789012345678901234");
    check_module_id(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
                    " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
    check_module_id("#0500", "#0500");
    check_module_id("\\,+ ", "\\,+ ");
}

/* Renewal */

static bool same(const Document *a, const Document *b, int which)
{
    return gnutls_x509_crt_equals(a->crt[which], b->crt[which]);
}

/* No certificate is renewed too early. */
static void test_kept(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    g_autoptr(Document) first = sign_plain(a);
    int i;

    /* An hour before its end, the last certificate is still good. */
    set_clock(START_S - 5 * MINUTE_S + 3 * HOUR_S + 3 - HOUR_S);
    g_autoptr(Document) second = sign_plain(a);
    for (i = 0; i < NUM_CERTIFICATES; i++) {
        g_assert_true(same(first, second, i));
    }

    set_clock(clock_ms / 1000 + 1);
    g_autoptr(Document) third = sign_plain(a);
    for (i = 0; i < SIGNER; i++) {
        g_assert_true(same(first, third, i));
    }
    g_assert_false(same(first, third, SIGNER));
    assert_valid(third);
}

/*
 * For 45 days, each document is valid when it is made and for one hour more.
 * The number of renewals of each certificate fits its lifetime.
 */
static void test_renewed(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();
    Document *before = sign_plain(a);
    int renewed[NUM_CERTIFICATES] = { };
    int64_t now;
    int i;

    for (now = START_S; now < START_S + 45 * DAY_S; now += 95 * MINUTE_S) {
        set_clock(now);
        Document *d = sign_plain(a);

        assert_valid(d);
        for (i = 0; i < NUM_CERTIFICATES; i++) {
            renewed[i] += !same(before, d, i);
        }
        document_free(before);
        before = d;
        set_clock(now + HOUR_S);
        g_assert_cmphex(chain_status(d, d->crt[ROOT]), ==, 0);
    }
    document_free(before);
    g_assert_cmpint(renewed[ROOT], ==, 0);
    g_assert_cmpint(renewed[REGIONAL], ==, 3);
    g_assert_cmpint(renewed[ZONAL], >=, 45 / 6);
    g_assert_cmpint(renewed[ZONAL], <=, 45 / 4);
    g_assert_cmpint(renewed[INSTANCE], >=, 45);
    g_assert_cmpint(renewed[INSTANCE], <=, 60);
    g_assert_cmpint(renewed[SIGNER], >=, 45 * 24 / 4);
}

/* The guest slept for long. */
static void test_renewed_late(void)
{
    static const int64_t pauses_s[] = {
        4 * HOUR_S, 2 * DAY_S, 7 * DAY_S, 21 * DAY_S, 20 * 365 * DAY_S,
    };
    g_autoptr(NsmAttestation) a = attestation_of_run();
    int64_t now = START_S;
    int i;

    for (i = 0; i < ARRAY_SIZE(pauses_s); i++) {
        g_autoptr(Document) before = sign_plain(a);
        g_autoptr(Document) after = NULL;

        now += pauses_s[i];
        set_clock(now);
        after = sign_plain(a);
        assert_valid(after);
        g_assert_true(same(before, after, ROOT));
        g_assert_false(same(before, after, SIGNER));
    }
    now += 11 * 365 * DAY_S;
    set_clock(now);
    assert_fails_now(a);
}

static void test_clock_set_back(void)
{
    g_autoptr(NsmAttestation) a = attestation_of_run();

    set_clock(START_S + 30 * DAY_S);
    g_autoptr(Document) first = sign_plain(a);

    /* A difference that is too small to matter */
    set_clock(START_S + 30 * DAY_S - 2 * MINUTE_S);
    g_autoptr(Document) second = sign_plain(a);
    g_assert_true(same(first, second, SIGNER));
    assert_valid(second);

    set_clock(START_S + 10 * DAY_S);
    g_autoptr(Document) third = sign_plain(a);
    assert_valid(third);
    g_assert_true(same(first, third, ROOT));

    /* Before the root was made */
    set_clock(START_S - DAY_S);
    assert_fails_now(a);

    set_clock(START_S);
    g_autoptr(Document) fourth = sign_plain(a);
    assert_valid(fourth);
}

/* Timestamps are unsigned, so -rtc base=1960-01-01 gives no documents. */
static void test_before_1970(void)
{
    g_autoptr(NsmAttestation) a = NULL;

    set_clock(-DAY_S);
    a = attestation_of_run();
    assert_fails_now(a);
    set_clock(1);
    g_autoptr(Document) first = sign_plain(a);
    assert_valid(first);
    set_clock(START_S);
}

/* The user's root */

typedef enum KeyFormat {
    EC_KEY,                 /* SEC 1, as gnutls and "openssl ec" write it */
    EC_KEY_WITH_PARAMETERS, /* as "openssl ecparam -genkey" writes it */
    PKCS8_KEY,
} KeyFormat;

typedef struct Root {
    /* The properties of the root */
    bool no_ca, no_constraints;
    int path_length;                    /* -1: not limited */
    unsigned usage;                     /* 0: without the extension */
    gnutls_pk_algorithm_t algorithm;    /* 0: ECDSA */
    gnutls_ecc_curve_t curve;           /* 0: P-384 */
    int64_t begin_s, end_s;             /* 0: around START_S */
    size_t key_id_size;                 /* 0: without the extension */
    size_t name_size;                   /* characters of the O; 0: a few */
    KeyFormat format;

    /* The results */
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    char *ca_cert, *ca_key;             /* files */
} Root;

#define A_ROOT  .path_length = -1, .key_id_size = 20,                   \
                .usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN

/* A temporary file; the caller unlinks and frees its name. */
static char *make_file(const void *data, size_t size)
{
    char *name = NULL;
    int fd = g_file_open_tmp("test-nsm-XXXXXX.pem", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, data, size), ==, size);
    close(fd);
    return name;
}

static void remove_file(char *name)
{
    unlink(name);
    g_free(name);
}

static char *make_text_file(const char *text)
{
    return make_file(text, strlen(text));
}

static void make_root_key(Root *root)
{
    gnutls_ecc_curve_t curve = root->curve ?: GNUTLS_ECC_CURVE_SECP384R1;
    gnutls_pk_algorithm_t algorithm = root->algorithm ?: GNUTLS_PK_ECDSA;
    unsigned bits = algorithm == GNUTLS_PK_ECDSA
                    ? GNUTLS_CURVE_TO_BITS(curve)
                    : algorithm == GNUTLS_PK_RSA ? 2048 : 0;
    g_autoptr(GString) text = g_string_new("");
    gnutls_datum_t pem;

    g_assert_cmpint(gnutls_x509_privkey_init(&root->key), ==, 0);
    g_assert_cmpint(gnutls_x509_privkey_generate(root->key, algorithm, bits,
                                                 0), ==, 0);
    g_assert_cmpint(root->format == PKCS8_KEY
                    ? gnutls_x509_privkey_export2_pkcs8(
                          root->key, GNUTLS_X509_FMT_PEM, NULL,
                          GNUTLS_PKCS_PLAIN, &pem)
                    : gnutls_x509_privkey_export2(
                          root->key, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
    if (root->format == EC_KEY_WITH_PARAMETERS) {
        /* The object identifier of secp384r1 */
        g_string_append(text, "-----BEGIN EC PARAMETERS-----\n"
                        "BgUrgQQAIg==\n-----END EC PARAMETERS-----\n");
    }
    g_string_append_len(text, (char *)pem.data, pem.size);
    root->ca_key = make_file(text->str, text->len);
    gnutls_free(pem.data);
}

static void make_root_certificate(Root *root)
{
    g_autofree char *name = root->name_size ? g_strnfill(root->name_size, 'o')
                                            : g_strdup("Example");
    gnutls_x509_crt_t crt;
    uint8_t id[1024];
    gnutls_datum_t pem;

    memset(id, 0x1d, sizeof(id));
    g_assert_cmpint(gnutls_x509_crt_init(&crt), ==, 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, "\x01", 1);
    g_assert_cmpint(gnutls_x509_crt_set_dn_by_oid(
                        crt, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, name,
                        strlen(name)), ==, 0);
    gnutls_x509_crt_set_activation_time(crt, root->begin_s ?: START_S - DAY_S);
    gnutls_x509_crt_set_expiration_time(crt, root->end_s
                                             ?: START_S + 365 * DAY_S);
    g_assert_cmpint(gnutls_x509_crt_set_key(crt, root->key), ==, 0);
    if (!root->no_constraints) {
        gnutls_x509_crt_set_basic_constraints(crt, !root->no_ca,
                                              root->path_length);
    }
    if (root->usage) {
        gnutls_x509_crt_set_key_usage(crt, root->usage);
    }
    if (root->key_id_size) {
        gnutls_x509_crt_set_subject_key_id(crt, id, root->key_id_size);
    }
    g_assert_cmpint(gnutls_x509_crt_sign2(
                        crt, crt, root->key,
                        root->algorithm == GNUTLS_PK_EDDSA_ED25519
                        ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA384, 0), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem),
                    ==, 0);
    root->ca_cert = make_file(pem.data, pem.size);
    gnutls_x509_crt_deinit(crt);
    /* GnuTLS verifies only against a certificate that was imported. */
    g_assert_cmpint(gnutls_x509_crt_init(&root->crt), ==, 0);
    g_assert_cmpint(gnutls_x509_crt_import(root->crt, &pem,
                                           GNUTLS_X509_FMT_PEM), ==, 0);
    gnutls_free(pem.data);
}

static void make_root(Root *root)
{
    make_root_key(root);
    make_root_certificate(root);
}

static void root_clear(Root *root)
{
    gnutls_x509_privkey_deinit(root->key);
    gnutls_x509_crt_deinit(root->crt);
    remove_file(root->ca_cert);
    remove_file(root->ca_key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Root, root_clear)

/* Documents below @root verify against it; returns one. */
static Document *check_root(Root *root)
{
    NsmAttestation *a;
    Document *d;
    uint8_t id[1024], of_root[1024];
    size_t size = sizeof(id), root_size = sizeof(of_root);

    make_root(root);
    a = attestation_with(LONGEST_ID, root->ca_cert, root->ca_key,
                         &error_abort);
    d = sign_id(a, LONGEST_ID);
    g_assert_true(gnutls_x509_crt_equals(d->crt[ROOT], root->crt));
    g_assert_cmphex(chain_status(d, root->crt), ==, 0);
    assert_valid(d);

    /* The first certificate below has the id of the root's key in any case. */
    if (root->key_id_size) {
        gnutls_x509_crt_get_subject_key_id(root->crt, of_root, &root_size,
                                           NULL);
    } else {
        gnutls_x509_crt_get_key_id(root->crt, 0, of_root, &root_size);
    }
    g_assert_cmpint(gnutls_x509_crt_get_authority_key_id(
                        d->crt[REGIONAL], id, &size, NULL), ==, 0);
    g_assert_cmpmem(id, size, of_root, root_size);
    nsm_attestation_free(a);
    return d;
}

static void test_user_root(void)
{
    g_auto(Root) root = { A_ROOT };
    g_autoptr(Document) d = check_root(&root);
    g_autofree char *issuer = name_of(d->crt[REGIONAL], true);

    g_assert_cmpstr(issuer, ==, "O=Example");
}

static void test_user_root_forms(void)
{
    g_auto(Root) with_parameters = { A_ROOT,
                                     .format = EC_KEY_WITH_PARAMETERS };
    g_auto(Root) pkcs8 = { A_ROOT, .format = PKCS8_KEY };
    g_auto(Root) no_extensions = { .path_length = -1 };
    g_auto(Root) long_key_id = { A_ROOT, .key_id_size = 130 };
    g_auto(Root) path_length = { A_ROOT, .path_length = 3 };
    g_autoptr(Document) a = check_root(&with_parameters);
    g_autoptr(Document) b = check_root(&pkcs8);
    g_autoptr(Document) c = check_root(&no_extensions);
    g_autoptr(Document) d = check_root(&long_key_id);
    g_autoptr(Document) e = check_root(&path_length);
}

/* All certificates end with their root, and are not renewed in vain. */
static void test_user_root_ends(void)
{
    g_auto(Root) root = { A_ROOT, .end_s = START_S + 90 * MINUTE_S };
    g_autoptr(NsmAttestation) a = NULL;
    g_autoptr(Document) first = NULL;
    g_autoptr(Document) last = NULL;
    int i;

    make_root(&root);
    a = attestation_with(MODULE_ID, root.ca_cert, root.ca_key, &error_abort);
    first = sign_plain(a);
    for (i = 0; i < NUM_CERTIFICATES; i++) {
        g_assert_cmpint(gnutls_x509_crt_get_expiration_time(first->crt[i]),
                        ==, root.end_s);
    }
    set_clock(root.end_s);
    last = sign_plain(a);
    assert_valid(last);
    for (i = 0; i < NUM_CERTIFICATES; i++) {
        g_assert_true(same(first, last, i));
    }
    set_clock(root.end_s + 1);
    assert_fails_now(a);
}

/* The longest name of a root with which all certificates fit */
static void test_user_root_long_name(void)
{
    g_auto(Root) root = { A_ROOT, .name_size = 180 };
    g_autoptr(Document) d = check_root(&root);

    g_assert_cmpuint(d->der[REGIONAL].size, >, 700);
}

/* It must be refused, with the name of the wrong file if there is only one. */
static void assert_refused(const char *ca_cert, const char *ca_key,
                           const char *file)
{
    Error *err = NULL;

    g_assert_null(attestation_with(MODULE_ID, ca_cert, ca_key, &err));
    g_assert_nonnull(err);
    g_test_message("%s", error_get_pretty(err));
    g_assert_null(strchr(error_get_pretty(err), '\n'));
    g_assert_nonnull(strstr(error_get_pretty(err), file));
    error_free(err);
}

static void check_root_refused(Root *root)
{
    make_root(root);
    assert_refused(root->ca_cert, root->ca_key, root->ca_cert);
}

static void test_refused_one_only(void)
{
    g_auto(Root) root = { A_ROOT };

    make_root(&root);
    assert_refused(root.ca_cert, NULL, "attestation-ca-key");
    assert_refused(NULL, root.ca_key, "attestation-ca-cert");
}

static void test_refused_mismatch(void)
{
    g_auto(Root) root = { A_ROOT };
    g_auto(Root) other = { A_ROOT };
    g_auto(Root) rsa = { A_ROOT, .algorithm = GNUTLS_PK_RSA };

    make_root(&root);
    make_root(&other);
    make_root(&rsa);
    assert_refused(root.ca_cert, other.ca_key, other.ca_key);
    assert_refused(root.ca_cert, rsa.ca_key, rsa.ca_key);
}

static void test_refused_not_ca(void)
{
    g_auto(Root) no_ca = { A_ROOT, .no_ca = true };
    g_auto(Root) no_constraints = { A_ROOT, .no_constraints = true };
    g_auto(Root) no_cert_sign = { A_ROOT, .usage = GNUTLS_KEY_CRL_SIGN };
    g_auto(Root) path_2 = { A_ROOT, .path_length = 2 };
    g_auto(Root) path_0 = { A_ROOT, .path_length = 0 };

    check_root_refused(&no_ca);
    check_root_refused(&no_constraints);
    check_root_refused(&no_cert_sign);
    check_root_refused(&path_2);
    check_root_refused(&path_0);
}

static void test_refused_kind_of_key(void)
{
    g_auto(Root) p256 = { A_ROOT, .curve = GNUTLS_ECC_CURVE_SECP256R1 };
    g_auto(Root) p521 = { A_ROOT, .curve = GNUTLS_ECC_CURVE_SECP521R1 };
    g_auto(Root) rsa = { A_ROOT, .algorithm = GNUTLS_PK_RSA };
    g_auto(Root) ed25519 = { A_ROOT, .algorithm = GNUTLS_PK_EDDSA_ED25519 };

    check_root_refused(&p256);
    check_root_refused(&p521);
    check_root_refused(&rsa);
    check_root_refused(&ed25519);
}

static void test_refused_time(void)
{
    g_auto(Root) expired = { A_ROOT, .end_s = START_S - 1 };
    g_auto(Root) not_yet = { A_ROOT, .begin_s = START_S + 1 };
    g_auto(Root) just_so = { A_ROOT, .begin_s = START_S, .end_s = START_S };
    g_autoptr(NsmAttestation) a = NULL;

    check_root_refused(&expired);
    check_root_refused(&not_yet);
    make_root(&just_so);
    a = attestation_with(MODULE_ID, just_so.ca_cert, just_so.ca_key,
                         &error_abort);
    g_assert_nonnull(a);
}

/* This certificate fits, but the one below, which has its key id, does not. */
static void test_refused_too_long(void)
{
    g_auto(Root) below = { A_ROOT, .key_id_size = 550 };
    g_auto(Root) itself = { A_ROOT, .name_size = 500 };
    gnutls_datum_t der;

    check_root_refused(&below);
    g_assert_cmpint(gnutls_x509_crt_export2(below.crt, GNUTLS_X509_FMT_DER,
                                            &der), ==, 0);
    g_assert_cmpuint(der.size, <=, 1024);
    gnutls_free(der.data);
    check_root_refused(&itself);
}

static void test_refused_files(void)
{
    static const char *const texts[] = {
        "", "\n", "nothing\n", "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n",
        "-----END EC PARAMETERS-----",
        "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n",
    };
    g_auto(Root) root = { A_ROOT };
    g_autofree char *text = NULL;
    g_autofree char *spaces = g_strnfill(64 * 1024 + 1, '\n');
    char *too_long = make_text_file(spaces);
    int i;

    make_root(&root);
    for (i = 0; i < ARRAY_SIZE(texts); i++) {
        char *file = make_text_file(texts[i]);

        assert_refused(file, root.ca_key, file);
        assert_refused(root.ca_cert, file, file);
        remove_file(file);
    }
    assert_refused("/nonexistent/cert", root.ca_key, "/nonexistent/cert");
    assert_refused(root.ca_cert, "/nonexistent/key", "/nonexistent/key");
    assert_refused("", root.ca_key, "attestation-ca-cert");
    assert_refused(root.ca_cert, "/", "/");
    assert_refused("/dev/zero", root.ca_key, "/dev/zero");
    assert_refused(root.ca_cert, too_long, too_long);
    remove_file(too_long);

    /* The files are swapped */
    assert_refused(root.ca_key, root.ca_key, root.ca_key);
    assert_refused(root.ca_cert, root.ca_cert, root.ca_cert);
}

/* A file that is cut off anywhere is refused, or still valid. */
static void test_files_cut(void)
{
    g_auto(Root) root = { A_ROOT };
    g_autofree char *cert = NULL;
    g_autofree char *key = NULL;
    gsize cert_size, key_size, i;
    Error *err = NULL;

    make_root(&root);
    g_assert_true(g_file_get_contents(root.ca_cert, &cert, &cert_size, NULL));
    g_assert_true(g_file_get_contents(root.ca_key, &key, &key_size, NULL));
    for (i = 0; i < cert_size - 30; i += 13) {
        char *file = make_file(cert, i);

        assert_refused(file, root.ca_key, file);
        remove_file(file);
    }
    for (i = 0; i < key_size - 30; i += 7) {
        char *file = make_file(key, i);

        g_assert_null(attestation_with(MODULE_ID, root.ca_cert, file, &err));
        error_free(err);
        err = NULL;
        remove_file(file);
    }
}

static void test_free_nothing(void)
{
    nsm_attestation_free(NULL);
}

typedef struct Test {
    const char *path;
    void (*run)(void);
} Test;

static void run(const void *test)
{
    set_clock(START_S);
    ((const Test *)test)->run();
}

int main(int argc, char **argv)
{
    static const Test tests[] = {
        { "document/payload", test_payload },
        { "document/fields", test_fields },
        { "document/payload-limit", test_payload_limit },
        { "document/signature-width", test_signature_width },
        { "document/signature-covers", test_signature_covers },
        { "certificates/extensions", test_extensions },
        { "certificates/names", test_names },
        { "certificates/key-ids", test_key_ids },
        { "certificates/serials", test_serials },
        { "certificates/validity", test_validity },
        { "certificates/verifier-sees", test_verifier_sees },
        { "certificates/root", test_root },
        { "certificates/module-ids", test_module_ids },
        { "renewal/kept", test_kept },
        { "renewal/renewed", test_renewed },
        { "renewal/late", test_renewed_late },
        { "renewal/clock-set-back", test_clock_set_back },
        { "renewal/before-1970", test_before_1970 },
        { "user-root/simple", test_user_root },
        { "user-root/forms", test_user_root_forms },
        { "user-root/ends", test_user_root_ends },
        { "user-root/long-name", test_user_root_long_name },
        { "refused/one-only", test_refused_one_only },
        { "refused/mismatch", test_refused_mismatch },
        { "refused/not-ca", test_refused_not_ca },
        { "refused/kind-of-key", test_refused_kind_of_key },
        { "refused/time", test_refused_time },
        { "refused/too-long", test_refused_too_long },
        { "refused/files", test_refused_files },
        { "refused/files-cut", test_files_cut },
        { "free-nothing", test_free_nothing },
    };
    int i, j;

    g_test_init(&argc, &argv, NULL);
    gnutls_global_set_time_function(gnutls_clock);
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        for (j = 0; j < NITRO_PCR_SIZE; j++) {
            some_pcrs[i][j] = i + 3 * j;
        }
    }
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strconcat("/nsm-attestation/",
                                            tests[i].path, NULL);

        g_test_add_data_func(path, &tests[i], run);
    }
    return g_test_run();
}
