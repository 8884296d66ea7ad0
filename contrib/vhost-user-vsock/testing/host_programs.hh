/*
 * A back end, and the host programs at the other end of a guest's connections
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

#include "descriptor.hh"
#include "testing/temporary_directory.hh"

/* A process of a back end */
class BackEnd {
public:
    /*
     * Its output goes to the files `log`.out and `log`.err.
     * `descriptor_limit` is the soft limit that it starts with: by default,
     * that of a login shell.
     */
    BackEnd(const std::string &program,
           const std::vector<std::string> &arguments, const std::string &log,
           size_t descriptor_limit = 1024);
    BackEnd(const BackEnd &) = delete;
    BackEnd &operator=(const BackEnd &) = delete;
    ~BackEnd();

    bool alive();
    /* Send SIGTERM; returns the status of waitpid(). */
    int stop();
    pid_t pid() const { return pid_; }

    size_t descriptors() const;         /* open now */
    size_t resident() const;            /* bytes of memory */
    double cpu_seconds() const;

private:
    pid_t pid_ = -1;
    int status_ = 0;
};

/* Raise the limit of open descriptors to the hard limit. */
void raise_descriptor_limit();

/* A host program's end of a connection.  Calls block, up to `max_wait`. */
class HostSocket {
public:
    explicit HostSocket(Descriptor fd);
    /* Connect to a Unix socket, of type SOCK_STREAM or SOCK_SEQPACKET. */
    explicit HostSocket(const std::string &path, int type = SOCK_STREAM);

    void write(std::string_view data);
    std::string read(size_t size);
    /* Receive a message of up to `size` bytes. */
    std::string read_message(size_t size);
    std::string read_line();            /* without its end */
    /* Wait for the end; a reset is an end too.  False if data comes. */
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
