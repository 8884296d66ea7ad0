/*
 * Receive buffers of a guest for tests, and the packets in them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_FAKE_RX_BUFFERS_HH
#define VHOST_USER_VSOCK_TESTING_FAKE_RX_BUFFERS_HH

#include <optional>
#include <string>
#include <vector>

#include "connection.hh"

struct SentPacket {
    PacketHeader header;
    std::string payload;
};

class FakeRxBuffers : public RxBuffers {
public:
    /* `count` buffers, each with `size` bytes behind the header */
    FakeRxBuffers(size_t count, size_t size)
        : buffers_(count, std::string(size, '\0'))
    {
        for (std::string &buffer : buffers_) {
            iovs_.push_back({buffer.data(), buffer.size()});
        }
    }
    std::optional<Iov> at(size_t index) override
    {
        index += sent.size();
        return index < iovs_.size() ? std::optional<Iov>(iovs_[index])
                                    : std::nullopt;
    }
    void use(const PacketHeader &header) override
    {
        sent.push_back({header, buffers_[sent.size()].substr(0, header.len)});
    }
    std::vector<SentPacket> sent;

private:
    std::vector<std::string> buffers_;
    std::vector<iovec> iovs_;
};

#endif
