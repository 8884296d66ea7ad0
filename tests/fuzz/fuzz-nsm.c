/*
 * Fuzz target: requests to the Nitro Secure Module
 *
 * The input is a series of requests to a module that has just been reset.
 * Each comes after two bytes, big-endian, with its size (all that is left, if
 * that is less).  If the top bit is set, the buffer for the response is small.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cbor.h"
#include "qapi/error.h"
#include "hw/virtio/nsm.h"
#include "target.h"

#define SMALL_RESPONSE     64      /* bytes */

static int64_t fixed_time(void *opaque)
{
    return 1700000000000;       /* milliseconds */
}

static NsmAttestation *attestation(void)
{
    static NsmAttestation *only;
    NsmAttestationConfig config = {
        .module_id = "fuzz",
        .clock = fixed_time,
    };

    if (!only) {
        only = nsm_attestation_new(&config, &error_abort);
    }
    return only;
}

static bool is_error(const uint8_t *response, size_t size)
{
    static const char head[] = "\xa1\x65" "Error";

    return size > strlen(head) && !memcmp(response, head, strlen(head));
}

static void check_registers(const NsmBank *before, const NsmBank *after)
{
    int i;

    g_assert_cmphex(before->locked & ~after->locked, ==, 0);
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        if (before->locked >> i & 1) {
            g_assert_cmpmem(before->value[i], NITRO_PCR_SIZE, after->value[i],
                            NITRO_PCR_SIZE);
        }
    }
}

static void send_request(Nsm *nsm, const uint8_t *request, size_t size,
                         size_t max_size)
{
    /* Separate blocks, so that sanitizers find accesses beyond them */
    g_autofree uint8_t *in = g_memdup2(request, size);
    g_autofree uint8_t *out = g_malloc(max_size);
    NsmBank before = nsm->bank;
    size_t answer = nsm_request(nsm, in, size, out, max_size);
    CborReader r = { "the response", out, answer };

    g_assert_cmpuint(answer, <=, max_size);
    g_assert_cmpuint(answer, >, 0);
    cbor_skip(&r, 0, &error_abort);
    cbor_end(&r, &error_abort);
    check_registers(&before, &nsm->bank);
    if (is_error(out, answer)) {
        g_assert_cmpmem(&before, sizeof(before), &nsm->bank,
                        sizeof(nsm->bank));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Nsm nsm;

    nsm_init(&nsm);
    nsm.module_id = "fuzz";
    nsm.attestation = attestation();
    while (size >= 2) {
        unsigned head = lduw_be_p(data);
        size_t length = MIN(head & 0x7fff, size - 2);

        send_request(&nsm, data + 2, length,
                     head & 0x8000 ? SMALL_RESPONSE : NSM_RESPONSE_MAX);
        data += 2 + length;
        size -= 2 + length;
    }
    return 0;
}
