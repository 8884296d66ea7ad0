/*
 * Checks of error messages, for the tests of images and their kernels
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_EIF_EXPECT_ERROR_H
#define TESTS_UNIT_EIF_EXPECT_ERROR_H

#include "qapi/error.h"

/*
 * @err must be one line that contains each of @words, which are separated by
 * '|'.  Frees @err.
 */
static inline void expect_error(Error **err, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    int i;

    g_assert_nonnull(*err);
    for (i = 0; list[i]; i++) {
        if (!strstr(error_get_pretty(*err), list[i])) {
            g_error("no '%s' in '%s'", list[i], error_get_pretty(*err));
        }
    }
    g_assert_null(strchr(error_get_pretty(*err), '\n'));
    error_free(*err);
    *err = NULL;
}

#endif
