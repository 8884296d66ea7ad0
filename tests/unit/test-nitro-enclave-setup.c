/*
 * Tests of each check of a kernel's setup header
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/i386/nitro_enclave_setup.h"
#include "eif-expect-error.h"

#define KERNEL_SIZE (2 * MiB)

/* Linux, Documentation/arch/x86/boot.rst */
enum {
    SETUP_SECTS = 0x1f1, ROOT_FLAGS = 0x1f2, SYSSIZE = 0x1f4, VID_MODE = 0x1fa,
    ROOT_DEV = 0x1fc, BOOT_FLAG = 0x1fe, JUMP = 0x200, HEADER = 0x202,
    VERSION = 0x206, REALMODE_SWITCH = 0x208, TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211, CODE32_START = 0x214, RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c, HEAP_END = 0x224, EXT_LOADER_VER = 0x226,
    CMD_LINE_PTR = 0x228, INITRD_ADDR_MAX = 0x22c, KERNEL_ALIGNMENT = 0x230,
    RELOCATABLE = 0x234, MIN_ALIGNMENT = 0x235, XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238, HARDWARE_SUBARCH = 0x23c, SUBARCH_DATA = 0x240,
    PAYLOAD_OFFSET = 0x248, SETUP_DATA = 0x250, PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260, HANDOVER_OFFSET = 0x264, KERNEL_INFO = 0x268,
};

static const NitroEnclaveRam ram_512m = { .below_4g = 512 * MiB };

/* The header of a valid kernel */
static void make_header(uint8_t header[NE_SETUP_HEADER_END])
{
    memset(header, 0, NE_SETUP_HEADER_END);
    header[SETUP_SECTS] = 31;
    stl_le_p(header + SYSSIZE, (KERNEL_SIZE - 32 * 512) / 16);
    stw_le_p(header + BOOT_FLAG, 0xaa55);
    header[JUMP] = 0xeb;
    header[JUMP + 1] = 0x6a;
    memcpy(header + HEADER, "HdrS", 4);
    stw_le_p(header + VERSION, 0x20f);
    header[LOADFLAGS] = 1;
    stl_le_p(header + INITRD_ADDR_MAX, 0x7fffffff);
    stl_le_p(header + KERNEL_ALIGNMENT, 2 * MiB);
    header[RELOCATABLE] = 1;
    header[MIN_ALIGNMENT] = 21;
    stw_le_p(header + XLOADFLAGS, 3);
    stl_le_p(header + CMDLINE_SIZE, 2047);
    stq_le_p(header + PREF_ADDRESS, 16 * MiB);
    stl_le_p(header + INIT_SIZE, 8 * MiB);
}

/* Set a field of 1, 2, 4 or 8 bytes */
static void put(uint8_t *header, unsigned at, unsigned bytes, uint64_t value)
{
    while (bytes--) {
        header[at++] = value;
        value >>= 8;
    }
}

static void test_good(void)
{
    uint8_t header[NE_SETUP_HEADER_END];
    NitroEnclaveSetup setup;

    make_header(header);
    g_assert_true(nitro_enclave_setup_parse(header, KERNEL_SIZE, &setup,
                                            &error_abort));
    g_assert_cmpuint(setup.size, ==, 32 * 512);
    g_assert_cmpuint(setup.header_end, ==, 0x26c);
    g_assert_cmpuint(setup.load_address, ==, 16 * MiB);
    g_assert_cmpuint(setup.init_size, ==, 8 * MiB);
    g_assert_cmpuint(setup.cmdline_max, ==, 2047);
    g_assert_cmpuint(setup.initrd_max, ==, 0x7fffffff);
    g_assert_true(setup.initrd_anywhere);
}

typedef struct Field {
    unsigned at, bytes;
    uint64_t value;
    const char *words;      /* of the error; NULL if the header is accepted */
} Field;

