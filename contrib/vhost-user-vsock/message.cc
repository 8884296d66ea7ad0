/*
 * Reading and checking vhost-user messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "message.hh"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr size_t header_size = offsetof(VhostUserMsg, payload.u64);
constexpr uint32_t version = 1;

/* Larger addresses are refused, so that sums cannot overflow. */
constexpr uint64_t max_address = 1ULL << 62;

/* An access beyond the end of the file would raise SIGBUS. */
const char *check_region(const VhostUserMemoryRegion &region, int fd)
{
    struct stat st;

    if (!region.memory_size || region.memory_size > max_address ||
        region.guest_phys_addr > max_address ||
        region.userspace_addr > max_address ||
        region.mmap_offset > max_address) {
        return "a memory region is empty or too large";
    }
    if (fstat(fd, &st) || st.st_size < 0 ||
        static_cast<uint64_t>(st.st_size) <
        region.mmap_offset + region.memory_size) {
        return "a memory region is larger than its file";
    }
    return nullptr;
}

const char *check_memory(const VhostUserMsg &m)
{
    const VhostUserMemory &memory = m.payload.memory;
    constexpr size_t head = offsetof(VhostUserMemory, regions);

    if (m.size < head || memory.nregions > VHOST_MEMORY_BASELINE_NREGIONS ||
        m.size != head + memory.nregions * sizeof(memory.regions[0])) {
        return "a memory table has a wrong size";
    }
    if (m.fd_num != static_cast<int>(memory.nregions)) {
        return "a memory table does not have one descriptor for each region";
    }
    for (uint32_t i = 0; i < memory.nregions; i++) {
        VhostUserMemoryRegion region;

        memcpy(&region, &memory.regions[i], sizeof(region));
        if (const char *wrong = check_region(region, m.fds[i])) {
            return wrong;
        }
    }
    return nullptr;
}

const char *check_one_region(const VhostUserMsg &m)
{
    VhostUserMemoryRegion region;

    if (m.size != sizeof(VhostUserMemRegMsg)) {
        return "a memory region message has a wrong size";
    }
    memcpy(&region, &m.payload.memreg.region, sizeof(region));
    if (m.request == VHOST_USER_ADD_MEM_REG) {
        return m.fd_num == 1 ? check_region(region, m.fds[0])
                             : "a memory region needs one descriptor";
    }
    return m.fd_num <= 1 ? nullptr : "too many descriptors";
}

const char *check_vring_state(const VhostUserMsg &m, uint32_t queue_size)
{
    uint32_t index = m.payload.state.index, num = m.payload.state.num;

    if (m.size != sizeof(m.payload.state)) {
        return "a queue's state has a wrong size";
    }
    if (index >= num_queues) {
        return "there is no such queue";
    }
    if (m.request == VHOST_USER_SET_VRING_NUM &&
        (num == 0 || num > queue_size || (num & (num - 1)))) {
        return "a queue's size is not a power of two, or is larger than"
            " --queue-size";
    }
    if (m.request == VHOST_USER_SET_VRING_BASE && num > UINT16_MAX) {
        return "a queue's base is larger than 65535";
    }
    return nullptr;
}

const char *check_vring_fd(const VhostUserMsg &m)
{
    bool none = m.payload.u64 & VHOST_USER_VRING_NOFD_MASK;

    if (m.size != sizeof(m.payload.u64)) {
        return "a queue's descriptor message has a wrong size";
    }
    if ((m.payload.u64 & VHOST_USER_VRING_IDX_MASK) >= num_queues) {
        return "there is no such queue";
    }
    return m.fd_num == (none ? 0 : 1) ? nullptr
        : "a queue's message has a wrong number of descriptors";
}

const char *check_config(const VhostUserMsg &m)
{
    constexpr size_t head = offsetof(VhostUserConfig, region);

    if (m.size < head || m.payload.config.size > m.size - head ||
        m.payload.config.size > sizeof(m.payload.config.region)) {
        return "a configuration message has a wrong size";
    }
    return nullptr;
}

} // namespace

