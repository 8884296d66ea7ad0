/*
 * The ports of the parent: a directory of Unix sockets
 *
 * A program's AF_VSOCK socket is really a Unix socket.  When the program binds
 * it to a port, the socket is bound to a path in the directory "parent" of the
 * runtime directory (enclave/runtime.hh):
 *
 *   vsock_PORT     reached by the enclaves, whose back ends have this path as
 *                  their --uds-fallback, and by programs of the parent
 *   local_PORT     bound to VMADDR_CID_LOCAL: reached by programs only
 *   lock           held while a port is bound
 *   ID.stream, ID.seqpacket
 *                  listeners of one supervisor (see connect_to_self())
 *
 * A port is in use as long as the kernel has a socket with that path, whichever
 * process holds it.  Nothing else records it, so a killed process leaves
 * nothing to clean up: a file without a socket is replaced when the port is
 * bound again.
 *
 * With --enclave, the path is that of one enclave, in its own directory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_PARENT_REGISTRY_HH
#define QEMU_NITRO_CLI_PARENT_REGISTRY_HH

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "parent/address.hh"

class Runtime;

class Registry {
public:
    /*
     * `only` is the id of an enclave: no other one can connect or be connected
     * to.  Without it, all can.  Throws Error if the directory cannot be used.
     */
    Registry(const Runtime &runtime, std::optional<std::string> only);
    Registry(const Registry &) = delete;
    Registry &operator=(const Registry &) = delete;
    ~Registry();

    /* Close this process's sockets, and remove the files that have no socket
     * any more, as the destructor does. */
    void end();

    /*
     * Bind a program's socket to a port.  For VMADDR_PORT_ANY, choose a free
     * port and store it.  Returns 0, or the errno of bind().
     */
    int bind(const Descriptor &socket, VsockAddress *address);

    /*
     * Connect a program's socket to a port of another program of the parent.
     * Returns 0, or the errno of connect().
     */
    int connect_to_parent(const Descriptor &socket, uint32_t port) const;

    /* A connection to an enclave's back end, or nothing if no running enclave
     * has this CID */
    Descriptor connect_to_enclave(uint32_t cid) const;

    /*
     * Connect a program's socket, and return the other end.  On failure,
     * returns an empty Descriptor, with errno set.
     */
    Descriptor connect_to_self(const Descriptor &socket, int type) const;

    /* The port of a socket with this name, if it is a name of this directory */
    std::optional<uint32_t> port_of(const std::string &name) const;

private:
    void clean_up();
    int bind_free(const Descriptor &socket, VsockAddress *address);
    int bind_port(const Descriptor &socket, const VsockAddress &address);
    std::string path_of(const VsockAddress &address) const;

    const Runtime &runtime_;
    std::optional<std::string> only_;       /* an enclave's id */
    std::string directory_, shared_, local_, own_;
    Descriptor stream_, seqpacket_;         /* the listeners of this process */
    uint32_t next_port_;
};

/* The paths of all Unix sockets, and of no other files, from /proc/net/unix
 * (proc(5)) */
std::set<std::string> socket_paths();

/*
 * How long a call on the program's own socket may wait.  The socket may be
 * blocking, and this mode cannot be changed for one process only.
 */
constexpr int max_wait_ms = 20;

#endif
