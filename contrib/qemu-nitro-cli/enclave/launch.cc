/*
 * Starting an enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/launch.hh"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "attestation/root.hh"
#include "descriptor.hh"
#include "enclave/accelerator.hh"
#include "enclave/console_log.hh"
#include "enclave/sandbox.hh"
#include "enclave/supervisor.hh"
#include "image/description.hh"
#include "support/arguments.hh"
#include "support/bytes.hh"
#include "support/errors.hh"

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

/* The time-out of the heartbeat, for each started piece of the image */
constexpr int boot_seconds_each = 90;
constexpr uint64_t boot_piece = uint64_t{6} << 30;
constexpr int max_boot_seconds = 86400;

/*
 * The default id of the parent instance, which PCR4 measures.  It depends on
 * the user and the host and never changes, so that a policy can require it.
 */
std::string parent_id()
{
    std::ifstream file("/etc/machine-id");
    std::string host;
    uint8_t hash[32];

    std::getline(file, host);
    host = "qemu-nitro-cli " + host + " " + std::to_string(geteuid());
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, host.data(), host.size(), hash)) {
        throw Error(Code::boot, "SHA-256 does not work",
                    "Check the installation of GnuTLS.");
    }
    return "i-" + hex(hash).substr(0, 17);
}

std::string new_enclave_id(const RunOptions &options)
{
    uint8_t random[8];

    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
        throw Error(Code::boot, "no random numbers: " + error_text(errno),
                    "Try again.");
    }
    return options.parent_id.value_or(parent_id()) + "-enc" + hex(random);
}

uint64_t host_memory_mib()
{
    return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES))
        * sysconf(_SC_PAGESIZE) >> 20;
}

int boot_seconds(uint64_t image_size)
{
    const char *text = getenv("NITRO_CLI_BOOT_TIMEOUT");

    if (text && *text) {
        return parse_number("NITRO_CLI_BOOT_TIMEOUT", text, max_boot_seconds);
    }
    uint64_t pieces = std::max<uint64_t>(
        image_size / boot_piece + (image_size % boot_piece != 0), 1);
    return std::min<uint64_t>(boot_seconds_each * pieces, max_boot_seconds);
}

bool wants_sandbox()
{
    const char *text = getenv("NITRO_CLI_SANDBOX");
    std::string word = text ? text : "";

    if (!word.empty() && word != "on" && word != "off") {
        throw Error(Code::invalid_argument, "NITRO_CLI_SANDBOX=" + word
                    + " is neither on nor off", "Set it to one of them, or not"
                    " at all.");
    }
    return word != "off";
}

/*
 * Each of an enclave's processes needs fewer open files than this.  With a
 * lower limit, one of them would fail later, with a message that does not help.
 */
void check_descriptors()
{
    constexpr rlim_t needed = 64, usual = 1024;
    rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed) {
        return;
    }
    if (limit.rlim_max < needed) {
        throw Error(Code::file, "a process may have "
                    + std::to_string(limit.rlim_max) + " open files here, and"
                    " an enclave needs " + std::to_string(needed),
                    "Raise the limit: ulimit -n " + std::to_string(usual));
    }
    limit.rlim_cur = std::min(limit.rlim_max, usual);
    setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t size_of_image(const RunOptions &options)
{
    const std::string &path = options.eif_path;
    std::string what = options.file.empty() ? path
        : value_name(options.file, "eif-path") + " " + path;
    std::string advice = "Give the enclave image with --eif-path.";
    struct stat st;

    if (!options.file.empty()) {
        advice = "Name the enclave image there.";
    }
    if (stat(path.c_str(), &st) || access(path.c_str(), R_OK)) {
        throw Error(Code::file, what + ": " + error_text(errno), advice);
    }
    if (!S_ISREG(st.st_mode)) {
        throw Error(Code::file, what + ": this is not a regular file", advice);
    }
    return st.st_size;
}

