/*
 * The nitro-enclave machine: an AWS Nitro Enclave outside EC2
 *
 * The machine is derived from microvm and boots an enclave image file (EIF) as
 * the Nitro hypervisor does.  It checks and measures the image while it loads
 * it into guest memory, and the first vCPU starts in the kernel, without
 * firmware.  The guest has a Nitro Secure Module (NSM) that attests the
 * measurements, a vsock whose back end is another process (vhost-user), a
 * serial console, and a reset port.
 *
 * This file has the machine's options and creates its parts.  hw/core/eif.c
 * reads the file format, and nitro_enclave_boot.c starts the kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "chardev/char-socket.h"
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#include "hw/core/eif-signature.h"
#include "hw/i386/nitro_enclave.h"
#include "hw/i386/x86.h"
#include "hw/loader.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/virtio/vhost-user-vsock.h"
#include "hw/virtio/virtio-mmio.h"
#include "qom/object_interfaces.h"
#include "system/hostmem.h"
#include "system/hw_accel.h"
#include "system/kvm.h"
#include "system/numa.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "system/rtc.h"
#include "system/runstate.h"
#include "system/system.h"
#include "trace.h"

#define VSOCK_TRANSPORT     0
#define NSM_TRANSPORT       1
#define RTC_IRQ             8       /* also that of virtio-mmio transport 3 */

/*
 * The reset port is the command port of a keyboard controller, which a kernel
 * uses to reboot with reboot=k.  There is no controller, and the port has only
 * the reset command.
 *
 * The status says that the input buffer is always empty, so a kernel that
 * reboots does not wait.  It also says that the output buffer is always full,
 * even after it was read.  Linux's driver reads the buffer until it is empty,
 * and after some attempts concludes that there is no controller.  If the buffer
 * was empty, the driver would wait half a second for a response.
 */

#define KBD_RESET               0xfe
#define KBD_STATUS_OUTPUT_FULL  0x01

static uint64_t ne_reset_port_read(void *opaque, hwaddr addr, unsigned size)
{
    return KBD_STATUS_OUTPUT_FULL;
}

static void ne_reset_port_write(void *opaque, hwaddr addr, uint64_t value,
                                unsigned size)
{
    trace_nitro_enclave_reset_port(value);
    if (value == KBD_RESET) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
}

static const MemoryRegionOps ne_reset_port_ops = {
    .read = ne_reset_port_read,
    .write = ne_reset_port_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 1,
};

/* The image */

static bool ne_load_piece(void *opaque, const EifSection *section,
                          uint64_t offset, const void *data, size_t size,
                          Error **errp)
{
    NitroEnclaveMachineState *nems = opaque;

    if (qatomic_read(&nems->reload_cancelled)) {
        error_setg(errp, "cancelled");
        return false;
    }
    switch (section->type) {
    case EIF_SECTION_KERNEL:
        return nitro_enclave_load_kernel(&nems->boot, data, size, errp);
    case EIF_SECTION_CMDLINE:
        g_string_append_len(nems->cmdline, data, size);
        return true;
    case EIF_SECTION_RAMDISK:
        return nitro_enclave_load_ramdisk(&nems->boot, data, size, errp);
    default:
        return true;
    }
}

/* Load the image into guest memory and measure it, in one pass. */
static bool ne_load_image(NitroEnclaveMachineState *nems, EifResult *result,
                          Error **errp)
{
    X86MachineState *x86ms = X86_MACHINE(nems);
    EifSink sink = { .data = ne_load_piece, .opaque = nems };

    if (nems->image->cmdline_size >= NE_BOOT_CMDLINE_MAX) {
        error_setg(errp, "'%s' has a command line of %" PRIu64 " bytes: the"
                   " limit is %d", nems->image->path,
                   nems->image->cmdline_size, NE_BOOT_CMDLINE_MAX - 1);
        return false;
    }
    g_string_truncate(nems->cmdline, 0);
    nitro_enclave_load_begin(&nems->boot, &address_space_memory,
                             !nems->guest_ran, x86ms->below_4g_mem_size,
                             x86ms->above_4g_mem_size,
                             nems->image->kernel_size,
                             nems->image->ramdisk_size);
    if (!eif_load(nems->image, &sink, result, errp)) {
        return false;
    }
    /* The text ends at the first NUL, or at the end of the section. */
    g_string_truncate(nems->cmdline, strlen(nems->cmdline->str));
    return true;
}

