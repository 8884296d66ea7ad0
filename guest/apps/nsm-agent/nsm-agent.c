/*
 * For tests of the Nitro Secure Module: runs the host's commands in the enclave
 *
 * Accepts connections to vsock port 9002, each in a thread of its own.  The
 * host sends commands: a letter and a number n.  Each answer begins with a
 * number, 0 or an errno.  All numbers have 32 bits and are big-endian.
 *
 *   'q' n   send a request to /dev/nsm: the n bytes that follow.  The answer
 *           continues with the size of the response, and the response
 *   'r' n   read n bytes, at most 4096, from /dev/hwrng.  They follow in the
 *           answer
 *   's' n   send n requests to /dev/nsm, in turn from the list that follows:
 *           how many there are, then the size and the bytes of each.  The
 *           answer continues with how many of the responses were errors
 *   'b' 0   reboot, without an answer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nsm.h"
#include "vsock.h"

#define PORT            9002
#define HWRNG_MAX       4096    /* bytes */
#define STORM_MAX       64      /* different requests */

/* Larger than the limit of the module, which must refuse it itself */
#define REQUEST_MAX     (4 * NSM_REQUEST_MAX)

static int nsm;

static bool send_number(int fd, uint32_t number)
{
    number = htobe32(number);
    return send_all(fd, &number, sizeof(number));
}

static bool receive_number(int fd, uint32_t *number)
{
    bool ok = receive(fd, number, sizeof(*number)) == sizeof(*number);

    *number = be32toh(*number);
    return ok;
}

/* Receive a request of @size bytes.  The caller frees it. */
static void *receive_request(int fd, uint32_t size)
{
    void *request = size <= REQUEST_MAX ? malloc(size + 1) : NULL;

    if (request && receive(fd, request, size) != size) {
        free(request);
        request = NULL;
    }
    return request;
}

static bool request(int fd, uint32_t size)
{
    uint8_t response[NSM_RESPONSE_MAX];
    void *request = receive_request(fd, size);
    bool ok;
    long n;

    if (!request) {
        return false;
    }
    n = nsm_call(nsm, request, size, response, sizeof(response));
    free(request);
    ok = send_number(fd, n < 0 ? errno : 0);
    if (n < 0) {
        return ok;
    }
    return ok && send_number(fd, n) && send_all(fd, response, n);
}

static bool read_hwrng(int fd, uint32_t size)
{
    char bytes[HWRNG_MAX];
    int hwrng = open("/dev/hwrng", O_RDONLY | O_CLOEXEC), error = 0;
    uint32_t had = 0;

    if (hwrng < 0) {
        return send_number(fd, errno);
    }
    while (!error && had < size && size <= sizeof(bytes)) {
        ssize_t n = read(hwrng, bytes + had, size - had);

        error = n < 0 ? errno : n ? 0 : EIO;
        had += n > 0 ? n : 0;
    }
    close(hwrng);
    if (had < size) {
        return send_number(fd, error ? error : EINVAL);
    }
    return send_number(fd, 0) && send_all(fd, bytes, size);
}

struct request {
    void *data;
    uint32_t size;
};

static bool is_error(const uint8_t *response, long size)
{
    static const char error[] = "\xa1\x65" "Error";

    return size > 7 && !memcmp(response, error, 7);
}

static bool send_storm(int fd, const struct request *requests, uint32_t count,
                       uint32_t times)
{
    uint8_t response[NSM_RESPONSE_MAX];
    uint32_t errors = 0;

    for (uint32_t i = 0; i < times; i++) {
        const struct request *r = &requests[i % count];
        long n = nsm_call(nsm, r->data, r->size, response, sizeof(response));

        if (n < 0) {
            return send_number(fd, errno);
        }
        errors += is_error(response, n);
    }
    return send_number(fd, 0) && send_number(fd, errors);
}

static bool storm(int fd, uint32_t times)
{
    struct request requests[STORM_MAX];
    uint32_t count, had = 0;
    bool ok = receive_number(fd, &count) && count && count <= STORM_MAX;

    while (ok && had < count) {
        struct request *r = &requests[had];

        ok = receive_number(fd, &r->size) &&
             (r->data = receive_request(fd, r->size));
        had += ok;
    }
    ok = ok && send_storm(fd, requests, count, times);
    while (had) {
        free(requests[--had].data);
    }
    return ok;
}

static void *serve(void *opaque)
{
    int fd = (intptr_t)opaque;
    bool ok = true;
    uint32_t number;
    char command;

    while (ok && receive(fd, &command, 1) == 1 && receive_number(fd, &number)) {
        switch (command) {
        case 'q':
            ok = request(fd, number);
            break;
        case 'r':
            ok = read_hwrng(fd, number);
            break;
        case 's':
            ok = storm(fd, number);
            break;
        case 'b':
            exit(0);        /* which ends the enclave */
        default:
            ok = false;
        }
    }
    close(fd);
    return NULL;
}

int main(void)
{
    int listener = vsock_listen(PORT);

    nsm = open(NSM_DEVICE, O_RDWR | O_CLOEXEC);
    if (nsm < 0) {
        perror(NSM_DEVICE);
        return 1;
    }
    puts("nsm-agent: ready");
    fflush(stdout);
    vsock_serve(listener, serve);
}
