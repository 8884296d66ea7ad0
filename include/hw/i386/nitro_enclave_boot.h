/*
 * Starting a 64-bit Linux kernel without firmware
 *
 * Loads a bzImage and its ramdisks into guest memory and starts vCPU 0 in the
 * kernel, in long mode, by the 64-bit boot protocol of Linux (Linux,
 * Documentation/arch/x86/boot.rst).  The guest has no ACPI, so it gets an MP
 * table (Intel MultiProcessor Specification 1.4).
 *
 * This file knows guest memory and boot parameters.  It does not know files:
 * the caller passes the image in pieces, first the kernel and then the
 * ramdisks, and each piece is written to guest memory at once.  The image is
 * not trusted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_NITRO_ENCLAVE_BOOT_H
#define HW_I386_NITRO_ENCLAVE_BOOT_H

#include "exec/memory.h"
#include "hw/i386/nitro_enclave_setup.h"
#include "target/i386/cpu.h"

/* Addresses below 1 MiB of the structures that the kernel needs at start */
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

/* The fields of a CPU in the MP table */
typedef struct NitroEnclaveCPU {
    uint8_t apic_id;
    uint32_t signature;         /* CPUID leaf 1, EAX */
    uint32_t features;          /* CPUID leaf 1, EDX */
} NitroEnclaveCPU;

/*
 * Start loading an image with a kernel of @kernel_size bytes and ramdisks of
 * @ramdisk_size bytes into @as, which has @below_4g bytes of RAM from 0 and
 * @above_4g from 4 GiB.  If memory is @fresh, no CPU and no device has used it
 * yet, so the file behind it may be written directly.  Can be called again, to
 * start from the beginning.
 */
void nitro_enclave_load_begin(NitroEnclaveBoot *boot, AddressSpace *as,
                              bool fresh, uint64_t below_4g,
                              uint64_t above_4g, uint64_t kernel_size,
                              uint64_t ramdisk_size);

/* Load the next @size bytes of the kernel. */
bool nitro_enclave_load_kernel(NitroEnclaveBoot *boot, const void *data,
                               size_t size, Error **errp);

/* Load the next @size bytes of the ramdisks, after the whole kernel. */
bool nitro_enclave_load_ramdisk(NitroEnclaveBoot *boot, const void *data,
                                size_t size, Error **errp);

/*
 * Write the boot parameters, after the kernel and the ramdisks are loaded: zero
 * page, @cmdline, page tables, descriptors, the code at the BIOS vector, and an
 * MP table of @num_cpus @cpus, the first of which is the boot processor.  The
 * interrupts in @level_irqs (bit n: ISA interrupt n) are level-triggered.
 */
bool nitro_enclave_load_finish(NitroEnclaveBoot *boot, const char *cmdline,
                               const NitroEnclaveCPU *cpus, unsigned num_cpus,
                               uint16_t level_irqs, Error **errp);

/* Set @cpu, after its reset, to the kernel's 64-bit entry point. */
void nitro_enclave_boot_set_cpu(const NitroEnclaveBoot *boot, X86CPU *cpu);

#endif
