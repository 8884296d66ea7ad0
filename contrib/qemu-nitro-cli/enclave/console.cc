/*
 * Showing an enclave's console
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/console.hh"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include "descriptor.hh"
#include "enclave/console_log.hh"
#include "support/errors.hh"

namespace {

using Clock = std::chrono::steady_clock;

/* The longest delay until the end of the enclave is noticed */
constexpr int poll_ms = 500;

/* Throws Error if it cannot be written. */
void write_out(const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(STDOUT_FILENO, data, size);

        if (n < 0 && errno != EINTR) {
            throw Error(Code::console_output, output_error().what(),
                        output_error().advice);
        }
        data += std::max(n, ssize_t{0});
        size -= std::max(n, ssize_t{0});
    }
}

/* AWS's nitro-cli prints these lines on stdout, too. */
void print_line(const std::string &line)
{
    std::string text = line + "\n";

    write_out(text.data(), text.size());
}

void report_lost(uint64_t bytes)
{
    fprintf(stderr, "\n(%llu bytes of the console were discarded)\n",
            static_cast<unsigned long long>(bytes));
}

} // namespace

void show_console(const Enclave &enclave, const Runtime &runtime,
                  std::optional<uint64_t> seconds)
{
    EnclaveDirectory directory = runtime.directory(enclave.id);
    Clock::time_point begin = Clock::now();
    Descriptor lock = open_lock(directory);

    print_line("Connecting to the console for enclave "
               + std::to_string(enclave.cid) + "...");
    ConsoleReader reader(directory.console());
    print_line("Successfully connected to the console.");

    for (bool ended = false; !ended;) {
        /* Check first whether it has ended, and then read the last output. */
        ended = !lock || wait_for_end(lock, 0);
        reader.read_on(write_out, report_lost);
        int wait = poll_ms;
        if (seconds) {
            auto left = begin + std::chrono::seconds(*seconds) - Clock::now();
            auto ms = std::chrono::ceil<std::chrono::milliseconds>(left);

            if (ms.count() <= 0) {
                return;
            }
            wait = std::min<int64_t>(wait, ms.count());
        }
        if (!ended) {
            reader.wait(wait);
        }
    }
    fprintf(stderr, "The enclave has ended.\n");
}
