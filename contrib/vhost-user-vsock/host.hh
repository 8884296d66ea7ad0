/*
 * The host's side: Unix sockets, and the boot heartbeat
 *
 * A guest's connection to port P goes to the Unix socket <uds-path>_<P>.  A
 * host program connects to <uds-path>, writes "CONNECT <port>\n", and reads
 * "OK <host port>\n" when the guest has accepted; a refused connection is
 * closed without a word.
 *
 * Port 9000 is where an enclave's init says that it has booted: one byte,
 * 0xb7, which it wants back.  Unless a host program listens there, the daemon
 * answers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_HOST_HH
#define VHOST_USER_VSOCK_HOST_HH

#include <map>
#include <string>

#include "multiplexer.hh"

constexpr uint32_t heartbeat_port = 9000;
constexpr uint8_t heartbeat_byte = 0xb7;
constexpr size_t max_command = 32;          /* bytes of "CONNECT <port>\n" */
constexpr size_t max_unasked = 1024;        /* host programs that said nothing */

/* A stream over a connected socket */
class SocketStream : public Stream {
public:
    /* `announce`: the other end waits for "OK <port>". */
    explicit SocketStream(Fd fd, bool announce = false);
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    void shutdown_write() override;
    int fd() const override { return fd_.get(); }
    void accepted(uint32_t port) override;

private:
    Fd fd_;
    bool announce_;
};

/* Gives heartbeats back; anything else ends it. */
class HeartbeatStream : public Stream {
public:
    explicit HeartbeatStream(std::function<void()> booted);
    ssize_t readv(const iovec *iov, int count) override;
    ssize_t writev(const iovec *iov, int count) override;
    void shutdown_write() override { ended_ = true; }
    bool ready() const override { return owed_ || ended_; }

private:
    std::function<void()> booted_;
    size_t owed_ = 0;
    bool ended_ = false;
};

/*
 * Listen on a Unix socket of mode 0600.  A socket that nobody listens on any
 * more is replaced.  Returns no descriptor and sets `error` on failure.
 */
Fd listen_unix(const std::string &path, std::string *error);

/* The port in a line "CONNECT <port>", in either case; nothing if it is not */
std::optional<uint32_t> parse_connect(const std::string &line);

class Host {
public:
    struct Options {
        std::string uds_path;       /* empty: none */
        bool heartbeat = true;
    };

    Host(Loop &loop, const Options &options, Fd listener,
         std::function<void()> booted);
    ~Host();

    /* Where the guest's connections come from and the host's go */
    void attach(Multiplexer *multiplexer) { multiplexer_ = multiplexer; }

    std::unique_ptr<Stream> connect(uint32_t port);

    /* Called when the host has asked the guest for something. */
    void on_activity(std::function<void()> callback);

private:
    void accept();
    void command(int fd);

    Loop &loop_;
    Options options_;
    Fd listener_;
    std::function<void()> booted_, activity_;
    Multiplexer *multiplexer_ = nullptr;
    std::map<int, Fd> unasked_;
};

#endif
