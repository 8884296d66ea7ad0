/*
 * Tests of launch.cc, with the fake programs of supervisor_test.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/launch.hh"

#include <csignal>
#include <sys/wait.h>

#include "image/builder.hh"
#include "support/files.hh"
#include "support/test_support.hh"

namespace {

/* Variables of the environment while a test runs */
class Environment {
public:
    ~Environment()
    {
        for (const std::string &name : names_) {
            unsetenv(name.c_str());
        }
        setenv("PATH", path_.c_str(), 1);
    }
    void set(const std::string &name, const std::string &value)
    {
        setenv(name.c_str(), value.c_str(), 1);
        if (name != "PATH") {
            names_.push_back(name);
        }
    }

private:
    std::string path_ = getenv("PATH");
    std::vector<std::string> names_;
};

class Launch : public DirectoryTest {
protected:
    Launch()
    {
        std::filesystem::create_directory(path("programs"));
        for (const char *name : {"qemu-system-x86_64", "vhost-user-vsock"}) {
            std::filesystem::create_symlink(
                std::filesystem::canonical("/proc/self/exe"),
                path("programs/") + name);
        }
        environment.set("SUPERVISOR_TEST_DIRECTORY", dir);
        environment.set("XDG_RUNTIME_DIR", dir);
        environment.set("XDG_DATA_HOME", path("data"));
        environment.set("NITRO_CLI_ACCEL", "tcg");
        environment.set("NITRO_CLI_CPUS", "8");
        environment.set("NITRO_CLI_SANDBOX", "off");
        environment.set("PATH", path("programs"));
        write_image(x86_64);
        options.eif_path = path("image.eif");
        options.memory_mib = 128;
        options.cpu_count = 1;
    }
    ~Launch() override
    {
        Runtime runtime;
        Descriptor held = runtime.lock();

        for (const Enclave &enclave : runtime.enclaves()) {
            kill(enclave.supervisor.pid, SIGKILL);
            waitpid(enclave.supervisor.pid, nullptr, 0);
            runtime.remove(enclave.id);
        }
    }

    void write_image(Architecture architecture)
    {
        AtomicFile file(path("image.eif"));

        write_eif(file, {architecture, content_of("kernel"), "command line",
                         "{}", {content_of("first"), content_of("second")}},
                  nullptr);
        file.commit();
    }
    Enclave run() { return run_enclave(options, Runtime()); }
    /* The error of an enclave that does not start; it leaves no files. */
    Error error()
    {
        try {
            run();
        } catch (const Error &e) {
            Runtime runtime;
            Descriptor held = runtime.lock();

            EXPECT_TRUE(runtime.recorded().empty());
            return e;
        }
        ADD_FAILURE() << "the enclave runs";
        return Error(Code::boot, "", "");
    }

    Environment environment;
    RunOptions options;
};

bool has(const std::string &text, const char *part)
{
    return text.find(part) != std::string::npos;
}

TEST_F(Launch, ReturnsWhenTheEnclaveHasBooted)
{
    options.parent_id = "i-0123456789abcdef0";
    Enclave enclave = run();

    EXPECT_TRUE(enclave.id.starts_with("i-0123456789abcdef0-enc"));
    EXPECT_EQ(enclave.name, "image");
    EXPECT_EQ(enclave.cid, first_cid);
    EXPECT_EQ(enclave.cpu_ids, std::vector<uint64_t>{1});
    EXPECT_EQ(enclave.memory_mib, 128u);
    Enclave found = Runtime().find(enclave.id, {});
    EXPECT_EQ(found.state, State::running);
    EXPECT_EQ(found.supervisor.pid, enclave.supervisor.pid);
    /* The supervisor is in a session of its own. */
    EXPECT_EQ(getsid(found.supervisor.pid), found.supervisor.pid);
}

TEST_F(Launch, GivesEachWhatNoOtherHas)
{
    Enclave first = run(), second = run();

    EXPECT_NE(second.id, first.id);
    EXPECT_NE(second.name, first.name);
    EXPECT_EQ(second.cid, first_cid + 1);
    EXPECT_EQ(second.cpu_ids, std::vector<uint64_t>{2});
    options.cid = first_cid;
    EXPECT_NE(code_of([this] { run(); }), 0);
    options.cid = 0;
    options.cpu_count.reset();
    options.cpu_ids = {2};
    EXPECT_EQ(code_of([this] { run(); }), 21);
}

TEST_F(Launch, NamesWhatQemuSays)
{
    write("qemu-refuses", "");
    Error e = error();

    EXPECT_EQ(e.code, Code::boot);
    EXPECT_TRUE(has(e.what(), "image.eif: the enclave does not boot"))
        << e.what();
}

TEST_F(Launch, NamesAKernelThatPrintsNothing)
{
    write("kernel-dies-silently", "");
    Error e = error();

    EXPECT_EQ(e.code, Code::boot);
    EXPECT_TRUE(has(e.advice, "console=ttyS0")) << e.advice;
}

TEST_F(Launch, FindsADamagedImageAfterQemuHasFailed)
{
    std::string data = read("image.eif");

    data.back() ^= 1;
    write("image.eif", data);
    write("qemu-refuses", "");
    Error e = error();
    EXPECT_EQ(e.code, Code::eif);
    EXPECT_TRUE(has(e.what(), "CRC")) << e.what();
}

TEST_F(Launch, WaitsAsLongAsTheUserSays)
{
    environment.set("NITRO_CLI_BOOT_TIMEOUT", "1");
    write("no-heartbeat", "");
    Error e = error();
    EXPECT_EQ(e.code, Code::boot);
    EXPECT_TRUE(has(e.what(), "no heartbeat for 1 s")) << e.what();
}

TEST_F(Launch, StartsNothingWithWrongOptions)
{
    environment.set("NITRO_CLI_SANDBOX", "maybe");
    EXPECT_EQ(error().code, Code::invalid_argument);
    environment.set("NITRO_CLI_SANDBOX", "off");
    options.memory_mib = uint64_t{1} << 40;
    EXPECT_EQ(code_of([this] { run(); }), 27);
    options.memory_mib = 128;
    options.eif_path = dir;
    EXPECT_EQ(error().code, Code::file);
    options.eif_path = path("missing.eif");
    EXPECT_EQ(error().code, Code::file);
    options.eif_path = path("image.eif");
    write_image(aarch64);
    Error e = error();
    EXPECT_EQ(e.code, Code::eif);
    EXPECT_TRUE(has(e.what(), "aarch64")) << e.what();
    std::filesystem::remove(path("programs/vhost-user-vsock"));
    write_image(x86_64);
    EXPECT_EQ(error().code, Code::file);
}

} // namespace
