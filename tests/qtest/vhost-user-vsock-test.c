/*
 * vhost-user-vsock: the back end disconnects, and another one connects
 *
 * The test is both the back end and the guest's driver.  The back end has a
 * thread of its own, because QEMU waits for its responses.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_mmio.h"
#include "standard-headers/linux/virtio_ring.h"

#include <sys/un.h>

#define MACHINE         "-M microvm,acpi=off,memory-backend=mem -m 64M" \
                        " -object memory-backend-memfd,id=mem,size=64M" \
                        " -bios %s -global virtio-mmio.force-legacy=off" \
                        " -chardev socket,id=vsock,path=%s,server=on,wait=off" \
                        " -device vhost-user-vsock-device,chardev=vsock," \
                        "bus=virtio-mmio-bus.0"

/* A file in place of the firmware, which never runs */
static char *firmware;
static char *directory;         /* for the socket */
static char *path;

/* The back end */

/* Messages of vhost-user, see docs/interop/vhost-user.rst */
#define GET_FEATURES            1
#define GET_VRING_BASE          11
#define SET_VRING_KICK          12
#define GET_PROTOCOL_FEATURES   15
#define GET_CONFIG              24

#define VERSION_AND_REPLY       5
#define PROTOCOL_FEATURES       (1ull << 30)
#define VERSION_1               (1ull << VIRTIO_F_VERSION_1)
#define PROTOCOL_CONFIG         (1ull << 9)
#define CONFIG_HEAD             12      /* bytes before the configuration */

typedef struct Message {
    uint32_t request, flags, size;
    uint8_t payload[512];
} QEMU_PACKED Message;

typedef struct BackEnd {
    GThread *thread;
    uint64_t cid;
    int fd;
    bool asked;                 /* QEMU has read the configuration, atomic */
    bool started;               /* QEMU has started a queue, atomic */
} BackEnd;

static bool read_all(int fd, void *data, size_t size)
{
    uint8_t *to = data;

    while (size) {
        ssize_t got = RETRY_ON_EINTR(read(fd, to, size));

        if (got <= 0) {
            return false;
        }
        to += got;
        size -= got;
    }
    return true;
}

/* Descriptors that come with a message are lost, because read() is used. */
static bool serve_message(BackEnd *b)
{
    Message m = { };
    bool reply = true;
    uint64_t cid = cpu_to_le64(b->cid);

    if (!read_all(b->fd, &m, offsetof(Message, payload))) {
        return false;
    }
    g_assert_cmpuint(m.size, <=, sizeof(m.payload));
    if (!read_all(b->fd, m.payload, m.size)) {
        return false;
    }
    switch (m.request) {
    case GET_FEATURES:
        m.size = 8;
        stq_he_p(m.payload, VERSION_1 | PROTOCOL_FEATURES);
        break;
    case GET_PROTOCOL_FEATURES:
        m.size = 8;
        stq_he_p(m.payload, PROTOCOL_CONFIG);
        break;
    case GET_CONFIG:
        memcpy(m.payload + CONFIG_HEAD, &cid, sizeof(cid));
        break;
    case GET_VRING_BASE:
        break;
    case SET_VRING_KICK:
        qatomic_set(&b->started, true);
        /* fall through */
    default:
        reply = false;
    }
    m.flags = VERSION_AND_REPLY;
    if (reply && write(b->fd, &m, offsetof(Message, payload) + m.size) < 0) {
        return false;
    }
    if (m.request == GET_CONFIG) {
        qatomic_set(&b->asked, true);
    }
    return true;
}

