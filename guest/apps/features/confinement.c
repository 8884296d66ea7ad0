/*
 * What programs confine others with, or themselves: filters of system calls,
 * namespaces, BPF, keyrings, control groups
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "features.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME   0x80        /* from Linux 5.6 */
#endif

#define UNPRIVILEGED    65534

/* getppid() fails with ENOTTY; another listener could answer it. */
void use_seccomp(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = 4, .filter = code };

    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                  SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) >= 0);
    CHECK(syscall(SYS_getppid) == -1 && errno == ENOTTY);
    CHECK(syscall(SYS_getpid) > 0);
}

/* A user without privileges is root in a namespace of its own. */
void use_user_namespace(void)
{
    char map[32];

    CHECK(!setgid(UNPRIVILEGED) && !setuid(UNPRIVILEGED));
    CHECK(!prctl(PR_SET_DUMPABLE, 1));
    CHECK(sethostname("features", 8) == -1 && errno == EPERM);
    CHECK(!unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS));
    snprintf(map, sizeof(map), "0 %d 1", UNPRIVILEGED);
    write_text("/proc/self/uid_map", map);
    CHECK(getuid() == 0);
    CHECK(!sethostname("features", 8));
    CHECK(!mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
}

void use_namespaces(void)
{
    static const struct {
        int flag;
        const char *path;
    } kinds[] = {
        { CLONE_NEWCGROUP, "/proc/self/ns/cgroup" },
        { CLONE_NEWIPC, "/proc/self/ns/ipc" },
        { CLONE_NEWNET, "/proc/self/ns/net" },
        { CLONE_NEWNS, "/proc/self/ns/mnt" },
        { CLONE_NEWPID, "/proc/self/ns/pid_for_children" },
        { CLONE_NEWTIME, "/proc/self/ns/time_for_children" },
        { CLONE_NEWUTS, "/proc/self/ns/uts" },
    };
    struct stat before, after;
    pid_t child;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        CHECK(!stat(kinds[i].path, &before));
        CHECK(!unshare(kinds[i].flag));
        /* The new one has no process yet, and so no number. */
        if (kinds[i].flag != CLONE_NEWPID) {
            CHECK(!stat(kinds[i].path, &after));
            CHECK(before.st_ino != after.st_ino);
        }
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(getpid() == 1);
        _exit(0);
    }
    CHECK(succeeded(child));
}

static int call_bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

/* A program that keeps 3 bytes of every datagram, and a map */
void use_bpf(void)
{
    struct bpf_insn code[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 3 },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr map = {
        .map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8,
        .max_entries = 1,
    };
    union bpf_attr program = {
        .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
        .insns = (uintptr_t)code, .license = (uintptr_t)"GPL",
    };
    union bpf_attr entry = { 0 };
    uint32_t key = 5;
    uint64_t value = 42, found = 0;
    int sockets[2], fd;
    char data[8];

    entry.map_fd = call_bpf(BPF_MAP_CREATE, &map);
    CHECK((int)entry.map_fd >= 0);
    entry.key = (uintptr_t)&key;
    entry.value = (uintptr_t)&value;
    CHECK(!call_bpf(BPF_MAP_UPDATE_ELEM, &entry));
    entry.value = (uintptr_t)&found;
    CHECK(!call_bpf(BPF_MAP_LOOKUP_ELEM, &entry));
    CHECK(found == value);

    fd = call_bpf(BPF_PROG_LOAD, &program);
    CHECK(fd >= 0);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
    CHECK(!setsockopt(sockets[1], SOL_SOCKET, SO_ATTACH_BPF, &fd,
                      sizeof(fd)));
    CHECK(write(sockets[0], "features", 8) == 8);
    CHECK(read(sockets[1], data, sizeof(data)) == 3);
}

void use_keys(void)
{
    char data[8] = "";
    int key;

    CHECK(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "features") > 0);
    key = syscall(SYS_add_key, "user", "features", "secret", 6,
                  KEY_SPEC_SESSION_KEYRING);
    CHECK(key > 0);
    CHECK(syscall(SYS_keyctl, KEYCTL_READ, key, data, sizeof(data)) == 6);
    CHECK(!strcmp(data, "secret"));
}

/* A group of two processes, in which a third is refused */
void use_cgroup(void)
{
    pid_t child;

    CHECK(!unshare(CLONE_NEWNS));
    CHECK(!mount("cgroup2", "/tmp", "cgroup2", 0, NULL));
    write_text("/tmp/cgroup.subtree_control", "+pids +memory");
    CHECK(!mkdir("/tmp/features", 0755));
    write_text("/tmp/features/pids.max", "2");
    write_text("/tmp/features/memory.max", "33554432");
    CHECK(has_text("/tmp/features/memory.max", "33554432\n"));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        write_text("/tmp/features/cgroup.procs", "0");
        CHECK(fork() >= 0);
        _exit(fork() < 0 && errno == EAGAIN ? 0 : 1);
    }
    CHECK(succeeded(child));
}
