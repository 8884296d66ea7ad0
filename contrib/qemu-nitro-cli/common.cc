/*
 * What the parts of qemu-nitro-cli share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "common.hh"

#include <cerrno>
#include <fcntl.h>
#include <system_error>

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

/* The whole of a file, in memory */
Bytes read_file(const std::string &path)
{
    const char *advice = "Check that the file exists and can be read.";
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes data;

    if (!file) {
        throw Error(Code::file, path + ": " + error_text(errno), advice);
    }
    for (;;) {
        constexpr size_t piece = 1 << 20;
        size_t had = data.size();

        data.resize(had + piece);
        ssize_t n = read(file.get(), data.data() + had, piece);
        if (n < 0) {
            throw Error(Code::file, path + ": " + error_text(errno), advice);
        }
        data.resize(had + n);
        if (n == 0) {
            return data;
        }
    }
}
