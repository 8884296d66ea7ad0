/*
 * virtio-nsm: the Nitro Secure Module as a virtio device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_VIRTIO_VIRTIO_NSM_H
#define HW_VIRTIO_VIRTIO_NSM_H

#include "hw/virtio/nsm.h"
#include "hw/virtio/virtio.h"
#include "qom/object.h"

#define TYPE_VIRTIO_NSM "virtio-nsm-device"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIONSM, VIRTIO_NSM)

/* A register, as it migrates */
typedef struct VirtIONSMRegister {
    bool locked;
    uint8_t value[NITRO_PCR_SIZE];
} VirtIONSMRegister;

struct VirtIONSM {
    VirtIODevice parent_obj;

    VirtQueue *vq;
    QEMUBH *bh;                 /* continues with the queue */
    GQueue requests;            /* elements that wait for a buffer */

    char *module_id;
    char *ca_cert;
    char *ca_key;

    Nsm nsm;
    Object *system_reset;       /* resets the registers with the machine */
    VirtIONSMRegister migrated[NSM_NUM_PCRS];   /* while saving or loading */
};

/*
 * Set the value that register @index has at start and after each reset of the
 * machine, and whether it is then locked; registers 0 to 15 always are.
 * Registers start as zero unless set.  Call this before the device is realized.
 */
void virtio_nsm_set_start_pcr(VirtIONSM *vnsm, unsigned index,
                              const uint8_t value[NITRO_PCR_SIZE], bool locked);

#endif
