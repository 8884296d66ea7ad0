/*
 * The Nitro Secure Module's device, as Linux offers it since version 6.8
 *
 * A request and its response are CBOR (RFC 8949).  Debian's C library has no
 * <linux/nsm.h> yet, so this says the same.
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
 * Have the module at @fd answer @request.  Returns how many bytes of @response
 * there are, or -1 with errno set.
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
