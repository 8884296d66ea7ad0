/*
 * Which of QEMU's accelerators works here
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_ACCELERATOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_ACCELERATOR_HH

#include <string>

/*
 * "kvm" or "tcg": what $NITRO_CLI_ACCEL says, else KVM if it can run a guest
 * that knows nothing of it.
 */
std::string choose_accelerator();

/*
 * Whether KVM runs guests here: the CPU has the means, and a guest of a few
 * instructions did run.  Takes some milliseconds, at most a second.
 */
bool kvm_works();

/* Whether the flags of /proc/cpuinfo have hardware virtualization: without it
 * a KVM there may be runs only guests made for it. */
bool has_virtualization(const std::string &cpuinfo);

#endif
