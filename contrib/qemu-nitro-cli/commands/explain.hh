/*
 * Descriptions of the numbers of errors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_COMMANDS_EXPLAIN_HH
#define QEMU_NITRO_CLI_COMMANDS_EXPLAIN_HH

#include <optional>
#include <string>

struct Explanation {
    int number;
    bool is_used;               /* by this program, and not only by AWS's */
    const char *title, *text;
};

/* The description of an error code: "E19", "e19" or "19"; std::nullopt if
 * there is no such code. */
std::optional<Explanation> explain(const std::string &code);

#endif
