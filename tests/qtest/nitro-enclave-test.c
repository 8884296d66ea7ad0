/*
 * The nitro-enclave machine: its options and properties, the content of guest
 * memory, and its reset port.
 *
 * The test makes its images: a header, a minimal kernel, a command line and a
 * ramdisk.  With the qtest accelerator no guest code runs, so guest memory has
 * the content that the kernel would see at start.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "qobject/qdict.h"

#define EIF_HEADER      548
#define LOAD_ADDRESS    0x1000000
#define ZERO_PAGE       0x7000
#define CMDLINE         "console=ttyS0"
#define RAMDISK         "the ramdisk"
#define RESET_PORT      0x64
#define DATA_PORT       0x60

static uint32_t crc32_of(const GByteArray *a, size_t start, uint32_t crc,
                         size_t end)
{
    size_t i;
    int bit;

    crc = ~crc;
    for (i = start; i < end; i++) {
        crc ^= a->data[i];
        for (bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }
    return ~crc;
}

static void add_section(GByteArray *image, int index, uint16_t type,
                        const void *data, size_t size)
{
    uint8_t header[12] = { };

    stq_be_p(image->data + 0x1c + 8 * index, image->len);
    stq_be_p(image->data + 0x11c + 8 * index, size);
    stw_be_p(header, type);
    stq_be_p(header + 4, size);
    g_byte_array_append(image, header, sizeof(header));
    g_byte_array_append(image, data, size);
}

/* Make an image in a temporary file; the caller frees and unlinks its name. */
static char *make_image(const char *cmdline)
{
    g_autoptr(GByteArray) image = g_byte_array_new();
    uint8_t header[EIF_HEADER] = { };
    uint8_t kernel[4096] = { };
    char *name = NULL;
    uint32_t crc;
    int fd;

    kernel[0x1f1] = 1;
    kernel[0x201] = 0x6a;
    memcpy(kernel + 0x202, "HdrS", 4);
    stw_le_p(kernel + 0x206, 0x20f);
    kernel[0x211] = 1;
    stl_le_p(kernel + 0x22c, 0x7fffffff);
    stl_le_p(kernel + 0x230, 2 * MiB);
    stw_le_p(kernel + 0x236, 3);
    stl_le_p(kernel + 0x238, 2047);
    stq_le_p(kernel + 0x258, LOAD_ADDRESS);
    stl_le_p(kernel + 0x260, MiB);
    memset(kernel + 1024, 0xc3, sizeof(kernel) - 1024);

    memcpy(header, ".eif", 4);
    stw_be_p(header + 4, 3);
    stw_be_p(header + 0x1a, 3);
    g_byte_array_append(image, header, sizeof(header));
    add_section(image, 0, 1, kernel, sizeof(kernel));
    add_section(image, 1, 2, cmdline, strlen(cmdline));
    add_section(image, 2, 3, RAMDISK, strlen(RAMDISK));

    crc = crc32_of(image, 0, 0, EIF_HEADER - 4);
    crc = crc32_of(image, EIF_HEADER, crc, image->len);
    stl_be_p(image->data + EIF_HEADER - 4, crc);

    fd = g_file_open_tmp("nitro-enclave-XXXXXX.eif", &name, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(name, (char *)image->data, image->len,
                                      NULL));
    return name;
}

static char *get_string_of(QTestState *qts, const char *path,
                           const char *property)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': %s, 'property': %s}}",
                              path, property);
    char *value;

    g_assert_true(qdict_haskey(answer, "return"));
    value = g_strdup(qdict_get_str(answer, "return"));
    qobject_unref(answer);
    return value;
}

static char *get_string(QTestState *qts, const char *property)
{
    return get_string_of(qts, "/machine", property);
}

static void assert_string(QTestState *qts, const char *property,
                          const char *expected)
{
    g_autofree char *value = get_string(qts, property);

    g_assert_cmpstr(value, ==, expected);
}

static void assert_nsm(QTestState *qts, const char *property,
                       const char *expected)
{
    g_autofree char *value = get_string_of(qts, "/machine/nsm", property);

    g_assert_cmpstr(value, ==, expected);
}

/* Bit i: register i is locked */
static int64_t locked_pcrs(QTestState *qts)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': '/machine/nsm',"
                              " 'property': 'locked-pcrs'}}");
    int64_t value = qdict_get_int(answer, "return");

    qobject_unref(answer);
    return value;
}

