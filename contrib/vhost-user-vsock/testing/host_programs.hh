/*
 * What tests and benchmarks need around a guest: a back end, host programs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_HOST_PROGRAMS_HH
#define VHOST_USER_VSOCK_TESTING_HOST_PROGRAMS_HH

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <vector>

#include "loop.hh"

/* A folder that is removed with all that is in it */
class Folder {
public:
    Folder();
    Folder(const Folder &) = delete;
    Folder &operator=(const Folder &) = delete;
    ~Folder();
    std::string operator/(const std::string &name) const
    {
        return path_ + "/" + name;
    }

private:
    std::string path_;
};

/* A back end that runs */
class Daemon {
public:
    /*
     * What it says goes to the files `log`.out and `log`.err.  It begins with
     * as many descriptors as a login shell gives, unless told otherwise: a
     * back end that needs more asks itself.
     */
    Daemon(const std::string &program,
           const std::vector<std::string> &arguments, const std::string &log,
           size_t descriptor_limit = 1024);
    Daemon(const Daemon &) = delete;
    Daemon &operator=(const Daemon &) = delete;
    ~Daemon();

    bool alive();
    /* Ask it to end; the status of waitpid() */
    int stop();
    pid_t pid() const { return pid_; }

    size_t descriptors() const;         /* open */
    size_t resident() const;            /* bytes of memory */
    double cpu_seconds() const;

private:
    pid_t pid_ = -1;
    int status_ = 0;
};

/* As many open descriptors as the system lets this process have */
void raise_descriptor_limit();

/* A host program's end of a connection; all of it blocks, up to `patience`. */
class HostSocket {
public:
    explicit HostSocket(Descriptor fd);
    /* Connect to a Unix socket, of type SOCK_STREAM or SOCK_SEQPACKET. */
    explicit HostSocket(const std::string &path, int type = SOCK_STREAM);

    void write(std::string_view data);
    std::string read(size_t size);
    /* A message of up to `size` bytes */
    std::string read_message(size_t size);
    std::string read_line();            /* without its end */
    /* Is there nothing more? Waits for it; a reset is an end too. */
    bool at_end();
    void shutdown_write();
    void close() { fd_.reset(); }
    int fd() const { return fd_.get(); }

private:
    Descriptor fd_;
};

class HostListener {
public:
    explicit HostListener(const std::string &path, int type = SOCK_STREAM);
    HostListener(const HostListener &) = delete;
    HostListener &operator=(const HostListener &) = delete;
    ~HostListener();
    HostSocket accept();
    int fd() const { return fd_.get(); }

private:
    std::string path_;
    Descriptor fd_;
};

#endif
