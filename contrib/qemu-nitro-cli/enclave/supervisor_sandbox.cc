/*
 * The sandbox of an enclave's supervisor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/supervisor_sandbox.hh"

#include <cerrno>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "enclave/sandbox.hh"
#include "landlock.hh"
#include "seccomp_filter.hh"

namespace {

/* What getaddrinfo() reads, see nsswitch.conf(5).  A file that is a symbolic
 * link is allowed where it leads to. */
constexpr const char *names_of_hosts[] = {
    "/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/nsswitch.conf",
    "/etc/resolv.conf", "/etc/services",
};

/* Neither the supervisor nor the back end calls them. */
constexpr int refused_calls[] = {
    /* other processes */
    SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(process_madvise),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace),
    /* file systems and namespaces */
    SCMP_SYS(chroot), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fsopen),
    SCMP_SYS(fspick), SCMP_SYS(mount), SCMP_SYS(mount_setattr),
    SCMP_SYS(move_mount), SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(open_tree), SCMP_SYS(pivot_root),
    SCMP_SYS(quotactl), SCMP_SYS(setns), SCMP_SYS(swapoff), SCMP_SYS(swapon),
    SCMP_SYS(umount2), SCMP_SYS(unshare),
    /* the host itself */
    SCMP_SYS(acct), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime),
    SCMP_SYS(clock_settime), SCMP_SYS(delete_module), SCMP_SYS(finit_module),
    SCMP_SYS(init_module), SCMP_SYS(ioperm), SCMP_SYS(iopl),
    SCMP_SYS(kexec_file_load), SCMP_SYS(kexec_load), SCMP_SYS(reboot),
    SCMP_SYS(setdomainname), SCMP_SYS(sethostname), SCMP_SYS(settimeofday),
    SCMP_SYS(syslog), SCMP_SYS(vhangup),
    /* interfaces in which faults of the kernel were found often */
    SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(io_uring_setup), SCMP_SYS(keyctl),
    SCMP_SYS(modify_ldt), SCMP_SYS(perf_event_open), SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
};

constexpr int new_namespaces[] = {
    CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID,
    CLONE_NEWUSER, CLONE_NEWUTS,
};

/* Returns false, with errno set, on failure. */
bool refuse_system_calls()
{
    SeccompFilter filter(seccomp_init(SCMP_ACT_ALLOW));
    int result = filter ? 0 : -ENOMEM;

    for (int call : refused_calls) {
        if (result == 0) {
            result = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM),
                                      call, 0);
        }
    }
    for (int flag : new_namespaces) {
        if (result == 0) {
            result = seccomp_rule_add(
                filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                SCMP_A0(SCMP_CMP_MASKED_EQ, static_cast<scmp_datum_t>(flag),
                        static_cast<scmp_datum_t>(flag)));
        }
    }
    /*
     * The flags of clone3() are in memory, which a filter does not see: with
     * ENOSYS the C library calls clone().
     */
    if (result == 0) {
        result = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS),
                                  SCMP_SYS(clone3), 0);
    }
    if (result == 0) {
        result = seccomp_load(filter.get());
    }
    errno = -result;
    return result == 0;
}

bool restrict_files(const SupervisorSandbox &sandbox)
{
    Landlock landlock(sandbox.uses_tcp ? Landlock::Tcp::allowed
                      : Landlock::Tcp::refused, Landlock::Signals::allowed);
    Sandbox programs = sandbox_of_programs();

    for (const std::string &path : programs.readable) {
        landlock.allow_read(path);
    }
    for (const std::string &path : programs.devices) {
        landlock.allow_device(path);
    }
    /* The supervisor notes when a back end was started, from its stat file. */
    landlock.allow_read("/proc");
    /* Not the program alone: an upgrade replaces its file. */
    landlock.allow_read(sandbox.programs);
    if (sandbox.uses_tcp) {
        for (const char *path : names_of_hosts) {
            landlock.allow_read(path);
        }
    }
    for (const std::string &path : sandbox.socket_directories) {
        landlock.allow_sockets_in(path);
    }
    landlock.allow_files_in(sandbox.enclave);
    landlock.allow_removal_in(sandbox.runtime);
    landlock.allow_write(sandbox.runtime + "/lock");
    /* EPERM: the system call filter of a container does not know it. */
    return landlock.enforce() || errno == ENOSYS || errno == EOPNOTSUPP ||
        errno == EPERM;
}

} // namespace

bool enter_supervisor_sandbox(const SupervisorSandbox &sandbox)
{
    const rlimit no_core = {0, 0};

    return setrlimit(RLIMIT_CORE, &no_core) == 0 &&
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        restrict_files(sandbox) && refuse_system_calls();
}
