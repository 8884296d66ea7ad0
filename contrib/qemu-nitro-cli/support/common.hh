/*
 * What the parts of qemu-nitro-cli share: errors and files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_COMMON_HH
#define QEMU_NITRO_CLI_SUPPORT_COMMON_HH

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "descriptor.hh"

using Bytes = std::vector<uint8_t>;

/*
 * nitro-cli's numbers for what goes wrong; also the exit status.  What each
 * means is in explain.cc.
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

std::string error_text(int error);

/*
 * A text for a terminal, in one line: control characters, which names of
 * files may have, become \xNN.
 */
std::string printable(const std::string &text);

/*
 * The whole of a file that has to be small: a certificate, a text.  Throws
 * Error if it cannot be read, or goes on and on.
 */
Bytes read_file(const std::string &path);

/* The same of a file that need not be there: nothing then. */
std::optional<Bytes> read_file_if_there(const std::string &path);

/* Throws Error unless all that was printed has gone where it should. */
void check_output();

#endif
