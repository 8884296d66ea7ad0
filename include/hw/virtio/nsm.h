/*
 * The Nitro Secure Module (NSM) of an AWS Nitro Enclave
 *
 * The NSM has platform configuration registers (PCRs).  An enclave can read,
 * extend and lock them, and it can request random bytes and attestation
 * documents.  Requests and responses are CBOR (RFC 8949), as AWS's library for
 * the NSM (aws-nitro-enclaves-nsm-api) exchanges them with the module.
 *
 * This file does not know virtio.  nsm-attestation.h knows certificates and
 * signatures.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_NSM_H
#define HW_VIRTIO_NSM_H

#include "hw/virtio/nsm-attestation.h"

#define NSM_REQUEST_MAX     0x1000      /* bytes */
#define NSM_RESPONSE_MAX    0x3000      /* bytes */

/* The guest can never extend these registers: they describe the image. */
#define NSM_LOCKED_AT_START 0xffff      /* bit i: register i */

typedef struct NsmBank {
    uint8_t value[NSM_NUM_PCRS][NITRO_PCR_SIZE];
    uint32_t locked;                    /* bit i: register i */
} NsmBank;

/*
 * @module_id and @attestation belong to the caller.  They must be set before
 * the first request, and stay valid until after the last one.
 */
typedef struct Nsm {
    const char *module_id;
    NsmAttestation *attestation;
    NsmBank bank;
    NsmBank start;                      /* nsm_reset() copies it to bank */
} Nsm;

/*
 * Is @id, which @option names, a valid module id: 1 to NSM_MODULE_ID_MAX
 * characters of printable ASCII?  On EC2 it is made of the ids of the instance
 * and of the enclave: i-0123456789abcdef0-enc0123456789abcdef.
 */
bool nsm_check_module_id(const char *option, const char *id, Error **errp);

/*
 * Set all registers to zero, and lock those of NSM_LOCKED_AT_START.
 */
void nsm_init(Nsm *nsm);

/*
 * Set the value that register @index has after each nsm_reset(), and whether it
 * is then locked; those of NSM_LOCKED_AT_START always are.
 */
void nsm_set_start_pcr(Nsm *nsm, unsigned index,
                       const uint8_t value[NITRO_PCR_SIZE], bool locked);

/* Give all registers their start values and locks. */
void nsm_reset(Nsm *nsm);

/*
 * Serve the request of @request_size bytes at @request, and write the response
 * to @response, a buffer of @response_size bytes.  Returns the number of bytes
 * written.
 *
 * The response to a bad request is {"Error": name}, and the registers do not
 * change.  A response that does not fit the buffer is replaced by the error
 * BufferTooSmall.  If that does not fit either, nothing is written, and 0 is
 * returned.
 */
size_t nsm_request(Nsm *nsm, const uint8_t *request, size_t request_size,
                   uint8_t *response, size_t response_size);

#endif
