/*
 * The setup header of a bzImage, and the zero page of boot parameters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/i386/nitro_enclave_setup.h"

/* The setup header, at the same offsets in a bzImage and in the zero page */
#define HDR_SETUP_SECTS     0x1f1
#define HDR_SYSSIZE         0x1f4
#define HDR_JUMP_OFFSET     0x201
#define HDR_MAGIC           0x202
#define HDR_VERSION         0x206
#define HDR_LOADER          0x210
#define HDR_LOADFLAGS       0x211
#define HDR_RAMDISK_IMAGE   0x218
#define HDR_RAMDISK_SIZE    0x21c
#define HDR_EXT_LOADER      0x226   /* version and type, a byte each */
#define HDR_CMD_LINE_PTR    0x228
#define HDR_INITRD_MAX      0x22c
#define HDR_ALIGNMENT       0x230
#define HDR_XLOADFLAGS      0x236
#define HDR_CMDLINE_SIZE    0x238
#define HDR_SUBARCH         0x23c
#define HDR_SUBARCH_DATA    0x240
#define HDR_SETUP_DATA      0x250
#define HDR_PREF_ADDRESS    0x258
#define HDR_INIT_SIZE       0x260
#define HDR_END_MIN         0x264   /* what is read here ends here */

#define HDR_MIN_VERSION     0x020c
#define LOADED_HIGH         0x01
#define XLF_KERNEL_64       0x01
#define XLF_ABOVE_4G        0x02

#define ENTRY_64            0x200   /* from the load address */
#define SECTOR              512
#define PARAGRAPH           16      /* bytes; the unit of syssize */

/* The zero page. */
#define ZP_EXT_RAMDISK_IMAGE 0x0c0
#define ZP_EXT_RAMDISK_SIZE 0x0c4
#define ZP_E820_ENTRIES     0x1e8
#define ZP_E820_TABLE       0x2d0

#define LOADER_TYPE         0xb0    /* QEMU's number in Linux' list */

#define E820_TYPE_RAM       1
#define E820_TYPE_RESERVED  2

#define BASE_MEMORY_END     0x9fc00
#define HIGH_MEMORY         0x100000

/* Is it a kernel that the 64-bit boot protocol can start? */
static bool ne_setup_check_kind(const uint8_t *h, NitroEnclaveSetup *setup,
                                Error **errp)
{
    unsigned version = lduw_le_p(h + HDR_VERSION);

    if (memcmp(h + HDR_MAGIC, "HdrS", 4) != 0) {
        error_setg(errp, "the kernel is not a bzImage: no \"HdrS\" at offset"
                   " 0x%x", HDR_MAGIC);
        return false;
    }
    if (version < HDR_MIN_VERSION) {
        error_setg(errp, "the kernel is too old: boot protocol %u.%02u, and at"
                   " least 2.12 is needed", version >> 8, version & 0xff);
        return false;
    }
    setup->header_end = HDR_MAGIC + h[HDR_JUMP_OFFSET];
    if (setup->header_end < HDR_END_MIN ||
        setup->header_end > NE_SETUP_HEADER_END) {
        error_setg(errp, "the kernel's setup header ends at 0x%x, outside of"
                   " 0x%x to 0x%x", setup->header_end, HDR_END_MIN,
                   NE_SETUP_HEADER_END);
        return false;
    }
    if (!(h[HDR_LOADFLAGS] & LOADED_HIGH)) {
        error_setg(errp, "the kernel is a zImage: LOADED_HIGH is not set in"
                   " its loadflags 0x%02x", h[HDR_LOADFLAGS]);
        return false;
    }
    if (!(lduw_le_p(h + HDR_XLOADFLAGS) & XLF_KERNEL_64)) {
        error_setg(errp, "the kernel has no 64-bit entry point: XLF_KERNEL_64"
                   " is not set in its xloadflags 0x%04x",
                   lduw_le_p(h + HDR_XLOADFLAGS));
        return false;
    }
    return true;
}