static const Field fields[] = {
    /* setup_sects and syssize: the code exists */
    { SETUP_SECTS, 1, 32, "syssize" },
    { SETUP_SECTS, 1, 255, "syssize|131072" },
    { SETUP_SECTS, 1, 30, NULL },       /* a signature may follow the code */
    { SYSSIZE, 4, (KERNEL_SIZE - 32 * 512) / 16 + 1, "syssize|2080784" },
    { SYSSIZE, 4, UINT32_MAX, "syssize|68719476720" },
    { SYSSIZE, 4, 0x10000000, "syssize|4294967296" },
    { SYSSIZE, 4, 0, NULL },
    /* what kind of kernel it is */
    { HEADER, 4, 0, "HdrS" },
    { HEADER, 1, 'h', "HdrS" },
    { VERSION, 2, 0x20b, "2.11|2.12" },
    { VERSION, 2, 0, "0.00" },
    { VERSION, 2, 0x20c, NULL },
    { VERSION, 2, 0xffff, NULL },       /* later ones have more fields */
    { LOADFLAGS, 1, 0, "LOADED_HIGH|0x00" },
    { LOADFLAGS, 1, 0xfe, "LOADED_HIGH|0xfe" },
    { LOADFLAGS, 1, 0xff, NULL },
    { XLOADFLAGS, 2, 2, "XLF_KERNEL_64|0x0002" },
    { XLOADFLAGS, 2, 1, NULL },
    /* where the header ends */
    { JUMP + 1, 1, 0x61, "0x263|0x264" },
    { JUMP + 1, 1, 0x62, NULL },
    { JUMP + 1, 1, 0x8e, NULL },
    { JUMP + 1, 1, 0x8f, "0x291|0x290" },
    { JUMP + 1, 1, 0, "0x202" },
    { JUMP + 1, 1, 0xff, "0x301" },
    /* where the kernel is, and how much it uses */
    { INIT_SIZE, 4, 0, "init_size of 0" },
    { INIT_SIZE, 4, KERNEL_SIZE - 32 * 512 - 1, "init_size|2080768" },
    { INIT_SIZE, 4, KERNEL_SIZE - 32 * 512, NULL },
    { INIT_SIZE, 4, 0xff000001, "between 1 MiB and 4 GiB" },
    { INIT_SIZE, 4, 0xff000000, NULL },
    { PREF_ADDRESS, 8, 0, "0x0|1 MiB" },
    { PREF_ADDRESS, 8, MiB - 1, "0xfffff|1 MiB" },
    { PREF_ADDRESS, 8, UINT64_MAX, "4 GiB" },
    { PREF_ADDRESS, 8, 4 * GiB, "4 GiB" },
    { PREF_ADDRESS, 8, UINT64_MAX - 8 * MiB + 1, "4 GiB" },
    { PREF_ADDRESS, 8, 4 * GiB - 8 * MiB, NULL },
    { PREF_ADDRESS, 8, 17 * MiB, "0x1100000|kernel_alignment|0x200000" },
    { KERNEL_ALIGNMENT, 4, 0, "kernel_alignment|0x0" },
    { KERNEL_ALIGNMENT, 4, 3 * MiB, "kernel_alignment|0x300000" },
    { KERNEL_ALIGNMENT, 4, UINT32_MAX, "kernel_alignment|0xffffffff" },
    { KERNEL_ALIGNMENT, 4, 32 * MiB, "kernel_alignment|0x2000000" },
    { KERNEL_ALIGNMENT, 4, 0x80000000, "kernel_alignment|0x80000000" },
    { KERNEL_ALIGNMENT, 4, 16 * MiB, NULL },
    { KERNEL_ALIGNMENT, 4, 1, NULL },
    /* fields that are not checked */
    { ROOT_FLAGS, 2, 0xffff, NULL },
    { VID_MODE, 2, 0xffff, NULL },
    { ROOT_DEV, 2, 0xffff, NULL },
    { BOOT_FLAG, 2, 0, NULL },
    { REALMODE_SWITCH, 8, UINT64_MAX, NULL },
    { CODE32_START, 4, UINT32_MAX, NULL },
    { HEAP_END, 2, 0xffff, NULL },
    { RELOCATABLE, 1, 0, NULL },
    { MIN_ALIGNMENT, 1, 0xff, NULL },
    { PAYLOAD_OFFSET, 8, UINT64_MAX, NULL },
    { HANDOVER_OFFSET, 4, UINT32_MAX, NULL },
    { KERNEL_INFO, 4, UINT32_MAX, NULL },
};

static void test_fields(void)
{
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(fields); i++) {
        uint8_t header[NE_SETUP_HEADER_END];
        NitroEnclaveSetup setup;
        Error *err = NULL;
        bool ok;

        make_header(header);
        put(header, fields[i].at, fields[i].bytes, fields[i].value);
        ok = nitro_enclave_setup_parse(header, KERNEL_SIZE, &setup, &err);
        g_test_message("0x%x = 0x%" PRIx64 ": %s", fields[i].at,
                       fields[i].value, ok ? "ok" : error_get_pretty(err));
        if (fields[i].words) {
            g_assert_false(ok);
            expect_error(&err, fields[i].words);
        } else {
            g_assert_null(err);
            g_assert_true(ok);
        }
    }
}

