/*
 * virtio-nsm: the Nitro Secure Module as a virtio device
 *
 * The device has one queue and no configuration space.  For each request
 * Linux's driver (drivers/misc/nsm.c) queues two descriptor chains, one with
 * the request and one with a buffer for the response, and then notifies the
 * device once.  A driver may also put both into one chain, or queue several
 * requests before their buffers.  Requests are answered in the order in which
 * they were queued, by nsm.c.
 *
 * Properties:
 *   module-id            identifier of the module, in its documents too: 1 to
 *                        50 characters of printable ASCII
 *   attestation-ca-cert  PEM files with a root certificate (ECDSA on P-384) and
 *   attestation-ca-key   its private key; without them, the device makes a root
 *   attestation-root     (read-only) the root certificate of documents, PEM
 *   pcr0 to pcr31        (read-only) the registers' values, in hex
 *   locked-pcrs          (read-only) bit i is set if register i is locked
 *
 * Registers and locks migrate.  Private keys do not: after a migration,
 * documents have the root of the destination.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "hw/virtio/virtio-nsm.h"
#include "migration/qemu-file-types.h"
#include "standard-headers/linux/virtio_ids.h"
#include "system/reset.h"
#include "system/rtc.h"
#include "trace.h"

#define NSM_QUEUE_SIZE          64      /* descriptors */

/* The form of EC2: ids of the instance and of the enclave */
#define NSM_DEFAULT_MODULE_ID   "i-00000000000000000-enc0000000000000000"

/* The queue */

static size_t virtio_nsm_answer(VirtIONSM *vnsm, VirtQueueElement *request,
                                VirtQueueElement *response)
{
    /* One byte above the limit: nsm_request() answers InputTooLarge. */
    uint8_t in[NSM_REQUEST_MAX + 1];
    uint8_t out[NSM_RESPONSE_MAX];
    size_t in_size = iov_to_buf(request->out_sg, request->out_num, 0, in,
                                sizeof(in));
    size_t max = MIN(iov_size(response->in_sg, response->in_num), sizeof(out));
    size_t size = nsm_request(&vnsm->nsm, in, in_size, out, max);

    trace_virtio_nsm_request(vnsm, in_size, max, size);
    return iov_from_buf(response->in_sg, response->in_num, 0, out, size);
}

/* @elem has the request and the buffer. */
static void virtio_nsm_serve_one_chain(VirtIONSM *vnsm, VirtQueueElement *elem)
{
    virtqueue_push(vnsm->vq, elem, virtio_nsm_answer(vnsm, elem, elem));
    g_free(elem);
}

/*
 * Linux's driver takes both from the used ring at the first interrupt, and
 * fails if it finds only one.  So both become visible together.
 */
static void virtio_nsm_serve_two_chains(VirtIONSM *vnsm,
                                        VirtQueueElement *request,
                                        VirtQueueElement *response)
{
    size_t size = virtio_nsm_answer(vnsm, request, response);

    virtqueue_fill(vnsm->vq, request, 0, 0);
    virtqueue_fill(vnsm->vq, response, size, 1);
    virtqueue_flush(vnsm->vq, 2);
    g_free(request);
    g_free(response);
}

/* Returns whether a request was answered. */
static bool virtio_nsm_handle_element(VirtIONSM *vnsm, VirtQueueElement *elem)
{
    VirtQueueElement *request;

    if (elem->out_num && elem->in_num) {
        virtio_nsm_serve_one_chain(vnsm, elem);
        return true;
    }
    if (elem->out_num) {
        g_queue_push_tail(&vnsm->requests, elem);
        return false;
    }
    request = g_queue_pop_head(&vnsm->requests);
    if (!request) {
        virtio_error(VIRTIO_DEVICE(vnsm),
                     "virtio-nsm: a buffer of %zu bytes for a response without"
                     " a request before it",
                     iov_size(elem->in_sg, elem->in_num));
        virtqueue_detach_element(vnsm->vq, elem, 0);
        g_free(elem);
        return false;
    }
    virtio_nsm_serve_two_chains(vnsm, request, elem);
    return true;
}

/*
 * Serve at most as many chains as fit the queue, then continue in a bottom
 * half: a guest that refills the queue quickly must not block the main loop.
 */
