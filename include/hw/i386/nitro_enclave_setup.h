/*
 * The setup header of a bzImage, and the zero page of boot parameters
 *
 * The setup header is a part of the image, which is not trusted.  This file
 * checks it, field by field, before other code uses it; the manual describes
 * the checks (docs/system/i386/nitro-enclave-image.rst).  It does not access
 * guest memory or CPUs.
 *
 * Format: Linux, Documentation/arch/x86/boot.rst and zero-page.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_NITRO_ENCLAVE_SETUP_H
#define HW_I386_NITRO_ENCLAVE_SETUP_H

/* The bytes at the start of a kernel that nitro_enclave_setup_parse() reads */
#define NE_SETUP_HEADER_END 0x290

#define NE_SETUP_ZERO_PAGE_SIZE 0x1000

/* The checked content of the setup header */
typedef struct NitroEnclaveSetup {
    uint32_t size;              /* bytes before the code */
    uint32_t header_end;        /* of the setup header in the kernel */
    uint64_t load_address;      /* of the code */
    uint64_t init_size;         /* bytes from there that the kernel uses */
    uint32_t cmdline_max;       /* bytes, without the NUL */
    uint32_t initrd_max;        /* the highest address of a ramdisk's byte */
    bool initrd_anywhere;       /* or at any address */
} NitroEnclaveSetup;

/* The guest's RAM: bytes from address 0, and bytes from 4 GiB */
typedef struct NitroEnclaveRam {
    uint64_t below_4g, above_4g;
} NitroEnclaveRam;

/*
 * Check @header, the first NE_SETUP_HEADER_END bytes of a kernel, and fill
 * @setup.  The whole kernel has @kernel_size bytes, at least as many.
 */
bool nitro_enclave_setup_parse(const uint8_t *header, uint64_t kernel_size,
                               NitroEnclaveSetup *setup, Error **errp);

/*
 * Find the @address for ramdisks of @size bytes in total: as high as possible,
 * far from the memory that the kernel uses first, up to the kernel's
 * initrd_addr_max.  If they do not fit there, and the kernel takes ramdisks
 * above 4 GiB (XLF_CAN_BE_LOADED_ABOVE_4G), then there, or below 4 GiB at any
 * address.  Sets @address to 0 if @size is 0.  Fails if memory is too small for
 * the kernel, the ramdisks and their unpacked content.
 */
bool nitro_enclave_setup_place(const NitroEnclaveSetup *setup,
                               const NitroEnclaveRam *ram, uint64_t size,
                               uint64_t *address, Error **errp);

/*
 * Fill the @zero_page of NE_SETUP_ZERO_PAGE_SIZE bytes: with the setup header
 * in @header, which nitro_enclave_setup_parse() has accepted, the addresses of
 * the command line and the ramdisks, and the memory map (e820).
 */
void nitro_enclave_setup_zero_page(const NitroEnclaveSetup *setup,
                                   const uint8_t *header,
                                   const NitroEnclaveRam *ram,
                                   uint32_t cmdline_address,
                                   uint64_t ramdisk_address,
                                   uint64_t ramdisk_size, uint8_t *zero_page);

#endif
