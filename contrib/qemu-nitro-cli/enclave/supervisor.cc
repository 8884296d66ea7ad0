/*
 * The supervisor: the process behind a running enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/supervisor.hh"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <map>
#include <optional>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "enclave/console_log.hh"
#include "support/atomic_file.hh"
#include "support/errors.hh"

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint8_t heartbeat = 0xb7;

/* How long the back end may take to listen, and how often it is looked at */
constexpr seconds listen_limit{20};
constexpr milliseconds listen_poll{2};
/* How often it is seen whether somebody removed the folder */
constexpr seconds folder_poll{5};
/* How long QEMU and the back end have to end by themselves */
constexpr seconds end_limit{3};

constexpr size_t max_messages = 8192;       /* kept of what programs say */
constexpr size_t max_monitor_line = 65536;
constexpr unsigned console_lines = 20;      /* shown of a failed boot */
constexpr unsigned message_lines = 5;

const char *const measurements[] = {"PCR0", "PCR1", "PCR2", "PCR8"};

sockaddr_un unix_address(const std::string &path)
{
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    return address;
}

Descriptor unix_socket()
{
    return Descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
                             | SOCK_NONBLOCK, 0));
}

Descriptor listen_at(const std::string &path)
{
    sockaddr_un address = unix_address(path);
    Descriptor fd = unix_socket();

    if (!fd || bind(fd.get(), reinterpret_cast<sockaddr *>(&address),
                    sizeof(address)) || listen(fd.get(), SOMAXCONN)) {
        throw Error(Code::boot, path + ": " + error_text(errno), "");
    }
    return fd;
}

/* Connected, or nothing if nobody listens */
Descriptor connect_to(const std::string &path)
{
    sockaddr_un address = unix_address(path);
    Descriptor fd = unix_socket();

    if (!fd || connect(fd.get(), reinterpret_cast<sockaddr *>(&address),
                       sizeof(address))) {
        return Descriptor();
    }
    return fd;
}

/* A value in an option of QEMU's, where a comma ends one */
std::string quoted(const std::string &value)
{
    std::string text;

    for (char c : value) {
        text += c == ',' ? ",," : std::string(1, c);
    }
    return text;
}

/* A program, and the end of a pipe that its messages come from */
struct Child {
    pid_t pid = 0;                      /* 0 when it has ended */
    int status = 0;
    Descriptor output;
    std::string messages;               /* the last of them */
};