static void virtio_nsm_serve_queue(VirtIONSM *vnsm)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(vnsm);
    bool answered = false;
    int i;

    for (i = 0; i < NSM_QUEUE_SIZE; i++) {
        VirtQueueElement *elem = virtqueue_pop(vnsm->vq, sizeof(*elem));

        if (!elem) {
            break;
        }
        answered |= virtio_nsm_handle_element(vnsm, elem);
    }
    if (answered) {
        virtio_notify(vdev, vnsm->vq);
    }
    if (i == NSM_QUEUE_SIZE) {
        qemu_bh_schedule(vnsm->bh);
    }
}

static void virtio_nsm_handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    virtio_nsm_serve_queue(VIRTIO_NSM(vdev));
}

static void virtio_nsm_bh(void *opaque)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(opaque);

    /* virtio_nsm_set_status() schedules it again for a stopped guest. */
    if (vdev->vm_running && (vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
        virtio_nsm_serve_queue(VIRTIO_NSM(vdev));
    }
}

/* Called when the driver is ready, and when a stopped guest continues. */
static void virtio_nsm_set_status(VirtIODevice *vdev, uint8_t status)
{
    if (vdev->vm_running && (status & VIRTIO_CONFIG_S_DRIVER_OK)) {
        qemu_bh_schedule(VIRTIO_NSM(vdev)->bh);
    }
}

/* The driver resets the device: registers do not change. */
static void virtio_nsm_driver_reset(VirtIODevice *vdev)
{
    VirtIONSM *vnsm = VIRTIO_NSM(vdev);
    VirtQueueElement *elem;

    qemu_bh_cancel(vnsm->bh);
    while ((elem = g_queue_pop_head(&vnsm->requests))) {
        virtqueue_detach_element(vnsm->vq, elem, 0);
        g_free(elem);
    }
}

/* The driver resets a queue (virtio 1.2, 2.6.1), which may not exist. */
static void virtio_nsm_queue_reset(VirtIODevice *vdev, uint32_t index)
{
    if (index == 0) {
        virtio_nsm_driver_reset(vdev);
    }
}

/*
 * Only a reset of the machine resets the registers.  So this is not the reset
 * of the device, which a guest can cause: over PCI by a reset of the function
 * or of the bus, or when it wakes up from suspend-to-RAM.
 */
#define TYPE_VIRTIO_NSM_SYSTEM_RESET "virtio-nsm-system-reset"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIONSMSystemReset, VIRTIO_NSM_SYSTEM_RESET)

struct VirtIONSMSystemReset {
    Object parent;
    ResettableState reset_state;
    VirtIONSM *vnsm;
};

OBJECT_DEFINE_SIMPLE_TYPE_WITH_INTERFACES(VirtIONSMSystemReset,
                                          virtio_nsm_system_reset,
                                          VIRTIO_NSM_SYSTEM_RESET, OBJECT,
                                          { TYPE_RESETTABLE_INTERFACE }, { })

static ResettableState *virtio_nsm_system_reset_get_state(Object *obj)
{
    return &VIRTIO_NSM_SYSTEM_RESET(obj)->reset_state;
}

static void virtio_nsm_system_reset_hold(Object *obj, ResetType type)
{
    if (type != RESET_TYPE_WAKEUP) {
        nsm_reset(&VIRTIO_NSM_SYSTEM_RESET(obj)->vnsm->nsm);
    }
}

static void virtio_nsm_system_reset_init(Object *obj)
{
}

static void virtio_nsm_system_reset_finalize(Object *obj)
{
}

static void virtio_nsm_system_reset_class_init(ObjectClass *klass, void *data)
{
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    rc->get_state = virtio_nsm_system_reset_get_state;
    rc->phases.hold = virtio_nsm_system_reset_hold;
}

static uint64_t virtio_nsm_get_features(VirtIODevice *vdev, uint64_t features,
                                        Error **errp)
{
    return features;
}

/* Migration */

/* Requests that wait for a buffer: 1 and the request, for each, then 0 */
static int virtio_nsm_put_requests(QEMUFile *f, void *pv, size_t size,
                                   const VMStateField *field,
                                   JSONWriter *vmdesc)
{
    VirtIONSM *vnsm = pv;
    GList *link;

    for (link = vnsm->requests.head; link; link = link->next) {
        qemu_put_sbyte(f, 1);
        qemu_put_virtqueue_element(VIRTIO_DEVICE(vnsm), f, link->data);
    }
    qemu_put_sbyte(f, 0);
    return 0;
}

