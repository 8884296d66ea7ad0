/*
 * The supervisor: the process behind a running enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/supervisor.hh"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "enclave/console_log.hh"
#include "enclave/heartbeat.hh"
#include "enclave/monitor.hh"
#include "enclave/restarts.hh"
#include "enclave/sandbox.hh"
#include "enclave/supervisor_sandbox.hh"
#include "support/atomic_file.hh"
#include "support/errors.hh"
#include "support/unix_socket.hh"

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

/* The time-out until the back end listens, and the interval of the checks */
constexpr seconds listen_limit{20};
constexpr milliseconds listen_poll{2};
/* The interval in which the supervisor checks whether the directory was
 * removed, and tries again to write the state file */
constexpr seconds directory_poll{5};
/* The interval in which QEMU tries to connect to a new back end */
constexpr milliseconds reconnect_interval{200};
/* The time that QEMU and the back end have to end after SIGTERM */
constexpr seconds end_limit{3};

constexpr size_t max_messages = 8192;       /* bytes kept of each program */
constexpr unsigned console_lines = 20;      /* shown after a failed boot */
constexpr unsigned message_lines = 5;

/* Double the commas in the value of an option of QEMU, where one ends it. */
std::string quoted(const std::string &value)
{
    std::string text;

    for (char c : value) {
        text += c == ',' ? ",," : std::string(1, c);
    }
    return text;
}

/* A child process, and the read end of the pipe for its messages */
struct Child {
    pid_t pid = 0;                      /* 0 when it has ended */
    Descriptor output;
    std::string messages;               /* the last of them */
};

class Supervisor {
public:
    Supervisor(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files)
        : plan_(std::move(plan)), enclave_(plan_.enclave), runtime_(runtime),
          directory_(runtime.directory(enclave_.id)),
          lock_(std::move(files.lock)),
          progress_(std::move(files.progress))
    {
        if (files.console_log) {
            user_log_.emplace(std::move(files.console_log));
        }
    }

    int run();

private:
    enum class Phase { listening, booting, running };

    void announce();
    void start();
    std::string heartbeat_socket() const;
    std::vector<std::string> backend_command() const;
    bool backend_listens() const;
    void start_backend();
    void start_qemu();
    void confine() const;
    std::vector<std::string> qemu_command(int monitor) const;
    Sandbox qemu_sandbox() const;
    Clock::time_point next_deadline() const;
    int poll_timeout() const;
    void wait_for_events();
    void check_time();
    void check_backend();
    void on_signal();
    bool on_output(Child *child);
    bool on_console();
    void on_monitor();
    void on_heartbeat();
    void on_progress();
    void on_end_of_qemu(int status);
    void on_end_of_backend(const std::string &how);
    void reap();
    void booted();
    bool is_removed() const;
    void save_or_throw() const;
    void save();
    void send_progress(const json &what);
    void write_to_logs(const char *data, size_t size);
    void report(const std::string &message);
    void end(const std::string &why);
    void end(const Error &error);
    void stop_children();
    void finish();

    LaunchPlan plan_;
    Enclave enclave_;
    const Runtime &runtime_;
    EnclaveDirectory directory_;
    Descriptor lock_, progress_, signals_;
    Descriptor null_, console_pipe_;
    Heartbeat heartbeat_;
    Monitor monitor_;
    std::optional<ConsoleLog> log_;         /* for run-enclave and console */
    std::optional<ConsoleLog> user_log_;    /* the user's own */
    Child backend_, qemu_;
    Phase phase_ = Phase::listening;
    Clock::time_point deadline_;
    Restarts restarts_;                     /* of the back end */
    bool backend_starts_ = false;           /* not listening yet */
    std::optional<Clock::time_point> restart_at_;
    std::string backend_end_;               /* why the first one ended */
    bool restart_reported_ = false;
    std::optional<Clock::time_point> save_at_;  /* next attempt */
    bool console_used_ = false, ended_silently_ = false;
    bool user_log_failed_ = false;
    std::optional<std::string> ended_;          /* why the enclave ended */
    std::optional<Error> error_;                /* the same, if it has advice */
};

void write_file(const std::string &path, const void *data, size_t size)
{
    AtomicFile file(path);

    file.write(data, size);
    file.commit();
}

/* Starting */

void Supervisor::save_or_throw() const
{
    std::string text = enclave_.to_file();

    write_file(directory_.state(), text.data(), text.size());
}

/* Has a user removed the directory, or started to remove it? */
bool Supervisor::is_removed() const
{
    struct stat st;

    return fstat(lock_.get(), &st) || st.st_nlink == 0;
}

