/*
 * What the parts of qemu-nitro-cli share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "support/common.hh"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <iostream>
#include <system_error>

namespace {

const char *const read_advice = "Check that the file exists and can be read.";

} // namespace

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

std::optional<Bytes> read_file_if_there(const std::string &path)
{
    constexpr size_t piece = 64 << 10, max_size = 16 << 20;
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes data;

    if (!file && errno == ENOENT) {
        return {};
    }
    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno), read_advice);
    }
    while (data.size() <= max_size) {
        size_t had = data.size();

        data.resize(had + piece);
        ssize_t n = read(file.get(), data.data() + had, piece);
        if (n < 0) {
            throw Error(Code::file, path + ": " + error_text(errno),
                        read_advice);
        }
        data.resize(had + n);
        if (n == 0) {
            return data;
        }
    }
    throw Error(Code::file, path + ": more than "
                + std::to_string(max_size >> 20) + " MiB",
                "Check that this is the right file.");
}

Bytes read_file(const std::string &path)
{
    std::optional<Bytes> data = read_file_if_there(path);

    if (!data) {
        throw Error(Code::file, path + ": " + error_text(ENOENT), read_advice);
    }
    return *std::move(data);
}

void check_output()
{
    if (!std::cout.flush() || ferror(stdout)) {
        throw Error(Code::file, "the result cannot be written to standard"
                    " output", "Check where it goes: a full disk, or a"
                    " program that has ended.");
    }
}
