/*
 * Starting a 64-bit Linux kernel without firmware
 *
 * The MP table has the layout of the Intel MultiProcessor Specification,
 * version 1.4, chapter 4.  nitro_enclave_setup.c reads the kernel's setup
 * header and fills the zero page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/ramblock.h"
#include "hw/i386/apic.h"
#include "hw/intc/ioapic.h"
#include "hw/i386/nitro_enclave_boot.h"
#include "trace.h"

#define ENTRY_64            0x200   /* from the load address */

#define SEL_CS              0x10
#define SEL_DS              0x18
#define SEL_TSS             0x20
#define TSS_LIMIT           0x67

/*
 * Write to the file behind guest memory.  This saves a page fault for each
 * page, and the host does not zero the pages first.  Returns the number of
 * bytes that were written.  It is 0 if there is no such file, or if the file
 * does not support write(), as on hugetlbfs.
 */
static uint64_t ne_write_memory_file(NitroEnclaveBoot *boot, uint64_t address,
                                     const uint8_t *data, uint64_t size)
{
    uint64_t done = 0;
    ssize_t n = 1;

    while (done < size && n > 0) {
        MemoryRegionSection section =
            memory_region_find(boot->as->root, address + done, size - done);
        MemoryRegion *mr = section.mr;

        n = 0;
        if (mr && memory_region_is_ram(mr) && !section.readonly &&
            qemu_ram_is_shared(mr->ram_block) &&
            memory_region_get_fd(mr) >= 0) {
            n = RETRY_ON_EINTR(pwrite(memory_region_get_fd(mr), data + done,
                                      int128_get64(section.size),
                                      mr->ram_block->fd_offset +
                                      section.offset_within_region));
        }
        done += MAX(n, 0);
        memory_region_unref(mr);
    }
    return done;
}

static bool ne_write_guest(NitroEnclaveBoot *boot, uint64_t address,
                           const void *data, uint64_t size, Error **errp)
{
    MemTxResult r;

    if (boot->fresh) {
        uint64_t done = ne_write_memory_file(boot, address, data, size);

        address += done;
        data = (const uint8_t *)data + done;
        size -= done;
    }
    r = address_space_write(boot->as, address, MEMTXATTRS_UNSPECIFIED,
                            data, size);
    if (r != MEMTX_OK) {
        error_setg(errp, "cannot write %" PRIu64 " bytes to guest memory at 0x%"
                   PRIx64, size, address);
        return false;
    }
    return true;
}

void nitro_enclave_load_begin(NitroEnclaveBoot *boot, AddressSpace *as,
                              bool fresh, uint64_t below_4g,
                              uint64_t above_4g, uint64_t kernel_size,
                              uint64_t ramdisk_size)
{
    *boot = (NitroEnclaveBoot) {
        .as = as,
        .fresh = fresh,
        .ram = { .below_4g = below_4g, .above_4g = above_4g },
        .kernel_size = kernel_size,
        .ramdisk_size = ramdisk_size,
    };
}

bool nitro_enclave_load_kernel(NitroEnclaveBoot *boot, const void *data,
                               size_t size, Error **errp)
{
    const uint8_t *p = data;
    size_t take;

    if (boot->kernel_size < NE_SETUP_HEADER_END) {
        error_setg(errp, "the kernel of %" PRIu64 " bytes is not a bzImage",
                   boot->kernel_size);
        return false;
    }

    /* Read the setup header first: it has the size of the setup code. */
    if (boot->header_done < NE_SETUP_HEADER_END) {
        take = MIN(size, NE_SETUP_HEADER_END - boot->header_done);
        memcpy(boot->header + boot->header_done, p, take);
        boot->header_done += take;
        boot->kernel_done += take;
        p += take;
        size -= take;
        if (boot->header_done == NE_SETUP_HEADER_END &&
            (!nitro_enclave_setup_parse(boot->header, boot->kernel_size,
                                        &boot->setup, errp) ||
             !nitro_enclave_setup_place(&boot->setup, &boot->ram,
                                        boot->ramdisk_size,
                                        &boot->ramdisk_address, errp))) {
            return false;
        }
    }
    /* Skip the rest of the setup code: it is for real mode, which is unused. */
    if (size && boot->kernel_done < boot->setup.size) {
        take = MIN(size, boot->setup.size - boot->kernel_done);
        boot->kernel_done += take;
        p += take;
        size -= take;
    }
    if (!size) {
        return true;
    }

    if (!ne_write_guest(boot, boot->setup.load_address +
                        boot->kernel_done - boot->setup.size, p, size, errp)) {
        return false;
    }
    boot->kernel_done += size;
    return true;
}