/* The machine starts without options, as in QEMU's generic tests. */
static void test_bare(void)
{
    QTestState *qts = qtest_init("-M nitro-enclave");

    assert_string(qts, "vsock", "");
    assert_string(qts, "pcr0", "");
    qtest_quit(qts);
}

static void test_options(void)
{
    QTestState *qts = qtest_init("-M nitro-enclave,id=name,parent-id=i-12,"
                                 "parent-role=arn:aws:iam::1:role/r,"
                                 "debug-mode=on");
    QDict *answer;

    assert_string(qts, "id", "name");
    assert_string(qts, "parent-id", "i-12");
    assert_string(qts, "parent-role", "arn:aws:iam::1:role/r");
    answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                       "{'path': '/machine', 'property': 'debug-mode'}}");
    g_assert_true(qdict_get_bool(answer, "return"));
    qobject_unref(answer);

    /* Measurements cannot be set. */
    answer = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': "
                       "{'path': '/machine', 'property': 'pcr0',"
                       " 'value': '00'}}");
    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    qtest_quit(qts);
}

/* Options have no effect after the start, so they cannot be changed then. */
static void test_options_late(void)
{
    static const char *const options[] = {
        "vsock", "id", "parent-role", "parent-id", "attestation-ca-cert",
        "attestation-ca-key",
    };
    QTestState *qts = qtest_init("-M nitro-enclave,id=name");
    QDict *answer;
    int i;

    for (i = 0; i < ARRAY_SIZE(options); i++) {
        g_autofree char *before = get_string(qts, options[i]);
        const char *words;

        answer = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': "
                           "{'path': '/machine', 'property': %s,"
                           " 'value': 'other'}}", options[i]);
        g_assert_true(qdict_haskey(answer, "error"));
        words = qdict_get_str(qdict_get_qdict(answer, "error"), "desc");
        g_assert_nonnull(strstr(words, options[i]));
        g_assert_nonnull(strstr(words, "cannot be changed"));
        qobject_unref(answer);
        assert_string(qts, options[i], before);
    }

    answer = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': "
                       "{'path': '/machine', 'property': 'debug-mode',"
                       " 'value': true}}");
    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                       "{'path': '/machine', 'property': 'debug-mode'}}");
    g_assert_false(qdict_get_bool(answer, "return"));
    qobject_unref(answer);
    qtest_quit(qts);
}

static void hash_hex(char hex[97], const uint8_t *data, size_t size)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA384, data,
                                                       size);
    g_strlcpy(hex, sum, 97);
}

/* extend(zero, H(data)), by another library than the machine uses */
static char *pcr_of(const GByteArray *data)
{
    uint8_t both[96] = { };
    char hex[97];
    int i;

    hash_hex(hex, data->data, data->len);
    for (i = 0; i < 48; i++) {
        both[48 + i] = g_ascii_xdigit_value(hex[2 * i]) << 4 |
                       g_ascii_xdigit_value(hex[2 * i + 1]);
    }
    hash_hex(hex, both, sizeof(both));
    return g_strdup(hex);
}

static void test_measurements(void)
{
    g_autofree char *image = make_image(CMDLINE);
    g_autofree char *zero = g_strnfill(96, '0');
    g_autofree char *pcr0 = NULL;
    g_autofree char *pcr2 = NULL;
    g_autofree char *file = NULL;
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autoptr(GByteArray) nothing = g_byte_array_new();
    QTestState *qts = qtest_initf("-M nitro-enclave -kernel %s", image);

    g_assert_true(g_file_get_contents(image, &file, NULL, NULL));
    g_byte_array_append(data, (uint8_t *)file + EIF_HEADER + 12, 4096);
    g_byte_array_append(data, (uint8_t *)CMDLINE, strlen(CMDLINE));
    g_byte_array_append(data, (uint8_t *)RAMDISK, strlen(RAMDISK));
    pcr0 = pcr_of(data);
    pcr2 = pcr_of(nothing);
    assert_string(qts, "pcr0", pcr0);
    assert_string(qts, "pcr1", pcr0);
    assert_string(qts, "pcr2", pcr2);
    assert_string(qts, "pcr8", zero);
    qtest_quit(qts);
    unlink(image);
}

/* SHA-384 of 48 zeros and @text */
static char *pcr_of_text(const char *text)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    char hex[97];

    g_byte_array_set_size(data, 48);
    memset(data->data, 0, 48);
    g_byte_array_append(data, (const uint8_t *)text, strlen(text));
    hash_hex(hex, data->data, data->len);
    return g_strdup(hex);
}

