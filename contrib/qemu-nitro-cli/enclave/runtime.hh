/*
 * The folder in which a user's enclaves have their state
 *
 * $XDG_RUNTIME_DIR/qemu-nitro holds a folder for each enclave, named by its id:
 *
 *   lock            held by the enclave's supervisor as long as it lives
 *   enclave.json    what is known of it (enclave.hh)
 *   console.log     what its console said, if somebody may see it
 *   qmp.sock        QEMU's monitor
 *   vhost.sock      the vsock back end's, for QEMU
 *   vsock.sock      the vsock for programs of the parent; vsock.sock_PORT is
 *                   where connections of the guest go
 *
 * and beside them the folder "parent", with the sockets of programs that the
 * command parent runs (parent/registry.hh).
 *
 * The kernel lets go of a lock when its holder ends, even by SIGKILL, so who
 * gets the lock of an enclave knows that it is over, whatever its file says.
 * Whoever looks at the enclaves removes those.  All folders are 0700.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_RUNTIME_HH
#define QEMU_NITRO_CLI_ENCLAVE_RUNTIME_HH

#include <optional>
#include <string>
#include <vector>

#include "descriptor.hh"
#include "enclave/enclave.hh"

/* An enclave's folder and what is in it */
struct EnclaveFolder {
    std::string path;

    std::string lock() const { return path + "/lock"; }
    std::string state() const { return path + "/enclave.json"; }
    std::string console() const { return path + "/console.log"; }
    std::string monitor() const { return path + "/qmp.sock"; }
    std::string vhost() const { return path + "/vhost.sock"; }
    std::string vsock() const { return path + "/vsock.sock"; }
};

class Runtime {
public:
    /* Find the folder, and make it if need be; throws Error if it cannot be
     * used, or could be by somebody else. */
    Runtime();

    EnclaveFolder folder(const std::string &id) const
    {
        return {path_ + "/" + id};
    }

    /* The folder of the command parent's sockets */
    std::string parent() const { return path_ + "/parent"; }

    /* Where the connections of all enclaves go if no program listens at the
     * path in the folder of the one: _PORT is appended, as to
     * EnclaveFolder::vsock(). */
    std::string parent_vsock() const { return parent() + "/vsock"; }

    /*
     * Nobody else lists, adds or removes enclaves while this is held.  Throws
     * Error if it is not to be had for a long time.
     */
    Descriptor lock() const;

    /* The enclaves that live, oldest first; removes the others.  Throws Error
     * if one cannot be looked at: that does not mean that it is over.  Under
     * the lock. */
    std::vector<Enclave> enclaves() const;

    /*
     * The enclaves of which there is a file, perhaps not in its last state;
     * they may be over.  Without the lock, which a command that starts an
     * enclave may hold for long.
     */
    std::vector<Enclave> recorded() const;

    /* Make the folder of a new enclave, and take its lock, which is returned.
     * Under the lock. */
    Descriptor add(const std::string &id) const;

    /* Remove what is left of an enclave whose supervisor has ended: its
     * processes and its folder.  Under the lock. */
    void remove(const std::string &id) const;

    /* The one of that id or name; throws Error if there is none. */
    Enclave find(const std::optional<std::string> &id,
                 const std::optional<std::string> &name) const;

private:
    std::optional<Enclave> look_at(const std::string &id) const;

    std::string path_;
};

/* The lock of an enclave, to be asked; nothing if the enclave is over and
 * removed.  Throws Error if it cannot be opened. */
Descriptor open_lock(const EnclaveFolder &folder);

/* Wait until the lock of an enclave is free: true then, false after some
 * time.  The file may be removed meanwhile.  Throws Error if the system does
 * not tell. */
bool wait_for_end(const Descriptor &lock, int milliseconds);

#endif
