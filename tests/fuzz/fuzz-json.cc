/*
 * Fuzz target: JSON that comes from users, images and QEMU
 *
 * The first byte of an input says what the rest is:
 *   0  a file for --config of run-enclave
 *   1  the metadata section of an image
 *   2  the state of an enclave
 *   3  what QEMU's monitor answers
 * Other values mean 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <cstdlib>
#include <string>
#include <sys/socket.h>

#include "enclave/enclave.hh"
#include "enclave/monitor.hh"
#include "enclave/run_options.hh"
#include "image/description.hh"
#include "support/errors.hh"

extern "C" {
#include "target.h"
}

namespace {

/* A state that was read is written with the same content. */
void read_state(const std::string &text)
{
    std::optional<Enclave> enclave = Enclave::from_file(text);

    if (!enclave) {
        return;
    }
    std::string written = enclave->to_file();
    std::optional<Enclave> again = Enclave::from_file(written);
    if (!again || again->to_file() != written) {
        abort();
    }
}

/* The state of a monitor after responses in pieces of `size` bytes */
Monitor read_answers(const std::string &text, size_t size)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   ends)) {
        abort();
    }
    Monitor monitor{Descriptor(ends[0])};
    Descriptor qemu(ends[1]);
    for (size_t done = 0; done < text.size() && monitor.fd(); done += size) {
        size_t n = std::min(size, text.size() - done);

        if (send(qemu.get(), text.data() + done, n, MSG_NOSIGNAL) !=
            static_cast<ssize_t>(n)) {
            abort();
        }
        monitor.read_answers();
    }
    return monitor;
}

/* The sizes of the pieces must not change the result. */
void read_answers(const std::string &text)
{
    constexpr size_t most = 16384;      /* what the monitor reads at once */
    Monitor whole = read_answers(text, most);
    Monitor pieces = read_answers(text, 100);

    if (whole.state() != pieces.state()) {
        abort();
    }
    if (whole.state() == Monitor::State::answered &&
        whole.measurements() != pieces.measurements()) {
        abort();
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    std::string text(reinterpret_cast<const char *>(data + 1), size - 1);

    try {
        switch (*data) {
        case 1:
            describe_metadata({text.begin(), text.end()}).dump(2);
            break;
        case 2:
            read_state(text);
            break;
        case 3:
            read_answers(text);
            break;
        default:
            run_options_from_json(text, "config");
        }
    } catch (const Error &) {
    }
    return 0;
}
