/*
 * Tests of supervisor.cc, with fake programs in place of QEMU and the back end
 *
 * This test program is also both of the fake programs.  Files in the test's
 * directory, with the names below, control their behaviour.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/supervisor.hh"

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <span>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>

#include "support/files.hh"
#include "support/test_support.hh"
#include "support/unix_socket.hh"

namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

const std::string id = "i-0123456789abcdef0-enc0000000000000001";
const char *const directory_variable = "SUPERVISOR_TEST_DIRECTORY";
constexpr auto limit = 60s;             /* of a busy machine */

/* The fake programs */

bool is_enabled(const char *what)
{
    return std::filesystem::exists(std::string(getenv(directory_variable))
                                   + "/" + what);
}

std::string option(std::span<char *> words, const std::string &name)
{
    for (size_t i = 0; i + 1 < words.size(); i++) {
        if (words[i] == name) {
            return words[i + 1];
        }
    }
    return "";
}

[[noreturn]] void wait_for_the_end()
{
    for (;;) {
        pause();
    }
}

[[noreturn]] void be_backend(std::span<char *> words)
{
    if (is_enabled("backend-fails")) {
        fprintf(stderr, "no luck\n");
        _exit(3);
    }
    if (is_enabled("backend-is-deaf")) {
        wait_for_the_end();
    }
    for (const char *name : {"--socket", "--uds-path"}) {
        std::string path = option(words, name);

        unlink(path.c_str());
        if (!path.empty() && !listen_unix(path).release()) {
            _exit(4);
        }
    }
    wait_for_the_end();
}

void print(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0) {
        _exit(5);
    }
}

/* Answer the four questions on the monitor that --chardev names. */
void serve_monitor(std::span<char *> words)
{
    std::string chardev;

    for (char *word : words) {
        chardev = strstr(word, "id=monitor") ? word : chardev;
    }
    int listener = std::stoi(chardev.substr(chardev.rfind('=') + 1));
    int monitor = accept(listener, nullptr, nullptr);
    std::string text = "{\"QMP\": {}}\n{\"return\": {}}\n";
    for (const char *pcr : {"PCR0", "PCR1", "PCR2", "PCR8"}) {
        json answer = {{"id", pcr}, {"return", std::string(96, '0')}};

        if (is_enabled("qemu-sends-error")) {
            answer = {{"id", pcr}, {"error", {}}};
        }
        text += answer.dump() + "\n";
    }
    send(monitor, text.data(), text.size(), MSG_NOSIGNAL);
}

void send_heartbeat(std::span<char *> words)
{
    for (char *word : words) {
        if (char *path = strstr(word, "id=vsock,path=")) {
            std::string socket = path + strlen("id=vsock,path=");

            socket.resize(socket.find("/vhost.sock"));
            Descriptor guest = connect_unix(socket + "/vsock.sock_9000");
            char byte = '\xb7';
            if (!guest || write(guest.get(), &byte, 1) != 1) {
                _exit(6);
            }
            pollfd answer = {guest.get(), POLLIN, 0};
            poll(&answer, 1, -1);
            print("booted\n");
        }
    }
}

[[noreturn]] void be_qemu(std::span<char *> words)
{
    /* Like QEMU, this ends with status 0 at SIGTERM. */
    signal(SIGTERM, [](int) { _exit(0); });
    if (is_enabled("qemu-refuses")) {
        fprintf(stderr, "qemu: bad image\n");
        _exit(1);
    }
    if (is_enabled("kernel-dies-silently")) {
        _exit(0);
    }
    if (is_enabled("kernel-prints")) {
        print("first line\nlast line\n");
    }
    if (is_enabled("kernel-prints-and-dies")) {
        print("a panic\n");
        _exit(0);
    }
    if (!is_enabled("qemu-has-no-monitor")) {
        serve_monitor(words);
    }
    if (!is_enabled("no-heartbeat")) {
        send_heartbeat(words);
    }
    wait_for_the_end();
}

__attribute__((constructor)) void be_a_fake(int argc, char **argv)
{
    std::span<char *> words(argv, argc);

    if (getenv(directory_variable) && !option(words, "--guest-cid").empty()) {
        be_backend(words);
    }
    if (getenv(directory_variable) && !option(words, "-M").empty()) {
        be_qemu(words);
    }
}

