/*
 * The nitro-enclave machine: an AWS Nitro Enclave outside EC2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_NITRO_ENCLAVE_H
#define HW_I386_NITRO_ENCLAVE_H

#include "hw/core/eif-load.h"
#include "hw/i386/microvm.h"
#include "hw/i386/nitro_enclave_boot.h"
#include "hw/virtio/virtio-nsm.h"
#include "qom/object.h"

#define TYPE_NITRO_ENCLAVE_MACHINE MACHINE_TYPE_NAME("nitro-enclave")
OBJECT_DECLARE_TYPE(NitroEnclaveMachineState, NitroEnclaveMachineClass,
                    NITRO_ENCLAVE_MACHINE)

/* Fewer than microvm has: an APIC id in the MP table has eight bits. */
#define NITRO_ENCLAVE_MAX_CPUS 128

/* The keyboard controller's command port, used only for resets */
#define NITRO_ENCLAVE_RESET_PORT 0x64

struct NitroEnclaveMachineClass {
    MicrovmMachineClass parent_class;

    void (*parent_init)(MachineState *machine);
    void (*parent_reset)(MachineState *machine, ResetType type);
};

struct NitroEnclaveMachineState {
    MicrovmMachineState parent_obj;

    /* Options */
    char *vsock;                /* id of the chardev to the vsock back end */
    char *id;                   /* the enclave's identifier: module id */
    char *parent_role;          /* ARN of the parent's IAM role */
    char *parent_id;            /* instance id of the parent */
    char *attestation_ca_cert;  /* PEM files: a root for documents */
    char *attestation_ca_key;
    bool debug_mode;

    /* State */
    MemoryRegion reset_port;
    Notifier machine_done;
    EifImage *image;
    EifResult measured;         /* at the first load */
    GString *cmdline;           /* the image's, as it was loaded */
    bool guest_ran;             /* since the image was last loaded */
    GThread *reload_thread;     /* loads the image again after a reset */
    bool reload_cancelled;      /* accessed atomically */
    Error *reload_error;        /* of the thread, once it has ended */
    QEMUBH *reload_bh;          /* scheduled when the thread ends */
    Notifier exit;
    NitroEnclaveBoot boot;
    VirtIONSM *nsm;
};

#endif