/*
 * Write the state file.  If that fails, for example on a full file system, the
 * enclave keeps running: other commands see its old state, and the supervisor
 * tries again later.
 */
void Supervisor::save()
{
    save_at_.reset();
    if (is_removed()) {
        /* A new file would prevent the removal of the directory. */
        return;
    }
    try {
        save_or_throw();
    } catch (const Error &) {
        save_at_ = Clock::now() + directory_poll;
    }
}

/* Tell the user something about a running enclave. */
void Supervisor::report(const std::string &message)
{
    std::string line = "\n[qemu-nitro-cli] " + message + "\n";

    enclave_.messages.push_back(message);
    write_to_logs(line.data(), line.size());
    save();
}

/* Write to the logs of the console.  The user is told once if --console-log
 * does not take all. */
void Supervisor::write_to_logs(const char *data, size_t size)
{
    if (log_) {
        log_->write(data, size);
    }
    if (user_log_ && !user_log_->write(data, size) && !user_log_failed_) {
        int error = errno;

        user_log_failed_ = true;
        report("A part of the console is not in the file of --console-log: "
               + error_text(error) + ".");
    }
}

void Supervisor::send_progress(const json &what)
{
    std::string line = what.dump(-1, ' ', false,
                                 json::error_handler_t::replace) + "\n";

    if (progress_) {
        send(progress_.get(), line.data(), line.size(), MSG_NOSIGNAL);
    }
}

/* Make a pipe.  Returns the read end. */
Descriptor make_pipe(Descriptor *write_end)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC)) {
        throw Error(Code::boot, "pipe: " + error_text(errno), "");
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    write_end->reset(ends[1]);
    return Descriptor(ends[0]);
}

/* The heartbeat's socket, for port 9000 of the back end's --uds-path */
std::string Supervisor::heartbeat_socket() const
{
    return directory_.vsock() + "_" + std::to_string(heartbeat_port);
}

std::vector<std::string> Supervisor::backend_command() const
{
    std::vector<std::string> command = {
        plan_.backend, "--guest-cid", std::to_string(enclave_.cid),
        "--socket", directory_.vhost(),
    };

    if (plan_.vsock.forward_cid) {
        /* Only the heartbeat goes to a Unix socket. */
        command.insert(command.end(), {
            "--connect", std::to_string(heartbeat_port) + ":unix:"
            + heartbeat_socket()});
    } else {
        command.insert(command.end(), {"--uds-path", directory_.vsock(),
                                       "--uds-fallback",
                                       runtime_.parent_vsock()});
    }
    for (const std::string &word : plan_.vsock.arguments()) {
        command.push_back(word);
    }
    return command;
}

void Supervisor::start_backend()
{
    Descriptor output;

    backend_.output = make_pipe(&output);
    backend_.pid = start_bound(backend_command(),
                               {null_.get(), null_.get(), output.get(), {}});
    if (backend_.pid < 0) {
        throw Error(Code::boot, "fork: " + error_text(errno), "");
    }
    enclave_.backend = process_id(backend_.pid);
    restarts_.started(Clock::now());
    backend_starts_ = true;
    deadline_ = Clock::now() + listen_limit;
}

std::vector<std::string> Supervisor::qemu_command(int monitor) const
{
    std::string machine = "nitro-enclave,vsock=vsock,id=" + enclave_.id
        + ",parent-id=" + enclave_.id.substr(0, enclave_.id.find("-enc"))
        + ",debug-mode=" + (enclave_.debug_mode ? "on" : "off");

    if (!plan_.parent_role.empty()) {
        machine += ",parent-role=" + quoted(plan_.parent_role);
    }
    if (!plan_.root_certificate.empty()) {
        machine += ",attestation-ca-cert=" + quoted(plan_.root_certificate)
            + ",attestation-ca-key=" + quoted(plan_.root_key);
    }
    std::vector<std::string> command = {
        plan_.qemu, "-M", machine, "-accel", plan_.accelerator,
        "-cpu", plan_.accelerator == "kvm" ? "host" : "max",
        "-smp", std::to_string(enclave_.cpu_ids.size()),
        "-m", std::to_string(enclave_.memory_mib) + "M",
        "-kernel", plan_.image, "-no-reboot",
        "-nodefaults", "-no-user-config", "-display", "none",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-chardev", "socket,id=vsock,path=" + quoted(directory_.vhost())
        + ",reconnect-ms=" + std::to_string(reconnect_interval.count()),
        "-chardev", "socket,id=monitor,server=on,wait=off,fd="
        + std::to_string(monitor), "-mon", "chardev=monitor,mode=control",
    };
    if (plan_.is_confined) {
        command.insert(command.end(), {
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
            "resourcecontrol=deny"});
    }
    return command;
}