static bool ne_load_image_first(NitroEnclaveMachineState *nems, Error **errp)
{
    MachineState *machine = MACHINE(nems);

    nems->image = eif_open(machine->kernel_filename, errp);
    if (!nems->image) {
        return false;
    }
    if (nems->image->flags & EIF_FLAG_AARCH64) {
        error_setg(errp, "'%s' is an enclave image for aarch64 (its flags are "
                   "0x%04x), only x86_64 is supported", nems->image->path,
                   nems->image->flags);
        return false;
    }
    if (machine->initrd_filename &&
        !eif_add_ramdisk(nems->image, machine->initrd_filename, errp)) {
        return false;
    }
    if (!ne_load_image(nems, &nems->measured, errp) ||
        !eif_check_crc(nems->image, &nems->measured, errp) ||
        !eif_verify_signature(nems->image, &nems->measured,
                              qemu_rtc_host_ms() / 1000, errp)) {
        return false;
    }
    trace_nitro_enclave_loaded(nems->image->path, nems->measured.crc32);
    return true;
}

/* microvm calls this after it created guest memory, if -kernel is given. */
static void ne_x86_load_linux(X86MachineState *x86ms, FWCfgState *fw_cfg,
                              int acpi_data_size, bool pvh_enabled)
{
    ne_load_image_first(NITRO_ENCLAVE_MACHINE(x86ms), &error_fatal);
}

/*
 * Load the image into guest memory again, for another boot.  Its measurements
 * must be those of the first boot.
 */
static bool ne_reload_image(NitroEnclaveMachineState *nems, Error **errp)
{
    g_auto(EifResult) again = { };

    if (!ne_load_image(nems, &again, errp)) {
        return false;
    }
    if (again.crc32 != nems->measured.crc32 ||
        memcmp(again.pcr0, nems->measured.pcr0, NITRO_PCR_SIZE) != 0) {
        error_setg(errp, "'%s' has changed since it was first booted (CRC"
                   " 0x%08" PRIx32 ", was 0x%08" PRIx32 ")",
                   nems->image->path, again.crc32, nems->measured.crc32);
        return false;
    }
    return true;
}

/*
 * Write the boot parameters to guest memory.  The command line consists of that
 * of the image, the text of -append, and the addresses of the virtio-mmio
 * devices.  The MP table describes CPUs and interrupts.
 */
static bool ne_finish_boot(NitroEnclaveMachineState *nems, Error **errp)
{
    MachineState *machine = MACHINE(nems);
    MicrovmMachineState *mms = MICROVM_MACHINE(nems);
    const CPUArchIdList *possible = machine->possible_cpus;
    g_autofree NitroEnclaveCPU *cpus = g_new0(NitroEnclaveCPU, possible->len);
    g_autofree char *cmdline = NULL;
    g_autofree char *mmio = NULL;
    uint16_t level_irqs = 0;
    unsigned num_cpus = 0;
    int i;

    for (i = 0; i < possible->len; i++) {
        CPUX86State *env;

        if (!possible->cpus[i].cpu) {
            continue;
        }
        env = &X86_CPU(possible->cpus[i].cpu)->env;
        cpus[num_cpus++] = (NitroEnclaveCPU) {
            .apic_id = possible->cpus[i].arch_id,
            .signature = env->cpuid_version,
            .features = env->features[FEAT_1_EDX],
        };
    }
    for (i = 0; i < mms->virtio_num_transports; i++) {
        level_irqs |= 1 << (mms->virtio_irq_base + i);
    }
    level_irqs &= ~(1 << RTC_IRQ);

    mmio = mms->auto_kernel_cmdline ? microvm_virtio_mmio_cmdline(mms) : NULL;
    cmdline = g_strconcat(nems->cmdline->str,
                          machine->kernel_cmdline[0] ? " " : "",
                          machine->kernel_cmdline, mmio, NULL);
    return nitro_enclave_load_finish(&nems->boot, cmdline, cpus, num_cpus,
                                     level_irqs, errp);
}