const char *check_message(const VhostUserMsg &m, uint32_t queue_size)
{
    const char *wrong = nullptr;
    bool takes_descriptors = false;
    size_t size = 0;

    if ((m.flags & VHOST_USER_VERSION_MASK) != version) {
        return "the vhost-user protocol version is not 1";
    }
    switch (m.request) {
    case VHOST_USER_GET_FEATURES:
    case VHOST_USER_SET_OWNER:
    case VHOST_USER_RESET_OWNER:
    case VHOST_USER_GET_PROTOCOL_FEATURES:
    case VHOST_USER_GET_QUEUE_NUM:
    case VHOST_USER_GET_MAX_MEM_SLOTS:
        break;
    case VHOST_USER_SET_FEATURES:
        size = sizeof(m.payload.u64);
        if (!((m.payload.u64 >> VIRTIO_F_VERSION_1) & 1)) {
            wrong = "the device is not of VIRTIO 1: its machine may need"
                    " -global virtio-mmio.force-legacy=false";
        }
        break;
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        size = sizeof(m.payload.u64);
        break;
    case VHOST_USER_SET_MEM_TABLE:
        return check_memory(m);
    case VHOST_USER_ADD_MEM_REG:
    case VHOST_USER_REM_MEM_REG:
        return check_one_region(m);
    case VHOST_USER_SET_VRING_NUM:
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_GET_VRING_BASE:
    case VHOST_USER_SET_VRING_ENABLE:
        wrong = check_vring_state(m, queue_size);
        size = sizeof(m.payload.state);
        break;
    case VHOST_USER_SET_VRING_ADDR:
        size = sizeof(m.payload.addr);
        if (m.size == size && m.payload.addr.index >= num_queues) {
            wrong = "there is no such queue";
        }
        break;
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        return check_vring_fd(m);
    case VHOST_USER_GET_CONFIG:
        wrong = check_config(m);
        size = m.size;
        break;
    case VHOST_USER_SET_BACKEND_REQ_FD:
        takes_descriptors = true;
        break;
    default:
        return "this vhost-user request is not supported";
    }
    if (m.size != size) {
        return "a message has a wrong size";
    }
    if (!wrong && m.fd_num != (takes_descriptors ? 1 : 0)) {
        return "a message has a wrong number of descriptors";
    }
    return wrong;
}

namespace {

/*
 * Where the library has mapped the `size` bytes at the peer's address `at`;
 * nullptr if they are not in one region, or not aligned
 */
const void *mapped(const VuDev &dev, uint64_t at, uint64_t size,
                   uint64_t alignment)
{
    for (uint32_t i = 0; i < dev.nregions; i++) {
        const VuDevRegion &r = dev.regions[i];
        uint64_t offset = at - r.qva;

        /* Like the library, use the first region with the start address. */
        if (at >= r.qva && offset < r.size) {
            uint64_t address = r.mmap_addr + r.mmap_offset + offset;

            return size <= r.size - offset && address % alignment == 0
                ? reinterpret_cast<const void *>(address) : nullptr;
        }
    }
    return nullptr;
}

struct MappedQueue {
    const void *desc, *avail, *used;
};

MappedQueue map_queue(const VuDev &dev, const vhost_vring_addr &a, uint32_t num)
{
    return {mapped(dev, a.desc_user_addr, 16ULL * num, 16),
            mapped(dev, a.avail_user_addr, 6 + 2ULL * num, 2),
            mapped(dev, a.used_user_addr, 6 + 8ULL * num, 4)};
}

} // namespace

const char *check_queue(const VuDev &dev, const vhost_vring_addr &a,
                        uint32_t num)
{
    MappedQueue p = map_queue(dev, a, num);

    return p.desc && p.avail && p.used ? nullptr
        : "a queue is not in shared memory, or not aligned";
}

const char *check_mapped_queue(const VuDev &dev, const VuVirtq &vq)
{
    vhost_vring_addr address = vq.vra;
    MappedQueue p = map_queue(dev, address, vq.vring.num);

    return p.desc && p.desc == vq.vring.desc && p.avail == vq.vring.avail &&
           p.used == vq.vring.used ? nullptr
        : "a queue's memory is gone, or too small";
}

MessageReader::~MessageReader()
{
    close_descriptors();
}

void MessageReader::reset()
{
    close_descriptors();
    take();
}

void MessageReader::close_descriptors()
{
    for (int i = 0; i < message_.fd_num; i++) {
        close(message_.fds[i]);
    }
    message_.fd_num = 0;
}

MessageReader::Result MessageReader::refuse(const char *why)
{
    error_ = why;
    return Result::refused;
}

/* Read up to `until` bytes in all; false if not all have arrived. */
bool MessageReader::receive(int socket, size_t until, Result *result)
{
    while (have_ < until) {
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(message_.fds))];
        iovec iov = {reinterpret_cast<char *>(&message_) + have_,
                     until - have_};
        msghdr message = {};

        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n <= 0) {
            bool later = n < 0 && (errno == EAGAIN || errno == EINTR);

            *result = later ? Result::incomplete : Result::closed;
            return false;
        }
        have_ += n;
        for (cmsghdr *c = CMSG_FIRSTHDR(&message); c;
             c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                close_descriptors();
                message_.fd_num = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                memcpy(message_.fds, CMSG_DATA(c),
                       message_.fd_num * sizeof(int));
            }
        }
        if (message.msg_flags & MSG_CTRUNC) {
            *result = refuse("a message has too many descriptors, or this"
                             " process has none left");
            return false;
        }
    }
    return true;
}

MessageReader::Result MessageReader::read(int socket)
{
    Result result;

    if (!receive(socket, header_size, &result)) {
        return result;
    }
    if (message_.size > sizeof(message_.payload)) {
        return refuse("a message is too large");
    }
    if (!receive(socket, header_size + message_.size, &result)) {
        return result;
    }
    const char *wrong = check_message(message_, queue_size_);
    return wrong ? refuse(wrong) : Result::complete;
}

VhostUserMsg MessageReader::take()
{
    VhostUserMsg message = message_;

    message_ = {};
    have_ = 0;
    return message;
}