static void *back_end_thread(void *opaque)
{
    BackEnd *b = opaque;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    bool connected = true;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    while (connect(b->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        g_usleep(1000);         /* QEMU does not listen yet. */
    }
    while (connected) {
        connected = serve_message(b);
    }
    return NULL;
}

static void start_back_end(BackEnd *b, uint64_t cid)
{
    *b = (BackEnd) { .cid = cid, .fd = socket(AF_UNIX, SOCK_STREAM, 0) };
    g_assert_cmpint(b->fd, >=, 0);
    b->thread = g_thread_new("back end", back_end_thread, b);
}

static void stop_back_end(BackEnd *b)
{
    shutdown(b->fd, SHUT_RDWR);
    g_thread_join(b->thread);
    close(b->fd);
}

static void wait_for(const bool *flag)
{
    while (!qatomic_read(flag)) {
        g_usleep(1000);
    }
}

/* The driver */

#define REGISTERS       0xfeb00000

#define QUEUES          3
#define EVENT_QUEUE     2
#define QUEUE_SIZE      8

/* Addresses in the guest's memory */
#define DESCRIPTORS(q)  (0x100000 + (q) * 0x10000)
#define AVAIL(q)        (DESCRIPTORS(q) + 0x1000)
#define USED(q)         (DESCRIPTORS(q) + 0x2000)
#define EVENT(i)        (0x200000 + (i) * 0x1000)

static void write_reg(QTestState *qts, unsigned reg, uint32_t value)
{
    qtest_writel(qts, REGISTERS + reg, value);
}

static void start_driver(QTestState *qts)
{
    unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
    int i;

    write_reg(qts, VIRTIO_MMIO_STATUS, 0);
    write_reg(qts, VIRTIO_MMIO_STATUS, status);
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    write_reg(qts, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    write_reg(qts, VIRTIO_MMIO_DRIVER_FEATURES, VERSION_1 >> 32);
    write_reg(qts, VIRTIO_MMIO_STATUS, status);
    g_assert_cmphex(qtest_readl(qts, REGISTERS + VIRTIO_MMIO_STATUS), ==,
                    status);
    for (i = 0; i < QUEUES; i++) {
        qtest_memset(qts, DESCRIPTORS(i), 0, 0x3000);
        write_reg(qts, VIRTIO_MMIO_QUEUE_SEL, i);
        write_reg(qts, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
        write_reg(qts, VIRTIO_MMIO_QUEUE_DESC_LOW, DESCRIPTORS(i));
        write_reg(qts, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL(i));
        write_reg(qts, VIRTIO_MMIO_QUEUE_USED_LOW, USED(i));
        write_reg(qts, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    /* Buffers for events */
    for (i = 0; i < QUEUE_SIZE; i++) {
        uint64_t desc = DESCRIPTORS(EVENT_QUEUE) + 16 * i;

        qtest_memset(qts, EVENT(i), 0xee, 4);
        qtest_writeq(qts, desc, EVENT(i));
        qtest_writel(qts, desc + 8, 4);
        qtest_writew(qts, desc + 12, VRING_DESC_F_WRITE);
        qtest_writew(qts, AVAIL(EVENT_QUEUE) + 4 + 2 * i, i);
    }
    qtest_writew(qts, AVAIL(EVENT_QUEUE) + 2, QUEUE_SIZE);
    write_reg(qts, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static unsigned events(QTestState *qts)
{
    return qtest_readw(qts, USED(EVENT_QUEUE) + 2);
}

/* The driver has received @count events, all of them the transport reset. */
static void expect_events(QTestState *qts, unsigned count)
{
    unsigned i;

    g_assert_cmpuint(events(qts), ==, count);
    for (i = 0; i < QUEUE_SIZE; i++) {
        g_assert_cmphex(qtest_readl(qts, EVENT(i)), ==,
                        i < count ? 0 : 0xeeeeeeee);
    }
}

static bool take_interrupt(QTestState *qts)
{
    uint32_t isr = qtest_readl(qts, REGISTERS + VIRTIO_MMIO_INTERRUPT_STATUS);

    write_reg(qts, VIRTIO_MMIO_INTERRUPT_ACK, isr);
    return isr & 1;
}

/* The machine */

static void qmp(QTestState *qts, const char *command)
{
    QDict *answer = qtest_qmp(qts, "{'execute': %s}", command);

    g_assert_true(qdict_haskey(answer, "return"));
    qobject_unref(answer);
}

static bool is_connected(QTestState *qts)
{
    QDict *answer = qtest_qmp(qts, "{'execute': 'query-chardev'}");
    const QListEntry *entry;
    bool connected = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *chardev = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(chardev, "label"), "vsock")) {
            connected = !g_str_has_prefix(qdict_get_str(chardev, "filename"),
                                          "disconnected:");
        }
    }
    qobject_unref(answer);
    return connected;
}

/* End the back end, and wait until QEMU has closed its device. */
static void lose_back_end(QTestState *qts, BackEnd *b)
{
    stop_back_end(b);
    while (is_connected(qts)) {
        g_usleep(1000);
    }
    /* The rest is in a bottom half, which runs before another command. */
    qmp(qts, "query-status");
    qmp(qts, "query-status");
}

static QTestState *start(BackEnd *b)
{
    QTestState *qts;

    start_back_end(b, 5);
    qts = qtest_initf(MACHINE, firmware, path);
    start_driver(qts);
    wait_for(&b->started);
    return qts;
}

/* While the VM runs: the driver gets an event, and the new back end starts. */
static void test_reconnect(void)
{
    BackEnd b;
    QTestState *qts = start(&b);

    expect_events(qts, 0);
    lose_back_end(qts, &b);
    expect_events(qts, 1);
    g_assert_true(take_interrupt(qts));
    start_back_end(&b, 5);
    wait_for(&b.started);
    expect_events(qts, 1);

    /* Another event if the new back end has another CID */
    lose_back_end(qts, &b);
    expect_events(qts, 2);
    start_back_end(&b, 6);
    wait_for(&b.started);
    expect_events(qts, 3);
    g_assert_cmpuint(qtest_readl(qts, REGISTERS + VIRTIO_MMIO_CONFIG), ==, 6);
    qtest_quit(qts);
    stop_back_end(&b);
}

/* While the VM is stopped: guest memory does not change until it runs again. */
static void test_reconnect_stopped(void)
{
    BackEnd b;
    QTestState *qts = start(&b);

    qmp(qts, "stop");
    lose_back_end(qts, &b);
    expect_events(qts, 0);
    start_back_end(&b, 6);
    wait_for(&b.asked);
    qmp(qts, "query-status");
    expect_events(qts, 0);
    g_assert_false(take_interrupt(qts));
    g_assert_false(qatomic_read(&b.started));

    qmp(qts, "cont");
    wait_for(&b.started);
    expect_events(qts, 1);
    g_assert_true(take_interrupt(qts));

    /* The event comes without a new back end, too, and only once. */
    qmp(qts, "stop");
    lose_back_end(qts, &b);
    expect_events(qts, 1);
    qmp(qts, "cont");
    expect_events(qts, 2);
    qmp(qts, "stop");
    qmp(qts, "cont");
    expect_events(qts, 2);
    qtest_quit(qts);
}

/* After a reset there is no driver that knows connections. */
static void test_reset_stopped(void)
{
    BackEnd b;
    QTestState *qts = start(&b);

    qmp(qts, "stop");
    lose_back_end(qts, &b);
    qmp(qts, "system_reset");
    qtest_qmp_eventwait(qts, "RESET");
    start_back_end(&b, 5);
    wait_for(&b.asked);
    qmp(qts, "cont");
    start_driver(qts);
    wait_for(&b.started);
    expect_events(qts, 0);
    qtest_quit(qts);
    stop_back_end(&b);
}

int main(int argc, char **argv)
{
    int fd, ret;

    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("vhost-user-vsock-XXXXXX", NULL);
    g_assert_nonnull(directory);
    path = g_strdup_printf("%s/socket", directory);
    fd = g_file_open_tmp("firmware-XXXXXX", &firmware, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 64 * KiB), ==, 0);
    close(fd);

    qtest_add_func("vhost-user-vsock/reconnect", test_reconnect);
    qtest_add_func("vhost-user-vsock/reconnect-stopped",
                   test_reconnect_stopped);
    qtest_add_func("vhost-user-vsock/reset-stopped", test_reset_stopped);
    ret = g_test_run();

    unlink(firmware);
    unlink(path);
    rmdir(directory);
    g_free(firmware);
    g_free(path);
    g_free(directory);
    return ret;
}
