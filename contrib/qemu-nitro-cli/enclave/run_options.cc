/*
 * The options of run-enclave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/run_options.hh"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "decimal.hh"
#include "enclave/enclave.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/json.hh"

namespace {

using nlohmann::json;

constexpr uint64_t max_cid = UINT32_MAX - 1;        /* the next means any */
constexpr uint64_t max_cpu_id = UINT32_MAX;
constexpr uint64_t max_memory_mib = 1 << 24;        /* 16 TiB */
constexpr size_t max_name = 255;                    /* bytes */
constexpr size_t max_role = 1024;                   /* bytes of an ARN */

/* Options that --config replaces */
const char *const single_options[] = {
    "eif-path", "memory", "cpu-count", "cpu-ids", "enclave-cid",
    "enclave-name", "debug-mode", "parent-role", "parent-id", "console-log",
    "connect", "listen", "forward-cid", "forward-listen",
    "vsock-proxy-config",
};

std::string number(uint64_t n)
{
    return std::to_string(n);
}

[[noreturn]] void invalid(const std::string &what, const std::string &advice)
{
    throw Error(Code::invalid_argument, what, advice);
}

/* Control characters would garble a terminal, and a NUL ends a C string. */
void check_name(const std::string &name, const std::string &what)
{
    bool printable = std::none_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
    });

    if (name.empty() || name.size() > max_name || !printable ||
        !is_utf8(name)) {
        throw Error(Code::name, what + ": an enclave cannot have this name of "
                    + number(name.size()) + " bytes",
                    "Give one of 1 to " + number(max_name)
                    + " bytes that can be printed.");
    }
}

void check_cpus(const RunOptions &options)
{
    if (options.cpu_count && !options.cpu_ids.empty()) {
        throw Error(Code::conflicting_argument,
                    value_name(options.file, "cpu-count") + " and "
                    + value_name(options.file, "cpu-ids") + " are given",
                    "Give one of them.");
    }
    if (!options.cpu_count && options.cpu_ids.empty()) {
        throw Error(Code::missing_argument, "--cpu-count is missing",
                    "Say how many CPUs the enclave has.");
    }
    uint64_t count = options.cpu_count.value_or(options.cpu_ids.size());
    std::string what = value_name(options.file, options.cpu_count ? "cpu-count"
                                                                  : "cpu-ids");
    if (count < 1) {
        invalid(what + " asks for 0 CPUs", "An enclave has 1 to "
                + number(max_cpus) + ".");
    }
    if (count > max_cpus) {
        throw Error(Code::cpu_count, what + " asks for " + number(count)
                    + " CPUs", "An enclave has 1 to " + number(max_cpus)
                    + ".");
    }
    std::set<uint64_t> ids;
    for (uint64_t id : options.cpu_ids) {
        if (!ids.insert(id).second) {
            throw Error(Code::cpu_twice, what + " has the CPU " + number(id)
                        + " twice", "Give each CPU once.");
        }
    }
}

void check_cid(const RunOptions &options)
{
    uint64_t cid = options.cid;

    if ((cid >= 1 && cid <= 3) || cid > max_cid) {
        invalid(value_name(options.file, "enclave-cid") + " " + number(cid)
                + " is a CID that an enclave cannot have", "Give one"
                " from 4 to " + number(max_cid) + ", or 0 for a free one.");
    }
}

/* arn:PARTITION:iam::ACCOUNT:role/PATH/NAME */
bool is_role(std::string_view arn)
{
    constexpr std::string_view digits = "0123456789";
    constexpr std::string_view small = "abcdefghijklmnopqrstuvwxyz";
    constexpr std::string_view large = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    constexpr size_t account_digits = 12;
    auto skip = [&arn](std::string_view text) {
        bool found = arn.starts_with(text);

        arn.remove_prefix(found ? text.size() : 0);
        return found;
    };
    /* The number of characters at the start that are in this set */
    auto length = [&arn](const std::string &set) {
        return std::min(arn.find_first_not_of(set), arn.size());
    };

    if (!skip("arn:")) {
        return false;
    }
    size_t partition = length(std::string(small) + std::string(digits) + "-");
    arn.remove_prefix(partition);
    if (partition == 0 || !skip(":iam::") ||
        length(std::string(digits)) != account_digits) {
        return false;
    }
    arn.remove_prefix(account_digits);
    if (!skip(":role/") || arn.empty()) {
        return false;
    }
    std::string of_name = std::string(small) + std::string(large)
        + std::string(digits) + "_+=,.@-";
    return of_name.find(arn.back()) != std::string::npos &&
        std::all_of(arn.begin(), arn.end(),
                    [](char c) { return c >= '!' && c <= '~'; });
}

