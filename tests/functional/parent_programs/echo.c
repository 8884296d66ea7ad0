/*
 * A program without any change for this project: AF_VSOCK in C
 *
 *   c listen PORT               answers lines with "c LINE CID-OF-THE-CLIENT"
 *   c connect CID PORT LINE     sends a line and prints the answer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

static void check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void serve(unsigned port)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port,
    };
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);

    check(listener, "socket");
    check(bind(listener, (struct sockaddr *)&address, sizeof(address)),
          "bind");
    check(listen(listener, 10), "listen");
    for (;;) {
        struct sockaddr_vm peer;
        socklen_t size = sizeof(peer);
        char line[1000];
        int fd = accept(listener, (struct sockaddr *)&peer, &size);
        FILE *file;

        check(fd, "accept");
        file = fdopen(fd, "r");
        if (fgets(line, sizeof(line), file)) {
            line[strcspn(line, "\n")] = '\0';
            dprintf(fd, "c %s %u\n", line, peer.svm_cid);
        }
        fclose(file);
    }
}

static void ask(unsigned cid, unsigned port, const char *text)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port,
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    char answer[1000];
    ssize_t size = 0, n;

    check(fd, "socket");
    check(connect(fd, (struct sockaddr *)&address, sizeof(address)),
          "connect");
    dprintf(fd, "%s\n", text);
    while (size < (ssize_t)sizeof(answer) &&
           (n = read(fd, answer + size, sizeof(answer) - size)) > 0) {
        size += n;
        if (answer[size - 1] == '\n') {
            break;
        }
    }
    fwrite(answer, 1, size, stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "listen") == 0) {
        serve(atoi(argv[2]));
    } else if (argc == 5 && strcmp(argv[1], "connect") == 0) {
        ask(atoi(argv[2]), atoi(argv[3]), argv[4]);
    } else {
        return 2;
    }
    return 0;
}