#define ROLE        "arn:aws:iam::123456789012:role/Parent"
#define PARENT      "i-0123456789abcdef0"
#define MODULE_ID   PARENT "-enc0123456789abcdef"

/*
 * The NSM's registers start with the machine's measurements, and with those of
 * the parent's role and id.
 */
static void check_start_pcrs(const char *options, bool debug, bool parent)
{
    g_autofree char *image = make_image(CMDLINE);
    g_autofree char *zero = g_strnfill(96, '0');
    g_autofree char *role = parent ? pcr_of_text(ROLE) : g_strdup(zero);
    g_autofree char *id = parent ? pcr_of_text(PARENT) : g_strdup(zero);
    QTestState *qts = qtest_initf("-M nitro-enclave%s -kernel %s -m 128M",
                                  options, image);
    g_autofree char *pcr0 = get_string(qts, "pcr0");
    g_autofree char *pcr1 = get_string(qts, "pcr1");
    g_autofree char *pcr2 = get_string(qts, "pcr2");
    int resets, i;

    g_assert_cmpstr(pcr0, !=, zero);
    for (resets = 0; resets < 2; resets++) {
        assert_nsm(qts, "pcr0", debug ? zero : pcr0);
        assert_nsm(qts, "pcr1", debug ? zero : pcr1);
        assert_nsm(qts, "pcr2", debug ? zero : pcr2);
        assert_nsm(qts, "pcr3", role);
        assert_nsm(qts, "pcr4", id);
        for (i = 5; i < 32; i++) {
            g_autofree char *name = g_strdup_printf("pcr%d", i);

            assert_nsm(qts, name, zero);
        }
        g_assert_cmphex(locked_pcrs(qts), ==, 0xffff);
        qtest_outb(qts, RESET_PORT, 0xfe);
        qtest_qmp_eventwait(qts, "RESET");
    }
    qtest_quit(qts);
    unlink(image);
}

static void test_start_pcrs(void)
{
    check_start_pcrs("", false, false);
}

static void test_start_pcrs_parent(void)
{
    check_start_pcrs(",parent-role=" ROLE ",parent-id=" PARENT, false, true);
}

static void test_start_pcrs_debug(void)
{
    check_start_pcrs(",debug-mode=on,parent-role=" ROLE ",parent-id=" PARENT,
                     true, true);
}

static void test_module_id(void)
{
    QTestState *qts = qtest_init("-M nitro-enclave,id=" MODULE_ID);

    assert_nsm(qts, "module-id", MODULE_ID);
    qtest_quit(qts);
}

/* Each run has its own root, that of the NSM.  It cannot be set. */
static void test_attestation_root(void)
{
    QTestState *qts = qtest_init("-M nitro-enclave");
    g_autofree char *first = get_string(qts, "attestation-root");
    g_autofree char *second = NULL;
    QDict *answer;

    g_assert_true(g_str_has_prefix(first, "-----BEGIN CERTIFICATE-----\n"));
    g_assert_true(g_str_has_suffix(first, "-----END CERTIFICATE-----\n"));
    assert_nsm(qts, "attestation-root", first);
    answer = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': "
                       "{'path': '/machine', 'property': 'attestation-root',"
                       " 'value': ''}}");
    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
    qtest_quit(qts);

    qts = qtest_init("-M nitro-enclave");
    second = get_string(qts, "attestation-root");
    g_assert_cmpstr(first, !=, second);
    qtest_quit(qts);
}

static void test_memory(void)
{
    g_autofree char *image = make_image(CMDLINE);
    QTestState *qts = qtest_initf("-M nitro-enclave -m 128M -append more"
                                  " -kernel %s", image);
    char text[80] = { };
    uint32_t ramdisk;

    /* The kernel's code, without its setup. */
    g_assert_cmphex(qtest_readl(qts, LOAD_ADDRESS), ==, 0xc3c3c3c3);
    g_assert_cmphex(qtest_readl(qts, LOAD_ADDRESS + 3068), ==, 0xc3c3c3c3);
    g_assert_cmphex(qtest_readl(qts, LOAD_ADDRESS + 3072), ==, 0);

    g_assert_cmphex(qtest_readl(qts, ZERO_PAGE + 0x202), ==, 0x53726448);
    g_assert_cmphex(qtest_readb(qts, ZERO_PAGE + 0x210), ==, 0xb0);
    g_assert_cmphex(qtest_readb(qts, ZERO_PAGE + 0x1ef), ==, 0);
    g_assert_cmpuint(qtest_readb(qts, ZERO_PAGE + 0x1e8), ==, 3);

    /* The text of the image, the user's text, and the NSM's transport */
    qtest_memread(qts, qtest_readl(qts, ZERO_PAGE + 0x228), text,
                  sizeof(text) - 1);
    g_assert_cmpstr(text, ==, CMDLINE " more"
                    " virtio_mmio.device=512@0xfeb00200:6");

    ramdisk = qtest_readl(qts, ZERO_PAGE + 0x218);
    g_assert_cmpuint(qtest_readl(qts, ZERO_PAGE + 0x21c), ==, strlen(RAMDISK));
    memset(text, 0, sizeof(text));
    qtest_memread(qts, ramdisk, text, strlen(RAMDISK));
    g_assert_cmpstr(text, ==, RAMDISK);
    qtest_quit(qts);
    unlink(image);
}