static void nitro_enclave_machine_done(Notifier *notifier, void *data)
{
    NitroEnclaveMachineState *nems = container_of(notifier,
                                                  NitroEnclaveMachineState,
                                                  machine_done);

    /* The command line lists the devices, and all of them exist now. */
    if (nems->image) {
        ne_finish_boot(nems, &error_fatal);
    }
}

static void nitro_enclave_state_change(void *opaque, bool running,
                                       RunState state)
{
    NitroEnclaveMachineState *nems = opaque;

    if (running) {
        nems->guest_ran = true;
    }
}

/* Park vCPU 0: it waits for a startup interrupt that nobody sends. */
static void ne_park_cpu(X86CPU *cpu)
{
    CPU(cpu)->halted = 1;
#ifdef CONFIG_KVM
    /* KVM has this state only with its own APIC.  Otherwise QEMU waits. */
    if (kvm_irqchip_in_kernel()) {
        cpu->env.mp_state = KVM_MP_STATE_UNINITIALIZED;
    }
#endif
}

/* Start the parked vCPU 0 in the kernel.  Runs in the vCPU's thread. */
static void ne_start_cpu(CPUState *cs, run_on_cpu_data data)
{
    NitroEnclaveMachineState *nems = data.host_ptr;
    X86CPU *cpu = X86_CPU(cs);

    cpu_synchronize_state(cs);
    nitro_enclave_boot_set_cpu(&nems->boot, cpu);
#ifdef CONFIG_KVM
    if (kvm_enabled()) {
        cpu->env.mp_state = KVM_MP_STATE_RUNNABLE;
    }
#endif
    /* QEMU passes mp_state to KVM only with the state after a reset. */
    cpu_synchronize_post_reset(cs);
}

static void ne_reload_failed(Error *err)
{
    error_report_err(err);
    qemu_system_shutdown_request_with_code(SHUTDOWN_CAUSE_HOST_ERROR,
                                           EXIT_FAILURE);
}

/* The reload thread has succeeded or failed.  Runs in the main loop. */
static void ne_reload_done(void *opaque)
{
    NitroEnclaveMachineState *nems = opaque;
    Error *err = NULL;

    g_thread_join(g_steal_pointer(&nems->reload_thread));
    err = g_steal_pointer(&nems->reload_error);
    if (err || !ne_finish_boot(nems, &err)) {
        /* vCPU 0 stays parked, so memory that was not measured never runs. */
        ne_reload_failed(err);
        return;
    }
    trace_nitro_enclave_reloaded(nems->image->path);
    nems->guest_ran = runstate_is_running();
    run_on_cpu(first_cpu, ne_start_cpu, RUN_ON_CPU_HOST_PTR(nems));
    qemu_cpu_kick(first_cpu);
}

static void *ne_reload_thread(void *opaque)
{
    NitroEnclaveMachineState *nems = opaque;

    rcu_register_thread();
    ne_reload_image(nems, &nems->reload_error);
    rcu_unregister_thread();
    qemu_bh_schedule(nems->reload_bh);
    return NULL;
}

static void ne_cancel_reload(NitroEnclaveMachineState *nems)
{
    if (nems->reload_thread) {
        qatomic_set(&nems->reload_cancelled, true);
        g_thread_join(g_steal_pointer(&nems->reload_thread));
        qatomic_set(&nems->reload_cancelled, false);
        qemu_bh_cancel(nems->reload_bh);
        error_free(g_steal_pointer(&nems->reload_error));
    }
}

/*
 * Load the image again in a thread, because it may take seconds: the monitor
 * and other users of the big QEMU lock must not wait so long.  No vCPU runs
 * meanwhile, because the first one is parked and starts the others.
 */
static bool ne_start_reload(NitroEnclaveMachineState *nems, Error **errp)
{
    g_autoptr(GError) gerr = NULL;

    ne_park_cpu(X86_CPU(first_cpu));
    nems->reload_thread = g_thread_try_new("ne-reload", ne_reload_thread, nems,
                                           &gerr);
    if (!nems->reload_thread) {
        error_setg(errp, "cannot start a thread to load the image again: %s",
                   gerr->message);
        return false;
    }
    return true;
}

