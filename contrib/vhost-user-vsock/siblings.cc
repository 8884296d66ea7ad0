/*
 * Guests of one daemon that may connect to each other
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "siblings.hh"

#include <algorithm>
#include <array>
#include <sys/socket.h>

namespace {

bool have_common(const std::set<std::string> &a, const std::set<std::string> &b)
{
    return std::any_of(a.begin(), a.end(), [&b](const std::string &group) {
        return b.count(group) != 0;
    });
}

} // namespace

void Siblings::add(uint64_t cid, const std::set<std::string> &groups,
                   Loop &loop, DescriptorShare &share, const Accept &accept)
{
    guests_.try_emplace(cid, groups, loop, share, accept);
}

std::unique_ptr<Stream> Siblings::connect(uint64_t from_cid,
                                       const PacketHeader &request)
{
    bool messages = request.type == type_seqpacket;
    auto from = guests_.find(from_cid), to = guests_.find(request.dst_cid);
    std::array<int, 2> pair;

    if (from == guests_.end() || to == guests_.end() || from == to ||
        !have_common(from->second.groups, to->second.groups) ||
        to->second.pending >= max_pending_requests) {
        return nullptr;
    }
    DescriptorClaim initiators = from->second.share.claim();
    DescriptorClaim acceptors = from->second.share.claim();
    if (!initiators || !acceptors ||
        socketpair(AF_UNIX, SOCK_CLOEXEC | SOCK_NONBLOCK |
                   (messages ? SOCK_SEQPACKET : SOCK_STREAM), 0,
                   pair.data())) {
        return nullptr;
    }
    auto initiator = std::make_unique<SiblingStream>(
        Descriptor(pair[0]), SiblingStream::Role::initiator, messages);
    auto acceptor = std::make_unique<SiblingStream>(
        Descriptor(pair[1]), SiblingStream::Role::acceptor, messages);
    initiator->set_claim(std::move(initiators));
    acceptor->set_claim(std::move(acceptors));
    /* Shared, because a task can be copied. */
    auto pending = std::make_shared<SiblingRequest>(SiblingRequest{
        from_cid, request.src_port, request.dst_port, request.type,
        std::move(acceptor)});
    Guest &guest = to->second;

    guest.pending++;
    guest.loop.post([pending, &guest] {
        guest.pending--;
        guest.accept(*pending);
    });
    return initiator;
}