/* Check the parent's id and role, or a typing error would be measured. */
void check_parent(const RunOptions &options)
{
    if (options.parent_id && !is_instance_id(*options.parent_id)) {
        invalid(value_name(options.file, "parent-id") + " "
                + sanitized(*options.parent_id)
                + " is not the id of an instance",
                "Give it like i-0123456789abcdef0.");
    }
    if (options.parent_role && (options.parent_role->size() > max_role ||
                                !is_role(*options.parent_role))) {
        invalid(value_name(options.file, "parent-role") + " "
                + sanitized(*options.parent_role) + " is not the ARN of a role",
                "Give that of the IAM role, not of its"
                " instance profile: arn:aws:iam::123456789012:role/NAME.");
    }
}

/* A file could not be opened by such a path, but another one. */
void check_path(const RunOptions &options, const char *option,
                const std::string &path)
{
    if (path.find('\0') != std::string::npos) {
        invalid(value_name(options.file, option) + " has a zero byte in it",
                "Give the path of a file.");
    }
}

void check_files(const RunOptions &options)
{
    check_path(options, "eif-path", options.eif_path);
    check_path(options, "console-log", options.console_log.value_or(""));
    check_path(options, "vsock-proxy-config",
               options.vsock.proxy_config.value_or(""));
    if (options.console_log && options.console_log->empty()) {
        invalid(value_name(options.file, "console-log") + " has no path",
                "Give the file that the console is kept in.");
    }
}

void check(RunOptions *options)
{
    check_cpus(*options);
    check_parent(*options);
    check_files(*options);
    options->vsock.check();
    check_cid(*options);
    if (options->name) {
        check_name(*options->name, value_name(options->file, "enclave-name"));
    }
    /* Without debug mode, there is no console to attach to. */
    options->debug_mode |= options->attach_console;
}

/* The fields of a file */

[[noreturn]] void invalid_field(const std::string &path, const char *key,
                                const char *type)
{
    invalid(path + ": " + key + " is not " + type, "Correct the file.");
}

uint64_t get_number(const json &value, const std::string &path,
                    const char *key, uint64_t max)
{
    if (!value.is_number_unsigned() || value.get<uint64_t>() > max) {
        invalid_field(path, key,
                      ("a number from 0 to " + number(max)).c_str());
    }
    return value.get<uint64_t>();
}

std::string get_string(const json &value, const std::string &path,
                       const char *key)
{
    if (!value.is_string()) {
        invalid_field(path, key, "a string");
    }
    return value.get<std::string>();
}

void get_optional_string(const json &file, const std::string &path,
                         const char *key, std::optional<std::string> *text)
{
    if (file.contains(key)) {
        *text = get_string(file[key], path, key);
    }
}

bool get_bool(const json &value, const std::string &path, const char *key)
{
    if (!value.is_boolean()) {
        invalid_field(path, key, "true or false");
    }
    return value.get<bool>();
}

std::vector<uint64_t> get_numbers(const json &value, const std::string &path,
                                  const char *key)
{
    std::vector<uint64_t> numbers;

    if (!value.is_array() || value.empty()) {
        invalid_field(path, key, "a list of numbers");
    }
    for (const json &item : value) {
        numbers.push_back(get_number(item, path, key, max_cpu_id));
    }
    return numbers;
}

std::vector<std::string> get_optional_strings(const json &file,
                                              const std::string &path,
                                              const char *key)
{
    std::vector<std::string> strings;

    if (file.contains(key) && !file[key].is_array()) {
        invalid_field(path, key, "a list of strings");
    }
    for (const json &item : file.value(key, json::array())) {
        strings.push_back(get_string(item, path, key));
    }
    return strings;
}