static void nitro_enclave_exit(Notifier *notifier, void *data)
{
    ne_cancel_reload(container_of(notifier, NitroEnclaveMachineState, exit));
}

static void nitro_enclave_reset(MachineState *machine, ResetType type)
{
    NitroEnclaveMachineState *nems = NITRO_ENCLAVE_MACHINE(machine);
    NitroEnclaveMachineClass *nemc = NITRO_ENCLAVE_MACHINE_GET_CLASS(machine);
    Error *err = NULL;

    nemc->parent_reset(machine, type);
    /* A snapshot contains the state of memory and CPUs. */
    if (!nems->image || type == RESET_TYPE_SNAPSHOT_LOAD) {
        return;
    }

    ne_cancel_reload(nems);
    if (!nems->guest_ran) {
        nitro_enclave_boot_set_cpu(&nems->boot, X86_CPU(first_cpu));
    } else if (!ne_start_reload(nems, &err)) {
        ne_reload_failed(err);
    }
}

/* Memory */

/*
 * Create guest memory if the user gave no memory backend.  It is shared,
 * because the vsock back end is another process.
 */
static bool ne_create_memdev(MachineState *machine, const char *path,
                             Error **errp)
{
    MachineClass *mc = MACHINE_GET_CLASS(machine);
    const char *type = path ? TYPE_MEMORY_BACKEND_FILE
                            : TYPE_MEMORY_BACKEND_MEMFD;
    g_autoptr(Object) backend = NULL;

    if (!object_class_by_name(type)) {
        error_setg(errp, "guest memory must be shared, and this host has no"
                   " %s: use -mem-path or -M memory-backend", type);
        return false;
    }
    backend = object_new(type);
    if ((path && !object_property_set_str(backend, "mem-path", path, errp)) ||
        !object_property_set_bool(backend, "share", true, errp) ||
        !object_property_set_int(backend, "size", machine->ram_size, errp)) {
        return false;
    }
    object_property_add_child(object_get_objects_root(), mc->default_ram_id,
                              backend);
    /* The memory region's name is then default_ram_id, as for any machine. */
    return object_property_set_bool(backend,
                                    "x-use-canonical-path-for-ramblock-id",
                                    false, errp) &&
           user_creatable_complete(USER_CREATABLE(backend), errp) &&
           object_property_set_link(OBJECT(machine), "memory-backend", backend,
                                    errp);
}

static bool ne_check_shared(HostMemoryBackend *backend, Error **errp)
{
    MemoryRegion *mr = host_memory_backend_get_memory(backend);

    if (!memory_region_is_ram(mr) || !qemu_ram_is_shared(mr->ram_block) ||
        memory_region_get_fd(mr) < 0) {
        error_setg(errp, "the memory backend '%s' is not shared, and the vsock"
                   " back end is another process: use memory-backend-memfd,"
                   " memory-backend-file or memory-backend-ram with share=on",
                   object_get_canonical_path_component(OBJECT(backend)));
        return false;
    }
    return true;
}

static bool ne_check_memory(MachineState *machine, Error **errp)
{
    int i;

    if (machine->memdev) {
        return ne_check_shared(machine->memdev, errp);
    }
    for (i = 0; machine->numa_state && i < machine->numa_state->num_nodes;
         i++) {
        HostMemoryBackend *backend = machine->numa_state->nodes[i].node_memdev;

        if (backend && !ne_check_shared(backend, errp)) {
            return false;
        }
    }
    return true;
}

/* The machine */