static uint8_t sum_of(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    while (size--) {
        sum += *data++;
    }
    return sum;
}

/* Check the MP table with @smp, and that it names the APIC ids @ids. */
static void check_mp_table(const char *smp, const uint8_t *ids, unsigned num)
{
    g_autofree char *image = make_image(CMDLINE);
    QTestState *qts = qtest_initf("-M nitro-enclave -m 128M -smp %s"
                                  " -kernel %s", smp, image);
    uint8_t pointer[16], table[4096];
    unsigned entries, length, cpus = 0, irqs = 0;
    const uint8_t *p;

    qtest_memread(qts, 0x9fc00, pointer, sizeof(pointer));
    g_assert_cmpmem(pointer, 4, "_MP_", 4);
    g_assert_cmpuint(sum_of(pointer, sizeof(pointer)), ==, 0);
    g_assert_cmpuint(pointer[9], ==, 4);

    qtest_memread(qts, (uint32_t)ldl_le_p(pointer + 4), table, sizeof(table));
    g_assert_cmpmem(table, 4, "PCMP", 4);
    length = lduw_le_p(table + 4);
    g_assert_cmpuint(length, <, sizeof(table));
    g_assert_cmpuint(sum_of(table, length), ==, 0);
    g_assert_cmphex((uint32_t)ldl_le_p(table + 36), ==, 0xfee00000);

    p = table + 44;
    for (entries = lduw_le_p(table + 34); entries; entries--) {
        switch (p[0]) {
        case 0:
            g_assert_cmpuint(cpus, <, num);
            g_assert_cmpuint(p[1], ==, ids[cpus]);
            g_assert_cmpuint(p[3], ==, cpus ? 1 : 3);
            cpus++;
            p += 20;
            break;
        case 3:
            /* The timer on pin 2, the others on their own. */
            g_assert_cmpuint(p[7], ==, p[5] ? p[5] : 2);
            g_assert_cmpuint(p[5], !=, 2);
            irqs++;
            p += 8;
            break;
        default:
            g_assert_cmpuint(p[0], <=, 4);
            p += 8;
        }
    }
    g_assert_true(p == table + length);
    g_assert_cmpuint(cpus, ==, num);
    g_assert_cmpuint(irqs, ==, 15);
    qtest_quit(qts);
    unlink(image);
}

static void test_one_cpu(void)
{
    check_mp_table("1", (uint8_t[]) { 0 }, 1);
}

static void test_topology(void)
{
    /* Three cores take two bits of the APIC id. */
    check_mp_table("6,sockets=2,cores=3,threads=1",
                   (uint8_t[]) { 0, 1, 2, 4, 5, 6 }, 6);
}

static void test_most_cpus(void)
{
    uint8_t ids[128];
    int i;

    for (i = 0; i < 128; i++) {
        ids[i] = i;
    }
    check_mp_table("128", ids, 128);
}

static void test_reset_port(void)
{
    /* Read and write the command byte, self test, disable both ports */
    static const uint8_t commands[] = { 0x20, 0x60, 0xaa, 0xad, 0xa7, 0xff };
    g_autofree char *image = make_image(CMDLINE);
    QTestState *qts = qtest_initf("-M nitro-enclave -m 128M -kernel %s",
                                  image);
    int i;

    /*
     * The input buffer is empty, the output buffer cannot be emptied, and other
     * commands do nothing.
     */
    for (i = 0; i < 20; i++) {
        g_assert_cmphex(qtest_inb(qts, RESET_PORT), ==, 0x01);
        qtest_inb(qts, DATA_PORT);
    }
    for (i = 0; i < ARRAY_SIZE(commands); i++) {
        qtest_outb(qts, RESET_PORT, commands[i]);
        g_assert_cmphex(qtest_inb(qts, RESET_PORT), ==, 0x01);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'query-status'}");
    g_assert_null(qtest_qmp_event_ref(qts, "RESET"));
    qtest_outb(qts, RESET_PORT, 0xfe);
    qtest_qmp_eventwait(qts, "RESET");

    g_assert_cmphex(qtest_readl(qts, LOAD_ADDRESS), ==, 0xc3c3c3c3);
    qtest_quit(qts);
    unlink(image);
}