/* A kernel of few bytes: 0 sectors stand for 4, and code is needed. */
static void test_size(void)
{
    uint8_t header[NE_SETUP_HEADER_END];
    NitroEnclaveSetup setup;
    Error *err = NULL;

    make_header(header);
    header[SETUP_SECTS] = 0;
    stl_le_p(header + SYSSIZE, 0);
    g_assert_true(nitro_enclave_setup_parse(header, 5 * 512 + 0x201, &setup,
                                            &error_abort));
    g_assert_cmpuint(setup.size, ==, 5 * 512);
    g_assert_false(nitro_enclave_setup_parse(header, 5 * 512 + 0x200, &setup,
                                             &err));
    expect_error(&err, "no code|2560");
    g_assert_false(nitro_enclave_setup_parse(header, NE_SETUP_HEADER_END,
                                             &setup, &err));
    expect_error(&err, "no code|656");
}

static uint64_t place(const NitroEnclaveSetup *setup, uint64_t below_4g,
                      uint64_t above_4g, uint64_t size)
{
    NitroEnclaveRam ram = { below_4g, above_4g };
    uint64_t address;

    g_assert_true(nitro_enclave_setup_place(setup, &ram, size, &address,
                                            &error_abort));
    return address;
}

static void refuse(const NitroEnclaveSetup *setup, uint64_t below_4g,
                   uint64_t above_4g, uint64_t size, const char *words)
{
    NitroEnclaveRam ram = { below_4g, above_4g };
    Error *err = NULL;
    uint64_t address;

    g_assert_false(nitro_enclave_setup_place(setup, &ram, size, &address,
                                             &err));
    expect_error(&err, words);
}

static void test_place(void)
{
    NitroEnclaveSetup setup = {
        .load_address = 16 * MiB, .init_size = 8 * MiB,
        .initrd_max = 0x7fffffff, .initrd_anywhere = true,
    };

    g_assert_cmphex(place(&setup, 512 * MiB, 0, 0), ==, 0);
    g_assert_cmphex(place(&setup, 512 * MiB, 0, 1), ==, 512 * MiB - 4 * KiB);
    g_assert_cmphex(place(&setup, 512 * MiB, 0, 4 * KiB + 1), ==,
                    512 * MiB - 8 * KiB);
    /* initrd_addr_max is the highest address, not one more. */
    g_assert_cmphex(place(&setup, 3 * GiB, GiB, MiB), ==, 2 * GiB - MiB);
    setup.initrd_max = 0x7ffffffe;
    g_assert_cmphex(place(&setup, 3 * GiB, GiB, MiB), ==,
                    2 * GiB - MiB - 4 * KiB);
    setup.initrd_max = UINT32_MAX;
    g_assert_cmphex(place(&setup, 3 * GiB, GiB, MiB), ==, 3 * GiB - MiB);
    /* Down to the kernel's end, and not further */
    setup.initrd_anywhere = false;
    setup.initrd_max = 25 * MiB - 1;
    g_assert_cmphex(place(&setup, 512 * MiB, 0, MiB), ==, 24 * MiB);
    refuse(&setup, 512 * MiB, 0, MiB + 1, "do not fit|0x1800000|0x1900000");
    setup.initrd_max = 0;
    refuse(&setup, 512 * MiB, 0, 1, "do not fit");
    g_assert_cmphex(place(&setup, 512 * MiB, 0, 0), ==, 0);

    /* Beyond initrd_addr_max only where the kernel looks there */
    refuse(&setup, 3 * GiB, GiB, MiB, "do not fit");
    setup.initrd_anywhere = true;
    g_assert_cmphex(place(&setup, 3 * GiB, GiB, MiB), ==, 5 * GiB - MiB);
    g_assert_cmphex(place(&setup, 3 * GiB, GiB - 4 * KiB, GiB), ==, 2 * GiB);
    g_assert_cmphex(place(&setup, 512 * MiB, 0, MiB), ==, 511 * MiB);
    setup.initrd_max = 0x7fffffff;
    g_assert_cmphex(place(&setup, 3 * GiB, 1280 * MiB, 2 * GiB), ==, GiB);
    setup.initrd_max = UINT32_MAX;
    g_assert_cmphex(place(&setup, 3 * GiB, 8 * GiB, 5 * GiB), ==, 7 * GiB);
    refuse(&setup, 3 * GiB, 4 * GiB, 5 * GiB, "too little");

    /* Memory: the kernel, and the ramdisks twice */
    g_assert_cmphex(place(&setup, 26 * MiB, 0, MiB), ==, 25 * MiB);
    refuse(&setup, 25 * MiB, 0, MiB, "25 MiB|26 MiB");
    refuse(&setup, 23 * MiB, 0, 0, "23 MiB|24 MiB");
    refuse(&setup, 512 * MiB, 0, UINT64_MAX, "too large");
    refuse(&setup, 512 * MiB, 0, INT64_MAX, "too large");
    refuse(&setup, 512 * MiB, 0, UINT64_MAX / 2 - 13 * MiB, "MiB");
    setup.load_address = 3 * GiB;
    refuse(&setup, 3 * GiB, 5 * GiB, MiB, "0xc0800000|0xc0000000");
}

