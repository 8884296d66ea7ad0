/*
 * A benchmark of the Nitro Secure Module: requests per second
 *
 *     nsm-bench [SECONDS [ROUNDS]]
 *
 * Calls the module as the virtio device does, one kind of request after the
 * other for SECONDS (0.2) of processor time, in ROUNDS (5), and prints the
 * median of each kind.
 * The last row is the part of an attestation document that always remains:
 * GnuTLS's ECDSA signature with P-384 over as many bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "../unit/nsm-bytes.h"

#include <gnutls/abstract.h>

#define MODULE_ID       "i-0123456789abcdef0-enc0123456789abcdef"
#define BATCH           8           /* requests between looks at the clock */

typedef struct Bench {
    Nsm nsm;
    GByteArray *request;
    uint8_t response[NSM_RESPONSE_MAX];
    size_t response_size;
    gnutls_privkey_t key;
} Bench;

static void bench_request(Bench *b)
{
    b->response_size = nsm_request(&b->nsm, b->request->data, b->request->len,
                                   b->response, sizeof(b->response));
}

static void bench_sign(Bench *b)
{
    gnutls_datum_t data = { b->response, b->response_size };
    gnutls_datum_t signature;

    if (gnutls_privkey_sign_data(b->key, GNUTLS_DIG_SHA384, 0, &data,
                                 &signature) < 0) {
        error_setg(&error_fatal, "Could not sign");
    }
    gnutls_free(signature.data);
}

/* Nanoseconds of processor time, without that of other processes */
static int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec;
}

static double bench_rate(Bench *b, void (*run)(Bench *b), double seconds)
{
    int64_t start = bench_now(), now;
    uint64_t count = 0;
    int i;

    do {
        for (i = 0; i < BATCH; i++) {
            run(b);
        }
        count += BATCH;
        now = bench_now();
    } while (now - start < seconds * NANOSECONDS_PER_SECOND);
    return count / ((now - start) / (double)NANOSECONDS_PER_SECOND);
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *request;
    } kinds[] = {
        { "DescribeNSM", "6b 'DescribeNSM'" },
        { "DescribePCR", "a1 6b 'DescribePCR' a1 65 'index' 00" },
        { "ExtendPCR", "a1 69 'ExtendPCR' a2 65 'index' 10 64 'data' 43"
          " 'abc'" },
        { "GetRandom", "69 'GetRandom'" },
        { "Attestation", "a1 6b 'Attestation' a3 69 'user_data' f6 65 'nonce'"
          " 44 'abcd' 6a 'public_key' f6" },
        { "P-384 signature", NULL },
    };
    NsmAttestationConfig config = { .module_id = MODULE_ID };
    double seconds = argc > 1 ? atof(argv[1]) : 0.2;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    double rates[ARRAY_SIZE(kinds)][100];
    Bench b = { };
    int i, round;

    if (seconds <= 0 || rounds < 1 || rounds > 100) {
        fprintf(stderr, "Usage: %s [SECONDS [ROUNDS]], at most 100 rounds\n",
                argv[0]);
        return 2;
    }
    nsm_init(&b.nsm);
    b.nsm.module_id = MODULE_ID;
    b.nsm.attestation = nsm_attestation_new(&config, &error_fatal);
    gnutls_privkey_init(&b.key);
    if (gnutls_privkey_generate(b.key, GNUTLS_PK_ECDSA,
            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), 0) < 0) {
        error_setg(&error_fatal, "Could not make a key");
    }

    for (round = 0; round < rounds; round++) {
        for (i = 0; i < ARRAY_SIZE(kinds); i++) {
            if (kinds[i].request) {
                b.request = bytes(kinds[i].request);
                rates[i][round] = bench_rate(&b, bench_request, seconds);
                g_byte_array_unref(b.request);
            } else {
                rates[i][round] = bench_rate(&b, bench_sign, seconds);
            }
        }
    }
    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        qsort(rates[i], rounds, sizeof(double), bench_compare);
        printf("%-16s %10.0f\n", kinds[i].name, rates[i][rounds / 2]);
    }
    gnutls_privkey_deinit(b.key);
    nsm_attestation_free(b.nsm.attestation);
    return 0;
}
