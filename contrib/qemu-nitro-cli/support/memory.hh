/*
 * How much memory the program may take for a while
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_MEMORY_HH
#define QEMU_NITRO_CLI_SUPPORT_MEMORY_HH

#include <cstdint>
#include <memory>
#include <string>

/*
 * A quarter, in bytes, of what the host has available and of what the
 * program's control groups allow; 0 if that cannot be known.  `root` stands
 * before the paths of /proc and /sys, for tests.
 */
uint64_t spare_memory(const std::string &root = "");

/* Pages of zeros */
class Pages {
public:
    Pages() : data_(nullptr, Unmap{0}) {}
    /* false if there is no memory for them */
    bool allocate(size_t size);

    uint8_t *get() const { return data_.get(); }
    explicit operator bool() const { return data_ != nullptr; }

private:
    struct Unmap {
        size_t size;
        void operator()(uint8_t *data) const;
    };
    std::unique_ptr<uint8_t[], Unmap> data_;
};

#endif
