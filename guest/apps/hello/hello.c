/*
 * The sample enclave: says what it finds, and ends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
    char cmdline[4096] = "";
    struct utsname system;
    struct sysinfo info;
    unsigned cid = 0;
    FILE *f;
    int fd;

    uname(&system);
    sysinfo(&info);
    fd = open("/dev/vsock", O_RDONLY);
    if (fd >= 0) {
        ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid);
        close(fd);
    }
    f = fopen("/proc/cmdline", "r");
    if (f) {
        if (!fgets(cmdline, sizeof(cmdline), f)) {
            perror("/proc/cmdline");
        }
        fclose(f);
    }

    printf("hello: Hello from the enclave!\n");
    printf("hello: Linux %s\n", system.release);
    printf("hello: %ld CPUs\n", sysconf(_SC_NPROCESSORS_ONLN));
    printf("hello: %lu MiB of memory\n",
           info.totalram / (1024 * 1024 / info.mem_unit));
    printf("hello: vsock CID %u\n", cid);
    printf("hello: command line: %s", cmdline);
    printf("hello: done\n");
    return 0;
}
