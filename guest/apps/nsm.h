/*
 * The device of the Nitro Secure Module, which Linux has since version 6.8
 *
 * A request and its response are CBOR (RFC 8949).  Debian 12 has no
 * <linux/nsm.h>: this file has the same definitions.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NSM_H
#define NSM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define NSM_DEVICE          "/dev/nsm"
#define NSM_REQUEST_MAX     0x1000      /* bytes */
#define NSM_RESPONSE_MAX    0x3000

struct nsm_part {
    uint64_t address;
    uint64_t size;                      /* bytes */
};

struct nsm_call {
    struct nsm_part request, response;
};

#define NSM_CALL            _IOWR(0x0a, 0x0, struct nsm_call)

/*
 * Send @request to the module at @fd.  Returns the size of the response, in
 * bytes, or -1 with errno set.
 */
static inline long nsm_call(int fd, const void *request, size_t request_size,
                            void *response, size_t response_size)
{
    struct nsm_call call = {
        .request = { (uintptr_t)request, request_size },
        .response = { (uintptr_t)response, response_size },
    };

    return ioctl(fd, NSM_CALL, &call) < 0 ? -1 : (long)call.response.size;
}

#endif
