/*
 * Finding the accelerator of QEMU that works on this host
 *
 * KVM may fail although /dev/kvm exists: another hypervisor may have locked it,
 * or KVM may run only paravirtual guests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/accelerator.hh"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "support/errors.hh"
#include "support/files.hh"

namespace {

constexpr unsigned probe_seconds = 1;
constexpr int api_version = 12;

/* mov $'K', %al; out %al, $0x10 */
constexpr uint8_t probe_code[] = {0xb0, 'K', 0xe6, 0x10};
constexpr uint16_t probe_port = 0x10;
constexpr size_t probe_memory = 0x1000;

/* Run the code in real mode, from address 0 to its output. */
bool run_probe()
{
    Descriptor kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!kvm || ioctl(kvm.get(), KVM_GET_API_VERSION, 0) != api_version) {
        return false;
    }
    Descriptor vm(ioctl(kvm.get(), KVM_CREATE_VM, 0));
    int run_size = ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
    void *memory = mmap(nullptr, probe_memory, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!vm || run_size < static_cast<int>(sizeof(kvm_run)) ||
        memory == MAP_FAILED) {
        return false;
    }
    memcpy(memory, probe_code, sizeof(probe_code));
    kvm_userspace_memory_region region = {
        0, 0, 0, probe_memory, reinterpret_cast<uintptr_t>(memory),
    };
    if (ioctl(vm.get(), KVM_SET_USER_MEMORY_REGION, &region)) {
        return false;
    }
    Descriptor vcpu(ioctl(vm.get(), KVM_CREATE_VCPU, 0));
    auto *run = static_cast<kvm_run *>(
        mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
             vcpu.get(), 0));
    kvm_sregs special;
    kvm_regs registers = {};
    if (run == MAP_FAILED || ioctl(vcpu.get(), KVM_GET_SREGS, &special)) {
        return false;
    }
    special.cs.base = 0;
    special.cs.selector = 0;
    registers.rflags = 2;       /* the bit that is always set */
    return ioctl(vcpu.get(), KVM_SET_SREGS, &special) == 0 &&
        ioctl(vcpu.get(), KVM_SET_REGS, &registers) == 0 &&
        ioctl(vcpu.get(), KVM_RUN, 0) == 0 &&
        run->exit_reason == KVM_EXIT_IO && run->io.port == probe_port;
}

} // namespace

bool has_virtualization(const std::string &cpuinfo)
{
    std::istringstream lines(cpuinfo);
    std::string line, word;

    while (std::getline(lines, line)) {
        std::istringstream words(line);

        if (!(words >> word) || word != "flags") {
            continue;
        }
        while (words >> word) {
            if (word == "vmx" || word == "svm") {
                return true;
            }
        }
        return false;
    }
    return false;
}

bool kvm_works()
{
    int status;

    try {
        Bytes text = read_file("/proc/cpuinfo");

        if (!has_virtualization({text.begin(), text.end()})) {
            return false;
        }
    } catch (const Error &) {
        return false;
    }
    /* In a child, which is killed if KVM hangs. */
    pid_t pid = fork();
    if (pid == 0) {
        alarm(probe_seconds);
        _exit(run_probe() ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid &&
        WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string choose_accelerator()
{
    const char *asked = getenv("NITRO_CLI_ACCEL");

    if (!asked || !*asked) {
        return kvm_works() ? "kvm" : "tcg";
    }
    if (strcmp(asked, "kvm") != 0 && strcmp(asked, "tcg") != 0) {
        throw Error(Code::invalid_argument, std::string("NITRO_CLI_ACCEL=")
                    + asked + " is not an accelerator",
                    "Set it to kvm or tcg, or not at all.");
    }
    return asked;
}
