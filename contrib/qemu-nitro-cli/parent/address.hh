/*
 * Addresses of vsock: in the program's memory, and as names of Unix sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_ADDRESS_HH
#define QEMU_NITRO_CLI_PARENT_ADDRESS_HH

#include <cstdint>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <linux/vm_sockets.h>

#include "parent/target.hh"

/* The CID of the parent instance, for its enclaves */
constexpr uint32_t parent_cid = 3;

struct VsockAddress {
    uint32_t cid = VMADDR_CID_ANY, port = VMADDR_PORT_ANY;

    bool operator==(const VsockAddress &) const = default;
};

/* Does this CID mean programs of the parent? */
constexpr bool is_parent(uint32_t cid)
{
    return cid == VMADDR_CID_LOCAL || cid == VMADDR_CID_HOST ||
        cid == parent_cid;
}

/*
 * Read the address in the argument of a system call.  Returns 0, or the errno
 * for the call: EAFNOSUPPORT if the address is of another family.
 */
int read_address(const Target &target, uint64_t address, uint64_t size,
                 VsockAddress *result);

/*
 * Write an address to the buffer of accept() or getsockname(), truncated to
 * `*size` bytes, and store its whole size there.  Returns 0 or an errno.
 */
int write_address(const Target &target, uint64_t address, uint64_t size,
                  const VsockAddress &value);

/*
 * The names of a Unix socket and of its peer: all of sun_path.  The name is
 * empty if the socket has none.  Returns nothing if the socket is not
 * connected, or is not a Unix socket.
 */
std::optional<std::string> own_name(const Descriptor &socket);
std::optional<std::string> peer_name(const Descriptor &socket);

#endif