static bool ne_check_options(NitroEnclaveMachineState *nems, Error **errp)
{
    MachineState *machine = MACHINE(nems);
    MicrovmMachineState *mms = MICROVM_MACHINE(nems);
    X86MachineState *x86ms = X86_MACHINE(nems);
    /* Ids rise with the index, and have gaps between cores and sockets. */
    unsigned last_cpu = machine->smp.cpus - 1;
    uint32_t last_apic_id = x86_cpu_apic_id_from_index(x86ms, last_cpu);

    if (x86ms->acpi != ON_OFF_AUTO_OFF) {
        error_setg(errp, "acpi=%s: a nitro-enclave machine has no ACPI",
                   OnOffAuto_str(x86ms->acpi));
    } else if (mms->pcie == ON_OFF_AUTO_ON) {
        error_setg(errp, "pcie=on: a nitro-enclave machine has no PCI");
    } else if (mms->ioapic2 == ON_OFF_AUTO_ON) {
        error_setg(errp, "ioapic2=on: a nitro-enclave machine has one I/O"
                   " APIC");
    } else if (x86ms->pit == ON_OFF_AUTO_OFF) {
        error_setg(errp, "pit=off: the guest needs its timer");
    } else if (x86ms->pic == ON_OFF_AUTO_OFF) {
        error_setg(errp, "pic=off: the guest needs its interrupt controller");
    } else if (last_apic_id > 254) {
        error_setg(errp, "-smp: the APIC id %" PRIu32 " of CPU %u is above 254,"
                   " the highest that an MP table can name: use powers of two"
                   " for dies, cores and threads, or fewer CPUs", last_apic_id,
                   last_cpu);
    } else if (machine->firmware) {
        error_setg(errp, "-bios %s: a nitro-enclave machine has no firmware",
                   machine->firmware);
    } else if (machine->dtb) {
        error_setg(errp, "-dtb %s: a nitro-enclave machine has no device tree",
                   machine->dtb);
    } else if (nb_option_roms) {
        error_setg(errp, "-option-rom %s: a nitro-enclave machine has no"
                   " firmware to run it", option_rom[0].name);
    } else if (!machine->kernel_filename &&
               (machine->initrd_filename || machine->kernel_cmdline[0])) {
        error_setg(errp, "-initrd and -append need -kernel with an enclave"
                   " image");
    } else if (!machine->kernel_filename && !qtest_enabled()) {
        error_setg(errp, "-kernel is missing: the enclave image file (EIF) to"
                   " boot");
    } else if (!nems->vsock && !qtest_enabled()) {
        error_setg(errp, "-M nitro-enclave,vsock=ID is missing: the id of the"
                   " chardev that leads to the vsock back end");
    } else {
        return true;
    }
    return false;
}

/* The kernel starts in long mode, which some CPU models do not have. */
static bool ne_check_cpu(MachineState *machine, Error **errp)
{
    CPUX86State *env = &X86_CPU(first_cpu)->env;

    if (!(env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM)) {
        error_setg(errp, "-cpu: %s has no long mode (lm), in which an enclave's"
                   " kernel is started", machine->cpu_type);
        return false;
    }
    return true;
}

static BusState *ne_virtio_mmio_bus(unsigned transport)
{
    g_autofree char *name = g_strdup_printf("virtio-mmio-bus.%u", transport);
    BusChild *kid;

    QTAILQ_FOREACH(kid, &sysbus_get_default()->children, sibling) {
        if (object_dynamic_cast(OBJECT(kid->child), TYPE_VIRTIO_MMIO)) {
            BusState *bus = BUS(&VIRTIO_MMIO(kid->child)->bus);

            if (!strcmp(bus->name, name)) {
                return bus;
            }
        }
    }
    g_assert_not_reached();
}

static bool ne_create_vsock(NitroEnclaveMachineState *nems, Error **errp)
{
    Chardev *chr = qemu_chr_find(nems->vsock);
    DeviceState *dev;

    if (!chr) {
        error_setg(errp, "vsock=%s: no chardev has this id", nems->vsock);
        return false;
    }
    if (!object_dynamic_cast(OBJECT(chr), TYPE_CHARDEV_SOCKET)) {
        error_setg(errp, "vsock=%s: this chardev is no socket", nems->vsock);
        return false;
    }
    dev = qdev_new(TYPE_VHOST_USER_VSOCK);
    qdev_prop_set_chr(dev, "chardev", chr);
    return qdev_realize_and_unref(dev, ne_virtio_mmio_bus(VSOCK_TRANSPORT),
                                  errp);
}