/* The tests */

class Supervision : public DirectoryTest {
protected:
    Supervision()
    {
        setenv(directory_variable, dir.c_str(), 1);
        setenv("XDG_RUNTIME_DIR", dir.c_str(), 1);
        runtime.emplace();
        plan.enclave.id = id;
        plan.enclave.name = "one";
        plan.enclave.cid = 16;
        plan.enclave.cpu_ids = {1};
        plan.qemu = plan.backend = "/proc/self/exe";
        plan.accelerator = "tcg";
        plan.boot_seconds = 60;
    }
    ~Supervision() override
    {
        if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
        }
        unsetenv("XDG_RUNTIME_DIR");
        unsetenv(directory_variable);
    }

    void enable(const char *what) { write(what, ""); }
    void disable(const char *what)
    {
        std::filesystem::remove(path(what));
    }

    void start()
    {
        SupervisorFiles files;
        int ends[2];

        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        progress.reset(ends[0]);
        files.progress.reset(ends[1]);
        if (!console_log.empty()) {
            files.console_log.reset(open(console_log.c_str(), O_RDWR));
            ASSERT_TRUE(files.console_log);
        }
        {
            Descriptor held = runtime->lock();

            files.lock = runtime->add(id);
        }
        if (state_is_directory) {
            std::filesystem::create_directory(runtime->directory(id).state());
        }
        pid = fork();
        if (pid == 0) {
            progress.reset();
            _exit(supervise(plan, *runtime, std::move(files)));
        }
    }
    /* The next line of the supervisor's; null at the end */
    json line()
    {
        std::string text;
        char c;

        while (read_fully(progress.get(), &c, 1) == 1 && c != '\n') {
            text += c;
        }
        return text.empty() ? json() : json::parse(text);
    }
    void boot()
    {
        start();
        EXPECT_EQ(line(), json({{"started", true}}));
        EXPECT_EQ(line(), json({{"loaded", true}}));
        EXPECT_EQ(line(), json({{"booted", true}}));
        EXPECT_EQ(line(), json());
    }
    /* The last line of an enclave that does not boot */
    json failure()
    {
        json last;

        start();
        for (json next; !(next = line()).is_null();) {
            last = next;
        }
        EXPECT_TRUE(last.contains("failed")) << last;
        ended();
        return last;
    }
    /* The supervisor ends, and leaves no files. */
    void ended()
    {
        int status = -1;

        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
        pid = 0;
        EXPECT_FALSE(std::filesystem::exists(runtime->directory(id).path));
    }
    bool is_running() const { return waitpid(pid, nullptr, WNOHANG) == 0; }
    Enclave state() const
    {
        std::string text = read("qemu-nitro/" + id + "/enclave.json");

        return Enclave::from_file(text).value_or(Enclave());
    }
    /* Wait until this is true for the state file. */
    template <typename Predicate> bool wait_for(Predicate predicate) const
    {
        auto end = Clock::now() + limit;

        while (!predicate(state())) {
            if (Clock::now() >= end) {
                return false;
            }
            std::this_thread::sleep_for(5ms);
        }
        return true;
    }
    /* Kill the back end, and wait for the next one that listens. */
    void replace_backend()
    {
        pid_t old = state().backend.pid;

        kill(old, SIGKILL);
        EXPECT_TRUE(wait_for([&](const Enclave &e) {
            return e.backend.pid > 0 && e.backend.pid != old &&
                connect_unix(runtime->directory(id).vsock());
        }));
    }

    std::optional<Runtime> runtime;
    LaunchPlan plan;
    std::string console_log;
    bool state_is_directory = false;
    Descriptor progress;
    pid_t pid = 0;
};

TEST_F(Supervision, BootsAndIsTerminated)
{
    boot();
    Enclave e = state();
    EXPECT_EQ(e.state, State::running);
    EXPECT_EQ(e.supervisor.pid, pid);
    EXPECT_TRUE(process_id(e.qemu.pid).start);
    EXPECT_TRUE(process_id(e.backend.pid).start);
    EXPECT_EQ(e.measurements["PCR2"], std::string(96, '0'));
    EXPECT_FALSE(e.measurements.contains("PCR8"));
    EXPECT_TRUE(e.messages.empty());
    /* Without debug mode, there is no console log. */
    EXPECT_FALSE(std::filesystem::exists(runtime->directory(id).console()));
    kill(pid, SIGTERM);
    ended();
    EXPECT_FALSE(process_id(e.qemu.pid).start);
    EXPECT_FALSE(process_id(e.backend.pid).start);
}

