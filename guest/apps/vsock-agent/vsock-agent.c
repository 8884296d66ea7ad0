/*
 * For tests of the vsock back end: opens the connections that the host asks for
 *
 * Accepts connections to vsock port 9003, each in a thread of its own.  On each
 * one the host sends one line, which opens a second connection to be tested:
 *
 *   connect CID PORT TYPE SIZE PIECE
 *   listen PORT TYPE SIZE PIECE        first answers with the line "listening"
 *
 * TYPE is 1 for a stream, 5 for SEQPACKET, as in Linux.  This program sends
 * SIZE bytes on the second connection, in writes of PIECE bytes (0: of varying
 * sizes from 1 byte to 64 KiB), and receives at the same time.  At the end it
 * answers with a line: "done", the number of received bytes, their CRC-32, and
 * the number of messages (for a stream: of reads); or "failed" and an errno.
 *
 * The data is a block that is repeated.  The size of the block is a prime
 * number, so that the checksum shows a lost or repeated piece.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "vsock.h"

#define PORT        9003
#define BLOCK       65521       /* bytes */
#define PIECE_MAX   65536       /* bytes */
#define LINE_MAX    128         /* bytes */

struct job {
    int fd;
    uint64_t size;
    uint32_t piece;
    int error;                  /* of sending */
};

/* The block twice, so that a write can start anywhere in the first one */
static uint8_t block[BLOCK + PIECE_MAX];
static uint32_t crc_table[256];

static void prepare(void)
{
    uint32_t state = 1;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++) {
            c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
        }
        crc_table[i] = c;
    }
    for (size_t i = 0; i < sizeof(block); i++) {
        state = state * 1664525 + 1013904223;
        block[i] = i < BLOCK ? state >> 24 : block[i - BLOCK];
    }
}

static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t size)
{
    while (size--) {
        crc = crc_table[(crc ^ *data++) & 0xff] ^ crc >> 8;
    }
    return crc;
}

/* Half of the sizes are below 256, because small writes show most bugs. */
static uint32_t any_size(uint32_t *state)
{
    uint32_t bits;

    *state = *state * 1664525 + 1013904223;
    bits = *state >> 28;
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % (1u << (bits + 1)) + 1;
}

static void *send_data(void *opaque)
{
    struct job *job = opaque;
    uint32_t state = 7;

    for (uint64_t done = 0; done < job->size;) {
        uint32_t n = job->piece ? job->piece : any_size(&state);

        if (n > job->size - done) {
            n = job->size - done;
        }
        if (!send_all(job->fd, block + done % BLOCK, n)) {
            job->error = errno;
            break;
        }
        done += n;
    }
    shutdown(job->fd, SHUT_WR);
    return NULL;
}

static int exchange(struct job *job, char *answer)
{
    uint32_t crc = 0xffffffff;
    uint64_t had = 0;
    unsigned messages = 0;
    uint8_t *data = malloc(PIECE_MAX);
    pthread_t sender;
    ssize_t n = 0;

    if (!data || pthread_create(&sender, NULL, send_data, job)) {
        free(data);
        return ENOMEM;
    }
    while ((n = recv(job->fd, data, PIECE_MAX, 0)) > 0) {
        crc = crc32(crc, data, n);
        had += n;
        messages++;
    }
    if (n < 0 && !job->error) {
        job->error = errno;
    }
    free(data);
    pthread_join(sender, NULL);
    snprintf(answer, LINE_MAX, "done %" PRIu64 " %" PRIu32 " %u\n", had, ~crc,
             messages);
    return job->error;
}

static int open_to(unsigned cid, unsigned port, int type)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port,
    };
    int fd = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        int error = errno;

        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

static int accept_one(int control, unsigned port, int type)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port,
    };
    int listener = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);
    int fd = -1, error;

    if (listener >= 0 &&
        !bind(listener, (struct sockaddr *)&address, sizeof(address)) &&
        !listen(listener, 1) && send_all(control, "listening\n", 10)) {
        fd = accept(listener, NULL, NULL);
    }
    error = errno;
    close(listener);
    errno = error;
    return fd;
}

static bool read_line(int fd, char *line)
{
    for (size_t had = 0; had < LINE_MAX; had++) {
        if (receive(fd, line + had, 1) != 1) {
            return false;
        }
        if (line[had] == '\n') {
            line[had] = '\0';
            return true;
        }
    }
    return false;
}

static int do_job(int control, const char *line, char *answer)
{
    struct job job = { .fd = -1 };
    unsigned cid, port;
    int type, error;

    errno = EINVAL;
    if (sscanf(line, "connect %u %u %d %" SCNu64 " %" SCNu32, &cid, &port,
               &type, &job.size, &job.piece) == 5 && job.piece <= PIECE_MAX) {
        job.fd = open_to(cid, port, type);
    } else if (sscanf(line, "listen %u %d %" SCNu64 " %" SCNu32, &port, &type,
                      &job.size, &job.piece) == 4 && job.piece <= PIECE_MAX) {
        job.fd = accept_one(control, port, type);
    }
    if (job.fd < 0) {
        return errno;
    }
    error = exchange(&job, answer);
    close(job.fd);
    return error;
}

static void *serve(void *opaque)
{
    int control = (intptr_t)opaque, error;
    char line[LINE_MAX], answer[LINE_MAX];

    if (read_line(control, line)) {
        error = do_job(control, line, answer);
        if (error) {
            snprintf(answer, sizeof(answer), "failed %d\n", error);
        }
        send_all(control, answer, strlen(answer));
    }
    close(control);
    return NULL;
}

int main(void)
{
    int listener = vsock_listen(PORT);

    prepare();
    puts("vsock-agent: ready");
    fflush(stdout);
    vsock_serve(listener, serve);
}