/* QEMU opens its own program, the image, the root certificate with its key, and
 * the socket of the back end, again for each new back end. */
Sandbox Supervisor::qemu_sandbox() const
{
    Sandbox sandbox = sandbox_of_programs();
    std::error_code error;

    sandbox.namespaces = plan_.has_namespaces;
    for (const std::string &path : {
             plan_.qemu, std::filesystem::canonical(plan_.qemu, error).string(),
             plan_.image, plan_.root_certificate, plan_.root_key}) {
        if (!path.empty()) {
            sandbox.readable.push_back(path);
        }
    }
    sandbox.directories.push_back(directory_.path);
    if (plan_.accelerator == "kvm") {
        sandbox.devices.emplace_back("/dev/kvm");
    }
    return sandbox;
}

void Supervisor::start_qemu()
{
    Descriptor output, console;
    Descriptor listener = listen_unix(directory_.monitor());
    /* The connection waits in the backlog until QEMU accepts it. */
    Descriptor socket = listener ? connect_unix(directory_.monitor())
                                 : Descriptor();

    if (!socket) {
        throw Error(Code::file, directory_.monitor() + ": " + error_text(errno),
                    "Check that sockets can be made in this directory.");
    }
    monitor_ = Monitor(std::move(socket));
    qemu_.output = make_pipe(&output);
    console_pipe_ = make_pipe(&console);
    qemu_.pid = start_bound(qemu_command(listener.get()),
                            {null_.get(), console.get(), output.get(),
                             {listener.get()}},
                            plan_.is_confined
                            ? [this] { return enter_sandbox(qemu_sandbox()); }
                            : std::function<bool()>());
    if (qemu_.pid < 0) {
        throw Error(Code::boot, "fork: " + error_text(errno), "");
    }
    enclave_.qemu = process_id(qemu_.pid);
    save();
    phase_ = Phase::booting;
    deadline_ = Clock::now() + seconds(plan_.boot_seconds);
}

/* QEMU is not started again: it is outside this sandbox, and in its own. */
void Supervisor::confine() const
{
    std::error_code error;
    std::filesystem::path directory = directory_.path;
    SupervisorSandbox sandbox = {
        .enclave = directory,
        .runtime = directory.parent_path(),
        .programs = std::filesystem::canonical(plan_.backend, error)
            .parent_path(),
        .socket_directories = plan_.vsock.socket_directories(),
        .uses_tcp = plan_.vsock.uses_tcp(),
    };

    if (!enter_supervisor_sandbox(sandbox)) {
        throw Error(Code::boot, "the supervisor's sandbox: "
                    + error_text(errno), "");
    }
}

void Supervisor::start()
{
    sigset_t set;

    sigemptyset(&set);
    for (int s : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
        sigaddset(&set, s);
    }
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) {
        throw Error(Code::boot, "signalfd: " + error_text(errno), "");
    }
    signal(SIGPIPE, SIG_IGN);

    null_.reset(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null_) {
        throw Error(Code::boot, "/dev/null: " + error_text(errno), "");
    }
    log_.emplace(directory_.console());
    heartbeat_ = Heartbeat(heartbeat_socket());
    start_backend();
    save();
}

/* Running */

/* The time of the next call of check_time(), at the latest */
Clock::time_point Supervisor::next_deadline() const
{
    Clock::time_point next = Clock::now() + directory_poll;

    if (backend_starts_) {
        next = Clock::now() + listen_poll;
    }
    if (phase_ == Phase::booting) {
        next = std::min(next, deadline_);
    }
    for (const auto &time : {restart_at_, save_at_}) {
        next = std::min(next, time.value_or(next));
    }
    return next;
}

int Supervisor::poll_timeout() const
{
    auto wait = std::chrono::ceil<milliseconds>(next_deadline()
                                                - Clock::now());

    return std::max(wait, milliseconds::zero()).count();
}

/* The back end listens first on the socket for QEMU and then on --uds-path, so
 * check the latter.  Without --uds-path, check the socket for QEMU, which
 * accepts any number of connections. */
bool Supervisor::backend_listens() const
{
    return static_cast<bool>(connect_unix(plan_.vsock.forward_cid
                                          ? directory_.vhost()
                                          : directory_.vsock()));
}

