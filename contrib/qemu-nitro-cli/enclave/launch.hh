/*
 * Starting an enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_LAUNCH_HH
#define QEMU_NITRO_CLI_ENCLAVE_LAUNCH_HH

#include "enclave/enclave.hh"
#include "enclave/run_options.hh"
#include "enclave/runtime.hh"

/*
 * Start an enclave and wait until it has booted.  If that fails, ends all its
 * processes and throws Error.  If this process ends meanwhile, the enclave ends
 * too.
 */
Enclave run_enclave(const RunOptions &options, const Runtime &runtime);

#endif
