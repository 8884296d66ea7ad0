/*
 * The function of each fuzz target, which libFuzzer calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Run the tested code on the @size bytes at @data.  On a failure, an assertion
 * of the target or a sanitizer ends the process.  Returns 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
