/*
 * Helpers for the tests of several files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_TEST_SUPPORT_HH
#define QEMU_NITRO_CLI_SUPPORT_TEST_SUPPORT_HH

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>

#include "descriptor.hh"
#include "support/errors.hh"

/* The number of the Error that this throws; 0 if it throws none */
template <class Function> int code_of(Function function)
{
    try {
        function();
    } catch (const Error &e) {
        EXPECT_NE(e.what(), std::string());
        EXPECT_NE(e.advice, "");
        EXPECT_EQ((e.what() + e.advice).find('\n'), std::string::npos);
        return static_cast<int>(e.code);
    }
    return 0;
}

/* While this object exists, the process can open only so many more files. */
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t more)
    {
        Descriptor next(open("/dev/null", O_RDONLY | O_CLOEXEC));

        EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
        rlimit few = {next.get() + more, before_.rlim_max};
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    }
    FewDescriptors(const FewDescriptors &) = delete;
    FewDescriptors &operator=(const FewDescriptors &) = delete;
    ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_;
};

/* A test with its own directory */
class DirectoryTest : public testing::Test {
protected:
    DirectoryTest() : dir(mkdtemp(name)) {}
    ~DirectoryTest() override { std::filesystem::remove_all(dir); }

    std::string path(const std::string &file) const
    {
        return dir + "/" + file;
    }
    std::string write(const std::string &file, const std::string &text) const
    {
        std::ofstream(path(file)) << text;
        return path(file);
    }
    std::string read(const std::string &file) const
    {
        std::ostringstream text;

        text << std::ifstream(path(file)).rdbuf();
        return text.str();
    }
    unsigned mode(const std::string &file) const
    {
        struct stat st = {};

        EXPECT_EQ(lstat(path(file).c_str(), &st), 0);
        return st.st_mode & 07777;
    }
    size_t count() const
    {
        std::filesystem::directory_iterator files(dir);

        return std::distance(begin(files), end(files));
    }

private:
    char name[27] = "/tmp/qemu-nitro-cli-XXXXXX";

protected:
    const std::string dir;
};

#endif
