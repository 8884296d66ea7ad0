/*
 * The machine's devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <linux/ptp_clock.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <time.h>

#include "features.h"
#include "nsm.h"

#define HYPERVISOR_LEAF 0x40000000
#define KVM_SIGNATURE   0x4b4d564b  /* "KVMK" */
#define YEAR_2020       1577836800  /* seconds */

/* A clock that is a descriptor: see clock_getres(2), "Dynamic clocks". */
static clockid_t clock_of(int fd)
{
    return (~(clockid_t)fd << 3) | 3;
}

void use_nsm(void)
{
    static const char request[] = "\x6b" "DescribeNSM";
    static const char expected[] = "\xa1\x6b" "DescribeNSM";
    char response[NSM_RESPONSE_MAX];
    int fd = open(NSM_DEVICE, O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(nsm_call(fd, request, sizeof(request) - 1, response,
                   sizeof(response)) > (long)sizeof(expected));
    CHECK(!memcmp(response, expected, sizeof(expected) - 1));
}

void use_vsock(void)
{
    int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
    unsigned cid;

    CHECK(fd >= 0);
    CHECK(!ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid));
    CHECK(cid == 16);
}

void use_hwrng(void)
{
    unsigned char data[16], zeros[16] = { 0 };
    int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(read(fd, data, sizeof(data)) == sizeof(data));
    CHECK(memcmp(data, zeros, sizeof(data)));
}

/* Only KVM gives this clock, which is the host's. */
void use_ptp_kvm(void)
{
    unsigned a, b, c, d;
    struct timespec now;
    struct ptp_clock_caps caps;
    int fd;

    __cpuid(HYPERVISOR_LEAF, a, b, c, d);
    if (b != KVM_SIGNATURE) {
        _exit(NOT_HERE);
    }
    fd = open("/dev/ptp0", O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(!ioctl(fd, PTP_CLOCK_GETCAPS, &caps));
    CHECK(!clock_gettime(clock_of(fd), &now));
    CHECK(now.tv_sec > YEAR_2020);
}