VsockOptions vsock_from_json(const json &file, const std::string &path)
{
    VsockOptions vsock;

    vsock.file = path;
    for (const std::string &value : get_optional_strings(file, path,
                                                         "connect")) {
        vsock.add_connect(value);
    }
    for (const std::string &value : get_optional_strings(file, path,
                                                         "listen")) {
        vsock.add_listen(value);
    }
    if (file.contains("forward_cid")) {
        vsock.forward_cid = get_number(file["forward_cid"], path,
                                       "forward_cid", UINT32_MAX);
    }
    if (file.contains("forward_listen")) {
        for (uint64_t port : get_numbers(file["forward_listen"], path,
                                         "forward_listen")) {
            vsock.add_forward_listen(number(port));
        }
    }
    get_optional_string(file, path, "vsock_proxy_config", &vsock.proxy_config);
    return vsock;
}

/* As on EC2, a key with the value null is ignored. */
void drop_nulls(json *object)
{
    for (auto item = object->begin(); item != object->end();) {
        item = item->is_null() ? object->erase(item) : std::next(item);
    }
}

/* As on EC2, no key can occur twice: it is not known which one is meant. */
void refuse_duplicates(const std::string &text, const std::string &path)
{
    std::set<std::string> seen;

    json parsed = json::parse(text, [&](int depth, json::parse_event_t event,
                                        json &value) {
        if (depth == 1 && event == json::parse_event_t::key &&
            !seen.insert(value.get<std::string>()).second) {
            throw Error(Code::json, path + ": the key "
                        + value.get<std::string>() + " occurs twice",
                        "Remove one of them.");
        }
        return true;
    });
}

/* As on EC2, unknown keys are ignored, but they may be typing errors. */
void warn_of_unknown(const json &file, const std::string &path)
{
    std::set<std::string> known = {"attach_console"};

    for (const char *option : single_options) {
        known.insert(value_name("FILE", option).substr(strlen("FILE: ")));
    }
    for (const auto &[key, value] : file.items()) {
        if (!known.contains(key)) {
            fprintf(stderr, "warning: %s: %s is not a known key, and is"
                    " ignored\n", printable(path).c_str(),
                    printable(key).c_str());
        }
    }
}

void require(const json &file, const std::string &path, const char *key)
{
    if (!file.contains(key)) {
        throw Error(Code::missing_argument, path + ": " + key + " is missing",
                    "Add it to the file.");
    }
}

} // namespace

uint64_t parse_memory(const std::string &text)
{
    static const std::string suffixes = "MGT";
    std::string digits = text;
    size_t power = 0;

    if (!text.empty()) {
        power = suffixes.find(toupper(static_cast<unsigned char>(text.back())));
    }
    if (!text.empty() && power != std::string::npos) {
        digits.pop_back();
    } else {
        power = 0;
    }
    uint64_t unit = uint64_t{1} << (10 * power);
    try {
        return parse_number("--memory", digits, max_memory_mib / unit) * unit;
    } catch (const Error &) {
        invalid("--memory " + text + " is not an amount of memory",
                "Give it in MiB, or with M, G or T, up to 16T.");
    }
}

/* A number of CPUs; one that is only too large is another error. */
static uint64_t parse_cpu_count(const std::string &option,
                                const std::string &text, uint64_t max)
{
    std::optional<uint64_t> count = parse_decimal(text, 1, UINT32_MAX);

    if (!count) {
        invalid(option + " " + (text.empty() ? "\"\"" : text)
                + " is not a number from 1 to " + number(max),
                "Correct it.");
    }
    return *count;
}

static uint64_t parse_cpu_id(const std::string &id, const std::string &word)
{
    try {
        return parse_number("--cpu-ids", id, max_cpu_id);
    } catch (const Error &) {
        throw Error(Code::cpu_list, "--cpu-ids "
                    + (word.empty() ? "\"\"" : word) + " is not a list of CPUs",
                    "Give numbers with spaces or commas between"
                    " them: --cpu-ids 1 3.");
    }
}

std::vector<Option> run_option_list()
{
    return {{"eif-path"}, {"memory"}, {"cpu-count"},
            {.name = "cpu-ids", .takes_more = true}, {"enclave-cid"},
            {"enclave-name"}, {"debug-mode", false}, {"attach-console", false},
            {"parent-role"}, {"parent-id"}, {"console-log"}, {"connect"},
            {"listen"}, {"forward-cid"}, {"forward-listen"},
            {"vsock-proxy-config"}, {"config"}};
}

