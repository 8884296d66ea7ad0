/*
 * The sandbox of the daemon, after its listeners are open
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "confinement.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <linux/sockios.h>

#include "landlock.hh"
#include "seccomp_filter.hh"

namespace {

/* The system calls of the daemon, of libvhost-user and of the C library */
constexpr int allowed_calls[] = {
    /* sockets */
    SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect),
    SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
    SCMP_SYS(listen), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
    SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(socketpair),
    /* descriptors */
    SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(fcntl),
    SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(lseek), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(write), SCMP_SYS(writev),
    /* its Unix sockets, at the end */
    SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(statx), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    /* memory: the guest's, and the process's own */
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
    /* threads, signals, time */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(getpid),
    SCMP_SYS(getrandom), SCMP_SYS(gettid), SCMP_SYS(gettimeofday),
    SCMP_SYS(membarrier), SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list), SCMP_SYS(sigaltstack), SCMP_SYS(tgkill),
};

constexpr int socket_families[] = {AF_UNIX, AF_INET, AF_INET6, AF_VSOCK};
/* Bytes to read and bytes not yet sent; whether a descriptor blocks */
constexpr unsigned long requests[] = {FIONREAD, SIOCOUTQ, FIONBIO};

/* 0 or a negative errno, as libseccomp's functions return it */
int add_rules(scmp_filter_ctx filter)
{
    int result = 0;

    for (int call : allowed_calls) {
        result = std::min(result, seccomp_rule_add(filter, SCMP_ACT_ALLOW,
                                                   call, 0));
    }
    for (int family : socket_families) {
        result = std::min(result, seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
            SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))));
    }
    for (unsigned long request : requests) {
        result = std::min(result, seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_EQ, request)));
    }
    /* No memory becomes executable. */
    for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
        result = std::min(result, seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, call, 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)));
    }
    /*
     * Threads, but no processes.  The flags of clone3() are in memory, which
     * a filter does not see: with ENOSYS the C library takes clone().
     */
    result = std::min(result, seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)));
    result = std::min(result, seccomp_rule_add(
        filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0));
    /* The limits of this process are read, and not changed. */
    return std::min(result, seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
        SCMP_A2(SCMP_CMP_EQ, 0)));
}

bool filter_system_calls(std::string *error)
{
    SeccompFilter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
    int result = filter ? add_rules(filter.get()) : -ENOMEM;

    result = result < 0 ? result : seccomp_load(filter.get());
    if (result < 0) {
        *error = std::string("seccomp: ") + strerror(-result) + "; with"
            " --sandbox off the daemon runs without it";
    }
    return result >= 0;
}

std::string directory_of(const std::string &path)
{
    size_t slash = path.rfind('/');

    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

bool restrict_files(const std::vector<VmOptions> &vms, std::string *error)
{
    std::vector<std::string> own_sockets;
    bool tcp = false;

    for (const VmOptions &vm : vms) {
        own_sockets.push_back(vm.socket);
        if (!vm.host.uds_path.empty()) {
            own_sockets.push_back(vm.host.uds_path);
        }
        for (const HostOptions::Listen &listen : vm.host.listens) {
            if (listen.at.family() == AF_UNIX) {
                own_sockets.push_back(listen.at.path());
            }
        }
        for (const auto &[port, endpoint] : vm.host.connects) {
            tcp = tcp || endpoint.family() == AF_INET ||
                endpoint.family() == AF_INET6;
        }
    }
    Landlock landlock(tcp ? Landlock::Tcp::allowed : Landlock::Tcp::refused,
                      Landlock::Signals::refused);
    for (const std::string &socket : own_sockets) {
        landlock.allow_sockets_in(directory_of(socket));
    }
    if (!landlock.enforce() && errno != ENOSYS && errno != EOPNOTSUPP) {
        *error = std::string("Landlock: ") + strerror(errno) + "; with"
            " --sandbox off the daemon runs without it";
        return false;
    }
    return true;
}

} // namespace

bool confine(const std::vector<VmOptions> &vms, std::string *error)
{
    const rlimit no_core = {0, 0};

    if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        *error = std::string("confinement: ") + strerror(errno);
        return false;
    }
    return restrict_files(vms, error) && filter_system_calls(error);
}