/* Start the back end again if its delay is over, and check whether it listens
 * now. */
void Supervisor::check_backend()
{
    if (restart_at_ && Clock::now() >= *restart_at_) {
        restart_at_.reset();
        try {
            start_backend();
        } catch (const Error &e) {
            return on_end_of_backend(e.what());
        }
        save();
    }
    if (!backend_starts_) {
        return;
    }
    if (backend_listens()) {
        backend_starts_ = false;
        restarts_.works();
        if (phase_ == Phase::listening) {
            start_qemu();
            if (plan_.is_confined) {
                confine();
            }
        } else if (!restart_reported_) {
            restart_reported_ = true;
            report("The vsock back end " + backend_end_ + " and has been"
                   " started again.  The connections that it had are lost.");
        }
    } else if (Clock::now() >= deadline_ && phase_ == Phase::listening) {
        end("the vsock back end does not listen");
    } else if (Clock::now() >= deadline_) {
        kill(backend_.pid, SIGKILL);
    }
}

void Supervisor::check_time()
{
    check_backend();
    if (save_at_ && Clock::now() >= *save_at_) {
        save();
    }
    if (phase_ == Phase::booting && Clock::now() >= deadline_) {
        end("the enclave has sent no heartbeat for "
            + std::to_string(plan_.boot_seconds) + " s");
    } else if (is_removed()) {
        end("the directory with its state has been removed");
    }
}

void Supervisor::wait_for_events()
{
    struct Source {
        const Descriptor &fd;
        std::function<void()> handle;
    };
    const Source sources[] = {
        {signals_, [this] { on_signal(); }},
        {qemu_.output, [this] { on_output(&qemu_); }},
        {backend_.output, [this] { on_output(&backend_); }},
        {console_pipe_, [this] { on_console(); }},
        {monitor_.fd(), [this] { on_monitor(); }},
        {heartbeat_.connection(), [this] { on_heartbeat(); }},
        {heartbeat_.listener(), [this] { heartbeat_.accept(); }},
        {progress_, [this] { on_progress(); }},
    };
    std::vector<pollfd> fds;

    for (const Source &source : sources) {
        fds.push_back({source.fd.get(), POLLIN, 0});    /* poll() ignores -1 */
    }
    if (poll(fds.data(), fds.size(), poll_timeout()) < 0) {
        return;
    }
    for (size_t i = 0; i < fds.size(); i++) {
        if (fds[i].revents && sources[i].fd.get() == fds[i].fd) {
            sources[i].handle();
        }
    }
}

/* Read the available data, and close the descriptor at its end.  Returns
 * whether there was data. */
bool read_some(Descriptor *fd, const std::function<void(char *, size_t)> &use)
{
    char data[16384];
    ssize_t n = read(fd->get(), data, sizeof(data));

    if (n > 0) {
        use(data, n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        fd->reset();
    }
    return n > 0;
}

bool Supervisor::on_output(Child *child)
{
    return read_some(&child->output, [child](char *data, size_t size) {
        child->messages.append(data, size);
        if (child->messages.size() > max_messages) {
            child->messages.erase(0, child->messages.size() - max_messages);
        }
    });
}

bool Supervisor::on_console()
{
    return read_some(&console_pipe_, [this](char *data, size_t size) {
        console_used_ = true;
        write_to_logs(data, size);
    });
}

void Supervisor::on_monitor()
{
    monitor_.read_answers();
    if (monitor_.state() == Monitor::State::failed) {
        return end("QEMU did not send its measurements");
    }
    if (monitor_.state() == Monitor::State::answered) {
        enclave_.measurements = monitor_.measurements();
        save();
        send_progress({{"loaded", true}});
        booted();
    }
}

void Supervisor::on_heartbeat()
{
    heartbeat_.read_byte();
    booted();
}

/* The enclave has booted after its heartbeat and after QEMU's responses. */
void Supervisor::booted()
{
    if (phase_ != Phase::booting || !heartbeat_.received() ||
        monitor_.state() != Monitor::State::answered) {
        return;
    }
    phase_ = Phase::running;
    if (!enclave_.debug_mode) {
        /* Without debug mode, the console is not readable. */
        log_.reset();
        unlink(directory_.console().c_str());
    }
    enclave_.state = State::running;
    save();
    send_progress({{"booted", true}});
    progress_.reset();
}

void Supervisor::on_progress()
{
    progress_.reset();
    end("run-enclave has been ended");
}

/* Ending */

void Supervisor::on_signal()
{
    signalfd_siginfo info;

    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap();
        } else {
            end("it has been terminated");
        }
    }
}