/* The state file is read by each command, so it does not have them. */
TEST_F(Supervision, MetadataHasItsOwnFile)
{
    std::string text = R"({"CustomMetadata": {"Key": [1, 2]}})";

    plan.metadata = Bytes(text.begin(), text.end());
    boot();
    EXPECT_EQ(read("qemu-nitro/" + id + "/metadata.json"), text);
    EXPECT_EQ(read("qemu-nitro/" + id + "/enclave.json").find("Key"),
              std::string::npos);
    kill(pid, SIGTERM);
    ended();
}

/* The supervisor in its sandbox still does all of its work. */
TEST_F(Supervision, Confined)
{
    plan.is_confined = true;
    plan.vsock.add_listen("unix:" + path("listen.sock") + ":7");
    boot();
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::string status(std::istreambuf_iterator<char>(file), {});
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos) << status;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos) << status;
    replace_backend();
    EXPECT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 1;
    }));
    Enclave e = state();
    kill(pid, SIGTERM);
    ended();
    EXPECT_FALSE(process_id(e.qemu.pid).start);
    EXPECT_FALSE(process_id(e.backend.pid).start);
}

TEST_F(Supervision, ConsoleInDebugMode)
{
    plan.enclave.debug_mode = true;
    enable("kernel-prints");
    boot();
    auto end = Clock::now() + limit;
    while (read("qemu-nitro/" + id + "/console.log")
           != "first line\nlast line\nbooted\n") {
        ASSERT_LT(Clock::now(), end);
        std::this_thread::sleep_for(5ms);
    }
}

TEST_F(Supervision, QemuRefusesTheImage)
{
    enable("qemu-refuses");
    json last = failure();
    EXPECT_EQ(last["messages"], "qemu: bad image");
    EXPECT_EQ(last["silent"], false);
    EXPECT_NE(last["failed"].get<std::string>().find("status 1"),
              std::string::npos);
}

TEST_F(Supervision, KernelThatPrintsNothing)
{
    enable("kernel-dies-silently");
    json last = failure();
    EXPECT_EQ(last["silent"], true);
    EXPECT_EQ(last["console"], "");
}

TEST_F(Supervision, KernelThatPanics)
{
    enable("kernel-prints-and-dies");
    json last = failure();
    EXPECT_EQ(last["silent"], false);
    EXPECT_EQ(last["console"], "a panic");
}

TEST_F(Supervision, NoHeartbeat)
{
    plan.boot_seconds = 1;
    enable("no-heartbeat");
    enable("kernel-prints");
    json last = failure();
    EXPECT_EQ(last["console"], "first line\nlast line");
    EXPECT_EQ(last["silent"], false);
}

TEST_F(Supervision, HeartbeatWithoutMeasurements)
{
    plan.boot_seconds = 1;
    enable("qemu-has-no-monitor");
    failure();
}

TEST_F(Supervision, MeasurementsThatFail)
{
    enable("qemu-sends-error");
    enable("no-heartbeat");
    EXPECT_NE(failure()["failed"].get<std::string>().find("measurements"),
              std::string::npos);
}

TEST_F(Supervision, BackEndThatFails)
{
    enable("backend-fails");
    json last = failure();
    EXPECT_EQ(last["messages"], "no luck");
    EXPECT_NE(last["failed"].get<std::string>().find("status 3"),
              std::string::npos);
}

TEST_F(Supervision, ProgramsThatAreNotThere)
{
    plan.qemu = path("none");
    failure();
    plan.qemu = "/proc/self/exe";
    plan.backend = path("none");
    failure();
}

TEST_F(Supervision, RunEnclaveEnds)
{
    enable("no-heartbeat");
    start();
    line();
    progress.reset();
    ended();
}

