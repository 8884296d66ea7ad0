/*
 * Fuzz target: a kernel's setup header
 *
 * An input is the first bytes of a kernel, and behind them four numbers of 8
 * bytes, little-endian: the size of the kernel and of the ramdisks, and how
 * much RAM there is below and above 4 GiB.  Missing bytes are zero.  With any
 * accepted header, kernel and ramdisks must be in RAM and must not overlap.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/i386/nitro_enclave_setup.h"
#include "target.h"

#define ENTRY           0x200       /* of the 64-bit protocol, in the code */
#define CMDLINE         0x20000
#define E820            0x2d0       /* in the zero page */
#define MAX_SIZE        (INT64_MAX / 2)     /* no file is larger */

static void check_ramdisk(const NitroEnclaveSetup *setup,
                          const NitroEnclaveRam *ram, uint64_t address,
                          uint64_t size)
{
    uint64_t end = address + size;

    g_assert_cmphex(address % (4 * KiB), ==, 0);
    if (!size) {
        g_assert_cmphex(address, ==, 0);
    } else if (address < 4 * GiB) {
        g_assert_cmphex(address, >=, setup->load_address + setup->init_size);
        g_assert_cmphex(end, <=, ram->below_4g);
    } else {
        g_assert_cmphex(end, <=, 4 * GiB + ram->above_4g);
    }
    g_assert_true(setup->initrd_anywhere || !size ||
                  end - 1 <= setup->initrd_max);
}

/* Only bytes of the setup header come from the image. */
static void check_zero_page(const NitroEnclaveSetup *setup,
                            const NitroEnclaveRam *ram, const uint8_t *zp)
{
    uint64_t end = 0;
    int i;

    g_assert_cmphex((uint32_t)ldl_le_p(zp + 0x228), ==, CMDLINE);
    g_assert_cmphex(ldq_le_p(zp + 0x250), ==, 0);       /* setup_data */
    for (i = setup->header_end; i < E820; i++) {
        g_assert_cmphex(zp[i], ==, 0);
    }
    g_assert_cmpint(zp[0x1e8], ==, ram->above_4g ? 4 : 3);
    for (i = 0; i < zp[0x1e8]; i++) {
        const uint8_t *entry = zp + E820 + 20 * i;

        g_assert_cmphex(ldq_le_p(entry), >=, end);
        end = ldq_le_p(entry) + ldq_le_p(entry + 8);
        g_assert_cmphex(end, >, ldq_le_p(entry));
    }
    g_assert_cmphex(end, ==, ram->above_4g ? 4 * GiB + ram->above_4g
                                           : ram->below_4g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t input[NE_SETUP_HEADER_END + 4 * sizeof(uint64_t)] = { };
    const uint8_t *numbers = input + NE_SETUP_HEADER_END;
    uint8_t zp[NE_SETUP_ZERO_PAGE_SIZE];
    NitroEnclaveSetup setup;
    uint64_t kernel_size, ramdisk_size, address;
    NitroEnclaveRam ram;

    if (size) {         /* else there may be no data */
        memcpy(input, data, MIN(size, sizeof(input)));
    }
    kernel_size = MAX(ldq_le_p(numbers) % MAX_SIZE, NE_SETUP_HEADER_END);
    ramdisk_size = ldq_le_p(numbers + 8) % MAX_SIZE;
    ram.below_4g = MIN(ldq_le_p(numbers + 16), 3 * GiB);
    ram.above_4g = ldq_le_p(numbers + 24) % (1 * TiB);

    if (!nitro_enclave_setup_parse(input, kernel_size, &setup, NULL)) {
        return 0;
    }
    g_assert_cmpuint(setup.size + ENTRY, <, kernel_size);
    g_assert_cmpuint(kernel_size - setup.size, <=, setup.init_size);
    g_assert_cmphex(setup.load_address, >=, MiB);
    g_assert_cmphex(setup.load_address + setup.init_size, <=, 4 * GiB);

    if (!nitro_enclave_setup_place(&setup, &ram, ramdisk_size, &address,
                                   NULL)) {
        return 0;
    }
    g_assert_cmphex(setup.load_address + setup.init_size, <=, ram.below_4g);
    check_ramdisk(&setup, &ram, address, ramdisk_size);

    memset(zp, 0xff, sizeof(zp));
    nitro_enclave_setup_zero_page(&setup, input, &ram, CMDLINE, address,
                                  ramdisk_size, zp);
    check_zero_page(&setup, &ram, zp);
    return 0;
}