/* PCR @index is extended, from zero, with @text.  Without @text, it is zero. */
static bool ne_set_text_pcr(VirtIONSM *nsm, unsigned index, const char *text,
                            Error **errp)
{
    uint8_t value[NITRO_PCR_SIZE] = { };

    if (text && text[0] &&
        !nitro_pcr_extend(value, text, strlen(text), errp)) {
        return false;
    }
    virtio_nsm_set_start_pcr(nsm, index, value, true);
    return true;
}

/*
 * Set the values that the PCRs have after each reset.  In debug mode, those of
 * the image are zero, as on EC2, so the NSM does not attest the image.
 */
static bool ne_set_start_pcrs(NitroEnclaveMachineState *nems, Error **errp)
{
    const EifResult *measured = &nems->measured;

    if (!nems->debug_mode) {
        virtio_nsm_set_start_pcr(nems->nsm, 0, measured->pcr0, true);
        virtio_nsm_set_start_pcr(nems->nsm, 1, measured->pcr1, true);
        virtio_nsm_set_start_pcr(nems->nsm, 2, measured->pcr2, true);
        virtio_nsm_set_start_pcr(nems->nsm, 8, measured->pcr8, true);
    }
    return ne_set_text_pcr(nems->nsm, 3, nems->parent_role, errp) &&
           ne_set_text_pcr(nems->nsm, 4, nems->parent_id, errp);
}

static bool ne_create_nsm(NitroEnclaveMachineState *nems, Error **errp)
{
    DeviceState *dev = qdev_new(TYPE_VIRTIO_NSM);

    /* Users can read its properties in the monitor: /machine/nsm. */
    object_property_add_child(OBJECT(nems), "nsm", OBJECT(dev));
    nems->nsm = VIRTIO_NSM(dev);
    if (nems->id) {
        if (!nsm_check_module_id("id", nems->id, errp)) {
            return false;
        }
        qdev_prop_set_string(dev, "module-id", nems->id);
    }
    if (nems->attestation_ca_cert) {
        qdev_prop_set_string(dev, "attestation-ca-cert",
                             nems->attestation_ca_cert);
    }
    if (nems->attestation_ca_key) {
        qdev_prop_set_string(dev, "attestation-ca-key",
                             nems->attestation_ca_key);
    }
    return ne_set_start_pcrs(nems, errp) &&
           qdev_realize_and_unref(dev, ne_virtio_mmio_bus(NSM_TRANSPORT), errp);
}

static void nitro_enclave_init(MachineState *machine)
{
    NitroEnclaveMachineState *nems = NITRO_ENCLAVE_MACHINE(machine);
    NitroEnclaveMachineClass *nemc = NITRO_ENCLAVE_MACHINE_GET_CLASS(machine);
    MicrovmMachineState *mms = MICROVM_MACHINE(machine);

    if (!ne_check_options(nems, &error_fatal) ||
        !ne_check_memory(machine, &error_fatal)) {
        return;
    }

    nemc->parent_init(machine);

    memory_region_init_io(&nems->reset_port, OBJECT(machine),
                          &ne_reset_port_ops,
                          nems, "nitro-enclave-reset", 1);
    memory_region_add_subregion(get_system_io(), NITRO_ENCLAVE_RESET_PORT,
                                &nems->reset_port);

    /* One transport would share the RTC's interrupt, so it gets no device. */
    qbus_mark_full(ne_virtio_mmio_bus(RTC_IRQ - mms->virtio_irq_base));

    if (machine->kernel_filename) {
        ne_check_cpu(machine, &error_fatal);
    }
    ne_create_nsm(nems, &error_fatal);
    if (nems->vsock) {
        ne_create_vsock(nems, &error_fatal);
    }
    nems->machine_done.notify = nitro_enclave_machine_done;
    qemu_add_machine_init_done_notifier(&nems->machine_done);
    qemu_add_vm_change_state_handler(nitro_enclave_state_change, nems);
    nems->reload_bh = qemu_bh_new(ne_reload_done, nems);
    nems->exit.notify = nitro_enclave_exit;
    qemu_add_exit_notifier(&nems->exit);
}

static char *ne_get_string(char *const *value)
{
    return g_strdup(*value ? *value : "");
}

