/*
 * The host's side: where the guest's connections go, and the host's come from
 *
 * A guest's connection to port P of the host goes to the first of these that
 * is there:
 *   1. what connect=P:... says;
 *   2. the Unix socket <uds-path>_<P>, which may be of either type;
 *   3. AF_VSOCK port P of forward-cid;
 *   4. for port 9000, the daemon's own heartbeat: an enclave's init says there
 *      that it has booted, with one byte, 0xb7, which it wants back.
 *
 * A host program reaches the guest through
 *   - <uds-path>: it writes "CONNECT <port>\n", and reads "OK <host port>\n"
 *     when the guest has accepted; a refused connection is closed without a
 *     word, and so is one without this line after connect_timeout;
 *   - a listener of listen=...: each of its connections goes to one port;
 *   - an AF_VSOCK port of forward-listen: it goes to the same port.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_HOST_HH
#define VHOST_USER_VSOCK_HOST_HH

#include <map>
#include <string>
#include <vector>

#include "multiplexer.hh"
#include "sockets.hh"

constexpr uint32_t heartbeat_port = 9000;
constexpr size_t max_command = 32;          /* bytes of "CONNECT <port>\n" */
constexpr size_t max_unasked = 1024;    /* host programs without a command */

struct HostOptions {
    struct Listen {
        Endpoint at;
        int type;                           /* SOCK_STREAM, SOCK_SEQPACKET */
        uint32_t guest_port;
    };
    std::string uds_path;                   /* empty: none */
    std::optional<uint32_t> forward_cid;
    std::vector<uint32_t> forward_listen;   /* ports */
    std::map<uint32_t, Endpoint> connects;  /* by the port that is asked for */
    std::vector<Listen> listens;
    bool heartbeat = true;
};

/* The port in a line "CONNECT <port>", in either case; nothing if it is not */
std::optional<uint32_t> parse_connect(const std::string &line);

class Host {
public:
    /*
     * `booted` is called at each heartbeat; `share` is for the descriptors of
     * all connections.
     */
    Host(Loop &loop, Sockets &sockets, DescriptorShare &share,
         HostOptions options, std::function<void()> booted);
    ~Host();

    /* Open all listeners; false, with `error` set, if one cannot be. */
    bool listen(std::string *error);

    /* Where the host's connections go; nowhere while there is no guest */
    void attach(Multiplexer *multiplexer) { multiplexer_ = multiplexer; }

    /* A stream for what the guest asks for, or nothing */
    std::unique_ptr<Stream> connect(uint32_t port, uint16_t type);

private:
    struct Listener {
        ListeningSocket socket;
        uint16_t type;
        std::optional<uint32_t> guest_port;     /* none: it is asked for */
    };
    bool open_listener(const Endpoint &at, int type,
                       std::optional<uint32_t> guest_port, std::string *error);
    std::unique_ptr<Stream> connect_to(const Endpoint &to, uint16_t type);
    void accept(const Listener &listener);
    void accepted(const Listener &listener, Descriptor fd);
    void await_command(DescriptorClaim claim, Descriptor fd);
    /* `at_end`: it writes no more. */
    void command(uint64_t id, bool at_end);
    void end_silent();

    /* A host program whose command is not complete */
    struct Unasked {
        DescriptorClaim claim;
        Descriptor fd;
        Clock::time_point deadline;
    };

    Loop &loop_;
    Sockets &sockets_;
    DescriptorShare &share_;
    const HostOptions options_;
    std::function<void()> booted_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    Multiplexer *multiplexer_ = nullptr;
    std::map<uint64_t, Unasked> unasked_;   /* in their order */
    uint64_t next_unasked_ = 0;
    bool timer_set_ = false;                /* for end_silent() */
};

/*
 * Accept and hand over what waits at a listener.  Without descriptors for it,
 * it waits in the kernel's queue, and is looked for again a little later: to
 * be told of it all the time would keep the processor busy.
 */
void accept_all(Loop &loop, int listener,
                const std::function<void(Descriptor)> &take);

#endif
