/*
 * The boot heartbeat: an enclave's init connects to port 9000 of its parent,
 * sends a byte and waits for the same byte
 *
 * The first heartbeat is answered here, so that the supervisor knows that the
 * enclave has booted.  Then the socket is removed, and the vsock back end
 * answers further ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_HEARTBEAT_HH
#define QEMU_NITRO_CLI_ENCLAVE_HEARTBEAT_HH

#include <string>

#include "descriptor.hh"

class Heartbeat {
public:
    Heartbeat() = default;      /* not listening */
    /* Listen at `path`, to which the back end connects the guest.  Throws
     * Error if that fails. */
    explicit Heartbeat(std::string path);

    /* When this is readable, call accept() or read_byte().  It is closed when
     * there is nothing to wait for. */
    const Descriptor &listener() const { return listener_; }
    const Descriptor &connection() const { return connection_; }

    /* Accept a connection, which replaces an earlier one. */
    void accept();
    /* Read from the connection, and answer if it is the heartbeat. */
    void read_byte();

    bool received() const { return received_; }

private:
    std::string path_;
    Descriptor listener_, connection_;
    bool received_ = false;
};

#endif
