/*
 * Finding the accelerator of QEMU that works on this host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_ACCELERATOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_ACCELERATOR_HH

#include <string>

/*
 * Returns "kvm" or "tcg": the value of $NITRO_CLI_ACCEL, else "kvm" if KVM can
 * run a guest that is not paravirtual.
 */
std::string choose_accelerator();

/*
 * Does KVM run guests here?  The CPU must have hardware virtualization, and a
 * guest of a few instructions must have run.  Takes some milliseconds, at most
 * a second.
 */
bool kvm_works();

/* Do the flags of /proc/cpuinfo have hardware virtualization?  Without it, KVM
 * can run only paravirtual guests. */
bool has_virtualization(const std::string &cpuinfo);

#endif
