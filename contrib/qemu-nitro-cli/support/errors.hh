/*
 * Errors with the numbers of AWS's nitro-cli, and messages for a terminal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_ERRORS_HH
#define QEMU_NITRO_CLI_SUPPORT_ERRORS_HH

#include <stdexcept>
#include <string>
#include <utility>

/*
 * The error numbers of AWS's nitro-cli, which are also the exit status.
 * commands/explain.cc describes them.
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
    console_output = 46,
    building = 48,
    docker_build = 49,
    docker_pull = 50,
    blobs = 52,
    name = 58,
    signature_check = 59,
    signing = 60,
};

/* An error: one line with the reason, and one with what the user can do */
struct Error : std::runtime_error {
    Error(Code code, const std::string &what, std::string advice)
        : std::runtime_error(what), code(code), advice(std::move(advice)) {}
    Code code;
    std::string advice;
};

/* The system's text for an errno */
std::string error_text(int error);

/*
 * A string for one line of a terminal.  Control characters, which names of
 * files may have, become \xNN.
 */
std::string printable(const std::string &text);

/* A string of untrusted input for a message: not more than its first part */
std::string shortened(const std::string &text);

/* The result could not be written to stdout. */
Error output_error();

/* Throws it unless all output was written. */
void check_output();

#endif