static int virtio_nsm_get_requests(QEMUFile *f, void *pv, size_t size,
                                   const VMStateField *field)
{
    VirtIONSM *vnsm = pv;

    while (qemu_get_sbyte(f)) {
        VirtQueueElement *elem;

        if (g_queue_get_length(&vnsm->requests) == NSM_QUEUE_SIZE) {
            return -EINVAL;
        }
        elem = qemu_get_virtqueue_element(VIRTIO_DEVICE(vnsm), f,
                                          sizeof(*elem));
        g_queue_push_tail(&vnsm->requests, elem);
    }
    return 0;
}

static const VMStateInfo vmstate_info_requests = {
    .name = "virtio-nsm requests",
    .get = virtio_nsm_get_requests,
    .put = virtio_nsm_put_requests,
};

static bool virtio_nsm_requests_needed(void *opaque)
{
    VirtIONSM *vnsm = opaque;

    return !g_queue_is_empty(&vnsm->requests);
}

static const VMStateDescription vmstate_virtio_nsm_requests = {
    .name = "virtio-nsm-device/requests",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = virtio_nsm_requests_needed,
    .fields = (const VMStateField[]) {
        {
            .name = "requests",
            .info = &vmstate_info_requests,
            .flags = VMS_SINGLE,
        },
        VMSTATE_END_OF_LIST()
    },
};

static int virtio_nsm_pre_save(void *opaque)
{
    VirtIONSM *vnsm = opaque;
    const NsmBank *bank = &vnsm->nsm.bank;
    int i;

    for (i = 0; i < NSM_NUM_PCRS; i++) {
        vnsm->migrated[i].locked = bank->locked >> i & 1;
        memcpy(vnsm->migrated[i].value, bank->value[i], NITRO_PCR_SIZE);
    }
    return 0;
}

static int virtio_nsm_post_load(void *opaque, int version_id)
{
    VirtIONSM *vnsm = opaque;
    NsmBank *bank = &vnsm->nsm.bank;
    int i;

    bank->locked = 0;
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        bank->locked |= (uint32_t)vnsm->migrated[i].locked << i;
        memcpy(bank->value[i], vnsm->migrated[i].value, NITRO_PCR_SIZE);
    }
    return 0;
}

static const VMStateDescription vmstate_virtio_nsm_register = {
    .name = "pcr_info_entry",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(locked, VirtIONSMRegister),
        VMSTATE_UINT8_ARRAY(value, VirtIONSMRegister, NITRO_PCR_SIZE),
        VMSTATE_END_OF_LIST()
    },
};

/* As in QEMU 9.2, so that guests migrate from and to it. */
static const VMStateDescription vmstate_virtio_nsm_device = {
    .name = "virtio-nsm-device",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = virtio_nsm_pre_save,
    .post_load = virtio_nsm_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT_ARRAY(migrated, VirtIONSM, NSM_NUM_PCRS, 1,
                             vmstate_virtio_nsm_register, VirtIONSMRegister),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_virtio_nsm_requests,
        NULL
    },
};

static const VMStateDescription vmstate_virtio_nsm = {
    .name = "virtio-nsm",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_VIRTIO_DEVICE,
        VMSTATE_END_OF_LIST()
    },
};

/* Life cycle */

/* Documents have the date of -rtc. */
static int64_t virtio_nsm_clock(void *opaque)
{
    return qemu_rtc_host_ms();
}

static void virtio_nsm_realize(DeviceState *dev, Error **errp)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VirtIONSM *vnsm = VIRTIO_NSM(dev);
    NsmAttestationConfig config = {
        .module_id = vnsm->module_id,
        .ca_cert = vnsm->ca_cert,
        .ca_key = vnsm->ca_key,
        .clock = virtio_nsm_clock,
    };

    if (!nsm_check_module_id("module-id", vnsm->module_id, errp)) {
        return;
    }
    vnsm->nsm.attestation = nsm_attestation_new(&config, errp);
    if (!vnsm->nsm.attestation) {
        return;
    }
    vnsm->nsm.module_id = vnsm->module_id;

    virtio_init(vdev, VIRTIO_ID_NITRO_SEC_MOD, 0);
    vnsm->vq = virtio_add_queue(vdev, NSM_QUEUE_SIZE, virtio_nsm_handle_output);
    vnsm->bh = virtio_bh_new_guarded(dev, virtio_nsm_bh, vnsm);

    nsm_reset(&vnsm->nsm);
    vnsm->system_reset = object_new(TYPE_VIRTIO_NSM_SYSTEM_RESET);
    VIRTIO_NSM_SYSTEM_RESET(vnsm->system_reset)->vnsm = vnsm;
    qemu_register_resettable(vnsm->system_reset);
}

