/*
 * What the parts of this program share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef FEATURES_H
#define FEATURES_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The exit status of a feature that this host cannot offer */
#define NOT_HERE    77

/* End this feature's process unless @condition holds; tell errno's value. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("features: %s(): %s: %s\n", __func__, #condition, \
                   strerror(errno)); \
            fflush(stdout); \
            _exit(1); \
        } \
    } while (0)

/* Make a file with this text in it, or write it to one that exists. */
void write_text(const char *path, const char *text);
bool has_text(const char *path, const char *text);
/* Wait for a child process; did it end with status 0? */
bool succeeded(int pid);

/* A network namespace of its own, with its loopback interface up */
void enter_new_network(void);

/* network.c */
void use_tap(void);
void use_tun(void);
void use_packet(void);
void use_ipv6(void);
void use_veth(void);

/* nat.c */
void use_nftables(void);
void use_iptables(void);
void use_ip6tables(void);

/* files.c */
void use_overlay(void);
void use_fuse(void);
void use_ext4(void);
void use_tmpfs(void);
void use_inotify(void);
void use_fanotify(void);
void use_file_handles(void);

/* processes.c */
void use_aio(void);
void use_io_uring(void);
void use_sysvipc(void);
void use_mqueue(void);
void use_membarrier(void);
void use_rseq(void);
void use_userfaultfd(void);
void use_process_vm(void);

/* confinement.c */
void use_seccomp(void);
void use_user_namespace(void);
void use_namespaces(void);
void use_bpf(void);
void use_keys(void);
void use_cgroup(void);

/* devices.c */
void use_nsm(void);
void use_vsock(void);
void use_hwrng(void);
void use_ptp_kvm(void);

#endif