bool nitro_enclave_load_ramdisk(NitroEnclaveBoot *boot, const void *data,
                                size_t size, Error **errp)
{
    if (boot->kernel_done != boot->kernel_size ||
        size > boot->ramdisk_size - boot->ramdisk_done) {
        error_setg(errp, "ramdisk data where none is expected");
        return false;
    }
    if (!ne_write_guest(boot, boot->ramdisk_address + boot->ramdisk_done, data,
                        size, errp)) {
        return false;
    }
    boot->ramdisk_done += size;
    return true;
}

static bool ne_write_zero_page(NitroEnclaveBoot *boot, Error **errp)
{
    g_autofree uint8_t *zp = g_malloc(NE_SETUP_ZERO_PAGE_SIZE);

    nitro_enclave_setup_zero_page(&boot->setup, boot->header, &boot->ram,
                                  NE_BOOT_CMDLINE, boot->ramdisk_address,
                                  boot->ramdisk_size, zp);
    return ne_write_guest(boot, NE_BOOT_ZERO_PAGE, zp,
                          NE_SETUP_ZERO_PAGE_SIZE, errp);
}

/* The first 4 GiB, identity-mapped with pages of 2 MiB. */
static bool ne_write_page_tables(NitroEnclaveBoot *boot, Error **errp)
{
    const uint64_t table = 0x3;         /* present, writable */
    const uint64_t large_page = 0x83;   /* and of 2 MiB */
    g_autofree uint8_t *pt = g_malloc0(6 * 4 * KiB);
    unsigned i;

    stq_le_p(pt, (NE_BOOT_PAGE_TABLES + 0x1000) | table);
    for (i = 0; i < 4; i++) {
        stq_le_p(pt + 0x1000 + 8 * i,
                 (NE_BOOT_PAGE_TABLES + 0x2000 + 0x1000 * i) | table);
    }
    for (i = 0; i < 4 * 512; i++) {
        stq_le_p(pt + 0x2000 + 8 * i, i * 2 * MiB | large_page);
    }
    return ne_write_guest(boot, NE_BOOT_PAGE_TABLES, pt, 6 * 4 * KiB, errp);
}

static bool ne_write_descriptors(NitroEnclaveBoot *boot, Error **errp)
{
    uint8_t gdt[SEL_TSS + 16] = { };
    uint8_t tss[TSS_LIMIT + 1] = { };

    stq_le_p(gdt + SEL_CS, 0x00af9b000000ffffULL);  /* flat 64-bit code */
    stq_le_p(gdt + SEL_DS, 0x00cf93000000ffffULL);  /* flat data */
    stq_le_p(gdt + SEL_TSS, TSS_LIMIT | (uint64_t)NE_BOOT_TSS << 16 |
             0x8bULL << 40);                        /* busy 64-bit TSS */
    stw_le_p(tss + 0x66, sizeof(tss));              /* no I/O bitmap */
    return ne_write_guest(boot, NE_BOOT_TSS, tss, sizeof(tss), errp) &&
           ne_write_guest(boot, NE_BOOT_GDT, gdt, sizeof(gdt), errp);
}

/*
 * A kernel that reboots through the BIOS jumps here in real mode.  As a PC's
 * firmware does, this code resets through the keyboard controller.
 */
