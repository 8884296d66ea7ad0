/*
 * What the numbers of errors mean
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_COMMANDS_EXPLAIN_HH
#define QEMU_NITRO_CLI_COMMANDS_EXPLAIN_HH

#include <optional>
#include <string>

struct Explanation {
    int number;
    bool is_used;               /* by this program, not by AWS's alone */
    const char *title, *text;
};

/* What an error code means: "E19", "e19" or "19"; std::nullopt if
 * there is none. */
std::optional<Explanation> explain(const std::string &code);

#endif