std::string status_text(int status)
{
    return WIFSIGNALED(status)
        ? "was killed by signal " + std::to_string(WTERMSIG(status))
        : "has ended with status " + std::to_string(WEXITSTATUS(status));
}

void Supervisor::on_end_of_qemu(int status)
{
    if (ended_) {
        return;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return end("QEMU " + status_text(status));
    }
    while (on_console()) {
        /* The pipe may still have the last output of the enclave. */
    }
    ended_silently_ = !console_used_ && phase_ == Phase::booting;
    end(console_used_ ? "the enclave has ended before its heartbeat"
                      : "the enclave has ended before it printed anything on"
                        " its console");
}

/* If the enclave has booted, start the back end again; otherwise end it. */
void Supervisor::on_end_of_backend(const std::string &how)
{
    if (ended_) {
        return;
    }
    if (phase_ != Phase::running) {
        return end("the vsock back end " + how);
    }
    if (backend_end_.empty()) {
        backend_end_ = how;
    }
    backend_starts_ = false;
    restart_at_ = restarts_.ended(Clock::now());
    if (!restart_at_) {
        while (on_output(&backend_)) {
            /* Its last output may have the reason. */
        }
        std::string last = printable_tail(backend_.messages, 1);
        report("The vsock back end cannot be started again: it " + how
               + (last.empty() ? "" : " (" + last + ")") + ".  The enclave"
               " goes on without vsock; end it and run it again to have one.");
    }
}

void Supervisor::reap()
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == qemu_.pid) {
            qemu_.pid = 0;
            on_end_of_qemu(status);
        } else if (pid == backend_.pid) {
            backend_.pid = 0;
            on_end_of_backend(status_text(status));
        }
    }
}

/* Keep the first reason. */
void Supervisor::end(const std::string &why)
{
    if (!ended_) {
        ended_ = why;
    }
}

void Supervisor::end(const Error &error)
{
    if (!ended_ && !error.advice.empty()) {
        error_ = error;
    }
    end(std::string(error.what()));
}

void Supervisor::stop_children()
{
    auto limit = Clock::now() + end_limit;

    for (Child *child : {&qemu_, &backend_}) {
        if (child->pid > 0) {
            kill(child->pid, SIGTERM);
        }
        while (child->pid > 0 && Clock::now() < limit) {
            pollfd signal = {signals_.get(), POLLIN, 0};

            poll(&signal, 1, 100);
            on_signal();
            on_console();
        }
        if (child->pid > 0) {
            kill(child->pid, SIGKILL);
            waitpid(child->pid, nullptr, 0);
            child->pid = 0;
        }
    }
}

void Supervisor::finish()
{
    enclave_.state = State::terminating;
    save();
    stop_children();
    /* Their last output may have the reason. */
    while (on_console() || on_output(&qemu_) || on_output(&backend_)) {
        /* read until the pipes are empty */
    }
    json failure = {
        {"failed", *ended_},
        {"console", log_ ? log_->last_lines(console_lines) : ""},
        {"silent", ended_silently_},
        {"messages", printable_tail(backend_.messages + qemu_.messages,
                                    message_lines)},
    };
    if (error_) {
        failure["code"] = static_cast<int>(error_->code);
        failure["advice"] = error_->advice;
    }
    {
        Descriptor lock = runtime_.lock();

        runtime_.remove(enclave_.id);
        lock_.reset();
    }
    send_progress(failure);
}

/* Write the files for other commands, before any process is started. */
void Supervisor::announce()
{
    umask(077);
    enclave_.supervisor = process_id(getpid());
    try {
        if (plan_.metadata) {
            write_file(directory_.metadata(), plan_.metadata->data(),
                       plan_.metadata->size());
            plan_.metadata.reset();
        }
        save_or_throw();
    } catch (const Error &e) {
        end(e);
    }
    send_progress({{"started", true}});
}

int Supervisor::run()
{
    announce();
    try {
        if (!ended_) {
            start();
        }
        while (!ended_) {
            wait_for_events();
            check_time();
        }
    } catch (const Error &e) {
        end(e);
    } catch (const std::exception &e) {
        end(e.what());
    }
    try {
        finish();
    } catch (const std::exception &e) {
        /* The next command that lists enclaves removes the rest. */
        send_progress({{"failed", *ended_}, {"console", ""},
                       {"messages", e.what()}});
        return 1;
    }
    return 0;
}

} // namespace

int supervise(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files)
{
    return Supervisor(std::move(plan), runtime, std::move(files)).run();
}