/* Does the kernel contain as much code as the header says? */
static bool ne_setup_check_code(const uint8_t *h, uint64_t kernel_size,
                                NitroEnclaveSetup *setup, Error **errp)
{
    unsigned sectors = h[HDR_SETUP_SECTS] ? h[HDR_SETUP_SECTS] : 4;
    uint64_t code_size = (uint64_t)(uint32_t)ldl_le_p(h + HDR_SYSSIZE) *
                         PARAGRAPH;

    setup->size = (sectors + 1) * SECTOR;
    if (kernel_size <= setup->size + ENTRY_64) {
        error_setg(errp, "the kernel of %" PRIu64 " bytes has no code behind"
                   " its %u bytes of setup", kernel_size, setup->size);
        return false;
    }
    /*
     * If setup_sects is too large, the code would start at a wrong place, in
     * the middle of the code.  Then fewer bytes follow than syssize says.
     */
    if (code_size > kernel_size - setup->size) {
        error_setg(errp, "the kernel of %" PRIu64 " bytes has %" PRIu64
                   " behind its %u bytes of setup, and its syssize says that"
                   " %" PRIu64 " are there", kernel_size,
                   kernel_size - setup->size, setup->size, code_size);
        return false;
    }
    if (kernel_size - setup->size > setup->init_size) {
        error_setg(errp, "the kernel's code of %" PRIu64 " bytes is larger than"
                   " its init_size of %" PRIu64, kernel_size - setup->size,
                   setup->init_size);
        return false;
    }
    return true;
}

/* Can the kernel be loaded at its preferred address, and run there? */
static bool ne_setup_check_load_address(const uint8_t *h,
                                        const NitroEnclaveSetup *setup,
                                        Error **errp)
{
    uint32_t alignment = ldl_le_p(h + HDR_ALIGNMENT);

    if (setup->load_address < HIGH_MEMORY ||
        setup->load_address > 4 * GiB - setup->init_size) {
        error_setg(errp, "the kernel's pref_address 0x%" PRIx64 ", with its"
                   " init_size of %" PRIu64 " bytes, is not between 1 MiB and"
                   " 4 GiB",
                   setup->load_address, setup->init_size);
        return false;
    }
    if (!is_power_of_2(alignment)) {
        error_setg(errp, "the kernel's kernel_alignment of 0x%" PRIx32
                   " is not a power of two", alignment);
        return false;
    }
    /* If not, it would move itself up, beyond the memory that is checked. */
    if (setup->load_address & (alignment - 1)) {
        error_setg(errp, "the kernel's pref_address 0x%" PRIx64 " is not a"
                   " multiple of its kernel_alignment of 0x%" PRIx32,
                   setup->load_address, alignment);
        return false;
    }
    return true;
}

bool nitro_enclave_setup_parse(const uint8_t *header, uint64_t kernel_size,
                               NitroEnclaveSetup *setup, Error **errp)
{
    *setup = (NitroEnclaveSetup) {
        .load_address = ldq_le_p(header + HDR_PREF_ADDRESS),
        .init_size = (uint32_t)ldl_le_p(header + HDR_INIT_SIZE),
        .cmdline_max = ldl_le_p(header + HDR_CMDLINE_SIZE),
        .initrd_max = ldl_le_p(header + HDR_INITRD_MAX),
        .initrd_anywhere = lduw_le_p(header + HDR_XLOADFLAGS) & XLF_ABOVE_4G,
    };
    return ne_setup_check_kind(header, setup, errp) &&
           ne_setup_check_code(header, kernel_size, setup, errp) &&
           ne_setup_check_load_address(header, setup, errp);
}

/* Place @size bytes as high as possible below @top, but not below @bottom. */
static bool ne_setup_place_between(uint64_t bottom, uint64_t top, uint64_t size,
                                   uint64_t *address)
{
    if (top <= bottom || top - bottom < size) {
        return false;
    }
    *address = QEMU_ALIGN_DOWN(top - size, 4 * KiB);
    return *address >= bottom;
}

