/*
 * The directory with the state of a user's enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/runtime.hh"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/errors.hh"
#include "support/files.hh"

namespace {

namespace fs = std::filesystem;

constexpr int lock_wait_ms = 60000;

/* "qemu-nitro/", an id, "/vsock.sock_" and a port fit a socket's path. */
constexpr size_t max_socket_path = 107;
constexpr size_t longest_name =
    sizeof("/i-0123456789abcdef0-enc0123456789abcdef"
           "/vsock.sock_4294967295") - 1;

std::string user_text(uid_t uid)
{
    return "user " + std::to_string(uid);
}

bool is_private_directory(const std::string &path)
{
    struct stat st;

    return lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid();
}

/* The runtime directory of this user (XDG Base Directory Specification), or a
 * replacement if XDG_RUNTIME_DIR is not set */
std::string base_directory()
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    std::string uid = std::to_string(geteuid());

    if (xdg && xdg[0] == '/') {
        if (!is_private_directory(xdg)) {
            throw Error(Code::file, std::string("XDG_RUNTIME_DIR=") + xdg
                        + " is not a directory of " + user_text(geteuid()),
                        "Set it to one, or not at all.");
        }
        return std::string(xdg) + "/qemu-nitro";
    }
    if (is_private_directory("/run/user/" + uid)) {
        return "/run/user/" + uid + "/qemu-nitro";
    }
    return "/tmp/qemu-nitro-" + uid;
}

/* If a shared lock is possible, no supervisor holds the lock. */
bool is_free(const Descriptor &lock)
{
    return take_lock(lock, LOCK_SH, 0);
}

/*
 * A state file: either the enclave, or why there is none.  `problem` is empty
 * if there is no file: an enclave that is just starting has none.
 */
struct StateFile {
    std::optional<Enclave> enclave;
    std::string problem;
};

/* Does a file with this error of open() or read() stay unusable?  Otherwise,
 * the next attempt may find the enclave. */
bool is_lasting(int error)
{
    constexpr int lasting[] = {EACCES, EISDIR, ELOOP, ENOTDIR, ENXIO, EPERM};

    return std::ranges::find(lasting, error) != std::end(lasting);
}

/*
 * Read a state file.  One enclave with an unusable file must not keep the user
 * from all others, so that is not an Error.  Throws Error if the file may be
 * usable, but cannot be read now.
 */
StateFile read_state(const EnclaveDirectory &directory)
{
    /* More than the options that one command line can have */
    constexpr size_t max_state = 4 << 20;
    std::string path = directory.state();
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    std::string text;
    struct stat st = {};
    int error = 0;

    if (!file && errno == ENOENT) {
        return {};
    }
    if (!file || fstat(file.get(), &st)) {
        error = errno;
    } else if (st.st_size > static_cast<off_t>(max_state)) {
        return {{}, std::to_string(st.st_size) + " bytes, more than "
                    + std::to_string(max_state)};
    } else {
        text.resize(st.st_size);
        ssize_t n = read_fully(file.get(), text.data(), text.size());
        error = n < 0 ? errno : 0;
        text.resize(std::max<ssize_t>(n, 0));
    }
    if (is_lasting(error)) {
        return {{}, error_text(error)};
    }
    if (error) {
        throw Error(Code::file, path + ": " + error_text(error),
                    "It is not known which enclaves run; try again.");
    }
    StateFile state = {Enclave::from_file(text), ""};
    if (!state.enclave) {
        state.problem = "not the state of an enclave";
    }
    return state;
}

} // namespace

Descriptor open_lock(const EnclaveDirectory &directory)
{
    Descriptor lock(open(directory.lock().c_str(), O_RDWR | O_CLOEXEC));

    if (!lock && errno != ENOENT) {
        throw Error(Code::file, directory.lock() + ": " + error_text(errno),
                    "It is not known whether this enclave runs; try again.");
    }
    return lock;
}

bool wait_for_end(const Descriptor &lock, int milliseconds)
{
    return take_lock(lock, LOCK_SH, milliseconds);
}

Runtime::Runtime() : path_(base_directory())
{
    make_private_directory(path_);
    if (path_.size() + longest_name > max_socket_path) {
        throw Error(Code::file, path_ + ": the path of this directory has "
                    + std::to_string(path_.size()) + " bytes, and more than "
                    + std::to_string(max_socket_path - longest_name)
                    + " are too long for the sockets in it",
                    "Set XDG_RUNTIME_DIR to a shorter one.");
    }
}

