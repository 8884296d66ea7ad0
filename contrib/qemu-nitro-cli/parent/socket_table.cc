/*
 * The table of the program's AF_VSOCK sockets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "parent/socket_table.hh"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/stat.h>

namespace {

/* The inodes of all Unix sockets; empty if they are not known */
std::set<ino_t> unix_inodes()
{
    constexpr int inode_field = 7;
    std::ifstream list("/proc/net/unix");
    std::set<ino_t> inodes;
    std::string line, word;

    std::getline(list, line);       /* the names of the columns */
    while (std::getline(list, line)) {
        std::istringstream words(line);

        for (int i = 0; i < inode_field; i++) {
            words >> word;
        }
        inodes.insert(strtoull(word.c_str(), nullptr, 10));
    }
    return inodes;
}

} // namespace

uint64_t SocketTable::cookie(const Descriptor &socket)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    return getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size)
        ? 0 : cookie;
}

VsockSocket *SocketTable::find(uint64_t cookie)
{
    auto found = sockets_.find(cookie);

    return found == sockets_.end() ? nullptr : &found->second;
}

/* Checking all sockets takes long: do it again at twice this number. */
void SocketTable::forget_closed()
{
    std::set<ino_t> inodes = unix_inodes();

    if (!inodes.empty()) {
        std::erase_if(sockets_, [&inodes](const auto &entry) {
            return !inodes.contains(entry.second.inode);
        });
    }
    forget_at_ = std::max<size_t>(1024, 2 * sockets_.size());
}

VsockSocket &SocketTable::add(const Descriptor &socket, int type)
{
    struct stat st = {};

    if (sockets_.size() >= forget_at_) {
        forget_closed();
    }
    VsockSocket &entry = sockets_[cookie(socket)];
    entry = VsockSocket();
    fstat(socket.get(), &st);
    entry.inode = st.st_ino;
    entry.type = type;
    return entry;
}
