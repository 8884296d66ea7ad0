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

/* The address of the parent instance, as its enclaves know it */
constexpr uint32_t parent_cid = 3;

struct VsockAddress {
    uint32_t cid = VMADDR_CID_ANY, port = VMADDR_PORT_ANY;

    bool operator==(const VsockAddress &) const = default;
};

/* Does this CID mean the parent's own programs? */
constexpr bool is_parent(uint32_t cid)
{
    return cid == VMADDR_CID_LOCAL || cid == VMADDR_CID_HOST ||
        cid == parent_cid;
}

/*
 * Read the address in the argument of a system call.  Returns 0, or the errno
 * that the call returns; EAFNOSUPPORT if the address is of another family.
 */
int read_address(const Target &target, uint64_t address, uint64_t size,
                 VsockAddress *result);

/*
 * Write an address to the buffer of accept() or getsockname(), truncated to
 * `*size` bytes, and store its whole size there.  Returns 0 or an errno.
 */
int write_address(const Target &target, uint64_t address, uint64_t size,
                  const VsockAddress &value);

/* The name that a Unix socket has, or its peer's: all of sun_path.  Empty for
 * one without a name; nothing if it is not connected, or no Unix socket. */
std::optional<std::string> own_name(const Descriptor &socket);
std::optional<std::string> peer_name(const Descriptor &socket);

#endif