/* An option is used while the machine is initialized, and never again. */
static bool ne_check_changeable(const char *option, Error **errp)
{
    if (phase_check(PHASE_MACHINE_INITIALIZED)) {
        error_setg(errp, "%s cannot be changed after the machine has started:"
                   " give it with -M",
                   option);
        return false;
    }
    return true;
}

static void ne_set_string(char **field, const char *option, const char *value,
                          Error **errp)
{
    if (ne_check_changeable(option, errp)) {
        g_free(*field);
        *field = g_strdup(value);
    }
}

#define STRING_OPTION(name, option)                                     \
    static char *nitro_enclave_get_##name(Object *obj, Error **errp)    \
    {                                                                   \
        return ne_get_string(&NITRO_ENCLAVE_MACHINE(obj)->name);        \
    }                                                                   \
    static void nitro_enclave_set_##name(Object *obj, const char *value, \
                                         Error **errp)                  \
    {                                                                   \
        ne_set_string(&NITRO_ENCLAVE_MACHINE(obj)->name, option, value, \
                      errp);                                            \
    }

STRING_OPTION(vsock, "vsock")
STRING_OPTION(id, "id")
STRING_OPTION(parent_role, "parent-role")
STRING_OPTION(parent_id, "parent-id")
STRING_OPTION(attestation_ca_cert, "attestation-ca-cert")
STRING_OPTION(attestation_ca_key, "attestation-ca-key")

static char *nitro_enclave_get_attestation_root(Object *obj, Error **errp)
{
    VirtIONSM *nsm = NITRO_ENCLAVE_MACHINE(obj)->nsm;

    return nsm ? object_property_get_str(OBJECT(nsm), "attestation-root", errp)
               : g_strdup("");
}

static bool nitro_enclave_get_debug_mode(Object *obj, Error **errp)
{
    return NITRO_ENCLAVE_MACHINE(obj)->debug_mode;
}

static void nitro_enclave_set_debug_mode(Object *obj, bool value, Error **errp)
{
    if (ne_check_changeable("debug-mode", errp)) {
        NITRO_ENCLAVE_MACHINE(obj)->debug_mode = value;
    }
}

static bool nitro_enclave_get_loading(Object *obj, Error **errp)
{
    return NITRO_ENCLAVE_MACHINE(obj)->reload_thread;
}

static char *ne_measurement(Object *obj, size_t offset)
{
    NitroEnclaveMachineState *nems = NITRO_ENCLAVE_MACHINE(obj);
    const uint8_t *pcr = (const uint8_t *)&nems->measured + offset;

    return nems->image ? nitro_pcr_to_hex(pcr) : g_strdup("");
}

#define MEASUREMENT(name)                                               \
    static char *nitro_enclave_get_##name(Object *obj, Error **errp)    \
    {                                                                   \
        return ne_measurement(obj, offsetof(EifResult, name));          \
    }

MEASUREMENT(pcr0)
MEASUREMENT(pcr1)
MEASUREMENT(pcr2)
MEASUREMENT(pcr8)

static void nitro_enclave_instance_init(Object *obj)
{
    /* microvm's default is "auto", which means on. */
    X86_MACHINE(obj)->acpi = ON_OFF_AUTO_OFF;
    NITRO_ENCLAVE_MACHINE(obj)->cmdline = g_string_new(NULL);
}

static void nitro_enclave_instance_finalize(Object *obj)
{
    NitroEnclaveMachineState *nems = NITRO_ENCLAVE_MACHINE(obj);

    eif_result_clear(&nems->measured);
    g_clear_pointer(&nems->image, eif_close);
    g_string_free(nems->cmdline, true);
    g_free(nems->vsock);
    g_free(nems->id);
    g_free(nems->parent_role);
    g_free(nems->parent_id);
    g_free(nems->attestation_ca_cert);
    g_free(nems->attestation_ca_key);
}

