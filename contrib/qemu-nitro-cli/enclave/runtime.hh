/*
 * The directory with the state of a user's enclaves
 *
 * $XDG_RUNTIME_DIR/qemu-nitro has a directory for each enclave, named by its
 * id:
 *
 *   lock            locked by the enclave's supervisor as long as it runs
 *   enclave.json    the state of the enclave (enclave.hh)
 *   metadata.json   the metadata section of its image, if it has one.  It may
 *                   be large, and only describe-enclaves --metadata reads it.
 *   console.log     the output of its console, in debug mode
 *   qmp.sock        QEMU's monitor
 *   vhost.sock      the socket of the vsock back end for QEMU
 *   vsock.sock      the vsock for programs of the parent; connections of the
 *                   guest go to vsock.sock_PORT
 *
 * It also has the directory "parent", with the sockets of programs that the
 * command parent runs (parent/registry.hh).
 *
 * The kernel releases a lock when its holder ends, even by SIGKILL.  So a
 * process that gets the lock of an enclave knows that the enclave has ended,
 * whatever the state file says.  Each command that lists enclaves removes the
 * directories of those that have ended.  All directories have mode 0700.
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

/* An enclave's directory and its files */
struct EnclaveDirectory {
    std::string path;

    std::string lock() const { return path + "/lock"; }
    std::string state() const { return path + "/enclave.json"; }
    std::string metadata() const { return path + "/metadata.json"; }
    std::string console() const { return path + "/console.log"; }
    std::string monitor() const { return path + "/qmp.sock"; }
    std::string vhost() const { return path + "/vhost.sock"; }
    std::string vsock() const { return path + "/vsock.sock"; }
};

class Runtime {
public:
    /* Find the directory, or make it.  Throws Error if it cannot be used, or if
     * other users have access to it. */
    Runtime();

    EnclaveDirectory directory(const std::string &id) const
    {
        return {path_ + "/" + id};
    }

    /* The directory with the sockets of the command parent */
    std::string parent() const { return path_ + "/parent"; }

    /* The path, without _PORT, where the connections of all enclaves go if no
     * program listens at EnclaveDirectory::vsock() of the enclave. */
    std::string parent_vsock() const { return parent() + "/vsock"; }

    /*
     * Take the lock that protects the list of enclaves.  While it is held, no
     * other command lists, adds or removes enclaves.  Throws Error if another
     * process holds it for a long time.
     */
    Descriptor lock() const;

    /*
     * The running enclaves, oldest first.  Removes the directories of those
     * that have ended.  An enclave whose state file is unusable is left out,
     * with a warning.  Throws Error if it is not known whether one runs, for
     * example without a free descriptor.  The caller holds the lock.
     */
    std::vector<Enclave> enclaves() const;

    /*
     * The enclaves that have a state file.  They may have ended, and the state
     * may be old.  Does not need the lock, which a command that starts an
     * enclave may hold for long.
     */
    std::vector<Enclave> recorded() const;

    /* Make the directory of a new enclave, and return its lock, locked.  The
     * caller holds lock(). */
    Descriptor add(const std::string &id) const;

    /* Kill the processes and remove the directory of an enclave whose
     * supervisor has ended.  The caller holds lock(). */
    void remove(const std::string &id) const;

    /* The enclave with this id or name.  Throws Error if there is none. */
    Enclave find(const std::optional<std::string> &id,
                 const std::optional<std::string> &name) const;

private:
    std::optional<Enclave> find_running(const std::string &id) const;

    std::string path_;
};

/* Open the lock of an enclave.  Returns nothing if the enclave has ended and
 * was removed.  Throws Error if the lock cannot be opened. */
Descriptor open_lock(const EnclaveDirectory &directory);

/* Wait until the lock of an enclave is free.  Returns false after the time-out.
 * The file may be removed meanwhile.  Throws Error if flock() fails. */
bool wait_for_end(const Descriptor &lock, int milliseconds);

#endif
