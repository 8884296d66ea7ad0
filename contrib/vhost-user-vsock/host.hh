/*
 * The host's end of connections: sockets to connect to, and listeners
 *
 * A guest's connection to port P of the host goes to the first of these that
 * exists:
 *   1. the address of connect=P:...;
 *   2. the Unix socket <uds-path>_<P>, which may be of either type;
 *   3. the Unix socket <uds-fallback>_<P>, likewise;
 *   4. AF_VSOCK port P of forward-cid;
 *   5. for port 9000, the daemon's own heartbeat: an enclave's init sends one
 *      byte there, 0xb7, when it has booted, and waits for it to come back.
 *
 * A host program reaches the guest through
 *   - <uds-path>: it writes "CONNECT <port>\n", and reads "OK <host port>\n"
 *     when the guest has accepted.  If the guest refuses, the connection is
 *     closed, with nothing written.  So is one that has not written this line
 *     after connect_timeout.  If the program sends a Unix socket along with
 *     the line (SCM_RIGHTS), the guest is connected to that one, and may be of
 *     type SEQPACKET;
 *   - a listener of listen=...: each of its connections goes to one port;
 *   - an AF_VSOCK port of forward-listen: it goes to the same port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_HOST_HH
#define VHOST_USER_VSOCK_HOST_HH

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "multiplexer.hh"
#include "sockets.hh"
#include "vsock_name.hh"

constexpr uint32_t heartbeat_port = 9000;
constexpr size_t max_command = 32;          /* bytes of "CONNECT <port>\n" */
constexpr size_t max_pending_commands = 1024;

struct HostOptions {
    struct Listen {
        Endpoint at;
        int type;                           /* SOCK_STREAM, SOCK_SEQPACKET */
        uint32_t guest_port;
    };
    std::string uds_path;                   /* empty: none */
    std::string uds_fallback;               /* empty: none */
    std::optional<uint32_t> forward_cid;
    std::vector<uint32_t> forward_listen;   /* ports */
    std::map<uint32_t, Endpoint> connects;  /* by the port that is asked for */
    std::vector<Listen> listens;
    bool heartbeat = true;
};

/* The port in "CONNECT <port>", which may be lower case; empty for any other
 * line */
std::optional<uint32_t> parse_connect(const std::string &line);

class Host {
public:
    /*
     * `booted` is called at each heartbeat.  All connections claim their
     * descriptors from `share`.
     */
    Host(Loop &loop, Sockets &sockets, DescriptorShare &share,
         HostOptions options, std::function<void()> booted);
    ~Host();

    /* Open all listeners; false, with `error` set, if one fails. */
    bool listen(std::string *error);

    /* The guest's connections; nullptr while there is no guest */
    void attach(Multiplexer *multiplexer) { multiplexer_ = multiplexer; }

    /* A stream for the connection that the guest asks for, or nullptr */
    std::unique_ptr<Stream> connect(uint32_t port, uint16_t type,
                                    const VsockName &guest = {});

private:
    struct Listener {
        ListeningSocket socket;
        uint16_t type;
        std::optional<uint32_t> guest_port;     /* empty: "CONNECT" has it */
    };
    /* A host program that has not written its whole "CONNECT" line */
    struct PendingCommand {
        DescriptorClaim claim;
        Descriptor fd;
        Clock::time_point deadline;
    };

    bool open_listener(const Endpoint &at, int type,
                       std::optional<uint32_t> guest_port, std::string *error);
    std::unique_ptr<Stream> connect_to(const Endpoint &to, uint16_t type);
    std::unique_ptr<Stream> connect_unix(const std::string &path, uint32_t port,
                                         uint16_t type,
                                         const VsockName &guest);
    void accept(const Listener &listener);
    void add_connection(const Listener &listener, Descriptor fd);
    void await_command(DescriptorClaim claim, Descriptor fd);
    /* `at_end`: the program writes no more. */
    void read_command(uint64_t id, bool at_end);
    void expire_commands();
    void open(uint32_t port, PendingCommand program, Descriptor passed);

    Loop &loop_;
    Sockets &sockets_;
    DescriptorShare &share_;
    const HostOptions options_;
    std::function<void()> booted_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    Multiplexer *multiplexer_ = nullptr;
    std::map<uint64_t, PendingCommand> pending_commands_;   /* oldest first */
    uint64_t next_command_id_ = 0;
    bool timer_set_ = false;                /* for expire_commands() */
};

/*
 * Accept the connections that wait at a listener, and pass them to `handler`.
 * When the process has no descriptor left, they stay in the backlog, and the
 * listener is not watched for a short time: it would wake the loop all the
 * time.
 */
void accept_all(Loop &loop, int listener,
                const std::function<void(Descriptor)> &handler);

#endif
