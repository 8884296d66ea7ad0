/*
 * Functions that serve a vsock port, for the programs of enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VSOCK_H
#define VSOCK_H

#include <errno.h>
#include <linux/vm_sockets.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Listen on @port.  Ends the program if that fails. */
static inline int vsock_listen(unsigned port)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK,
        .svm_cid = VMADDR_CID_ANY,
        .svm_port = port,
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
        listen(fd, 16)) {
        perror("vsock");
        exit(1);
    }
    return fd;
}

static inline bool send_all(int fd, const void *data, size_t size)
{
    const char *p = data;

    while (size) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        size -= n;
    }
    return true;
}

/* Receive up to @size bytes, fewer at the end.  Returns -1 for an error. */
static inline ssize_t receive(int fd, void *data, size_t size)
{
    size_t had = 0;

    while (had < size) {
        ssize_t n = recv(fd, (char *)data + had, size - had, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        had += n;
    }
    return had;
}

/*
 * Call @serve for each connection, in a new thread.  Its argument is the
 * descriptor, as an intptr_t; @serve closes it.  Does not return.
 */
static inline void vsock_serve(int listener, void *(*serve)(void *))
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;

        if (fd < 0) {
            perror("accept");
        } else if (pthread_create(&thread, NULL, serve,
                                  (void *)(intptr_t)fd)) {
            perror("pthread_create");
            close(fd);
        } else {
            pthread_detach(thread);
        }
    }
}

#endif