static VsockOptions vsock_options(const Arguments &arguments)
{
    VsockOptions vsock;

    for (const std::string &value : arguments.all("connect")) {
        vsock.add_connect(value);
    }
    for (const std::string &value : arguments.all("listen")) {
        vsock.add_listen(value);
    }
    if (auto cid = arguments.single("forward-cid")) {
        vsock.forward_cid = parse_number("--forward-cid", *cid, UINT32_MAX);
    }
    for (const std::string &value : arguments.all("forward-listen")) {
        vsock.add_forward_listen(value);
    }
    vsock.proxy_config = arguments.single("vsock-proxy-config");
    return vsock;
}

RunOptions run_options(const Arguments &arguments)
{
    RunOptions options;

    if (std::optional<std::string> path = arguments.single("config")) {
        for (const char *name : single_options) {
            if (arguments.has(name)) {
                throw Error(Code::conflicting_argument, std::string("--")
                            + name + " and --config are given",
                            "Only --attach-console may stand beside it.");
            }
        }
        Bytes text = read_file(*path);
        options = run_options_from_json({text.begin(), text.end()}, *path);
        options.attach_console |= arguments.has("attach-console");
        check(&options);
        return options;
    }

    options.eif_path = arguments.required("eif-path");
    options.memory_mib = parse_memory(arguments.required("memory"));
    if (auto count = arguments.single("cpu-count")) {
        options.cpu_count = parse_cpu_count("--cpu-count", *count, max_cpus);
    }
    for (const std::string &word : arguments.all("cpu-ids")) {
        std::istringstream ids(word + ',');

        for (std::string id; std::getline(ids, id, ',');) {
            options.cpu_ids.push_back(parse_cpu_id(id, word));
        }
    }
    if (auto cid = arguments.single("enclave-cid")) {
        options.cid = parse_number("--enclave-cid", *cid, UINT32_MAX);
    }
    options.name = arguments.single("enclave-name");
    options.debug_mode = arguments.has("debug-mode");
    options.attach_console = arguments.has("attach-console");
    options.parent_role = arguments.single("parent-role");
    options.parent_id = arguments.single("parent-id");
    options.console_log = arguments.single("console-log");
    options.vsock = vsock_options(arguments);
    check(&options);
    return options;
}

RunOptions run_options_from_json(const std::string &text,
                                 const std::string &path)
{
    RunOptions options;
    json file = parse_json({text.begin(), text.end()}, path, Code::json,
                           "Correct the file that --config names.");

    options.file = path;
    refuse_duplicates(text, path);
    drop_nulls(&file);
    warn_of_unknown(file, path);
    require(file, path, "eif_path");
    require(file, path, "memory_mib");
    if (!file.contains("cpu_ids")) {
        require(file, path, "cpu_count");
    }
    options.eif_path = get_string(file["eif_path"], path, "eif_path");
    options.memory_mib = get_number(file["memory_mib"], path, "memory_mib",
                                    max_memory_mib);
    if (file.contains("cpu_count")) {
        options.cpu_count = get_number(file["cpu_count"], path, "cpu_count",
                                       UINT32_MAX);
    }
    if (file.contains("cpu_ids")) {
        options.cpu_ids = get_numbers(file["cpu_ids"], path, "cpu_ids");
    }
    get_optional_string(file, path, "enclave_name", &options.name);
    if (file.contains("enclave_cid")) {
        options.cid = get_number(file["enclave_cid"], path, "enclave_cid",
                                 UINT32_MAX);
    }
    if (file.contains("debug_mode")) {
        options.debug_mode = get_bool(file["debug_mode"], path, "debug_mode");
    }
    if (file.contains("attach_console")) {
        options.attach_console = get_bool(file["attach_console"], path,
                                          "attach_console");
    }
    get_optional_string(file, path, "parent_role", &options.parent_role);
    get_optional_string(file, path, "parent_id", &options.parent_id);
    get_optional_string(file, path, "console_log", &options.console_log);
    options.vsock = vsock_from_json(file, path);
    check(&options);
    return options;
}

