/*
 * Events for other programs, as JSON objects, one on each line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "events.hh"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/stat.h>
#include <system_error>

#include <nlohmann/json.hpp>

#include "decimal.hh"
#include "sockets.hh"

namespace {

using Json = nlohmann::ordered_json;

std::string failure(const std::string &where)
{
    return "events=" + where + ": "
        + std::generic_category().message(errno);
}

/* Write as much as is possible without waiting.  Returns how many bytes. */
size_t write_now(int fd, const std::string &text)
{
    pollfd p = {fd, POLLOUT, 0};

    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
        return 0;
    }
    return std::max(write(fd, text.data(), text.size()), ssize_t{0});
}

} // namespace

/*
 * Write the line, and keep what the file does not take of it.  Returns whether
 * any of it has been written.  A line is shorter than PIPE_BUF, so a pipe takes
 * all of it or nothing.  A socket, or a file system with little room, can take
 * a part.
 */
bool Events::write_or_keep(const std::string &line)
{
    size_t n = write_now(fd_.get(), line);

    rest_ = n ? line.substr(n) : "";
    return n != 0;
}

void Events::write_to(Descriptor fd)
{
    struct stat st;

    is_limited_ = fstat(fd.get(), &st) == 0 && S_ISREG(st.st_mode);
    fd_ = std::move(fd);
}

/* May this guest have one more line now? */
bool Events::allows(uint64_t guest_cid)
{
    constexpr RateLimit usual(1000, 100);

    return !is_limited_ ||
        limits_.try_emplace(guest_cid, usual).first->second.take(now_());
}

void Events::write_line_of(uint64_t guest_cid, const std::string &line)
{
    std::scoped_lock lock(mutex_);

    if (allows(guest_cid)) {
        write_line(line);
    } else {
        lost_++;
    }
}

/* The caller holds the mutex. */
void Events::write_line(const std::string &line)
{
    if (!rest_.empty()) {
        rest_.erase(0, write_now(fd_.get(), rest_));
    }
    if (rest_.empty() && lost_ && write_or_keep(
            Json{{"event", "lost"}, {"count", lost_}}.dump() + "\n")) {
        lost_ = 0;
    }
    if (!rest_.empty() || lost_ || !write_or_keep(line)) {
        lost_++;
    }
}

void Events::guest(const char *event, uint64_t guest_cid)
{
    if (fd_) {
        write_line_of(guest_cid, Json{{"event", event},
                                      {"guest_cid", guest_cid}}.dump() + "\n");
    }
}

void Events::connection(const ConnectionReport &r)
{
    using Event = ConnectionReport::Event;
    Json json;

    if (!fd_) {
        return;
    }
    json["event"] = r.event == Event::opened ? "opened"
                  : r.event == Event::closed ? "closed" : "refused";
    json["guest_cid"] = r.address.guest_cid;
    json["by"] = r.by_guest ? "guest" : "host";
    json["type"] = r.type == type_seqpacket ? "seqpacket" : "stream";
    json["peer_cid"] = r.address.peer_cid;
    json["peer_port"] = r.address.peer_port;
    json["guest_port"] = r.address.guest_port;
    if (r.event == Event::closed) {
        json["bytes_from_guest"] = r.bytes_from_guest;
        json["bytes_to_guest"] = r.bytes_to_guest;
    }
    write_line_of(r.address.guest_cid, json.dump() + "\n");
}

void Events::counters(const Counters &c, uint64_t guest_cid)
{
    auto resets = [&c](ResetReason reason) {
        return c.resets[static_cast<size_t>(reason)];
    };
    Json json = {
        {"event", "counters"},
        {"guest_cid", guest_cid},
        {"open", c.open},
        {"opened_by_guest", c.opened_by_guest},
        {"opened_by_host", c.opened_by_host},
        {"refused", c.refused},
        {"bytes_from_guest", c.bytes_from_guest},
        {"bytes_to_guest", c.bytes_to_guest},
        {"resets", {
            {"finished", resets(ResetReason::finished)},
            {"guest", resets(ResetReason::guest)},
            {"protocol", resets(ResetReason::protocol)},
            {"stream", resets(ResetReason::stream)},
            {"timeout", resets(ResetReason::timeout)},
            {"memory", resets(ResetReason::memory)},
            {"no_connection", c.resets_without_connection}}},
        {"credit_stalls", {
            {"from_guest", c.stalls_from_guest},
            {"to_guest", c.stalls_to_guest}}},
    };
    std::string line = json.dump() + "\n";
    std::scoped_lock lock(mutex_);

    if (fd_) {
        write_line(line);
    } else {
        write_now(STDOUT_FILENO, line);
    }
}

Descriptor open_events(const std::string &where, std::string *error)
{
    std::optional<uint64_t> number = parse_decimal(where, 0, INT_MAX);
    struct stat st;
    Descriptor fd;

    if (number) {
        fd.reset(fcntl(static_cast<int>(*number), F_DUPFD_CLOEXEC, 3));
    } else if (stat(where.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) {
        std::optional<Endpoint> at = unix_endpoint(where, error);
        Attempt attempt;

        if (!at) {
            return Descriptor();
        }
        fd = Sockets().connect(*at, SOCK_STREAM, &attempt);
        if (attempt == Attempt::backlog_full) {
            fd.reset();
            errno = EAGAIN;
        }
    } else {
        /* Opened for both, a FIFO does not wait for a reader. */
        bool fifo = stat(where.c_str(), &st) == 0 && S_ISFIFO(st.st_mode);

        fd.reset(open(where.c_str(),
                      (fifo ? O_RDWR | O_NONBLOCK : O_WRONLY) |
                      O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    }
    if (!fd || (fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY) {
        errno = fd ? EBADF : errno;
        *error = failure(where);
        return Descriptor();
    }
    return fd;
}