LaunchPlan make_plan(const RunOptions &options)
{
    LaunchPlan plan;

    check_descriptors();
    uint64_t size = size_of_image(options);

    check_memory(options, size);
    check_memory_left(options, host_memory_mib(), 0);
    AttestationRoot root = attestation_root();
    plan.root_certificate = root.certificate;
    plan.root_key = root.key;
    plan.image = std::filesystem::absolute(options.eif_path);
    plan.qemu = find_program("qemu-system-x86_64");
    plan.backend = find_program("vhost-user-vsock");
    plan.accelerator = choose_accelerator();
    plan.parent_role = options.parent_role.value_or("");
    plan.vsock = options.vsock;
    plan.enclave.vsock = options.vsock.description();
    plan.boot_seconds = boot_seconds(size);
    plan.is_confined = wants_sandbox();
    plan.has_namespaces = plan.is_confined && namespaces_available();
    plan.enclave.id = new_enclave_id(options);
    plan.enclave.memory_mib = options.memory_mib;
    plan.enclave.debug_mode = options.debug_mode;
    EifFile image(options.eif_path);
    if (image.image().flags & EIF_FLAG_AARCH64) {
        throw Error(Code::eif, options.eif_path + " is an image for aarch64",
                    "Only images for x86_64 run here.  Build it for that, or"
                    " run it on an EC2 instance with a Graviton CPU.");
    }
    plan.metadata = metadata_of(image);
    if (plan.metadata) {
        describe_metadata(*plan.metadata);      /* throws if it is damaged */
    }
    return plan;
}

/* Choose name, CID, CPUs and memory, so that no other enclave has them. */
void choose_resources(LaunchPlan *plan, const RunOptions &options,
                      const std::vector<Enclave> &others)
{
    std::set<std::string> names;
    std::set<uint32_t> cids;
    std::set<uint64_t> cpus;
    uint64_t memory_mib = 0;

    for (const Enclave &other : others) {
        names.insert(other.name);
        cids.insert(other.cid);
        cpus.insert(other.cpu_ids.begin(), other.cpu_ids.end());
        memory_mib += other.memory_mib;
    }
    check_memory_left(options, host_memory_mib(), memory_mib);
    plan->enclave.name = unique_name(options, names);
    plan->enclave.cid = choose_cid(options, cids);
    plan->enclave.cpu_ids = choose_cpus(options, cpus, host_cpus());
}

/* Leave the terminal's session, and close this process's files. */
[[noreturn]] void become_supervisor(const LaunchPlan &plan,
                                    const Runtime &runtime,
                                    SupervisorFiles files)
{
    constexpr int first_fd = 3;
    Descriptor *const kept[] = {&files.lock, &files.progress,
                                &files.console_log};
    constexpr int end_fd = first_fd + std::size(kept);
    int fd = first_fd, moved[std::size(kept)];

    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int standard = 0; standard < first_fd; standard++) {
        dup2(null, standard);
    }
    /* First move them to other descriptors, so that none is overwritten. */
    for (size_t i = 0; i < std::size(kept); i++) {
        bool is_open{*kept[i]};

        moved[i] = is_open ? fcntl(kept[i]->release(), F_DUPFD, end_fd) : -1;
        if (is_open && moved[i] < 0) {
            _exit(1);
        }
    }
    for (size_t i = 0; i < std::size(kept); i++) {
        if (moved[i] >= 0) {
            if (dup3(moved[i], fd, O_CLOEXEC) < 0) {
                _exit(1);
            }
            kept[i]->reset(fd++);
        }
    }
    close_range(fd, ~0U, 0);
    if (chdir("/")) {
        _exit(1);
    }
    _exit(supervise(plan, runtime, std::move(files)));
}

/* A line on the terminal with the elapsed time */
class ElapsedTime {
public:
    explicit ElapsedTime(int limit) : limit_(limit) {}
    ~ElapsedTime() { clear(); }

    void show(const char *what)
    {
        auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
            Clock::now() - begin_).count();

        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "\r\033[K%s: %d s of at most %d s", what,
                    static_cast<int>(seconds), limit_);
            shown_ = true;
        }
    }
    void clear()
    {
        if (shown_) {
            fprintf(stderr, "\r\033[K");
        }
        shown_ = false;
    }

private:
    Clock::time_point begin_ = Clock::now();
    int limit_;
    bool shown_ = false;
};

/* The next line of the supervisor; null when it has ended */
class SupervisorLines {
public:
    explicit SupervisorLines(Descriptor fd) : fd_(std::move(fd)) {}

    json next(ElapsedTime *elapsed, const char *what)
    {
        constexpr int second_ms = 1000;

        while (text_.find('\n') == std::string::npos) {
            pollfd readable = {fd_.get(), POLLIN, 0};
            char data[4096];

            elapsed->show(what);
            if (poll(&readable, 1, second_ms) <= 0) {
                continue;
            }
            ssize_t n = read(fd_.get(), data, sizeof(data));
            if (n <= 0) {
                return nullptr;
            }
            text_.append(data, n);
        }
        std::string line = text_.substr(0, text_.find('\n'));
        text_.erase(0, line.size() + 1);
        return json::parse(line, nullptr, false);
    }

private:
    Descriptor fd_;
    std::string text_;
};

