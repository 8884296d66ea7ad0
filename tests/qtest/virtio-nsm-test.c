/*
 * virtio-nsm: the device's queue, its state, and errors of a guest
 *
 * The test has its own driver, because libqos's driver follows the rules of
 * virtio.  This one writes any descriptors, rings and registers (virtio 1.2,
 * sections 2.7 and 4.2).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/pci/pci_regs.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_mmio.h"
#include "standard-headers/linux/virtio_pci.h"
#include "standard-headers/linux/virtio_ring.h"
#include "../unit/nsm-bytes.h"

/* A file in place of the firmware, which never runs */
static char *firmware;

#define MACHINE         "-M microvm,acpi=off -m 64M -bios %s" \
                        " -global virtio-mmio.force-legacy=off" \
                        " -device virtio-nsm-device,bus=virtio-mmio-bus.0"

#define REGISTERS       0xfeb00000

/* The same over PCI: where QEMU has the structures in BAR 4 */
#define BAR             0xe0000000
#define VPCI_ISR        0x1000
#define VPCI_NOTIFY     0x3000

#define F_INDIRECT      (1u << VIRTIO_RING_F_INDIRECT_DESC)
#define F_VERSION_1     (1u << (VIRTIO_F_VERSION_1 - 32))   /* upper half */
#define F_RING_RESET    (1u << (VIRTIO_F_RING_RESET - 32))

#define D_NEXT          VRING_DESC_F_NEXT
#define D_WRITE         VRING_DESC_F_WRITE
#define D_INDIRECT      VRING_DESC_F_INDIRECT

#define QUEUE_SIZE      64

/* Addresses in the guest's 64 MiB */
#define DESCRIPTORS     0x100000
#define AVAIL           0x101000
#define USED            0x102000
#define INDIRECT        0x103000
#define REQUESTS        0x200000    /* 8 KiB for each */
#define RESPONSES       0x400000    /* 16 KiB for each */

#define REQUEST(i)      (REQUESTS + (i) * 0x2000)
#define RESPONSE(i)     (RESPONSES + (i) * 0x4000)
#define RESPONSE_SIZE   0x3000

typedef struct Driver {
    QTestState *qts;
    bool pci;                       /* below a root port of q35 */
    uint16_t offered, seen;         /* indexes of the rings */
} Driver;

static void write_reg(Driver *d, unsigned reg, uint32_t value)
{
    qtest_writel(d->qts, REGISTERS + reg, value);
}

static uint32_t read_reg(Driver *d, unsigned reg)
{
    return qtest_readl(d->qts, REGISTERS + reg);
}

