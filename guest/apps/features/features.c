/*
 * For a test of the kernel: uses each feature that applications expect
 *
 * Prints a line for each: "features: NAME works", "features: NAME fails" or,
 * where the host lacks what the feature needs, "features: NAME is not here".
 * Each is used in a process of its own, so that none meets what another left.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "features.h"

#define PATIENCE_S  120     /* for a feature that does not answer */

static const struct feature {
    const char *name;
    void (*use)(void);
} features[] = {
    { "tap", use_tap },
    { "tun", use_tun },
    { "packet", use_packet },
    { "ipv6", use_ipv6 },
    { "veth", use_veth },
    { "nftables", use_nftables },
    { "iptables", use_iptables },
    { "ip6tables", use_ip6tables },
    { "overlay", use_overlay },
    { "fuse", use_fuse },
    { "ext4", use_ext4 },
    { "tmpfs", use_tmpfs },
    { "inotify", use_inotify },
    { "fanotify", use_fanotify },
    { "file_handles", use_file_handles },
    { "aio", use_aio },
    { "io_uring", use_io_uring },
    { "sysvipc", use_sysvipc },
    { "mqueue", use_mqueue },
    { "membarrier", use_membarrier },
    { "rseq", use_rseq },
    { "userfaultfd", use_userfaultfd },
    { "process_vm", use_process_vm },
    { "seccomp", use_seccomp },
    { "user_namespace", use_user_namespace },
    { "namespaces", use_namespaces },
    { "bpf", use_bpf },
    { "keys", use_keys },
    { "cgroup", use_cgroup },
    { "nsm", use_nsm },
    { "vsock", use_vsock },
    { "hwrng", use_hwrng },
    { "ptp_kvm", use_ptp_kvm },
};

void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t size = strlen(text);

    CHECK(fd >= 0);
    CHECK(write(fd, text, size) == size);
    CHECK(!close(fd));
}

bool has_text(const char *path, const char *text)
{
    char data[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    CHECK(fd >= 0);
    n = read(fd, data, sizeof(data));
    CHECK(n >= 0);
    close(fd);
    return (size_t)n == strlen(text) && !memcmp(data, text, n);
}

bool succeeded(int pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *outcome(const struct feature *feature)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(PATIENCE_S);
        errno = 0;
        feature->use();
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return "fails";
    }
    return WEXITSTATUS(status) == 0 ? "works" :
           WEXITSTATUS(status) == NOT_HERE ? "is not here" : "fails";
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        printf("features: %s %s\n", features[i].name, outcome(&features[i]));
    }
    printf("features: done\n");
    return 0;
}
