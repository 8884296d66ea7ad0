/*
 * Asking QEMU's monitor (QMP) for the measurements of an enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/monitor.hh"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace {

using nlohmann::json;

constexpr size_t max_line = 65536;      /* bytes of an answer */
constexpr size_t digits = 96;           /* of a PCR */

const char *const names[] = {"PCR0", "PCR1", "PCR2", "PCR8"};

std::string questions()
{
    std::string text = json{{"execute", "qmp_capabilities"}}.dump();

    for (std::string name : names) {
        std::string property = name;

        property.replace(0, 3, "pcr");
        text += json{{"execute", "qom-get"}, {"id", name}, {"arguments",
                     {{"path", "/machine"}, {"property", property}}}}.dump();
    }
    return text;
}

bool is_pcr(const nlohmann::json &value)
{
    if (!value.is_string()) {
        return false;
    }
    const auto &text = value.get_ref<const std::string &>();
    return text.size() == digits &&
        text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

} // namespace

Monitor::Monitor(Descriptor socket) : fd_(std::move(socket))
{
    std::string text = questions();

    /* This fits in the socket's buffer, so it fails only if QEMU has ended. */
    send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

void Monitor::fail()
{
    state_ = State::failed;
    fd_.reset();
}

void Monitor::read_answers()
{
    char data[16384];
    ssize_t n = read(fd_.get(), data, sizeof(data));

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        /* QEMU has ended.  Its exit status is reported instead. */
        fd_.reset();
        return;
    }
    line_.append(data, n);
    for (size_t end; fd_ && (end = line_.find('\n')) != std::string::npos;) {
        if (end > max_line) {
            return fail();
        }
        take(line_.substr(0, end));
        line_.erase(0, end + 1);
    }
    if (fd_ && line_.size() > max_line) {
        fail();
    }
}

/* A line without an id is the greeting, an event or the first response. */
void Monitor::take(const std::string &line)
{
    json answer = json::parse(line, nullptr, false);

    if (answer.is_discarded()) {
        return fail();
    }
    if (!answer.is_object() || !answer.contains("id") ||
        !answer["id"].is_string()) {
        return;
    }
    std::string id = answer["id"];
    if (std::ranges::find(names, id) == std::end(names)) {
        return;
    }
    if (!answer.contains("return") || !is_pcr(answer["return"])) {
        return fail();
    }
    pcrs_[id] = answer["return"];
    if (pcrs_.size() == std::size(names)) {
        state_ = State::answered;
        fd_.reset();
    }
}

nlohmann::ordered_json Monitor::measurements() const
{
    nlohmann::ordered_json measured = {{"HashAlgorithm", "Sha384 { ... }"}};

    for (const char *name : names) {
        const std::string &value = pcrs_.at(name);

        /* PCR8 is zero if the image is not signed. */
        if (name != std::string("PCR8") ||
            value.find_first_not_of('0') != std::string::npos) {
            measured[name] = value;
        }
    }
    return measured;
}
