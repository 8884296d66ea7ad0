/*
 * A temporary directory for tests, which is removed with its content
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_TEMPORARY_DIRECTORY_HH
#define VHOST_USER_VSOCK_TESTING_TEMPORARY_DIRECTORY_HH

#include <cstdlib>
#include <filesystem>
#include <string>

class TemporaryDirectory {
public:
    TemporaryDirectory()
    {
        if (!mkdtemp(path_.data())) {
            abort();
        }
    }
    TemporaryDirectory(const TemporaryDirectory &) = delete;
    TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
    ~TemporaryDirectory()
    {
        std::error_code ignored;

        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string &name) const
    {
        return path_ + "/" + name;
    }

private:
    std::string path_ = "/tmp/vsock-test-XXXXXX";
};

#endif
