/*
 * The filter that passes system calls of the program to the supervisor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/filter.hh"

#include <cerrno>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <vector>

#include "descriptor.hh"
#include "support/errors.hh"

namespace {

/* The upper half of an argument of type int is not defined. */
scmp_arg_cmp is(unsigned argument, uint32_t value)
{
    return {argument, SCMP_CMP_MASKED_EQ, UINT32_MAX, value};
}

scmp_arg_cmp is_given(unsigned pointer)
{
    return {pointer, SCMP_CMP_NE, 0, 0};
}

struct Rule {
    int call;
    std::vector<scmp_arg_cmp> conditions;
};

std::vector<Rule> rules()
{
    std::vector<Rule> all = {
        {SCMP_SYS(socket), {is(0, AF_VSOCK)}},
        {SCMP_SYS(accept), {is_given(1)}},
        {SCMP_SYS(accept4), {is_given(1)}},
        {SCMP_SYS(getsockname), {}},
        {SCMP_SYS(getpeername), {}},
        {SCMP_SYS(getsockopt), {is(1, SOL_SOCKET), is(2, SO_DOMAIN)}},
        {SCMP_SYS(getsockopt), {is(1, SOL_SOCKET), is(2, SO_ERROR)}},
        {SCMP_SYS(getsockopt), {is(1, AF_VSOCK)}},
        {SCMP_SYS(setsockopt), {is(1, AF_VSOCK)}},
        {SCMP_SYS(ioctl), {is(1, IOCTL_VM_SOCKETS_GET_LOCAL_CID)}},
    };

    for (int call : {SCMP_SYS(bind), SCMP_SYS(connect)}) {
        for (size_t size : {sizeof(sockaddr_vm), sizeof(sockaddr_storage)}) {
            all.push_back({call, {is(2, size)}});
        }
    }
    return all;
}

} // namespace

SeccompFilter make_filter()
{
    /* The filter has user notification even if the kernel does not support it:
     * load_filter() then returns the kernel's error. */
    seccomp_api_set(5);
    SeccompFilter filter(seccomp_init(SCMP_ACT_ALLOW));
    int result = filter ? 0 : -ENOMEM;

    /* Programs for another processor can run, but without AF_VSOCK. */
    if (result == 0) {
        result = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH,
                                  SCMP_ACT_ALLOW);
    }
    for (const Rule &rule : rules()) {
        if (result == 0) {
            result = seccomp_rule_add_array(filter.get(), SCMP_ACT_NOTIFY,
                                            rule.call, rule.conditions.size(),
                                            rule.conditions.data());
        }
    }
    if (result < 0) {
        throw Error(Code::boot, "no filter of system calls can be made: "
                    + error_text(-result), "libseccomp has to be 2.5 or later,"
                    " and the kernel to have user notification.");
    }
    return filter;
}

/* Not all versions of seccomp_load() return the kernel's error. */
int load_filter(const SeccompFilter &filter)
{
    Descriptor file(memfd_create("filter", MFD_CLOEXEC));
    off_t size;

    if (!file || seccomp_export_bpf(filter.get(), file.get()) ||
        (size = lseek(file.get(), 0, SEEK_END)) < 0) {
        return -ENOMEM;
    }
    std::vector<sock_filter> code(size / sizeof(sock_filter));
    if (pread(file.get(), code.data(), size, 0) != size) {
        return -EIO;
    }
    sock_fprog program = {static_cast<unsigned short>(code.size()),
                          code.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        return -errno;
    }
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return static_cast<int>(listener < 0 ? -errno : listener);
}