static bool ne_write_bios_vector(NitroEnclaveBoot *boot, Error **errp)
{
    static const uint8_t code[] = {
        0xb0, 0xfe,     /* mov $0xfe, %al */
        0xe6, 0x64,     /* out %al, $0x64 */
        0xf4,           /* hlt */
        0xeb, 0xfd,     /* jmp to the hlt */
    };

    return ne_write_guest(boot, NE_BOOT_BIOS_VECTOR, code, sizeof(code), errp);
}

static uint8_t ne_mp_checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    while (size--) {
        sum += *data++;
    }
    return -sum;
}

static void ne_mp_interrupt(GByteArray *table, uint8_t entry_type, uint8_t type,
                            uint16_t flags, uint8_t irq, uint8_t dest,
                            uint8_t pin)
{
    uint8_t e[8] = { entry_type, type, 0, 0, 0, irq, dest, pin };

    stw_le_p(e + 2, flags);
    g_byte_array_append(table, e, sizeof(e));
}

static GByteArray *ne_mp_table(const NitroEnclaveCPU *cpus, unsigned num_cpus,
                               uint16_t level_irqs)
{
    enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INT, ENTRY_LINT };
    enum { TYPE_INT, TYPE_NMI, TYPE_SMI, TYPE_EXTINT };
    const uint16_t conforms = 0x0, level_high = 0xd;
    const uint8_t ioapic_id = 0;    /* that of its ID register after reset */
    const uint8_t all_cpus = 0xff;
    GByteArray *table = g_byte_array_new();
    uint8_t header[44] = { };
    uint8_t bus[8] = { ENTRY_BUS, 0, 'I', 'S', 'A', ' ', ' ', ' ' };
    uint8_t ioapic[8] = { ENTRY_IOAPIC, ioapic_id, 0x11, 1 };
    unsigned entries = num_cpus + 2;
    unsigned i;

    g_byte_array_append(table, header, sizeof(header));
    for (i = 0; i < num_cpus; i++) {
        uint8_t cpu[20] = { ENTRY_CPU, cpus[i].apic_id, 0x14,
                            i ? 0x1 : 0x3 };    /* enabled; boot processor */

        stl_le_p(cpu + 4, cpus[i].signature);
        stl_le_p(cpu + 8, cpus[i].features);
        g_byte_array_append(table, cpu, sizeof(cpu));
    }
    g_byte_array_append(table, bus, sizeof(bus));
    stl_le_p(ioapic + 4, IO_APIC_DEFAULT_ADDRESS);
    g_byte_array_append(table, ioapic, sizeof(ioapic));

    /* The timer is on pin 2, so the cascaded PIC has no pin. */
    for (i = 0; i < 16; i++) {
        if (i != 2) {
            ne_mp_interrupt(table, ENTRY_INT, TYPE_INT,
                            level_irqs & (1 << i) ? level_high : conforms,
                            i, ioapic_id, i ? i : 2);
            entries++;
        }
    }
    ne_mp_interrupt(table, ENTRY_LINT, TYPE_EXTINT, conforms, 0,
                    cpus[0].apic_id, 0);
    ne_mp_interrupt(table, ENTRY_LINT, TYPE_NMI, conforms, 0, all_cpus, 1);
    entries += 2;

    memcpy(header, "PCMP", 4);
    stw_le_p(header + 4, table->len);
    header[6] = 4;                              /* specification 1.4 */
    memcpy(header + 8, "QEMU    ", 8);
    memcpy(header + 16, "NITROENCLAVE", 12);
    stw_le_p(header + 34, entries);
    stl_le_p(header + 36, APIC_DEFAULT_ADDRESS);
    memcpy(table->data, header, sizeof(header));
    table->data[7] = ne_mp_checksum(table->data, table->len);
    return table;
}