bool nitro_enclave_setup_place(const NitroEnclaveSetup *setup,
                               const NitroEnclaveRam *ram, uint64_t size,
                               uint64_t *address, Error **errp)
{
    uint64_t kernel_end = setup->load_address + setup->init_size;
    uint64_t top = MIN(ram->below_4g, (uint64_t)setup->initrd_max + 1);
    uint64_t all = ram->below_4g + ram->above_4g;
    uint64_t need;

    *address = 0;
    /* Enough for the kernel, the ramdisks, and their unpacked content */
    need = ROUND_UP(kernel_end, MiB);
    if (size > (UINT64_MAX - need - MiB) / 2) {
        error_setg(errp, "ramdisks of %" PRIu64 " bytes are too large", size);
        return false;
    }
    need += ROUND_UP(2 * size, MiB);
    if (need <= all && kernel_end > ram->below_4g) {
        error_setg(errp, "the kernel needs memory up to 0x%" PRIx64 ", but"
                   " memory below 4 GiB ends at 0x%" PRIx64, kernel_end,
                   ram->below_4g);
        return false;
    }
    if (need > all) {
        error_setg(errp, "%" PRIu64 " MiB of memory are too little for this"
                   " image: it needs at least %" PRIu64 " MiB", all / MiB,
                   need / MiB);
        return false;
    }
    if (!size) {
        return true;
    }

    if (ne_setup_place_between(kernel_end, top, size, address)) {
        return true;
    }
    if (setup->initrd_anywhere &&
        (ne_setup_place_between(4 * GiB, 4 * GiB + ram->above_4g, size,
                                address) ||
         ne_setup_place_between(kernel_end, ram->below_4g, size, address))) {
        return true;
    }
    error_setg(errp, "ramdisks of %" PRIu64 " bytes do not fit between the"
               " kernel's end at 0x%" PRIx64 " and 0x%" PRIx64 ", the highest"
               " address that this kernel takes them at", size, kernel_end,
               top);
    return false;
}

static void ne_setup_add_e820(uint8_t *zero_page, uint64_t start,
                              uint64_t size, uint32_t type)
{
    uint8_t *entry = zero_page + ZP_E820_TABLE +
                     20 * zero_page[ZP_E820_ENTRIES]++;

    stq_le_p(entry, start);
    stq_le_p(entry + 8, size);
    stl_le_p(entry + 16, type);
}

void nitro_enclave_setup_zero_page(const NitroEnclaveSetup *setup,
                                   const uint8_t *header,
                                   const NitroEnclaveRam *ram,
                                   uint32_t cmdline_address,
                                   uint64_t ramdisk_address,
                                   uint64_t ramdisk_size, uint8_t *zero_page)
{
    uint8_t *zp = zero_page;

    memset(zp, 0, NE_SETUP_ZERO_PAGE_SIZE);
    memcpy(zp + HDR_SETUP_SECTS, header + HDR_SETUP_SECTS,
           setup->header_end - HDR_SETUP_SECTS);
    zp[HDR_LOADER] = LOADER_TYPE;
    stl_le_p(zp + HDR_CMD_LINE_PTR, cmdline_address);
    stl_le_p(zp + HDR_RAMDISK_IMAGE, ramdisk_address);
    stl_le_p(zp + HDR_RAMDISK_SIZE, ramdisk_size);
    stl_le_p(zp + ZP_EXT_RAMDISK_IMAGE, ramdisk_address >> 32);
    stl_le_p(zp + ZP_EXT_RAMDISK_SIZE, ramdisk_size >> 32);
    /* The boot loader sets these fields, whatever the image has there. */
    stw_le_p(zp + HDR_EXT_LOADER, 0);
    stl_le_p(zp + HDR_SUBARCH, 0);
    stq_le_p(zp + HDR_SUBARCH_DATA, 0);
    stq_le_p(zp + HDR_SETUP_DATA, 0);

    /* Linux ignores a map with a single entry, so there are always three. */
    ne_setup_add_e820(zp, 0, BASE_MEMORY_END, E820_TYPE_RAM);
    ne_setup_add_e820(zp, BASE_MEMORY_END, HIGH_MEMORY - BASE_MEMORY_END,
                      E820_TYPE_RESERVED);
    ne_setup_add_e820(zp, HIGH_MEMORY, ram->below_4g - HIGH_MEMORY,
                      E820_TYPE_RAM);
    if (ram->above_4g) {
        ne_setup_add_e820(zp, 4 * GiB, ram->above_4g, E820_TYPE_RAM);
    }
}
