/*
 * System calls of the program that wait for an answer of the supervisor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/notifications.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

namespace {

/* Since Linux 6.6: the two processes take turns on one CPU.  The headers of
 * Debian 12 do not have this constant. */
constexpr uint64_t sync_wake_up = 1;
constexpr unsigned long notif_set_flags = SECCOMP_IOW(4, uint64_t);

} // namespace

Notifications::Notifications(Descriptor listener)
    : listener_(std::move(listener))
{
    seccomp_notif_sizes sizes = {};

    /* This is faster, but not necessary, and older kernels do not have it. */
    ioctl(listener_.get(), notif_set_flags, sync_wake_up);
    /* A newer kernel may need larger buffers. */
    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    request_.resize(std::max<size_t>(sizes.seccomp_notif,
                                     sizeof(seccomp_notif)));
    response_.resize(std::max<size_t>(sizes.seccomp_notif_resp,
                                      sizeof(seccomp_notif_resp)));
}

bool Notifications::can_install() const
{
    seccomp_notif_addfd none = {};

    /* No call has this id, but an unknown flag is another error (EINVAL). */
    none.flags = SECCOMP_ADDFD_FLAG_SEND;
    none.srcfd = listener_.get();
    return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &none) < 0 &&
        errno == ENOENT;
}

std::optional<Call> Notifications::receive()
{
    seccomp_notif notif;
    Call call;

    std::ranges::fill(request_, 0);
    if (ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, request_.data())) {
        return {};
    }
    memcpy(&notif, request_.data(), sizeof(notif));
    call.id = notif.id;
    call.thread = static_cast<pid_t>(notif.pid);
    call.number = notif.data.nr;
    std::copy(std::begin(notif.data.args), std::end(notif.data.args),
              call.arguments);
    return call;
}

bool Notifications::is_waiting(const Call &call) const
{
    uint64_t id = call.id;

    return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool Notifications::respond(const Call &call, int error, unsigned flags)
{
    seccomp_notif_resp response = {};

    response.id = call.id;
    response.error = -error;
    response.flags = flags;
    std::ranges::fill(response_, 0);
    memcpy(response_.data(), &response, sizeof(response));
    return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND,
                 response_.data()) == 0;
}

bool Notifications::answer(const Call &call, int error)
{
    return respond(call, error, 0);
}

bool Notifications::go_on(const Call &call)
{
    return respond(call, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

int Notifications::install(const Call &call, const Descriptor &file,
                           bool cloexec)
{
    seccomp_notif_addfd add = {};

    add.id = call.id;
    add.flags = SECCOMP_ADDFD_FLAG_SEND;
    add.srcfd = file.get();
    add.newfd_flags = cloexec ? O_CLOEXEC : 0;
    return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0
        ? errno : 0;
}

int Notifications::replace(const Call &call, const Descriptor &file,
                           int number, bool cloexec)
{
    seccomp_notif_addfd add = {};

    add.id = call.id;
    add.flags = SECCOMP_ADDFD_FLAG_SETFD;
    add.srcfd = file.get();
    add.newfd = number;
    add.newfd_flags = cloexec ? O_CLOEXEC : 0;
    return ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0
        ? errno : 0;
}
