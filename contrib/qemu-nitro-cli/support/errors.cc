/*
 * Errors and messages for a terminal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/errors.hh"

#include <cstdio>
#include <iostream>
#include <system_error>

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

std::string printable(const std::string &text)
{
    std::string out;

    for (unsigned char c : text) {
        char code[5];

        snprintf(code, sizeof(code), "\\x%02x", c);
        out += c < ' ' || c == 0x7f ? std::string(code) : std::string(1, c);
    }
    return out;
}

std::string shortened(const std::string &text)
{
    constexpr size_t shown = 200;

    return text.size() <= shown ? text : text.substr(0, shown) + "...";
}

Error output_error()
{
    return Error(Code::file, "the result cannot be written to standard output",
                 "Check where it goes: a full disk, or a program that has"
                 " ended.");
}

void check_output()
{
    if (!std::cout.flush() || fflush(stdout) || ferror(stdout)) {
        throw output_error();
    }
}
