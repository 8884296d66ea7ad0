/*
 * The boot heartbeat
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/heartbeat.hh"

#include <cerrno>
#include <cstdint>
#include <sys/socket.h>

#include "support/errors.hh"
#include "support/unix_socket.hh"

namespace {

constexpr uint8_t heartbeat = 0xb7;

} // namespace

Heartbeat::Heartbeat(std::string path)
    : path_(std::move(path)), listener_(listen_unix(path_))
{
    if (!listener_) {
        throw Error(Code::boot, path_ + ": " + error_text(errno),
                    "Check that no other program uses this path.");
    }
}

void Heartbeat::accept()
{
    connection_.reset(accept4(listener_.get(), nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void Heartbeat::read_byte()
{
    uint8_t byte = 0;
    ssize_t n = read(connection_.get(), &byte, 1);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n == 1 && byte == heartbeat) {
        send(connection_.get(), &byte, 1, MSG_NOSIGNAL);
        received_ = true;
        unlink(path_.c_str());
        listener_.reset();
    }
    connection_.reset();
}
