/*
 * Addresses of vsock: in the program's memory, and as names of Unix sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/address.hh"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/un.h>

namespace {

using NameCall = int (*)(int, sockaddr *, socklen_t *);

std::optional<std::string> name_by(NameCall call, const Descriptor &socket)
{
    constexpr size_t start = offsetof(sockaddr_un, sun_path);
    sockaddr_un name = {};
    socklen_t size = sizeof(name);

    if (call(socket.get(), reinterpret_cast<sockaddr *>(&name), &size) ||
        name.sun_family != AF_UNIX || size < start) {
        return {};
    }
    size_t length = std::min<size_t>(size, sizeof(name)) - start;
    /* The kernel counts the zero byte behind a path. */
    if (length && name.sun_path[0]) {
        length = strnlen(name.sun_path, length);
    }
    return std::string(name.sun_path, length);
}

} // namespace

int read_address(const Target &target, uint64_t address, uint64_t size,
                 VsockAddress *result)
{
    sockaddr_vm vm;

    if (size < sizeof(vm) || !target.get(address, &vm)) {
        return EFAULT;
    }
    if (vm.svm_family != AF_VSOCK) {
        return EAFNOSUPPORT;
    }
    *result = {vm.svm_cid, vm.svm_port};
    return 0;
}

int write_address(const Target &target, uint64_t address, uint64_t size,
                  const VsockAddress &value)
{
    sockaddr_vm vm = {};
    int buffer_size;

    vm.svm_family = AF_VSOCK;
    vm.svm_cid = value.cid;
    vm.svm_port = value.port;
    if (!target.get(size, &buffer_size)) {
        return EFAULT;
    }
    if (buffer_size < 0) {
        return EINVAL;
    }
    size_t part = std::min<size_t>(buffer_size, sizeof(vm));
    if ((part && !target.write(address, &vm, part)) ||
        !target.put(size, static_cast<int>(sizeof(vm)))) {
        return EFAULT;
    }
    return 0;
}

std::optional<std::string> own_name(const Descriptor &socket)
{
    return name_by(getsockname, socket);
}

std::optional<std::string> peer_name(const Descriptor &socket)
{
    return name_by(getpeername, socket);
}
