/*
 * Starting a 64-bit Linux kernel without firmware
 *
 * Places a bzImage and its ramdisks in guest memory and hands vCPU 0 over to
 * the kernel in long mode, as the Linux/x86 64-bit boot protocol has it (Linux,
 * Documentation/arch/x86/boot.rst), with an MP table (Intel MultiProcessor
 * Specification 1.4) for a guest that has no ACPI.
 *
 * This knows guest memory and boot parameters, and nothing of files: the image
 * comes in pieces, in the order kernel, ramdisks, and every piece goes to guest
 * memory at once.  Everything in it is taken for hostile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_NITRO_ENCLAVE_BOOT_H
#define HW_I386_NITRO_ENCLAVE_BOOT_H

#include "exec/memory.h"
#include "hw/i386/nitro_enclave_setup.h"
#include "target/i386/cpu.h"

/* Everything below 640 KiB and 1 MiB that the hand-over needs, in bytes. */
#define NE_BOOT_GDT         0x6000
#define NE_BOOT_TSS         0x6800
#define NE_BOOT_ZERO_PAGE   0x7000
#define NE_BOOT_PAGE_TABLES 0x9000      /* six pages */
#define NE_BOOT_CMDLINE     0x20000
#define NE_BOOT_CMDLINE_MAX 0x10000     /* with the NUL */
#define NE_BOOT_MP_POINTER  0x9fc00     /* the last KiB of base memory */
#define NE_BOOT_MP_TABLE    0xf0000
#define NE_BOOT_BIOS_VECTOR 0xffff0

typedef struct NitroEnclaveBoot {
    AddressSpace *as;
    bool fresh;                 /* no CPU has used this memory yet */
    NitroEnclaveRam ram;
    uint64_t kernel_size;       /* bytes of the bzImage */
    uint64_t ramdisk_size;      /* bytes of all ramdisks together */

    uint8_t header[NE_SETUP_HEADER_END];    /* the kernel's first bytes */
    size_t header_done;         /* bytes of it received */
    NitroEnclaveSetup setup;    /* known once all of it is */

    uint64_t kernel_done;       /* bytes received */
    uint64_t ramdisk_address;
    uint64_t ramdisk_done;      /* bytes received */
} NitroEnclaveBoot;

/* What the MP table tells of a CPU. */
typedef struct NitroEnclaveCPU {
    uint8_t apic_id;
    uint32_t signature;         /* CPUID leaf 1, EAX */
    uint32_t features;          /* CPUID leaf 1, EDX */
} NitroEnclaveCPU;

/*
 * Begin to place an image with a kernel of @kernel_size bytes and ramdisks of
 * @ramdisk_size bytes in @as, which has @below_4g bytes of RAM from 0 and
 * @above_4g from 4 GiB.  @fresh memory has been used by no CPU and no device
 * yet, and may be written past QEMU's view of it.  Called again, it begins
 * anew.
 */
void nitro_enclave_load_begin(NitroEnclaveBoot *boot, AddressSpace *as,
                              bool fresh, uint64_t below_4g,
                              uint64_t above_4g, uint64_t kernel_size,
                              uint64_t ramdisk_size);

/* The next @size bytes of the kernel. */
bool nitro_enclave_load_kernel(NitroEnclaveBoot *boot, const void *data,
                               size_t size, Error **errp);

/* The next @size bytes of the ramdisks, after the whole kernel. */
bool nitro_enclave_load_ramdisk(NitroEnclaveBoot *boot, const void *data,
                                size_t size, Error **errp);

/*
 * Write what the kernel is told, once kernel and ramdisks are in place: zero
 * page, @cmdline, page tables, descriptors, the code at the BIOS vector, and an
 * MP table of @num_cpus @cpus, the first of which is the boot processor.  The
 * interrupts in @level_irqs (bit n: ISA interrupt n) are level-triggered.
 */
bool nitro_enclave_load_finish(NitroEnclaveBoot *boot, const char *cmdline,
                               const NitroEnclaveCPU *cpus, unsigned num_cpus,
                               uint16_t level_irqs, Error **errp);

/* Put the freshly reset @cpu at the kernel's 64-bit entry point. */
void nitro_enclave_boot_set_cpu(const NitroEnclaveBoot *boot, X86CPU *cpu);

#endif