class Supervisor {
public:
    Supervisor(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files)
        : plan_(std::move(plan)), enclave_(plan_.enclave), runtime_(runtime),
          folder_(runtime.folder(enclave_.id)), lock_(std::move(files.lock)),
          progress_(std::move(files.progress))
    {
        if (files.console_log) {
            kept_log_.emplace(std::move(files.console_log));
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
    std::vector<std::string> qemu_command(int monitor) const;
    void ask_monitor();
    int poll_timeout() const;
    void wait_for_events();
    void check_time();
    void on_signal();
    bool on_output(Child *child);
    bool on_console();
    void on_monitor();
    void on_monitor_line(const std::string &line);
    void on_heartbeat_listener();
    void on_heartbeat();
    void on_progress();
    void reap();
    void booted();
    void save();
    void tell(const json &what);
    void end(const std::string &why);
    void stop_children();
    void finish();

    LaunchPlan plan_;
    Enclave enclave_;
    const Runtime &runtime_;
    EnclaveFolder folder_;
    Descriptor lock_, progress_, signals_;
    Descriptor null_, console_pipe_, monitor_;
    Descriptor heartbeat_listener_, heartbeat_;
    std::optional<ConsoleLog> log_;         /* for run-enclave and console */
    std::optional<ConsoleLog> kept_log_;    /* the user's own */
    Child backend_, qemu_;
    Phase phase_ = Phase::listening;
    Clock::time_point deadline_;
    std::string monitor_line_;
    std::map<std::string, std::string> measured_;
    bool heard_ = false;                /* the heartbeat */
    std::optional<std::string> ended_;  /* why the enclave is over */
};

/* Starting */

void Supervisor::save()
{
    std::string text = enclave_.to_file();
    AtomicFile file(folder_.state());

    file.write(text.data(), text.size());
    file.commit();
}

void Supervisor::tell(const json &what)
{
    std::string line = what.dump(-1, ' ', false,
                                 json::error_handler_t::replace) + "\n";

    if (progress_) {
        send(progress_.get(), line.data(), line.size(), MSG_NOSIGNAL);
    }
}

/* The read end of a new pipe; `write_end` gets the other. */
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

/* Where the heartbeat goes, as that of the back end's --uds-path does */
std::string Supervisor::heartbeat_socket() const
{
    return folder_.vsock() + "_" + std::to_string(heartbeat_port);
}

std::vector<std::string> Supervisor::backend_command() const
{
    std::vector<std::string> command = {
        plan_.backend, "--guest-cid", std::to_string(enclave_.cid),
        "--socket", folder_.vhost(),
    };

    if (plan_.vsock.forward_cid) {
        /* In place of Unix sockets, but for the heartbeat */
        command.insert(command.end(), {
            "--connect", std::to_string(heartbeat_port) + ":unix:"
            + heartbeat_socket()});
    } else {
        command.insert(command.end(), {"--uds-path", folder_.vsock()});
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
    return {
        plan_.qemu, "-M", machine, "-accel", plan_.accelerator,
        "-cpu", plan_.accelerator == "kvm" ? "host" : "max",
        "-smp", std::to_string(enclave_.cpu_ids.size()),
        "-m", std::to_string(enclave_.memory_mib) + "M",
        "-kernel", plan_.image, "-no-reboot",
        "-nodefaults", "-no-user-config", "-display", "none",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-chardev", "socket,id=vsock,path=" + quoted(folder_.vhost()),
        "-chardev", "socket,id=monitor,server=on,wait=off,fd="
        + std::to_string(monitor), "-mon", "chardev=monitor,mode=control",
    };
}

void Supervisor::start_qemu()
{
    Descriptor output, console;
    Descriptor listener = listen_at(folder_.monitor());

    /* It waits in the queue until QEMU looks. */
    monitor_ = connect_to(folder_.monitor());
    if (!monitor_) {
        throw Error(Code::boot, folder_.monitor() + ": " + error_text(errno),
                    "");
    }
    ask_monitor();
    qemu_.output = make_pipe(&output);
    console_pipe_ = make_pipe(&console);
    qemu_.pid = start_bound(qemu_command(listener.get()),
                            {null_.get(), console.get(), output.get(),
                             {listener.get()}});
    if (qemu_.pid < 0) {
        throw Error(Code::boot, "fork: " + error_text(errno), "");
    }
    enclave_.qemu = process_id(qemu_.pid);
    save();
    phase_ = Phase::booting;
    deadline_ = Clock::now() + seconds(plan_.boot_seconds);
}

/* Ask QEMU at once for all that will be asked. */
void Supervisor::ask_monitor()
{
    std::string text = json{{"execute", "qmp_capabilities"}}.dump();

    for (std::string name : measurements) {
        std::string property = name;

        property.replace(0, 3, "pcr");
        text += json{{"execute", "qom-get"}, {"id", name}, {"arguments",
                     {{"path", "/machine"}, {"property", property}}}}.dump();
    }
    send(monitor_.get(), text.data(), text.size(), MSG_NOSIGNAL);
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
    log_.emplace(folder_.console());
    heartbeat_listener_ = listen_at(heartbeat_socket());
    start_backend();
    save();
}

/* Running */

int Supervisor::poll_timeout() const
{
    if (phase_ == Phase::listening) {
        return listen_poll.count();
    }
    Clock::duration wait = folder_poll;
    if (phase_ == Phase::booting) {
        wait = std::min(wait, std::max(deadline_ - Clock::now(),
                                       Clock::duration::zero()));
    }
    return std::chrono::ceil<milliseconds>(wait).count();
}

/* Both of its sockets are listened on when that of --uds-path, the later, is;
 * without it, the one for QEMU can be connected to any number of times. */
bool Supervisor::backend_listens() const
{
    return static_cast<bool>(connect_to(plan_.vsock.forward_cid
                                        ? folder_.vhost()
                                        : folder_.vsock()));
}

void Supervisor::check_time()
{
    struct stat st;

    if (phase_ == Phase::listening && backend_listens()) {
        start_qemu();
    } else if (phase_ == Phase::listening && Clock::now() >= deadline_) {
        end("the vsock back end does not listen");
    } else if (phase_ == Phase::booting && Clock::now() >= deadline_) {
        end("the enclave has sent no heartbeat for "
            + std::to_string(plan_.boot_seconds) + " s");
    } else if (fstat(lock_.get(), &st) || st.st_nlink == 0) {
        end("somebody has removed the folder of its state");
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
        {monitor_, [this] { on_monitor(); }},
        {heartbeat_, [this] { on_heartbeat(); }},
        {heartbeat_listener_, [this] { on_heartbeat_listener(); }},
        {progress_, [this] { on_progress(); }},
    };
    std::vector<pollfd> fds;

    for (const Source &source : sources) {
        fds.push_back({source.fd.get(), POLLIN, 0});    /* -1 is passed over */
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

/* Read what there is: whether there was something.  At its end the descriptor
 * is closed. */
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
        for (std::optional<ConsoleLog> *log : {&log_, &kept_log_}) {
            if (*log) {
                (*log)->write(data, size);
            }
        }
    });
}

void Supervisor::on_monitor()
{
    read_some(&monitor_, [this](char *data, size_t size) {
        monitor_line_.append(data, size);
    });

    for (size_t end; (end = monitor_line_.find('\n')) != std::string::npos;) {
        on_monitor_line(monitor_line_.substr(0, end));
        monitor_line_.erase(0, end + 1);
    }
    if (monitor_line_.size() > max_monitor_line ||
        measured_.size() == std::size(measurements)) {
        monitor_.reset();       /* that others can have it */
    }
}

void Supervisor::on_monitor_line(const std::string &line)
{
    json answer = json::parse(line, nullptr, false);

    if (!answer.is_object() || !answer.contains("id")) {
        return;
    }
    if (!answer.contains("return") || !answer["return"].is_string()) {
        return end("QEMU does not tell its measurements");
    }
    measured_[answer["id"].get<std::string>()] =
        answer["return"].get<std::string>();
    if (measured_.size() < std::size(measurements)) {
        return;
    }
    enclave_.measurements = {{"HashAlgorithm", "Sha384 { ... }"}};
    for (const char *name : measurements) {
        /* It is zero where nobody signed. */
        if (name != std::string("PCR8") ||
            measured_[name].find_first_not_of('0') != std::string::npos) {
            enclave_.measurements[name] = measured_[name];
        }
    }
    save();
    tell({{"loaded", true}});
    booted();
}

void Supervisor::on_heartbeat_listener()
{
    heartbeat_.reset(accept4(heartbeat_listener_.get(), nullptr, nullptr,
                             SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void Supervisor::on_heartbeat()
{
    bool beat = false;

    read_some(&heartbeat_, [&beat](char *data, size_t) {
        beat = static_cast<uint8_t>(data[0]) == heartbeat;
    });
    if (beat) {
        send(heartbeat_.get(), &heartbeat, 1, MSG_NOSIGNAL);
        heard_ = true;
        /* From here on the back end answers. */
        unlink(heartbeat_socket().c_str());
        heartbeat_listener_.reset();
    }
    heartbeat_.reset();
    booted();
}

/* The enclave has booted when it says so and QEMU has been heard. */
void Supervisor::booted()
{
    if (phase_ != Phase::booting || !heard_ ||
        measured_.size() < std::size(measurements)) {
        return;
    }
    phase_ = Phase::running;
    if (!enclave_.debug_mode) {
        /* Nobody may look at it any more. */
        log_.reset();
        unlink(folder_.console().c_str());
    }
    enclave_.state = State::running;
    save();
    tell({{"booted", true}});
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

void Supervisor::reap()
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        Child &child = pid == qemu_.pid ? qemu_ : backend_;
        bool is_qemu = &child == &qemu_;

        child.pid = 0;
        child.status = status;
        if (is_qemu && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            end("the enclave has ended before its heartbeat");
        } else {
            end((is_qemu ? "QEMU " : "the vsock back end ")
                + status_text(status));
        }
    }
}

/* The first reason counts. */
void Supervisor::end(const std::string &why)
{
    if (!ended_) {
        ended_ = why;
    }
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
            waitpid(child->pid, &child->status, 0);
            child->pid = 0;
        }
    }
}

void Supervisor::finish()
{
    enclave_.state = State::terminating;
    save();
    stop_children();
    /* What they have left in their pipes may tell why. */
    while (on_console() || on_output(&qemu_) || on_output(&backend_)) {
        /* until there is nothing */
    }
    json failure = {
        {"failed", *ended_},
        {"console", log_ ? log_->last_lines(console_lines) : ""},
        {"messages", printable_tail(backend_.messages + qemu_.messages,
                                    message_lines)},
    };
    {
        Descriptor lock = runtime_.lock();

        runtime_.remove(enclave_.id);
        lock_.reset();
    }
    tell(failure);
}

/* Be seen by other commands, before any process is started. */
void Supervisor::announce()
{
    umask(077);
    enclave_.supervisor = process_id(getpid());
    try {
        save();
    } catch (const Error &e) {
        end(e.what());
    }
    tell({{"started", true}});
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
    } catch (const std::exception &e) {
        end(e.what());
    }
    try {
        finish();
    } catch (const std::exception &e) {
        /* What is left is cleaned up by whoever looks next. */
        tell({{"failed", *ended_}, {"console", ""}, {"messages", e.what()}});
        return 1;
    }
    return 0;
}

} // namespace

int supervise(LaunchPlan plan, const Runtime &runtime, SupervisorFiles files)
{
    return Supervisor(std::move(plan), runtime, std::move(files)).run();
}
