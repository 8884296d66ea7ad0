/*
 * A vhost-user front end for tests, in place of QEMU and a guest's driver
 *
 * Memory is the guest's RAM: a memfd that the back end maps, too.  FrontEnd is
 * the vhost-user front end, and can also send invalid messages.  Queue is the
 * driver's side of a split virtqueue in that memory.  It follows the
 * specification, and also gives access to the raw ring for tests that do not.
 *
 * This code shares nothing with the back end, so that a mistake there is not
 * repeated here.  Errors are thrown as std::runtime_error, whose text a failed
 * test or benchmark prints.
 *
 * Formats: QEMU, docs/interop/vhost-user.rst; virtio 1.2, 2.7.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_FRONT_END_HH
#define VHOST_USER_VSOCK_TESTING_FRONT_END_HH

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <vector>

#define VIRTIO_RING_NO_LEGACY
extern "C" {
#include "libvhost-user.h"
}

#include "descriptor.hh"

/* The time-out for everything that must happen; machines can be slow. */
constexpr int max_wait = 30000;     /* ms */

/* Wait until `fd` can be read or is closed; false after `timeout` ms. */
bool wait_readable(int fd, int timeout);

/*
 * Connect to a Unix socket, and wait until a program listens there: a back end
 * that was just started may not listen yet.
 */
Descriptor connect_unix(const std::string &path, int type = SOCK_STREAM);

class Memory {
public:
    explicit Memory(size_t size);
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory();

    /* Allocate guest-physical memory, which is zeroed and never freed. */
    uint64_t allocate(size_t size, size_t align = 64);

    template <typename T = uint8_t> T *at(uint64_t address)
    {
        return reinterpret_cast<T *>(base_ + (address - guest_base));
    }
    /* The address of the same byte in this process, which QEMU sends.  It may
     * be outside of the memory, and wraps. */
    uint64_t user_address(uint64_t address)
    {
        return reinterpret_cast<uint64_t>(base_) + (address - guest_base);
    }
    int fd() const { return fd_.get(); }
    size_t size() const { return size_; }

    /* Guest-physical memory starts here: an address is not an offset. */
    static constexpr uint64_t guest_base = 0x40000000;

private:
    Descriptor fd_;
    uint8_t *base_;
    size_t size_, used_ = 0;
};

/* One buffer of a chain */
struct Segment {
    uint64_t address;
    uint32_t length;
    bool writable;      /* by the back end */
};

class Queue {
public:
    Queue(Memory &memory, uint16_t size, bool event_index);

    /*
     * Offer a chain, as descriptors of the ring or in an indirect table of up
     * to max_indirect; false if the ring has no room.  The back end is told
     * by kick().
     */
    bool add(const std::vector<Segment> &chain, bool indirect = false);
    static constexpr size_t max_indirect = 64;
    /* The head that the next add() will use */
    uint16_t next_head() const { return free_.back(); }
    size_t free() const { return free_.size(); }

    void kick();                    /* if the back end wants a kick */
    void force_kick();

    struct Used {
        uint16_t head;
        uint32_t length;            /* bytes written */
    };
    /* The next used chain, after checks of its index and its length */
    std::optional<Used> take();
    /* Enable a notification for the next one; true if there is one already. */
    bool arm();

    int kick_fd() const { return kick_.get(); }
    int call_fd() const { return call_.get(); }
    uint16_t size() const { return size_; }

    /* The raw parts */
    uint64_t descriptors, avail, used;      /* guest-physical */
    vring_desc *descriptor(uint16_t i)
    {
        return memory_->at<vring_desc>(descriptors) + i;
    }
    vring_avail *avail_ring() { return memory_->at<vring_avail>(avail); }
    vring_used *used_ring() { return memory_->at<vring_used>(used); }
    /* Make the chain that begins at descriptor `head` available. */
    void offer(uint16_t head);

private:
    struct Chain {
        std::vector<uint16_t> descriptors;
        uint64_t writable = 0;      /* bytes */
        bool offered = false;
    };

    Memory *memory_;
    uint16_t size_;
    bool event_index_;
    Descriptor kick_, call_;
    uint64_t tables_ = 0;           /* an indirect table for each head */
    std::vector<uint16_t> free_;
    std::vector<Chain> chains_;
    uint16_t avail_index_ = 0, kicked_ = 0, used_index_ = 0;
};

class FrontEnd {
public:
    explicit FrontEnd(const std::string &socket);
    FrontEnd(const FrontEnd &) = delete;
    FrontEnd &operator=(const FrontEnd &) = delete;
    /* Returns when the back end has disconnected, and can accept the next. */
    ~FrontEnd();

    /* Send raw bytes, with descriptors. */
    void send_raw(const void *data, size_t size,
                  const std::vector<int> &fds = {});
    /* A message with `message.size` bytes of payload */
    void send(const VhostUserMsg &message, const std::vector<int> &fds = {});
    /* The same, and wait for the back end if it supports REPLY_ACK */
    void request(VhostUserMsg message, const std::vector<int> &fds = {});
    VhostUserMsg receive();

    uint64_t get(VhostUserRequest request);
    void set(VhostUserRequest request, uint64_t value,
             const std::vector<int> &fds = {});
    void set_queue(VhostUserRequest request, unsigned index, unsigned value);

    /* The steps of QEMU, in its order */
    uint64_t negotiate(uint64_t wanted);    /* returns the features */
    std::vector<uint8_t> config(uint32_t size);
    /* In `regions` pieces, one after the other */
    void share(Memory &memory, unsigned regions = 1);
    void start(unsigned index, Memory &memory, Queue &queue);
    unsigned stop(unsigned index);          /* returns its last index */

    /* Wait until the back end disconnects.  Returns whether it did. */
    bool closed(int timeout = max_wait);
    int fd() const { return socket_.get(); }

private:
    Descriptor socket_;
    bool reply_ack_ = false, enable_ = false;
};

/* An empty message of `size` bytes of payload */
VhostUserMsg make_message(int request, uint32_t size = 0);

#endif
