/*
 * A guest's share of the descriptors that the process may have
 *
 * A guest decides how many connections it asks for, and each connection needs
 * a descriptor.  All guests of the daemon share one RLIMIT_NOFILE, so each
 * guest gets an equal share of it.  When the share is used up, new connections
 * are refused: a guest cannot use the descriptors of the others.  A connection
 * to a sibling needs two, both from the share of the guest that asks for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_DESCRIPTOR_SHARE_HH
#define VHOST_USER_VSOCK_DESCRIPTOR_SHARE_HH

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

/* One descriptor of a share.  The destructor, in any thread, gives it back. */
class DescriptorClaim {
public:
    DescriptorClaim() = default;
    DescriptorClaim(DescriptorClaim &&other) noexcept = default;
    DescriptorClaim &operator=(DescriptorClaim &&other) noexcept
    {
        std::swap(used_, other.used_);
        return *this;
    }
    DescriptorClaim(const DescriptorClaim &) = delete;
    DescriptorClaim &operator=(const DescriptorClaim &) = delete;
    ~DescriptorClaim()
    {
        if (used_) {
            --*used_;
        }
    }
    explicit operator bool() const { return used_ != nullptr; }

private:
    friend class DescriptorShare;
    explicit DescriptorClaim(std::shared_ptr<std::atomic<size_t>> used)
        : used_(std::move(used)) {}

    /* Shared, because a claim may outlive the guest. */
    std::shared_ptr<std::atomic<size_t>> used_;
};

class DescriptorShare {
public:
    void set_limit(size_t limit) { limit_ = limit; }

    /* Claim one descriptor; empty if the share is used up. */
    DescriptorClaim claim();
    size_t used() const { return *used_; }

private:
    size_t limit_ = SIZE_MAX;
    std::shared_ptr<std::atomic<size_t>> used_ =
        std::make_shared<std::atomic<size_t>>(0);
};

/* The descriptors that a guest needs besides its connections: those of QEMU's
 * connection, its messages and queues, and of new connections at listeners */
constexpr size_t fixed_descriptors = 32;

/*
 * The share of each of `guests` guests, if the process may have `limit`
 * descriptors, and `open` are open already; 0 if there are too few.
 */
size_t descriptor_share(size_t limit, size_t open, size_t guests);

/* How many descriptors this process has open */
size_t count_descriptors();

#endif