static bool ne_write_mp_table(NitroEnclaveBoot *boot,
                              const NitroEnclaveCPU *cpus,
                              unsigned num_cpus, uint16_t level_irqs,
                              Error **errp)
{
    g_autoptr(GByteArray) table = ne_mp_table(cpus, num_cpus, level_irqs);
    uint8_t pointer[16] = { '_', 'M', 'P', '_' };

    stl_le_p(pointer + 4, NE_BOOT_MP_TABLE);
    pointer[8] = 1;                             /* 16 bytes */
    pointer[9] = 4;                             /* specification 1.4 */
    pointer[10] = ne_mp_checksum(pointer, sizeof(pointer));
    return ne_write_guest(boot, NE_BOOT_MP_TABLE, table->data, table->len,
                          errp) &&
           ne_write_guest(boot, NE_BOOT_MP_POINTER, pointer, sizeof(pointer),
                          errp);
}

bool nitro_enclave_load_finish(NitroEnclaveBoot *boot, const char *cmdline,
                               const NitroEnclaveCPU *cpus, unsigned num_cpus,
                               uint16_t level_irqs, Error **errp)
{
    size_t length = strlen(cmdline);
    size_t limit = MIN(boot->setup.cmdline_max, NE_BOOT_CMDLINE_MAX - 1);

    if (boot->kernel_done != boot->kernel_size ||
        boot->ramdisk_done != boot->ramdisk_size) {
        error_setg(errp, "the image is not complete");
        return false;
    }
    if (length > limit) {
        error_setg(errp, "the command line, with -append and the announcement"
                   " of devices, is %zu bytes long, and the kernel takes %zu",
                   length, limit);
        return false;
    }
    trace_nitro_enclave_boot(boot->setup.load_address,
                             boot->setup.init_size,
                             boot->ramdisk_address, boot->ramdisk_size,
                             num_cpus, cmdline);
    return ne_write_guest(boot, NE_BOOT_CMDLINE, cmdline, length + 1, errp) &&
           ne_write_zero_page(boot, errp) &&
           ne_write_page_tables(boot, errp) &&
           ne_write_descriptors(boot, errp) &&
           ne_write_bios_vector(boot, errp) &&
           ne_write_mp_table(boot, cpus, num_cpus, level_irqs, errp);
}

void nitro_enclave_boot_set_cpu(const NitroEnclaveBoot *boot, X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    const unsigned flags = DESC_P_MASK | DESC_S_MASK | DESC_A_MASK |
                           DESC_G_MASK;
    const unsigned code = flags | DESC_CS_MASK | DESC_R_MASK | DESC_L_MASK;
    const unsigned data = flags | DESC_W_MASK | DESC_B_MASK;

    env->gdt.base = NE_BOOT_GDT;
    env->gdt.limit = SEL_TSS + 16 - 1;
    env->tr.selector = SEL_TSS;
    env->tr.base = NE_BOOT_TSS;
    env->tr.limit = TSS_LIMIT;
    env->tr.flags = DESC_P_MASK | (11 << DESC_TYPE_SHIFT);

    /*
     * The order matters.  Paging needs CR4.PAE and EFER.LME.  It sets EFER.LMA,
     * which the helper that loads CS reads.
     */
    cpu_x86_update_cr4(env, CR4_PAE_MASK);
    cpu_load_efer(env, env->efer | MSR_EFER_LME);
    env->cr[3] = NE_BOOT_PAGE_TABLES;
    cpu_x86_update_cr0(env, CR0_PE_MASK | CR0_PG_MASK | CR0_ET_MASK);
    cpu_x86_load_seg_cache(env, R_CS, SEL_CS, 0, 0xffffffff, code);
    cpu_x86_load_seg_cache(env, R_SS, SEL_DS, 0, 0xffffffff, data);
    cpu_x86_load_seg_cache(env, R_DS, SEL_DS, 0, 0xffffffff, data);
    cpu_x86_load_seg_cache(env, R_ES, SEL_DS, 0, 0xffffffff, data);
    cpu_x86_load_seg_cache(env, R_FS, 0, 0, 0, 0);
    cpu_x86_load_seg_cache(env, R_GS, 0, 0, 0, 0);

    env->regs[R_ESI] = NE_BOOT_ZERO_PAGE;
    env->eip = boot->setup.load_address + ENTRY_64;
    CPU(cpu)->halted = 0;
}
