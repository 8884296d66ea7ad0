/*
 * The Nitro Secure Module (NSM) of an AWS Nitro Enclave
 *
 * A bank of platform configuration registers (PCRs) and the requests that an
 * enclave makes of it: reading, extending and locking registers, random bytes,
 * and attestation documents.  Requests and responses are CBOR (RFC 8949), as
 * AWS's library for the NSM and Linux's drivers/misc/nsm.c exchange them.
 *
 * This is the module behind the virtio device: bytes in, bytes out.  It knows
 * nothing of virtio, and leaves certificates and signatures to
 * nsm-attestation.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_NSM_H
#define HW_VIRTIO_NSM_H

#include "hw/virtio/nsm-attestation.h"

#define NSM_REQUEST_MAX     0x1000      /* bytes */
#define NSM_RESPONSE_MAX    0x3000      /* bytes */
#define NSM_MODULE_ID_MAX   50          /* characters */

/* Registers that nobody can extend: those that describe the image. */
#define NSM_LOCKED_AT_START 0xffff      /* bit i: register i */

typedef struct NsmBank {
    uint8_t value[NSM_NUM_PCRS][NITRO_PCR_SIZE];
    uint32_t locked;                    /* bit i: register i */
} NsmBank;

/*
 * @module_id and @attestation belong to the caller, who sets them before the
 * first request and keeps them until after the last.
 */
typedef struct Nsm {
    const char *module_id;
    NsmAttestation *attestation;
    NsmBank bank;
    NsmBank start;                      /* what nsm_reset() makes of bank */
} Nsm;

/*
 * Is @id, which @option names, good as a module id: printable ASCII, 1 to
 * NSM_MODULE_ID_MAX characters?  Real ones are those of an instance and an
 * enclave in it: i-0123456789abcdef0-enc0123456789abcdef.
 */
bool nsm_check_module_id(const char *option, const char *id, Error **errp);

/*
 * Registers as they are in an enclave of which nothing is known: all zero,
 * those of NSM_LOCKED_AT_START locked.
 */
void nsm_init(Nsm *nsm);

/*
 * Let register @index have @value after each nsm_reset(), and be locked then
 * if @locked; those of NSM_LOCKED_AT_START are locked in any case.
 */
void nsm_set_start_pcr(Nsm *nsm, unsigned index,
                       const uint8_t value[NITRO_PCR_SIZE], bool locked);

/* Give all registers their start values and locks. */
void nsm_reset(Nsm *nsm);

/*
 * Serve the @request_size bytes at @request: change the registers as they ask
 * and write the answer to @response, which has room for @response_size bytes.
 * Returns the number of bytes written.
 *
 * Nothing about the request can make this fail, however long or malformed: the
 * answer then is {"Error": name}, and the registers are as before.  So it is
 * when the answer does not fit the room: BufferTooSmall; if that does not fit
 * either, nothing is written and 0 returned.
 */
size_t nsm_request(Nsm *nsm, const uint8_t *request, size_t request_size,
                   uint8_t *response, size_t response_size);

#endif