static void test_zero_page(void)
{
    uint8_t header[NE_SETUP_HEADER_END], zp[NE_SETUP_ZERO_PAGE_SIZE];
    uint8_t all_ones[NE_SETUP_HEADER_END];
    NitroEnclaveRam ram = { 3 * GiB, GiB };
    NitroEnclaveSetup setup;
    unsigned i;

    /* The boot loader sets these fields, and the image cannot */
    make_header(header);
    put(header, TYPE_OF_LOADER, 1, 0xff);
    put(header, RAMDISK_IMAGE, 8, UINT64_MAX);
    put(header, EXT_LOADER_VER, 2, 0xffff);
    put(header, CMD_LINE_PTR, 4, UINT32_MAX);
    put(header, HARDWARE_SUBARCH, 4, 2);
    put(header, SUBARCH_DATA, 8, UINT64_MAX);
    put(header, SETUP_DATA, 8, 0xdeadbeef);
    put(header, KERNEL_INFO, 4, 0x1234);
    g_assert_true(nitro_enclave_setup_parse(header, KERNEL_SIZE, &setup,
                                            &error_abort));
    memset(zp, 0xff, sizeof(zp));
    nitro_enclave_setup_zero_page(&setup, header, &ram, 0x20000,
                                  0x123456000, 0x789abcdef, zp);
    g_assert_cmphex(zp[TYPE_OF_LOADER], ==, 0xb0);
    g_assert_cmphex(lduw_le_p(zp + EXT_LOADER_VER), ==, 0);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + CMD_LINE_PTR), ==, 0x20000);
    /* ext_cmd_line_ptr */
    g_assert_cmphex(ldl_le_p(zp + 0x0c8), ==, 0);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + RAMDISK_IMAGE), ==, 0x23456000);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + 0x0c0), ==, 1);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + RAMDISK_SIZE), ==, 0x89abcdef);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + 0x0c4), ==, 7);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + HARDWARE_SUBARCH), ==, 0);
    g_assert_cmphex(ldq_le_p(zp + SUBARCH_DATA), ==, 0);
    g_assert_cmphex(ldq_le_p(zp + SETUP_DATA), ==, 0);
    /* The other fields are the image's, up to the end of its header. */
    g_assert_cmphex((uint32_t)ldl_le_p(zp + KERNEL_INFO), ==, 0x1234);
    g_assert_cmphex(ldq_le_p(zp + PREF_ADDRESS), ==, 16 * MiB);
    g_assert_cmphex(lduw_le_p(zp + XLOADFLAGS), ==, 3);
    for (i = 0x26c; i < 0x2d0; i++) {
        g_assert_cmphex(zp[i], ==, 0);
    }
    for (i = 0; i < SETUP_SECTS; i++) {
        if (i == 0x0c0 || (i >= 0x0c4 && i < 0x0c8)) {
            continue;
        }
        g_assert_cmphex(zp[i], ==, i == 0x1e8 ? 4 : 0);
    }

    /* The map of memory: four entries of 20 bytes */
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 8), ==, 0x9fc00);
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 20), ==, 0x9fc00);
    g_assert_cmphex((uint32_t)ldl_le_p(zp + 0x2d0 + 36), ==, 2);
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 40), ==, MiB);
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 48), ==, 3 * GiB - MiB);
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 60), ==, 4 * GiB);
    g_assert_cmphex(ldq_le_p(zp + 0x2d0 + 68), ==, GiB);
    for (i = 0x2d0 + 80; i < sizeof(zp); i++) {
        g_assert_cmphex(zp[i], ==, 0);
    }

    /* A short header: the bytes after it in the kernel are code. */
    memset(all_ones, 0xff, sizeof(all_ones));
    setup.header_end = 0x264;
    nitro_enclave_setup_zero_page(&setup, all_ones, &ram_512m, 0x20000, 0, 0,
                                  zp);
    g_assert_cmphex(zp[0x263], ==, 0xff);
    g_assert_cmphex(zp[0x264], ==, 0);
    g_assert_cmphex(zp[0x1e8], ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nitro-enclave-setup/good", test_good);
    g_test_add_func("/nitro-enclave-setup/fields", test_fields);
    g_test_add_func("/nitro-enclave-setup/size", test_size);
    g_test_add_func("/nitro-enclave-setup/place", test_place);
    g_test_add_func("/nitro-enclave-setup/zero-page", test_zero_page);
    return g_test_run();
}
