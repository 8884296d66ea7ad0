/*
 * What each fuzz target defines, as libFuzzer wants it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/*
 * Give the @size bytes at @data to what is tested.  What it does wrong ends
 * the process: an assertion of the target, or a sanitizer.  Returns 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