void check_memory(const RunOptions &options, uint64_t image_size)
{
    constexpr uint64_t mib = 1 << 20, factor = 4;
    uint64_t image_mib = image_size / mib + (image_size % mib != 0);
    /* Multiply first and round up then, so that the result is exact. */
    uint64_t needed = image_size > UINT64_MAX / factor - mib ? UINT64_MAX
        : (factor * image_size + mib - 1) / mib;

    needed = std::max(needed, min_memory_mib);
    if (options.memory_mib < needed) {
        throw Error(Code::memory, value_name(options.file, "memory") + " "
                    + number(options.memory_mib) + " is too little for an"
                    " image of " + number(image_mib) + " MiB: it needs "
                    + number(needed) + " MiB",
                    "Give at least " + number(needed) + ".");
    }
}

void check_memory_left(const RunOptions &options, uint64_t host_mib,
                       uint64_t taken_mib)
{
    uint64_t left = host_mib - std::min(host_mib, taken_mib);
    std::string what = value_name(options.file, "memory") + " "
        + number(options.memory_mib);

    if (options.memory_mib > host_mib) {
        throw Error(Code::memory_left, what
                    + " is more than the " + number(host_mib) + " MiB of this"
                    " host", "Give the enclave less.");
    }
    if (options.memory_mib > left) {
        throw Error(Code::memory_left, what
                    + " is more than the " + number(left) + " MiB that other"
                    " enclaves leave of this host's " + number(host_mib),
                    "Give the enclave less, or end others with"
                    " terminate-enclave.");
    }
}

std::string unique_name(const RunOptions &options,
                        const std::set<std::string> &taken)
{
    static const std::string suffix = ".eif";
    std::string base;

    if (options.name) {
        base = *options.name;
    } else {
        base = options.eif_path.substr(options.eif_path.rfind('/') + 1);
        if (base.size() > suffix.size() && base.ends_with(suffix)) {
            base.resize(base.size() - suffix.size());
        }
        check_name(base, value_name(options.file, "eif-path"));
    }
    std::string name = base;
    for (unsigned i = 1; taken.contains(name); i++) {
        name = base + "_" + std::to_string(i);
    }
    return name;
}

uint32_t choose_cid(const RunOptions &options, const std::set<uint32_t> &taken)
{
    if (options.cid && taken.contains(options.cid)) {
        invalid(value_name(options.file, "enclave-cid") + " "
                + number(options.cid) + " is the CID of another enclave",
                "Give a different one, or 0 for a free one.");
    }
    if (options.cid) {
        return options.cid;
    }
    uint32_t cid = first_cid;
    while (taken.contains(cid)) {
        cid++;
    }
    return cid;
}

uint64_t host_cpus()
{
    const char *text = getenv("NITRO_CLI_CPUS");

    if (text && *text) {
        return parse_cpu_count("NITRO_CLI_CPUS", text, UINT32_MAX);
    }
    return std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
}

std::vector<uint64_t> choose_cpus(const RunOptions &options,
                                  const std::set<uint64_t> &taken,
                                  uint64_t host_cpus)
{
    std::vector<uint64_t> ids = options.cpu_ids;
    std::string what = value_name(options.file, "cpu-ids");
    const char *advice = "Give fewer or lower CPUs, or set NITRO_CLI_CPUS to"
        " the number of CPUs to assume.";

    if (options.cpu_count.value_or(0) > host_cpus) {
        throw Error(Code::cpu_count, value_name(options.file, "cpu-count")
                    + " " + number(*options.cpu_count)
                    + " is more than the " + number(host_cpus) + " CPUs of"
                    " this host", advice);
    }
    for (uint64_t id : ids) {
        if (id >= host_cpus) {
            throw Error(Code::cpu_id, what + " has the CPU " + number(id)
                        + ", and this host has " + number(host_cpus)
                        + ", from 0", advice);
        }
        if (taken.contains(id)) {
            throw Error(Code::cpu_id, what + " has the CPU " + number(id)
                        + ", which another enclave has", "Give another CPU, or"
                        " the number of CPUs: CPUs are shared.");
        }
    }
    /* As on EC2, CPU 0 belongs to the parent.  CPUs are shared, so if enclaves
     * have all ids of the host's CPUs, higher ids are used. */
    for (uint64_t id = 1; ids.size() < options.cpu_count.value_or(0); id++) {
        if (!taken.contains(id)) {
            ids.push_back(id);
        }
    }
    return ids;
}
