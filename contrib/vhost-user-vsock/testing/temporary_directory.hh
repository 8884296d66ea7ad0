/*
 * For tests: a folder that is gone at their end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VHOST_USER_VSOCK_TESTING_TEMPORARY_DIRECTORY_HH
#define VHOST_USER_VSOCK_TESTING_TEMPORARY_DIRECTORY_HH

#include <cstdlib>
#include <filesystem>
#include <string>

class TemporaryFolder {
public:
    TemporaryFolder()
    {
        if (!mkdtemp(path_.data())) {
            abort();
        }
    }
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    ~TemporaryFolder()
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