/* Wait until the image has been loaded again, after a reset. */
static void wait_until_loaded(QTestState *qts)
{
    bool loading;

    do {
        QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                                  "{'path': '/machine',"
                                  " 'property': 'loading'}}");

        loading = qdict_get_bool(answer, "return");
        qobject_unref(answer);
    } while (loading);
}

/* A reset restores the initial content of guest memory. */
static void test_reset_memory(void)
{
    g_autofree char *image = make_image(CMDLINE);
    QTestState *qts = qtest_initf("-M nitro-enclave -m 128M -kernel %s",
                                  image);
    uint64_t addresses[] = { LOAD_ADDRESS, ZERO_PAGE + 0x202, 0x9fc00, 0xf0000,
                             0x9000, 0x20000, 0xffff0 };
    uint32_t before[ARRAY_SIZE(addresses)];
    int i;

    for (i = 0; i < ARRAY_SIZE(addresses); i++) {
        before[i] = qtest_readl(qts, addresses[i]);
        g_assert_cmphex(before[i], !=, 0);
        qtest_writel(qts, addresses[i], 0xdeadbeef);
    }
    qtest_outb(qts, RESET_PORT, 0xfe);
    qtest_qmp_eventwait(qts, "RESET");
    wait_until_loaded(qts);
    for (i = 0; i < ARRAY_SIZE(addresses); i++) {
        g_assert_cmphex(qtest_readl(qts, addresses[i]), ==, before[i]);
    }
    qtest_quit(qts);
    unlink(image);
}

/* If the image has changed, it does not boot again. */
static void check_changed_image(bool shrink)
{
    g_autofree char *image = make_image(CMDLINE);
    g_autofree char *other = make_image("another");
    g_autofree char *data = NULL;
    gsize size;
    QTestState *qts = qtest_initf("-M nitro-enclave -m 128M -kernel %s",
                                  image);
    FILE *f = fopen(image, "r+");

    g_assert_nonnull(f);
    if (shrink) {
        g_assert_cmpint(ftruncate(fileno(f), 1000), ==, 0);
    } else {
        g_assert_true(g_file_get_contents(other, &data, &size, NULL));
        g_assert_cmpuint(fwrite(data, 1, size, f), ==, size);
    }
    fclose(f);
    qtest_set_expected_status(qts, 1);
    qtest_outb(qts, RESET_PORT, 0xfe);
    while (qtest_probe_child(qts)) {
        g_usleep(10000);
    }
    qtest_quit(qts);
    unlink(image);
    unlink(other);
}

static void test_image_changed(void)
{
    check_changed_image(false);
}

static void test_image_shrunk(void)
{
    check_changed_image(true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("nitro-enclave/bare", test_bare);
    qtest_add_func("nitro-enclave/options", test_options);
    qtest_add_func("nitro-enclave/options-late", test_options_late);
    qtest_add_func("nitro-enclave/measurements", test_measurements);
    qtest_add_func("nitro-enclave/nsm/start-pcrs", test_start_pcrs);
    qtest_add_func("nitro-enclave/nsm/start-pcrs/parent",
                   test_start_pcrs_parent);
    qtest_add_func("nitro-enclave/nsm/start-pcrs/debug",
                   test_start_pcrs_debug);
    qtest_add_func("nitro-enclave/nsm/module-id", test_module_id);
    qtest_add_func("nitro-enclave/nsm/attestation-root",
                   test_attestation_root);
    qtest_add_func("nitro-enclave/memory", test_memory);
    qtest_add_func("nitro-enclave/mp-table/one-cpu", test_one_cpu);
    qtest_add_func("nitro-enclave/mp-table/topology", test_topology);
    qtest_add_func("nitro-enclave/mp-table/most-cpus", test_most_cpus);
    qtest_add_func("nitro-enclave/reset/port", test_reset_port);
    qtest_add_func("nitro-enclave/reset/memory", test_reset_memory);
    qtest_add_func("nitro-enclave/reset/image-changed", test_image_changed);
    qtest_add_func("nitro-enclave/reset/image-shrunk", test_image_shrunk);

    return g_test_run();
}