static void ne_add_options(ObjectClass *oc)
{
    static const struct {
        const char *name, *description;
        char *(*get)(Object *obj, Error **errp);
        void (*set)(Object *obj, const char *value, Error **errp);
    } strings[] = {
        { "vsock", "Id of the chardev that leads to the vhost-user-vsock back"
          " end",
          nitro_enclave_get_vsock, nitro_enclave_set_vsock },
        { "id", "Identifier of the enclave, the NSM's module id",
          nitro_enclave_get_id, nitro_enclave_set_id },
        { "parent-role", "ARN of the parent instance's IAM role",
          nitro_enclave_get_parent_role, nitro_enclave_set_parent_role },
        { "parent-id", "Instance id of the parent",
          nitro_enclave_get_parent_id, nitro_enclave_set_parent_id },
        { "attestation-ca-cert", "PEM file: P-384 root certificate for"
          " attestation documents",
          nitro_enclave_get_attestation_ca_cert,
          nitro_enclave_set_attestation_ca_cert },
        { "attestation-ca-key", "PEM file: private key of"
          " attestation-ca-cert",
          nitro_enclave_get_attestation_ca_key,
          nitro_enclave_set_attestation_ca_key },
        { "attestation-root", "Root certificate of attestation documents, PEM"
          " (read-only)", nitro_enclave_get_attestation_root },
        { "pcr0", "Measurement of the whole image, in hex (read-only)",
          nitro_enclave_get_pcr0 },
        { "pcr1", "Measurement of kernel, command line and first ramdisk, in"
          " hex (read-only)", nitro_enclave_get_pcr1 },
        { "pcr2", "Measurement of the other ramdisks, in hex (read-only)",
          nitro_enclave_get_pcr2 },
        { "pcr8", "Measurement of the signing certificate, in hex; zero for"
          " an unsigned image (read-only)", nitro_enclave_get_pcr8 },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(strings); i++) {
        object_class_property_add_str(oc, strings[i].name, strings[i].get,
                                      strings[i].set);
        object_class_property_set_description(oc, strings[i].name,
                                              strings[i].description);
    }
    object_class_property_add_bool(oc, "debug-mode",
                                   nitro_enclave_get_debug_mode,
                                   nitro_enclave_set_debug_mode);
    object_class_property_set_description(oc, "debug-mode",
        "Run the enclave in debug mode: PCR0, 1, 2 and 8 are zero");
    object_class_property_add_bool(oc, "loading", nitro_enclave_get_loading,
                                   NULL);
    object_class_property_set_description(oc, "loading",
        "Is the image being loaded again, after a reset? (read-only)");
}

static void nitro_enclave_class_init(ObjectClass *oc, void *data)
{
    /* vhost-user devices are VIRTIO 1 only. */
    static GlobalProperty compat[] = {
        { TYPE_VIRTIO_MMIO, "force-legacy", "off" },
    };
    MachineClass *mc = MACHINE_CLASS(oc);
    MicrovmMachineClass *mmc = MICROVM_MACHINE_CLASS(oc);
    NitroEnclaveMachineClass *nemc = NITRO_ENCLAVE_MACHINE_CLASS(oc);

    nemc->parent_init = mc->init;
    nemc->parent_reset = mc->reset;
    mc->init = nitro_enclave_init;
    mc->reset = nitro_enclave_reset;
    mmc->has_firmware = false;
    mmc->x86_load_linux = ne_x86_load_linux;

    mc->family = "nitro_enclave_i386";
    mc->desc = "AWS Nitro Enclave";
    mc->is_default = false;
    mc->max_cpus = NITRO_ENCLAVE_MAX_CPUS;
    mc->create_default_memdev = ne_create_memdev;
    /* microvm allows some of these devices, but they need fw_cfg. */
    mc->allowed_dynamic_sysbus_devices = NULL;

    compat_props_add(mc->compat_props, compat, G_N_ELEMENTS(compat));
    ne_add_options(oc);
}

static const TypeInfo nitro_enclave_machine_info = {
    .name = TYPE_NITRO_ENCLAVE_MACHINE,
    .parent = TYPE_MICROVM_MACHINE,
    .instance_size = sizeof(NitroEnclaveMachineState),
    .instance_init = nitro_enclave_instance_init,
    .instance_finalize = nitro_enclave_instance_finalize,
    .class_size = sizeof(NitroEnclaveMachineClass),
    .class_init = nitro_enclave_class_init,
};

static void nitro_enclave_register_types(void)
{
    type_register_static(&nitro_enclave_machine_info);
}

type_init(nitro_enclave_register_types)