void show_block(const char *title, const std::string &text)
{
    if (!text.empty()) {
        fprintf(stderr, "%s\n%s\n\n", title, text.c_str());
    }
}

/*
 * Check the image after QEMU failed, and throw Error if the image is the cause.
 * The command does not read the image before, because QEMU checks it while
 * loading.  This check is only for the number of the error.
 */
void check_image(const std::string &path)
{
    EifFile file(path);

    file.load();
    if (!file.crc_matches()) {
        throw Error(Code::eif, path + " is damaged: its CRC is not that of its"
                    " content", "Build or fetch the image again.");
    }
    if (!file.is_signed()) {
        return;
    }
    if (!file.signature_covers()) {
        throw Error(Code::signature_check, path + ": the signature is that of"
                    " another image", "Sign it again with sign-eif.");
    }
    if (!file.signature_is_current()) {
        throw Error(Code::signature_check, path + ": the signing certificate"
                    " is not valid now", "Sign it again with sign-eif.");
    }
}

[[noreturn]] void fail(const LaunchPlan &plan, const json &answer)
{
    std::string why = "its supervisor was killed", console, messages;
    bool ended_silently = false;

    if (answer.is_object()) {
        why = answer.value("failed", why);
        console = answer.value("console", "");
        messages = answer.value("messages", "");
        ended_silently = answer.value("silent", false);
    }
    if (answer.is_object() && answer.contains("advice")) {
        throw Error(static_cast<Code>(answer.value("code", 0)), why,
                    answer.value("advice", ""));
    }
    if (console.empty()) {
        check_image(plan.image);
    }
    show_block("The last lines of the console:", console);
    show_block("What QEMU and the vsock back end say:", messages);
    if (ended_silently) {
        throw Error(Code::boot, plan.image + ": the enclave does not boot: "
                    + why, "Check that the image's kernel is one for x86-64"
                    " that boots, and that its command line has console=ttyS0:"
                    " qemu-nitro-cli describe-eif --eif-path " + plan.image);
    }
    throw Error(Code::boot, plan.image + ": the enclave does not boot: " + why,
                console.empty() && messages.empty()
                ? "Look at the image with qemu-nitro-cli describe-eif, or allow"
                  " more time with NITRO_CLI_BOOT_TIMEOUT."
                : "Correct the error that the lines above name.");
}

} // namespace

Enclave run_enclave(const RunOptions &options, const Runtime &runtime)
{
    LaunchPlan plan = make_plan(options);
    ElapsedTime elapsed(plan.boot_seconds);
    int ends[2];

    Descriptor guard = runtime.lock();
    choose_resources(&plan, options, runtime.enclaves());
    fprintf(stderr, "Start allocating memory...\n");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
        throw Error(Code::boot, "socketpair: " + error_text(errno),
                    "Try again.");
    }
    SupervisorLines reader{Descriptor(ends[0])};
    SupervisorFiles files;
    if (options.console_log) {
        files.console_log = open_user_log(*options.console_log,
                                          options.eif_path);
    }
    files.progress.reset(ends[1]);
    files.lock = runtime.add(plan.enclave.id);

    pid_t pid = fork();
    if (pid == 0) {
        become_supervisor(plan, runtime, std::move(files));
    }
    int error = errno;
    files = SupervisorFiles();
    if (pid < 0) {
        runtime.remove(plan.enclave.id);
        throw Error(Code::boot, "fork: " + error_text(error), "Try again.");
    }
    plan.enclave.supervisor = process_id(pid);

    json answer = reader.next(&elapsed, "Starting");
    guard.reset();
    const char *what = "Loading the image";
    while (answer.is_object() && !answer.contains("failed")) {
        if (answer.contains("booted")) {
            return plan.enclave;
        }
        if (answer.contains("loaded")) {
            what = "Waiting for the enclave's heartbeat";
        }
        answer = reader.next(&elapsed, what);
    }
    elapsed.clear();
    waitpid(pid, nullptr, 0);
    if (answer.is_null()) {
        Descriptor held = runtime.lock();
        runtime.remove(plan.enclave.id);
    }
    fail(plan, answer);
}
