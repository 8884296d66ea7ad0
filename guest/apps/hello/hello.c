/*
 * The sample enclave: prints what it finds, and gives attestation documents
 *
 * A program on the parent connects to vsock port 9001, sends a nonce of up to
 * 512 bytes, shuts down its sending side, and receives an attestation document
 * with that nonce.  It receives nothing if the NSM gives no document.
 *
 * With hello.serve=N on the kernel's command line, the program ends after N
 * connections.  Otherwise it serves until the enclave is terminated.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "nsm.h"
#include "vsock.h"

#define PORT            9001
#define NONCE_MAX       512     /* bytes: AWS's limit */
#define TIMEOUT_S       30      /* how long to wait for a nonce */

static char cmdline[4096];

static void read_cmdline(void)
{
    FILE *f = fopen("/proc/cmdline", "r");

    if (!f) {
        return;
    }
    if (!fgets(cmdline, sizeof(cmdline), f)) {
        perror("/proc/cmdline");
    }
    fclose(f);
}

static void say_hello(void)
{
    struct utsname system;
    struct sysinfo info;
    unsigned cid = 0;
    int fd;

    uname(&system);
    sysinfo(&info);
    fd = open("/dev/vsock", O_RDONLY);
    if (fd >= 0) {
        ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
        close(fd);
    }

    printf("hello: Hello from the enclave!\n");
    printf("hello: Linux %s\n", system.release);
    printf("hello: %ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
    printf("hello: %lu MiB of memory\n",
           info.totalram / (1024 * 1024 / info.mem_unit));
    printf("hello: vsock CID %u\n", cid);
    printf("hello: command line: %s", cmdline);
}

/* How many connections to serve; -1: no limit */
static long connections_to_serve(void)
{
    const char *option = NULL, *next = cmdline;

    /* The last one wins: the image's own command line comes first. */
    while ((next = strstr(next, "hello.serve="))) {
        next += strlen("hello.serve=");
        option = next;
    }
    return option ? strtol(option, NULL, 10) : -1;
}

/*
 * Write {"Attestation": {"nonce": @nonce}} as CBOR.  Returns its size in bytes.
 */
static size_t make_request(uint8_t *request, const uint8_t *nonce, size_t size)
{
    static const char head[] = "\xa1\x6b" "Attestation" "\xa1\x65" "nonce\x59";
    size_t at = sizeof(head) - 1;

    memcpy(request, head, at);
    request[at++] = size >> 8;
    request[at++] = size;
    memcpy(request + at, nonce, size);
    return at + size;
}

/*
 * Find the document in {"Attestation": {"document": bytes}}.  A document always
 * has more than 255 and fewer than 65536 bytes, so its size has two bytes.
 * Returns the size, or 0 if there is no document.
 */
static size_t find_document(const uint8_t *response, long size,
                            const uint8_t **document)
{
    static const char head[] = "\xa1\x6b" "Attestation"
                               "\xa1\x68" "document\x59";
    long at = sizeof(head) - 1;

    if (size < at + 2 || memcmp(response, head, at)) {
        return 0;
    }
    *document = response + at + 2;
    return response[at] << 8 | response[at + 1];
}

static void attest(int nsm, int client)
{
    struct timeval timeout = { .tv_sec = TIMEOUT_S };
    static uint8_t request[NSM_REQUEST_MAX], response[NSM_RESPONSE_MAX];
    uint8_t nonce[NONCE_MAX + 1];
    const uint8_t *document;
    ssize_t size;
    long n;

    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    size = receive(client, nonce, sizeof(nonce));
    if (size < 0) {
        perror("hello: nonce");
        return;
    }
    if (size > NONCE_MAX) {
        printf("hello: a nonce has at most %d bytes\n", NONCE_MAX);
        return;
    }
    n = nsm_call(nsm, request, make_request(request, nonce, size), response,
                 sizeof(response));
    if (n < 0) {
        perror("hello: " NSM_DEVICE);
        return;
    }
    size = find_document(response, n, &document);
    if (!size) {
        printf("hello: the NSM gave no document\n");
    } else if (!send_all(client, document, size)) {
        perror("hello: document");
    } else {
        printf("hello: gave a document of %zd bytes\n", size);
    }
}

static void serve(long connections)
{
    int nsm = open(NSM_DEVICE, O_RDWR | O_CLOEXEC);
    int listener = vsock_listen(PORT);

    if (nsm < 0) {
        perror("hello: " NSM_DEVICE);
        return;
    }
    printf("hello: attesting on vsock port %d\n", PORT);
    while (connections < 0 || connections-- > 0) {
        int client = accept(listener, NULL, NULL);

        if (client < 0) {
            perror("hello: accept");
            continue;
        }
        attest(nsm, client);
        close(client);
    }
    close(listener);
    close(nsm);
}

int main(void)
{
    long connections;

    setvbuf(stdout, NULL, _IOLBF, 0);
    read_cmdline();
    say_hello();
    connections = connections_to_serve();
    if (connections != 0) {
        serve(connections);
    }
    printf("hello: done\n");
    return 0;
}