Descriptor Runtime::lock() const
{
    Descriptor lock = lock_file(path_ + "/lock", lock_wait_ms);

    if (!lock) {
        throw Error(Code::file, path_ + "/lock: another command has held this"
                    " for " + std::to_string(lock_wait_ms / 1000) + " s",
                    "See what holds it: fuser " + path_ + "/lock");
    }
    return lock;
}

/* The enclave with this id, if it runs.  If it has ended, remove its files. */
std::optional<Enclave> Runtime::find_running(const std::string &id) const
{
    Descriptor lock = open_lock(directory(id));

    if (!lock || is_free(lock)) {
        remove(id);
        return {};
    }
    StateFile state = read_state(directory(id));
    if (state.enclave && state.enclave->id != id) {
        state = {{}, "the state of " + state.enclave->id};
    }
    if (!state.problem.empty()) {
        std::cerr << "warning: " << printable(directory(id).state()) << ": "
                  << state.problem << "; this enclave runs, but is left out"
                     " (it ends if its directory is removed).\n";
    }
    return std::move(state.enclave);
}

std::vector<Enclave> Runtime::enclaves() const
{
    std::vector<Enclave> alive;

    try {
        for (const auto &entry : fs::directory_iterator(path_)) {
            std::string id = entry.path().filename();

            if (!is_enclave_id(id) || !entry.is_directory()) {
                continue;
            }
            if (std::optional<Enclave> enclave = find_running(id)) {
                alive.push_back(*std::move(enclave));
            }
        }
    } catch (const fs::filesystem_error &e) {
        throw Error(Code::file, path_ + ": " + e.code().message(),
                    "It is not known which enclaves run; try again.");
    }
    std::ranges::sort(alive, {}, [](const Enclave &e) {
        return std::pair(e.supervisor.start, e.id);
    });
    return alive;
}

std::vector<Enclave> Runtime::recorded() const
{
    std::vector<Enclave> all;
    std::error_code error;

    for (fs::directory_iterator at(path_, error), end; !error && at != end;
         at.increment(error)) {
        std::string id = at->path().filename();

        if (!is_enclave_id(id)) {
            continue;
        }
        try {
            std::optional<Enclave> enclave = read_state(directory(id)).enclave;

            if (enclave && enclave->id == id) {
                all.push_back(*std::move(enclave));
            }
        } catch (const Error &) {
            continue;       /* The directory was removed meanwhile. */
        }
    }
    return all;
}

Descriptor Runtime::add(const std::string &id) const
{
    EnclaveDirectory f = directory(id);

    make_private_directory(f.path);
    Descriptor lock = lock_file(f.lock(), 0);
    if (!lock) {
        throw Error(Code::file, f.lock() + " is held", "Try again.");
    }
    return lock;
}

void Runtime::remove(const std::string &id) const
{
    EnclaveDirectory f = directory(id);
    std::error_code error;

    /* Without a state file, the enclave had not started any process. */
    if (std::optional<Enclave> enclave = read_state(f).enclave) {
        /* The kernel kills them with the supervisor: wait for their end. */
        kill_and_wait(enclave->qemu);
        kill_and_wait(enclave->backend);
    }
    fs::remove_all(f.path, error);
    /* That calls unlink() for the directory itself, which the supervisor's
     * sandbox refuses before the kernel sees that it is a directory. */
    rmdir(f.path.c_str());
}

Enclave Runtime::find(const std::optional<std::string> &id,
                      const std::optional<std::string> &name) const
{
    const char *advice = "See qemu-nitro-cli describe-enclaves.";

    if (id && name) {
        throw Error(Code::conflicting_argument,
                    "--enclave-id and --enclave-name are given",
                    "Give one of them.");
    }
    if (!id && !name) {
        throw Error(Code::missing_argument, "--enclave-id is missing",
                    "Give it, or --enclave-name.");
    }
    Descriptor held = lock();
    if (id && is_enclave_id(*id)) {
        /* An id needs no look at the other enclaves. */
        if (std::optional<Enclave> enclave = find_running(*id)) {
            return *std::move(enclave);
        }
    }
    if (name) {
        for (Enclave &enclave : enclaves()) {
            if (enclave.name == *name) {
                return std::move(enclave);
            }
        }
    }
    auto shown = [](const std::string &text) {
        return text.empty() ? "\"\"" : text;
    };
    throw id ? Error(Code::socket, "no enclave has the id " + shown(*id),
                     advice)
             : Error(Code::name, "no enclave is called " + shown(*name),
                     advice);
}
