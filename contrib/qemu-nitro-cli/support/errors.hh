/*
 * What went wrong: nitro-cli's numbers, and messages for a terminal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_ERRORS_HH
#define QEMU_NITRO_CLI_SUPPORT_ERRORS_HH

#include <stdexcept>
#include <string>
#include <utility>

/*
 * nitro-cli's numbers for what goes wrong; also the exit status.  What each
 * means is in commands/explain.cc.
 */
enum class Code {
    missing_argument = 1,
    conflicting_argument = 2,
    invalid_argument = 3,
    socket = 11,
    json = 17,
    file = 19,
    cpu_twice = 20,
    cpu_id = 21,
    cpu_count = 22,
    cpu_list = 23,
    memory = 26,
    memory_left = 27,
    eif = 35,
    boot = 36,
    console = 44,
    building = 48,
    docker_build = 49,
    docker_pull = 50,
    blobs = 52,
    name = 58,
    signature_check = 59,
    signing = 60,
};

/* What went wrong, and what the user can do about it: a line each. */
struct Error : std::runtime_error {
    Error(Code code, const std::string &what, std::string advice)
        : std::runtime_error(what), code(code), advice(std::move(advice)) {}
    Code code;
    std::string advice;
};

/* The system's text for an errno */
std::string error_text(int error);

/*
 * A string for a terminal, in one line: control characters, which names of
 * files may have, become \xNN.
 */
std::string printable(const std::string &text);

/* Throws Error unless all that was printed has gone where it should. */
void check_output();

#endif