static void start_driver(Driver *d)
{
    unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    d->offered = d->seen = 0;
    qtest_memset(d->qts, DESCRIPTORS, 0, 0x4000);
    write_reg(d, VIRTIO_MMIO_STATUS, 0);
    write_reg(d, VIRTIO_MMIO_STATUS, status);
    write_reg(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    write_reg(d, VIRTIO_MMIO_DRIVER_FEATURES, F_INDIRECT);
    write_reg(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    write_reg(d, VIRTIO_MMIO_DRIVER_FEATURES, F_VERSION_1);
    write_reg(d, VIRTIO_MMIO_STATUS, status |= VIRTIO_CONFIG_S_FEATURES_OK);
    g_assert_cmphex(read_reg(d, VIRTIO_MMIO_STATUS), ==, status);
    write_reg(d, VIRTIO_MMIO_QUEUE_SEL, 0);
    write_reg(d, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
    write_reg(d, VIRTIO_MMIO_QUEUE_DESC_LOW, DESCRIPTORS);
    write_reg(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
    write_reg(d, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
    write_reg(d, VIRTIO_MMIO_QUEUE_READY, 1);
    write_reg(d, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void start_with(Driver *d, const char *options)
{
    *d = (Driver) { .qts = qtest_initf(MACHINE "%s", firmware, options) };
    start_driver(d);
}

static void start(Driver *d)
{
    start_with(d, "");
}

/* Configuration space: the root port is 00:03.0, and the device 01:00.0. */
#define ROOT_PORT       0x80001800
#define FUNCTION        0x80010000

static uint32_t read_config(Driver *d, uint32_t function, uint8_t reg)
{
    qtest_outl(d->qts, 0xcf8, function | reg);
    return qtest_inl(d->qts, 0xcfc);
}

static void write_config(Driver *d, uint32_t function, uint8_t reg,
                         uint32_t value)
{
    qtest_outl(d->qts, 0xcf8, function | reg);
    qtest_outl(d->qts, 0xcfc, value);
}

/* Give the device and the bridge above it their addresses, as firmware does. */
static void configure_pci(Driver *d)
{
    write_config(d, ROOT_PORT, PCI_PRIMARY_BUS, 0x00010100);
    write_config(d, ROOT_PORT, PCI_MEMORY_BASE, BAR | BAR >> 16);
    write_config(d, ROOT_PORT, PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    write_config(d, FUNCTION, PCI_BASE_ADDRESS_4, BAR);
    write_config(d, FUNCTION, PCI_BASE_ADDRESS_5, 0);
    write_config(d, FUNCTION, PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void start_pci_queue(Driver *d)
{
    d->offered = d->seen = 0;
    qtest_memset(d->qts, DESCRIPTORS, 0, 0x4000);
    qtest_writew(d->qts, BAR + VIRTIO_PCI_COMMON_Q_SIZE, QUEUE_SIZE);
    qtest_writel(d->qts, BAR + VIRTIO_PCI_COMMON_Q_DESCLO, DESCRIPTORS);
    qtest_writel(d->qts, BAR + VIRTIO_PCI_COMMON_Q_AVAILLO, AVAIL);
    qtest_writel(d->qts, BAR + VIRTIO_PCI_COMMON_Q_USEDLO, USED);
    qtest_writew(d->qts, BAR + VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static void start_pci_driver(Driver *d)
{
    unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

    qtest_writeb(d->qts, BAR + VIRTIO_PCI_COMMON_STATUS, 0);
    qtest_writeb(d->qts, BAR + VIRTIO_PCI_COMMON_STATUS, status);
    qtest_writel(d->qts, BAR + VIRTIO_PCI_COMMON_GFSELECT, 1);
    qtest_writel(d->qts, BAR + VIRTIO_PCI_COMMON_GF,
                 F_VERSION_1 | F_RING_RESET);
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    qtest_writeb(d->qts, BAR + VIRTIO_PCI_COMMON_STATUS, status);
    g_assert_cmphex(qtest_readb(d->qts, BAR + VIRTIO_PCI_COMMON_STATUS), ==,
                    status);
    start_pci_queue(d);
    qtest_writeb(d->qts, BAR + VIRTIO_PCI_COMMON_STATUS,
                 status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Returns false, after it skipped the test, if QEMU has no such machine. */
static bool start_pci(Driver *d)
{
    if (!qtest_has_machine("q35") || !qtest_has_device("virtio-nsm-pci") ||
        !qtest_has_device("pcie-root-port")) {
        g_test_skip("this QEMU has no q35, virtio-nsm-pci or pcie-root-port");
        return false;
    }
    *d = (Driver) {
        .qts = qtest_initf("-M q35 -nodefaults -m 64M -bios %s"
                           " -device pcie-root-port,id=root1,addr=3"
                           " -device virtio-nsm-pci,bus=root1", firmware),
        .pci = true,
    };
    configure_pci(d);
    start_pci_driver(d);
    return true;
}

static void put_descriptor_at(Driver *d, uint64_t table, unsigned i,
                              uint64_t address, uint32_t size, uint16_t flags,
                              uint16_t next)
{
    uint8_t desc[16];

    stq_le_p(desc, address);
    stl_le_p(desc + 8, size);
    stw_le_p(desc + 12, flags);
    stw_le_p(desc + 14, next);
    qtest_memwrite(d->qts, table + 16 * i, desc, sizeof(desc));
}

static void put_descriptor(Driver *d, unsigned i, uint64_t address,
                           uint32_t size, uint16_t flags, uint16_t next)
{
    put_descriptor_at(d, DESCRIPTORS, i, address, size, flags, next);
}

/* Put the chain that begins with @head into the available ring. */
static void offer(Driver *d, uint16_t head)
{
    qtest_writew(d->qts, AVAIL + 4 + 2 * (d->offered % QUEUE_SIZE), head);
    d->offered++;
    qtest_writew(d->qts, AVAIL + 2, d->offered);
}

static void kick(Driver *d)
{
    if (d->pci) {
        qtest_writew(d->qts, BAR + VPCI_NOTIFY, 0);
    } else {
        write_reg(d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    }
}

static uint16_t used_index(Driver *d)
{
    return qtest_readw(d->qts, USED + 2);
}

/* The next element of the used ring is @head, with @length bytes written. */
static void expect_used(Driver *d, uint32_t head, uint32_t length)
{
    uint64_t element = USED + 4 + 8 * (d->seen % QUEUE_SIZE);

    g_assert_cmpuint((uint16_t)(used_index(d) - d->seen), >, 0);
    g_assert_cmpuint(qtest_readl(d->qts, element), ==, head);
    g_assert_cmpuint(qtest_readl(d->qts, element + 4), ==, length);
    d->seen++;
}

static void expect_nothing_used(Driver *d)
{
    g_assert_cmpuint(used_index(d), ==, d->seen);
}

/* Was there an interrupt since the last call? */
static bool take_interrupt(Driver *d)
{
    uint32_t isr;

    if (d->pci) {
        return qtest_readb(d->qts, BAR + VPCI_ISR) & 1;
    }
    isr = read_reg(d, VIRTIO_MMIO_INTERRUPT_STATUS);
    write_reg(d, VIRTIO_MMIO_INTERRUPT_ACK, isr);
    return isr & 1;
}

static size_t write_bytes(Driver *d, uint64_t address, const char *notation)
{
    g_autoptr(GByteArray) data = bytes(notation);

    qtest_memwrite(d->qts, address, data->data, data->len);
    return data->len;
}

static void expect_bytes(Driver *d, uint64_t address, const char *notation)
{
    g_autoptr(GByteArray) expected = bytes(notation);
    g_autofree uint8_t *found = g_malloc(expected->len);

    qtest_memread(d->qts, address, found, expected->len);
    g_assert_cmpmem(found, expected->len, expected->data, expected->len);
}

static size_t size_of(const char *notation)
{
    g_autoptr(GByteArray) data = bytes(notation);

    return data->len;
}

/* Request @i in descriptor 2 * i, its response in the next, as Linux does it */
static void put_two_chains(Driver *d, unsigned i, const char *request)
{
    size_t size = write_bytes(d, REQUEST(i), request);

    put_descriptor(d, 2 * i, REQUEST(i), size, 0, 0);
    put_descriptor(d, 2 * i + 1, RESPONSE(i), RESPONSE_SIZE, D_WRITE, 0);
}

/* Send a request and check the response; uses slot 0. */
static void send_request(Driver *d, const char *request, const char *response)
{
    put_two_chains(d, 0, request);
    offer(d, 0);
    offer(d, 1);
    kick(d);
    expect_used(d, 0, 0);
    expect_used(d, 1, size_of(response));
    expect_bytes(d, RESPONSE(0), response);
    g_assert_true(take_interrupt(d));
}

#define LOCK_16         "a1 67'LockPCR' a1 65'index' 10"
#define LOCKED          "67'LockPCR'"
#define LOCK_17         "a1 67'LockPCR' a1 65'index' 11"
#define READ_ONLY       "a1 65'Error' 6d'ReadOnlyIndex'"
#define INVALID         "a1 65'Error' 70'InvalidOperation'"
#define TOO_SMALL       "a1 65'Error' 6e'BufferTooSmall'"
#define TOO_LARGE       "a1 65'Error' 6d'InputTooLarge'"

/* The device works. */
static void expect_alive(Driver *d)
{
    send_request(d, "a1 67'LockPCR' a1 65'index' 00", READ_ONLY);
}

static void expect_broken(Driver *d)
{
    g_assert_true(read_reg(d, VIRTIO_MMIO_STATUS) &
                  VIRTIO_CONFIG_S_NEEDS_RESET);
    start_driver(d);
    g_assert_false(read_reg(d, VIRTIO_MMIO_STATUS) &
                   VIRTIO_CONFIG_S_NEEDS_RESET);
    expect_alive(d);
}

static char *get_string_of(QTestState *qts, const char *path,
                           const char *property)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': %s, 'property': %s}}", path, property);
    char *value = g_strdup(qdict_get_str(answer, "return"));

    qobject_unref(answer);
    return value;
}

static char *get_string(QTestState *qts, const char *property)
{
    return get_string_of(qts, "/machine/peripheral-anon/device[0]", property);
}

static int64_t get_locked(QTestState *qts)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': '/machine/peripheral-anon/device[0]',"
                              " 'property': 'locked-pcrs'}}");
    int64_t value = qdict_get_int(answer, "return");

    qobject_unref(answer);
    return value;
}

static void test_registers(void)
{
    Driver d;

    start(&d);
    g_assert_cmphex(read_reg(&d, VIRTIO_MMIO_MAGIC_VALUE), ==, 0x74726976);
    g_assert_cmpuint(read_reg(&d, VIRTIO_MMIO_VERSION), ==, 2);
    g_assert_cmpuint(read_reg(&d, VIRTIO_MMIO_DEVICE_ID), ==, 33);
    g_assert_cmpuint(read_reg(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), >=, 2);
    write_reg(&d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    g_assert_cmphex(read_reg(&d, VIRTIO_MMIO_DEVICE_FEATURES) & 0xffffff, ==,
                    0);
    write_reg(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
    g_assert_cmpuint(read_reg(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), ==, 0);
    qtest_quit(d.qts);
}

static void test_two_chains(void)
{
    Driver d;

    start(&d);
    send_request(&d, LOCK_16, LOCKED);
    send_request(&d, LOCK_16, READ_ONLY);
    send_request(&d, "a1 6b'DescribePCR' a1 65'index' 18 1f",
                 "a1 6b'DescribePCR' a2 64'data' 58 30"
                 "00000000 00000000 00000000 00000000 00000000 00000000"
                 "00000000 00000000 00000000 00000000 00000000 00000000"
                 "64'lock' f4");
    qtest_quit(d.qts);
}

static void test_one_chain(void)
{
    Driver d;
    size_t size;

    start(&d);
    size = write_bytes(&d, REQUEST(0), LOCK_16);
    put_descriptor(&d, 5, REQUEST(0), size, D_NEXT, 9);
    put_descriptor(&d, 9, RESPONSE(0), RESPONSE_SIZE, D_WRITE, 0);
    offer(&d, 5);
    kick(&d);
    expect_used(&d, 5, size_of(LOCKED));
    expect_bytes(&d, RESPONSE(0), LOCKED);
    expect_nothing_used(&d);
    qtest_quit(d.qts);
}

/* A request without a buffer gets no response and no interrupt. */
static void test_together(void)
{
    Driver d;

    start(&d);
    put_two_chains(&d, 0, LOCK_16);
    offer(&d, 0);
    kick(&d);
    expect_nothing_used(&d);
    g_assert_false(take_interrupt(&d));
    g_assert_cmphex(get_locked(d.qts), ==, 0xffff);

    offer(&d, 1);
    kick(&d);
    expect_used(&d, 0, 0);
    expect_used(&d, 1, size_of(LOCKED));
    g_assert_true(take_interrupt(&d));
    qtest_quit(d.qts);
}

/* As many as fit the queue, several times, answered in order */
static void test_many(void)
{
    const int pairs = QUEUE_SIZE / 2;
    Driver d;
    int round, i;

    start(&d);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < pairs; i++) {
            put_two_chains(&d, i, i == 7 && !round ? LOCK_16 :
                           i % 2 ? "6b'DescribeNSN'" : LOCK_16);
            offer(&d, 2 * i);
            offer(&d, 2 * i + 1);
        }
        kick(&d);
        /* The device may leave some for its bottom half. */
        while ((uint16_t)(used_index(&d) - d.seen) < 2 * pairs) {
            qtest_clock_step(d.qts, 1000);
        }
        for (i = 0; i < pairs; i++) {
            const char *answer = i % 2 && !(i == 7 && !round) ? INVALID :
                                 !i && !round ? LOCKED : READ_ONLY;

            expect_used(&d, 2 * i, 0);
            expect_used(&d, 2 * i + 1, size_of(answer));
            expect_bytes(&d, RESPONSE(i), answer);
        }
        expect_nothing_used(&d);
    }
    qtest_quit(d.qts);
}

/* Several requests, then their buffers */
static void test_requests_first(void)
{
    Driver d;

    start(&d);
    put_two_chains(&d, 0, LOCK_16);
    put_two_chains(&d, 1, LOCK_16);
    put_two_chains(&d, 2, LOCK_17);
    offer(&d, 0);
    offer(&d, 2);
    offer(&d, 4);
    kick(&d);
    expect_nothing_used(&d);
    offer(&d, 3);
    offer(&d, 1);
    offer(&d, 5);
    kick(&d);
    /* The first request gets the first buffer, in any order of the chains. */
    expect_used(&d, 0, 0);
    expect_used(&d, 3, size_of(LOCKED));
    expect_used(&d, 2, 0);
    expect_used(&d, 1, size_of(READ_ONLY));
    expect_used(&d, 4, 0);
    expect_used(&d, 5, size_of(LOCKED));
    expect_bytes(&d, RESPONSE(1), LOCKED);
    expect_bytes(&d, RESPONSE(0), READ_ONLY);
    expect_bytes(&d, RESPONSE(2), LOCKED);
    qtest_quit(d.qts);
}

/* Each byte of both parts in a descriptor of its own */
static void test_split(void)
{
    size_t size = size_of(LOCK_16), i;
    Driver d;

    start(&d);
    write_bytes(&d, REQUEST(0), LOCK_16);
    for (i = 0; i < size; i++) {
        put_descriptor(&d, i, REQUEST(0) + i, 1, D_NEXT, i + 1);
    }
    for (i = 0; i < size_of(LOCKED); i++) {
        put_descriptor(&d, size + i, RESPONSE(0) + 3 * i, 1,
                       D_WRITE | D_NEXT, size + i + 1);
    }
    put_descriptor(&d, size + i, RESPONSE(1), RESPONSE_SIZE, D_WRITE, 0);
    offer(&d, 0);
    kick(&d);
    expect_used(&d, 0, size_of(LOCKED));
    for (i = 0; i < size_of(LOCKED); i++) {
        g_assert_cmphex(qtest_readb(d.qts, RESPONSE(0) + 3 * i), ==,
                        "\x67LockPCR"[i]);
    }
    qtest_quit(d.qts);
}

static void test_indirect(void)
{
    Driver d;
    size_t size;

    start(&d);
    size = write_bytes(&d, REQUEST(0), LOCK_16);
    put_descriptor_at(&d, INDIRECT, 0, REQUEST(0), 3, D_NEXT, 1);
    put_descriptor_at(&d, INDIRECT, 1, REQUEST(0) + 3, size - 3, D_NEXT, 2);
    put_descriptor_at(&d, INDIRECT, 2, RESPONSE(0), RESPONSE_SIZE, D_WRITE, 0);
    put_descriptor(&d, 0, INDIRECT, 3 * 16, D_INDIRECT, 0);
    offer(&d, 0);
    kick(&d);
    expect_used(&d, 0, size_of(LOCKED));
    expect_bytes(&d, RESPONSE(0), LOCKED);
    qtest_quit(d.qts);
}

/* With a buffer of @size bytes, the response to @request is @response. */
static void check_buffer_size(Driver *d, const char *request, uint32_t size,
                              const char *response)
{
    put_two_chains(d, 0, request);
    put_descriptor(d, 1, RESPONSE(0), size, D_WRITE, 0);
    qtest_memset(d->qts, RESPONSE(0), 0xee, RESPONSE_SIZE);
    offer(d, 0);
    offer(d, 1);
    kick(d);
    expect_used(d, 0, 0);
    expect_used(d, 1, size_of(response));
    expect_bytes(d, RESPONSE(0), response);
    g_assert_cmphex(qtest_readb(d->qts, RESPONSE(0) + size_of(response)), ==,
                    0xee);
}

static void test_small_response(void)
{
    size_t whole = size_of(LOCKED), error = size_of(TOO_SMALL);
    Driver d;

    start(&d);
    /* If the response does not fit, no register is locked. */
    check_buffer_size(&d, LOCK_16, whole - 1, "");
    g_assert_cmphex(get_locked(d.qts), ==, 0xffff);
    check_buffer_size(&d, "69'GetRandom'", 256, TOO_SMALL);
    check_buffer_size(&d, "69'GetRandom'", error, TOO_SMALL);
    check_buffer_size(&d, "69'GetRandom'", error - 1, "");
    check_buffer_size(&d, LOCK_16, whole, LOCKED);
    g_assert_cmphex(get_locked(d.qts), ==, 0x1ffff);
    qtest_quit(d.qts);
}

/* A request of @size bytes, the last of which are text for ExtendPCR */
static void send_large(Driver *d, size_t size, bool fits)
{
    g_autoptr(GByteArray) request = bytes(
        "a1 69'ExtendPCR' a2 65'index' 10 64'data' 59 0000");
    size_t head = request->len;
    uint8_t start[13];

    stw_be_p(request->data + head - 2, size - head);
    repeat(request, 'x', size - head);
    put_two_chains(d, 0, "");
    qtest_memwrite(d->qts, REQUEST(0), request->data, request->len);
    put_descriptor(d, 0, REQUEST(0), size, 0, 0);
    offer(d, 0);
    offer(d, 1);
    kick(d);
    expect_used(d, 0, 0);
    if (!fits) {
        expect_used(d, 1, size_of(TOO_LARGE));
        expect_bytes(d, RESPONSE(0), TOO_LARGE);
        return;
    }
    d->seen++;
    qtest_memread(d->qts, RESPONSE(0), start, 11);
    g_assert_cmpmem(start, 11, "\xa1\x69" "ExtendPCR", 11);
}

static void test_large_request(void)
{
    Driver d;

    start(&d);
    send_large(&d, 0x1000, true);
    send_large(&d, 0x1001, false);
    send_large(&d, 0x1fff, false);
    expect_alive(&d);
    qtest_quit(d.qts);
}

static void test_response_alone(void)
{
    Driver d;

    start(&d);
    put_two_chains(&d, 0, LOCK_16);
    offer(&d, 1);
    kick(&d);
    expect_nothing_used(&d);
    expect_broken(&d);
    qtest_quit(d.qts);
}

static void test_malformed_rings(void)
{
    static const struct {
        uint64_t address;
        uint32_t size;
        uint16_t flags, next;
    } bad[] = {
        { REQUEST(0), 8, D_NEXT, 0 },                   /* a loop */
        { REQUEST(0), 8, D_NEXT, QUEUE_SIZE },          /* not in the table */
        { 0xfffffffffffffff0, 0x100, 0, 0 },            /* past the end */
        { 0x2000000000, 0x1000, 0, 0 },                 /* no memory there */
        { REQUEST(0), 0, 0, 0 },                        /* nothing */
        { INDIRECT, 15, D_INDIRECT, 0 },                /* no whole entry */
        { INDIRECT, 16, D_INDIRECT | D_NEXT, 1 },       /* not both at once */
    };
    Driver d;
    int i;

    start(&d);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        put_descriptor(&d, 0, bad[i].address, bad[i].size, bad[i].flags,
                       bad[i].next);
        put_descriptor(&d, 1, RESPONSE(0), RESPONSE_SIZE, D_WRITE, 0);
        offer(&d, 0);
        offer(&d, 1);
        kick(&d);
        start_driver(&d);
        expect_alive(&d);
    }
    /* A head that is no descriptor's */
    offer(&d, QUEUE_SIZE);
    kick(&d);
    expect_broken(&d);
    /* The same descriptors, more often than the queue has entries */
    put_two_chains(&d, 0, LOCK_16);
    for (i = 0; i < QUEUE_SIZE; i++) {
        offer(&d, 0);
        kick(&d);
    }
    expect_nothing_used(&d);
    offer(&d, 0);
    kick(&d);
    expect_broken(&d);
    /* A readable descriptor after a writable one */
    put_descriptor(&d, 0, RESPONSE(0), RESPONSE_SIZE, D_WRITE | D_NEXT, 1);
    put_descriptor(&d, 1, REQUEST(0), 8, 0, 0);
    offer(&d, 0);
    kick(&d);
    expect_broken(&d);
    qtest_quit(d.qts);
}

/* The driver resets the device while a request waits: registers are kept. */
static void test_driver_reset(void)
{
    Driver d;

    start(&d);
    send_request(&d, LOCK_16, LOCKED);
    put_two_chains(&d, 0, LOCK_17);
    offer(&d, 0);
    kick(&d);
    start_driver(&d);
    expect_nothing_used(&d);
    /* The request is discarded, so a buffer alone is an error now. */
    put_two_chains(&d, 0, LOCK_17);
    offer(&d, 1);
    kick(&d);
    expect_broken(&d);
    g_assert_cmphex(get_locked(d.qts), ==, 0x1ffff);
    qtest_quit(d.qts);
}

static void system_reset(QTestState *qts)
{
    qobject_unref(qtest_qmp(qts, "{'execute': 'system_reset'}"));
    qtest_qmp_eventwait(qts, "RESET");
}

/*
 * Extend and lock PCR16, and leave a request without a buffer.  Returns what
 * the register is then.
 */
static char *change_registers(Driver *d)
{
    g_autofree char *zero = g_strnfill(96, '0');
    char *extended;

    send_large(d, 100, true);
    send_request(d, LOCK_16, LOCKED);
    extended = get_string(d->qts, "pcr16");
    g_assert_cmpstr(extended, !=, zero);
    put_two_chains(d, 0, LOCK_17);
    offer(d, 0);
    kick(d);
    return extended;
}

/* Reset the machine: the registers are as at the start. */
static void reset_registers(Driver *d)
{
    g_autofree char *zero = g_strnfill(96, '0');
    g_autofree char *after = NULL;

    system_reset(d->qts);
    after = get_string(d->qts, "pcr16");
    g_assert_cmpstr(after, ==, zero);
    g_assert_cmphex(get_locked(d->qts), ==, 0xffff);
}

/* The machine is reset while a request waits: registers are reset, too. */
static void test_system_reset(void)
{
    Driver d;

    start(&d);
    g_free(change_registers(&d));
    reset_registers(&d);
    start_driver(&d);
    expect_alive(&d);
    qtest_quit(d.qts);
}

static void wait_for_migration(QTestState *qts)
{
    for (;;) {
        QDict *answer = qtest_qmp(qts, "{'execute': 'query-migrate'}");
        QDict *status = qdict_get_qdict(answer, "return");
        bool done = !g_strcmp0(qdict_get_try_str(status, "status"),
                               "completed");

        g_assert_cmpstr(qdict_get_try_str(status, "status"), !=, "failed");
        qobject_unref(answer);
        if (done) {
            return;
        }
        g_usleep(10 * 1000);
    }
}

/*
 * The registers as virtio-nsm sends them since QEMU 9.2: for each one, a byte
 * that is 1 if it is locked, and its value.
 */
static GByteArray *get_stream(QTestState *qts)
{
    GByteArray *bytes = g_byte_array_new();
    uint32_t locked = get_locked(qts);
    int i, j;

    for (i = 0; i < 32; i++) {
        g_autofree char *name = g_strdup_printf("pcr%d", i);
        g_autofree char *value = get_string(qts, name);
        uint8_t byte = locked >> i & 1;

        g_assert_cmpuint(strlen(value), ==, 2 * 48);
        g_byte_array_append(bytes, &byte, 1);
        for (j = 0; j < 48; j++) {
            byte = g_ascii_xdigit_value(value[2 * j]) << 4 |
                   g_ascii_xdigit_value(value[2 * j + 1]);
            g_byte_array_append(bytes, &byte, 1);
        }
    }
    return bytes;
}

static void test_migration(void)
{
    g_autoptr(GByteArray) registers = NULL;
    g_autofree char *stream = NULL;
    gsize stream_size;
    g_autofree char *file = NULL;
    g_autofree char *incoming = NULL;
    g_autofree char *uri = NULL;
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    int fd = g_file_open_tmp("virtio-nsm-XXXXXX", &file, NULL);
    QDict *answer;
    Driver d;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    start(&d);
    send_large(&d, 1000, true);
    send_request(&d, LOCK_16, LOCKED);
    before = get_string(d.qts, "pcr16");
    /* A request waits for its buffer, and still waits after migration. */
    put_two_chains(&d, 0, LOCK_17);
    offer(&d, 0);
    kick(&d);

    uri = g_strdup_printf("exec:cat > %s", file);
    answer = qtest_qmp(d.qts, "{'execute': 'migrate',"
                       " 'arguments': {'uri': %s}}", uri);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    wait_for_migration(d.qts);
    registers = get_stream(d.qts);
    qtest_quit(d.qts);
    g_assert_true(g_file_get_contents(file, &stream, &stream_size, NULL));
    g_assert_nonnull(memmem(stream, stream_size, registers->data,
                            registers->len));

    incoming = g_strdup_printf("exec:cat %s", file);
    d.qts = qtest_initf(MACHINE " -incoming defer", firmware);
    answer = qtest_qmp(d.qts, "{'execute': 'migrate-incoming',"
                       " 'arguments': {'uri': %s}}", incoming);
    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
    wait_for_migration(d.qts);
    qtest_qmp_eventwait(d.qts, "RESUME");

    after = get_string(d.qts, "pcr16");
    g_assert_cmpstr(after, ==, before);
    g_assert_cmphex(get_locked(d.qts), ==, 0x1ffff);
    offer(&d, 1);
    kick(&d);
    expect_used(&d, 0, 0);
    expect_used(&d, 1, size_of(LOCKED));
    send_request(&d, LOCK_17, READ_ONLY);
    qtest_quit(d.qts);
    unlink(file);
}

static void test_properties(void)
{
    g_autofree char *zero = g_strnfill(96, '0');
    g_autofree char *root = NULL;
    g_autofree char *pcr = NULL;
    Driver d;

    start_with(&d, ",module-id=i-1-enc2");
    root = get_string(d.qts, "attestation-root");
    g_assert_true(g_str_has_prefix(root, "-----BEGIN CERTIFICATE-----\n"));
    pcr = get_string(d.qts, "pcr31");
    g_assert_cmpstr(pcr, ==, zero);
    g_assert_cmphex(get_locked(d.qts), ==, 0xffff);
    send_request(&d, "6b'DescribeNSM'",
                 "a1 6b'DescribeNSM' a7 66'digest' 66'SHA384'"
                 "68'max_pcrs' 18 20"
                 "69'module_id' 68'i-1-enc2' 6b'locked_pcrs' 90"
                 "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
                 "6d'version_major' 01 6d'version_minor' 00"
                 "6d'version_patch' 00");
    qtest_quit(d.qts);
}

/* Send a request, and read a response of known size; uses slot 0. */
static void send_bytes(Driver *d, const char *request, uint8_t *response,
                       size_t size)
{
    put_two_chains(d, 0, request);
    offer(d, 0);
    offer(d, 1);
    kick(d);
    expect_used(d, 0, 0);
    g_assert_cmpuint(qtest_readl(d->qts, USED + 4 + 8 * d->seen + 4), >=, size);
    d->seen++;
    qtest_memread(d->qts, RESPONSE(0), response, size);
}

#define RANDOM_SIZE     (1 + 10 + 1 + 7 + 3 + 256)

/* The first response to GetRandom of a QEMU with @options */
static void first_random(const char *options, uint8_t random[RANDOM_SIZE])
{
    Driver d = {
        .qts = qtest_initf(MACHINE " %s", firmware, options),
    };

    start_driver(&d);
    send_bytes(&d, "69'GetRandom'", random, RANDOM_SIZE);
    g_assert_cmpmem(random, 12, "\xa1\x69GetRandom\xa1", 12);
    qtest_quit(d.qts);
}

/* -seed determines the guest's random bytes. */
static void test_seed(void)
{
    uint8_t one[RANDOM_SIZE], same[RANDOM_SIZE], two[RANDOM_SIZE];
    uint8_t none[RANDOM_SIZE], other[RANDOM_SIZE];

    first_random("-seed 1", one);
    first_random("-seed 1", same);
    first_random("-seed 2", two);
    first_random("", none);
    first_random("", other);
    g_assert_cmpmem(one, RANDOM_SIZE, same, RANDOM_SIZE);
    g_assert_true(memcmp(one, two, RANDOM_SIZE) != 0);
    g_assert_true(memcmp(none, other, RANDOM_SIZE) != 0);
}

/* The date in the first document, in milliseconds since 1970 */
static uint64_t first_timestamp(const char *options)
{
    static const char name[] = "\x69timestamp\x1b";
    uint8_t response[512];
    const uint8_t *found;
    Driver d = {
        .qts = qtest_initf(MACHINE " %s", firmware, options),
    };

    start_driver(&d);
    send_bytes(&d, "a1 6b'Attestation' a0", response, sizeof(response));
    qtest_quit(d.qts);
    found = memmem(response, sizeof(response) - 8, name, strlen(name));
    g_assert_nonnull(found);
    return ldq_be_p(found + strlen(name));
}

/* Documents have the date that -rtc base= gives the guest. */
static void test_rtc_base(void)
{
    const uint64_t base = 1893456000000;    /* 2030-01-01T00:00:00Z */
    const uint64_t hour = 3600 * 1000;
    uint64_t now = g_get_real_time() / 1000;
    uint64_t found;

    found = first_timestamp("-rtc base=2030-01-01T00:00:00");
    g_assert_cmpuint(found, >=, base);
    g_assert_cmpuint(found, <, base + hour);
    found = first_timestamp("");
    g_assert_cmpuint(found, >=, now);
    g_assert_cmpuint(found, <, now + hour);
}

/* The same module behind a PCI transport */
static void test_pci(void)
{
    g_autofree char *root = NULL;
    QTestState *qts;

    if (!qtest_has_machine("q35") || !qtest_has_device("virtio-nsm-pci")) {
        g_test_skip("this QEMU has no q35 or no virtio-nsm-pci");
        return;
    }
    qts = qtest_initf("-M q35 -nodefaults -bios %s"
                      " -device virtio-nsm-pci,module-id=i-1-enc2,addr=4",
                      firmware);
    /* Vendor, device (0x1040 + 33) and the status's bit for capabilities */
    qtest_outl(qts, 0xcf8, 0x80002000);
    g_assert_cmphex(qtest_inl(qts, 0xcfc), ==, 0x10611af4);
    root = get_string(qts, "attestation-root");
    g_assert_true(g_str_has_prefix(root, "-----BEGIN CERTIFICATE-----\n"));
    qtest_quit(qts);
}

/* Neither @reset nor the device's next driver changes a register. */
static void check_pci_reset(void (*reset)(Driver *d))
{
    g_autofree char *extended = NULL;
    g_autofree char *after = NULL;
    Driver d;

    if (!start_pci(&d)) {
        return;
    }
    extended = change_registers(&d);

    reset(&d);
    configure_pci(&d);
    g_assert_cmphex(qtest_readb(d.qts, BAR + VIRTIO_PCI_COMMON_STATUS), ==, 0);
    start_pci_driver(&d);
    expect_alive(&d);
    after = get_string(d.qts, "pcr16");
    g_assert_cmpstr(after, ==, extended);
    g_assert_cmphex(get_locked(d.qts), ==, 0x1ffff);
    reset_registers(&d);
    qtest_quit(d.qts);
}

static void reset_function(Driver *d)
{
    uint8_t cap = read_config(d, FUNCTION, PCI_CAPABILITY_LIST);
    uint32_t head;

    while (((head = read_config(d, FUNCTION, cap)) & 0xff) != PCI_CAP_ID_EXP) {
        cap = head >> 8;
        g_assert_cmphex(cap, !=, 0);
    }
    write_config(d, FUNCTION, cap + PCI_EXP_DEVCTL,
                 read_config(d, FUNCTION, cap + PCI_EXP_DEVCTL) |
                 PCI_EXP_DEVCTL_BCR_FLR);
}

static void test_pci_function_reset(void)
{
    check_pci_reset(reset_function);
}

static void reset_bus(Driver *d)
{
    /* Bridge control is the upper half of the register. */
    uint32_t control = read_config(d, ROOT_PORT, PCI_INTERRUPT_LINE);

    write_config(d, ROOT_PORT, PCI_INTERRUPT_LINE,
                 control | PCI_BRIDGE_CTL_BUS_RESET << 16);
    write_config(d, ROOT_PORT, PCI_INTERRUPT_LINE, control);
}

static void test_pci_bus_reset(void)
{
    check_pci_reset(reset_bus);
}

static void reset_queue(Driver *d, unsigned index)
{
    qtest_writew(d->qts, BAR + VIRTIO_PCI_COMMON_Q_SELECT, index);
    qtest_writew(d->qts, BAR + VIRTIO_PCI_COMMON_Q_RESET, 1);
    qtest_writew(d->qts, BAR + VIRTIO_PCI_COMMON_Q_SELECT, 0);
}

/* The driver resets the queue while a request waits: it is discarded. */
static void test_pci_queue_reset(void)
{
    Driver d;

    if (!start_pci(&d)) {
        return;
    }
    put_two_chains(&d, 0, LOCK_16);
    offer(&d, 0);
    kick(&d);
    /* There is no such queue. */
    reset_queue(&d, 1);
    offer(&d, 1);
    kick(&d);
    expect_used(&d, 0, 0);
    expect_used(&d, 1, size_of(LOCKED));

    put_two_chains(&d, 0, LOCK_17);
    offer(&d, 0);
    kick(&d);
    expect_nothing_used(&d);
    reset_queue(&d, 0);
    start_pci_queue(&d);
    send_request(&d, LOCK_16, READ_ONLY);
    offer(&d, 1);
    kick(&d);
    expect_nothing_used(&d);
    g_assert_true(qtest_readb(d.qts, BAR + VIRTIO_PCI_COMMON_STATUS) &
                  VIRTIO_CONFIG_S_NEEDS_RESET);
    g_assert_cmphex(get_locked(d.qts), ==, 0x1ffff);
    start_pci_driver(&d);
    expect_alive(&d);
    qtest_quit(d.qts);
}

#define LPC             0x8000f800      /* 00:1f.0, the ICH9's LPC bridge */
#define LPC_PMBASE      0x40
#define LPC_ACPI_CTRL   0x44
#define PM_PORT         0x600
#define PM1_CNT         4
#define PM1_SUSPEND     (1 << 13 | 1 << 10)

static void suspend_and_wake_up(Driver *d)
{
    write_config(d, LPC, LPC_PMBASE, PM_PORT);
    write_config(d, LPC, LPC_ACPI_CTRL, 0x80);
    qtest_outw(d->qts, PM_PORT + PM1_CNT, PM1_SUSPEND);
    qtest_qmp_eventwait(d->qts, "SUSPEND");
    qobject_unref(qtest_qmp(d->qts, "{'execute': 'system_wakeup'}"));
    qtest_qmp_eventwait(d->qts, "WAKEUP");
}

static void test_pci_wakeup(void)
{
    check_pci_reset(suspend_and_wake_up);
}

#define ACPI_PCIHP_EJECT    0xae08      /* of hw/acpi/pcihp.c */

/* The device can be plugged in and unplugged while the guest runs. */
static void test_hotplug(void)
{
    QTestState *qts;

    if (!qtest_has_machine("pc") || !qtest_has_device("virtio-nsm-pci")) {
        g_test_skip("this QEMU has no pc or no virtio-nsm-pci");
        return;
    }
    qts = qtest_initf("-M pc -nodefaults -bios %s", firmware);
    for (int i = 0; i < 2; i++) {
        g_autofree char *root = NULL;

        qtest_qmp_device_add(qts, "virtio-nsm-pci", "nsm", "{'addr': '6'}");
        root = get_string_of(qts, "/machine/peripheral/nsm",
                             "attestation-root");
        g_assert_true(g_str_has_prefix(root, "-----BEGIN CERTIFICATE-----\n"));
        qtest_qmp_device_del_send(qts, "nsm");
        qtest_outl(qts, ACPI_PCIHP_EJECT, 1 << 6);
        qtest_qmp_eventwait(qts, "DEVICE_DELETED");
    }
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        { "registers", test_registers },
        { "properties", test_properties },
        { "two-chains", test_two_chains },
        { "one-chain", test_one_chain },
        { "together", test_together },
        { "many", test_many },
        { "requests-first", test_requests_first },
        { "split", test_split },
        { "indirect", test_indirect },
        { "small-response", test_small_response },
        { "large-request", test_large_request },
        { "response-alone", test_response_alone },
        { "malformed-rings", test_malformed_rings },
        { "driver-reset", test_driver_reset },
        { "system-reset", test_system_reset },
        { "migration", test_migration },
        { "seed", test_seed },
        { "rtc-base", test_rtc_base },
        { "pci", test_pci },
        { "pci/function-reset", test_pci_function_reset },
        { "pci/bus-reset", test_pci_bus_reset },
        { "pci/wakeup", test_pci_wakeup },
        { "pci/queue-reset", test_pci_queue_reset },
        { "hotplug", test_hotplug },
    };
    int fd, ret, i;

    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("firmware-XXXXXX", &firmware, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 64 * KiB), ==, 0);
    close(fd);
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *name = g_strdup_printf("virtio-nsm/%s",
                                                tests[i].name);
        qtest_add_func(name, tests[i].run);
    }
    ret = g_test_run();
    unlink(firmware);
    g_free(firmware);
    return ret;
}