TEST_F(Supervision, PartsThatAreKilledWhileItBoots)
{
    for (auto part : {&Enclave::qemu, &Enclave::backend}) {
        enable("no-heartbeat");
        start();
        ASSERT_TRUE(wait_for([](const Enclave &e) {
            return !e.measurements.is_null();
        }));
        kill((state().*part).pid, SIGKILL);
        json last;
        for (json next; !(next = line()).is_null();) {
            last = next;
        }
        EXPECT_NE(last["failed"].get<std::string>().find("signal 9"),
                  std::string::npos);
        EXPECT_EQ(last["silent"], false);
        ended();
    }
}

TEST_F(Supervision, QemuIsKilled)
{
    boot();
    kill(state().qemu.pid, SIGKILL);
    ended();
}

TEST_F(Supervision, LockIsRemoved)
{
    boot();
    std::filesystem::remove(runtime->directory(id).lock());
    ended();
}

TEST_F(Supervision, BackEndIsStartedAgain)
{
    boot();
    Enclave before = state();
    for (int i = 0; i < 3; i++) {
        replace_backend();
    }
    EXPECT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 1;          /* said once */
    }));
    EXPECT_EQ(state().qemu.pid, before.qemu.pid);
    EXPECT_EQ(state().state, State::running);
    EXPECT_TRUE(is_running());
    kill(pid, SIGTERM);
    ended();
}

TEST_F(Supervision, BackEndIsGivenUp)
{
    boot();
    enable("backend-fails");
    kill(state().backend.pid, SIGKILL);
    ASSERT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 1;
    }));
    Enclave e = state();
    EXPECT_NE(e.messages[0].find("status 3"), std::string::npos);
    EXPECT_NE(e.messages[0].find("no luck"), std::string::npos);
    EXPECT_EQ(e.state, State::running);
    EXPECT_TRUE(process_id(e.qemu.pid).start);
    EXPECT_TRUE(is_running());
    /* There is no further attempt. */
    disable("backend-fails");
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(state().backend.pid, e.backend.pid);
    kill(pid, SIGTERM);
    ended();
}

TEST_F(Supervision, BackEndComesBackAfterFailures)
{
    boot();
    pid_t old = state().backend.pid;
    enable("backend-fails");
    kill(old, SIGKILL);
    ASSERT_TRUE(wait_for([&](const Enclave &e) {
        return e.backend.pid != old;
    }));
    disable("backend-fails");
    EXPECT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 1;
    }));
    EXPECT_TRUE(connect_unix(runtime->directory(id).vsock()));
    EXPECT_TRUE(is_running());
}

/* The user is told once, and still of other things. */
TEST_F(Supervision, ConsoleLogIsFull)
{
    console_log = "/dev/full";
    enable("kernel-prints");
    boot();
    ASSERT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 1;
    }));
    EXPECT_NE(state().messages[0].find("--console-log: No space left"),
              std::string::npos);
    replace_backend();
    ASSERT_TRUE(wait_for([](const Enclave &e) {
        return e.messages.size() == 2;
    }));
    EXPECT_NE(state().messages[1].find("back end"), std::string::npos);
}

/* The error and the advice are those of the file. */
TEST_F(Supervision, StateThatCannotBeSavedAtTheStart)
{
    state_is_directory = true;
    json last = failure();
    EXPECT_EQ(last["code"], 19);
    EXPECT_NE(last["failed"].get<std::string>().find("enclave.json"),
              std::string::npos);
    EXPECT_NE(last["advice"], "");
}

/* The state file cannot be written where no file can be made. */
TEST_F(Supervision, StateThatCannotBeSaved)
{
    enable("no-heartbeat");
    start();
    EXPECT_EQ(line(), json({{"started", true}}));
    EXPECT_EQ(line(), json({{"loaded", true}}));
    std::filesystem::remove(runtime->directory(id).state());
    std::filesystem::create_directory(runtime->directory(id).state());
    Descriptor guest = connect_unix(runtime->directory(id).vsock() + "_9000");
    ASSERT_EQ(::write(guest.get(), "\xb7", 1), 1);
    EXPECT_EQ(line(), json({{"booted", true}}));
    EXPECT_TRUE(is_running());
    std::filesystem::remove(runtime->directory(id).state());
    EXPECT_TRUE(wait_for([](const Enclave &e) {
        return e.state == State::running;
    }));
    std::filesystem::remove(runtime->directory(id).state());
    std::filesystem::create_directory(runtime->directory(id).state());
    kill(pid, SIGTERM);
    EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
    pid = 0;
}

} // namespace
