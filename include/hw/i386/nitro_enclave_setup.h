/*
 * What a bzImage asks of its loader, and what it is told
 *
 * The setup header is in the image and so comes from whoever made it.  It is
 * checked here before anything relies on it, field by field, as the manual has
 * it (docs/system/i386/nitro-enclave-image.rst).  This knows neither guest
 * memory nor CPUs: bytes in, numbers out.
 *
 * Format: Linux, Documentation/arch/x86/boot.rst and zero-page.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_NITRO_ENCLAVE_SETUP_H
#define HW_I386_NITRO_ENCLAVE_SETUP_H

/* How much of a kernel nitro_enclave_setup_parse() looks at, in bytes */
#define NE_SETUP_HEADER_END 0x290

#define NE_SETUP_ZERO_PAGE_SIZE 0x1000

/* What the setup header says, once it is known to be good. */
typedef struct NitroEnclaveSetup {
    uint32_t size;              /* bytes before the code */
    uint32_t header_end;        /* of the setup header in the kernel */
    uint64_t load_address;      /* of the code */
    uint64_t init_size;         /* bytes from there that the kernel uses */
    uint32_t cmdline_max;       /* bytes, without the NUL */
    uint32_t initrd_max;        /* the highest address of a ramdisk's byte */
    bool initrd_above_4g;       /* or anywhere above 4 GiB */
} NitroEnclaveSetup;

/* The guest's memory: bytes of RAM from 0 and from 4 GiB */
typedef struct NitroEnclaveRam {
    uint64_t below_4g, above_4g;
} NitroEnclaveRam;

/*
 * Check @header, the first NE_SETUP_HEADER_END bytes of a kernel of
 * @kernel_size bytes, which is not less, and fill @setup.
 */
bool nitro_enclave_setup_parse(const uint8_t *header, uint64_t kernel_size,
                               NitroEnclaveSetup *setup, Error **errp);

/*
 * Find the @address for ramdisks of @size bytes together: as high as they may
 * be below 4 GiB, where the kernel leaves them alone longest, else above 4 GiB
 * if the kernel can find them there.  Sets 0 if @size is.  Fails if memory is
 * too small for the kernel, the ramdisks and what they unpack to.
 */
bool nitro_enclave_setup_place(const NitroEnclaveSetup *setup,
                               const NitroEnclaveRam *ram, uint64_t size,
                               uint64_t *address, Error **errp);

/*
 * Fill the zero page, of NE_SETUP_ZERO_PAGE_SIZE bytes, from the @header that
 * nitro_enclave_setup_parse() has taken: the places of the command line and of
 * the ramdisks, and a map of memory.
 */
void nitro_enclave_setup_zero_page(const NitroEnclaveSetup *setup,
                                   const uint8_t *header,
                                   const NitroEnclaveRam *ram,
                                   uint32_t cmdline_address,
                                   uint64_t ramdisk_address,
                                   uint64_t ramdisk_size, uint8_t *zero_page);

#endif