static void virtio_nsm_unrealize(DeviceState *dev)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);
    VirtIONSM *vnsm = VIRTIO_NSM(dev);

    qemu_unregister_resettable(vnsm->system_reset);
    g_clear_pointer(&vnsm->system_reset, object_unref);
    virtio_nsm_driver_reset(vdev);
    qemu_bh_delete(vnsm->bh);
    virtio_del_queue(vdev, 0);
    virtio_cleanup(vdev);
    g_clear_pointer(&vnsm->nsm.attestation, nsm_attestation_free);
}

void virtio_nsm_set_start_pcr(VirtIONSM *vnsm, unsigned index,
                              const uint8_t value[NITRO_PCR_SIZE], bool locked)
{
    assert(!DEVICE(vnsm)->realized);
    nsm_set_start_pcr(&vnsm->nsm, index, value, locked);
}

/* Properties */

static char *virtio_nsm_get_root(Object *obj, Error **errp)
{
    VirtIONSM *vnsm = VIRTIO_NSM(obj);

    return g_strdup(vnsm->nsm.attestation
                    ? nsm_attestation_root(vnsm->nsm.attestation) : "");
}

static void virtio_nsm_get_pcr(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    const uint8_t *value = VIRTIO_NSM(obj)->nsm.bank.value[(uintptr_t)opaque];
    g_autofree char *hex = nitro_pcr_to_hex(value);

    visit_type_str(v, name, &hex, errp);
}

static void virtio_nsm_get_locked(Object *obj, Visitor *v, const char *name,
                                  void *opaque, Error **errp)
{
    uint32_t locked = VIRTIO_NSM(obj)->nsm.bank.locked;

    visit_type_uint32(v, name, &locked, errp);
}

static const Property virtio_nsm_properties[] = {
    DEFINE_PROP_STRING("module-id", VirtIONSM, module_id),
    DEFINE_PROP_STRING("attestation-ca-cert", VirtIONSM, ca_cert),
    DEFINE_PROP_STRING("attestation-ca-key", VirtIONSM, ca_key),
};

static void virtio_nsm_instance_init(Object *obj)
{
    VirtIONSM *vnsm = VIRTIO_NSM(obj);

    vnsm->module_id = g_strdup(NSM_DEFAULT_MODULE_ID);
    g_queue_init(&vnsm->requests);
    nsm_init(&vnsm->nsm);
}

static void virtio_nsm_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(klass);
    uintptr_t i;

    device_class_set_props(dc, virtio_nsm_properties);
    object_class_property_set_description(klass, "module-id",
        "Identifier of the module, in documents");
    object_class_property_set_description(klass, "attestation-ca-cert",
        "PEM file with a P-384 root certificate for documents");
    object_class_property_set_description(klass, "attestation-ca-key",
        "PEM file with the private key of attestation-ca-cert");
    object_class_property_add_str(klass, "attestation-root",
                                  virtio_nsm_get_root, NULL);
    object_class_property_set_description(klass, "attestation-root",
        "Root certificate of the attestation documents, PEM (read-only)");
    for (i = 0; i < NSM_NUM_PCRS; i++) {
        g_autofree char *name = g_strdup_printf("pcr%d", (int)i);
        g_autofree char *description =
            g_strdup_printf("Value of register %d, in hex (read-only)", (int)i);

        object_class_property_add(klass, name, "str", virtio_nsm_get_pcr,
                                  NULL, NULL, (void *)i);
        object_class_property_set_description(klass, name, description);
    }
    object_class_property_add(klass, "locked-pcrs", "uint32",
                              virtio_nsm_get_locked, NULL, NULL, NULL);
    object_class_property_set_description(klass, "locked-pcrs",
        "Bit i is set if register i is locked (read-only)");

    dc->vmsd = &vmstate_virtio_nsm;
    dc->desc = "Nitro Secure Module";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    vdc->realize = virtio_nsm_realize;
    vdc->unrealize = virtio_nsm_unrealize;
    vdc->get_features = virtio_nsm_get_features;
    vdc->set_status = virtio_nsm_set_status;
    vdc->reset = virtio_nsm_driver_reset;
    vdc->queue_reset = virtio_nsm_queue_reset;
    vdc->vmsd = &vmstate_virtio_nsm_device;
}

static const TypeInfo virtio_nsm_info = {
    .name = TYPE_VIRTIO_NSM,
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIONSM),
    .instance_init = virtio_nsm_instance_init,
    .class_init = virtio_nsm_class_init,
};

static void virtio_nsm_register_types(void)
{
    type_register_static(&virtio_nsm_info);
}

type_init(virtio_nsm_register_types)
