/*
 * Descriptors that are passed over a Unix socket: SCM_RIGHTS in unix(7)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NITRO_COMMON_PASSING_HH
#define NITRO_COMMON_PASSING_HH

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <sys/socket.h>
#include <vector>

#include "descriptor.hh"

/*
 * Send bytes and these descriptors, if any.  Like send(), but without SIGPIPE.
 */
inline ssize_t send_with_descriptors(int socket, const void *data, size_t size,
                                     std::span<const int> passed)
{
    std::vector<uint8_t> control(CMSG_SPACE(passed.size_bytes()));
    iovec iov = {const_cast<void *>(data), size};
    msghdr message = {};

    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    if (!passed.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr *first = CMSG_FIRSTHDR(&message);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = CMSG_LEN(passed.size_bytes());
        memcpy(CMSG_DATA(first), passed.data(), passed.size_bytes());
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/*
 * Receive bytes, and the first descriptor that came with them; the kernel
 * closes the others.  Like recv(), but it repeats the call after EINTR, and the
 * descriptor closes on exec.
 */
inline ssize_t receive_with_descriptor(int socket, void *data, size_t size,
                                       int flags, Descriptor *passed)
{
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec iov = {data, size};
    msghdr message = {};
    ssize_t n;

    do {
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control;
        /* CMSG_SPACE() has room for a second descriptor, which would leak. */
        message.msg_controllen = CMSG_LEN(sizeof(int));
        n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);

    cmsghdr *first = n < 0 ? nullptr : CMSG_FIRSTHDR(&message);
    if (first && first->cmsg_level == SOL_SOCKET &&
        first->cmsg_type == SCM_RIGHTS &&
        first->cmsg_len == CMSG_LEN(sizeof(int))) {
        int received;

        memcpy(&received, CMSG_DATA(first), sizeof(received));
        passed->reset(received);
    }
    return n;
}

#endif
