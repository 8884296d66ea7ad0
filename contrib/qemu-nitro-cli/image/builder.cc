/*
 * The command build-enclave: an image from a folder or a container image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/builder.hh"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <sys/stat.h>

#include "image/cpio.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

namespace fs = std::filesystem;

/* What Linux gives a new program at most (execve(2), of 8 MiB of stack) */
constexpr size_t max_item = (128 << 10) - 1;    /* bytes of a word */
constexpr size_t max_items = 2 << 20;           /* of all, with pointers */
constexpr size_t max_groups = 65536;            /* setgroups(2) */

const char *const limits_advice = "Shorten it: Linux would not start the"
    " command.  Put long texts into files of the image.";

std::string joined(const std::vector<std::string> &items, char mark)
{
    std::string text;

    for (const std::string &item : items) {
        text += item + mark;
    }
    return text;
}

bool has_line_end(const std::string &item)
{
    return item.find('\n') != std::string::npos;
}

/*
 * A list for init, as AWS's builder writes it: a line for each item.  Lines
 * cannot hold an item with a line's end in it; then the list is in another
 * file, and the usual one is left out: an init that does not know the other
 * fails, where it would run something else.
 */
void add_list(Cpio &cpio, const std::string &name,
              const std::vector<std::string> &items)
{
    if (std::ranges::any_of(items, has_line_end)) {
        cpio.add(name + "0", S_IFREG | 0644, content_of(joined(items, '\0')));
    } else {
        cpio.add(name, S_IFREG | 0644, content_of(joined(items, '\n')));
    }
}

void check_length(const std::string &what, const std::string &item)
{
    if (item.size() > max_item) {
        throw Error(Code::building, what + " has "
                    + std::to_string(item.size()) + " bytes, more than "
                    + std::to_string(max_item), limits_advice);
    }
}

/* What the kernel would refuse comes to light here, not in the enclave. */
void check_lists(const std::vector<std::string> &cmd,
                 const std::vector<std::string> &env)
{
    size_t size = PATH_MAX;         /* of the program, once it is found */

    if (cmd.empty() || cmd[0].empty()) {
        throw Error(Code::building, "the command begins with an empty word,"
                    " which is no program", "Give the command with --cmd.");
    }
    for (size_t i = 0; i < cmd.size(); i++) {
        check_length("word " + std::to_string(i + 1) + " of the command",
                     cmd[i]);
        size += cmd[i].size() + 1 + sizeof(char *);
    }
    for (const std::string &item : env) {
        check_length("the variable " + item.substr(0, std::min<size_t>(
                         item.find('='), 100)) + " of the environment", item);
        size += item.size() + 1 + sizeof(char *);
    }
    if (size > max_items) {
        throw Error(Code::building, "the command and its environment take "
                    + std::to_string(size) + " bytes, more than "
                    + std::to_string(max_items), limits_advice);
    }
}

std::string rfc3339(int64_t seconds)
{
    time_t t = seconds;
    struct tm tm;
    char text[64];

    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
    return text;
}

bool is_plain_version(const std::string &version)
{
    return version.size() < 100 && std::ranges::all_of(version,
                                                       [](unsigned char c) {
        return c > ' ' && c < 0x7f;
    });
}

/*
 * What a bzImage says of itself, up to the first blank (Linux,
 * Documentation/arch/x86/boot.rst, kernel_version)
 */
std::string version_of_bzimage(const std::string &path)
{
    constexpr size_t magic_at = 0x202, version_at = 0x20e, base = 0x200;
    std::ifstream file(path, std::ios::binary);
    std::string head(0x8000, '\0');

    file.read(head.data(), head.size());
    head.resize(file.gcount());
    if (head.size() < version_at + 2 || head.compare(magic_at, 4, "HdrS")) {
        return "unknown";
    }
    size_t at = base + static_cast<uint8_t>(head[version_at])
        + (static_cast<uint8_t>(head[version_at + 1]) << 8);
    if (at == base || at >= head.size()) {
        return "unknown";
    }
    std::string version = head.substr(at, head.find_first_of(
        std::string(" \0", 2), at) - at);
    return is_plain_version(version) ? version : "unknown";
}

/* An uncompressed kernel has its banner in it (Linux, init/version.c). */
std::string version_of_image(const std::string &path)
{
    const std::string banner = "Linux version ";
    constexpr size_t piece = 1 << 20, longest = 128;
    std::ifstream file(path, std::ios::binary);
    std::string text;

    for (bool more = true; more;) {
        /* What may be the beginning of the banner stays. */
        text.erase(0, text.size() - std::min(text.size(), longest));
        size_t kept = text.size();
        text.resize(kept + piece);
        file.read(text.data() + kept, piece);
        text.resize(kept + file.gcount());
        more = file.gcount() > 0;
        size_t at = text.find(banner);
        if (at != std::string::npos && (!more || text.size() - at > longest)) {
            at += banner.size();
            std::string version = text.substr(at, text.find_first_of(
                std::string(" \0", 2), at) - at);
            return !version.empty() && is_plain_version(version) ? version
                                                                 : "unknown";
        }
    }
    return "unknown";
}

std::string kernel_version(const BuildOptions &options)
{
    std::string path = options.blobs + "/" + options.architecture.kernel;

    return options.architecture.flags ? version_of_image(path)
                                      : version_of_bzimage(path);
}

std::string make_metadata(const BuildOptions &options)
{
    nlohmann::ordered_json json = {
        {"ImageName", options.name},
        {"ImageVersion", options.version},
        {"BuildMetadata", {
            {"BuildTime", rfc3339(options.build_time)},
            {"BuildTool", "qemu-nitro-cli"},
            {"BuildToolVersion", QEMU_NITRO_CLI_VERSION},
            {"OperatingSystem", "Linux"},
            {"KernelVersion", kernel_version(options)},
        }},
        {"DockerInfo", nullptr},
        {"CustomMetadata", options.custom},
    };
    if (options.container) {
        json["DockerInfo"] = options.container->info;
    }
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/*
 * The modules that AWS's init loads, in this order, for kernels that need more
 * than nsm.ko: a path a line, from the root of the first ramdisk
 */
void add_modules(Cpio &cpio, const std::string &blobs)
{
    const std::string list = blobs + "/modules_load_order";
    std::optional<Bytes> text = read_file_if_there(list);
    std::set<std::string> seen;

    auto fail = [&](const std::string &line, const std::string &why) {
        throw Error(Code::blobs, list + ": " + printable(line) + ": " + why,
                    "Give a path below " + blobs + " in each line.");
    };
    std::istringstream lines(text ? std::string(text->begin(), text->end())
                                  : "nsm.ko\n");
    for (std::string line; std::getline(lines, line);) {
        if (!line.empty() && line.back() == '\r') {
            line.pop_back();
        }
        fs::path path = fs::path(line).relative_path();
        std::string file = blobs + "/" + path.string();

        if (line.empty() || line[0] == '#') {
            continue;
        }
        if (!text && access(file.c_str(), F_OK)) {
            return;             /* The kernel has the NSM's driver built in. */
        }
        if (path.empty() || path != path.lexically_normal() ||
            *path.begin() == "..") {
            fail(line, "this is not the path of a file");
        }
        if (!fs::is_regular_file(file)) {
            fail(line, file + " is not a file");
        }
        if (!seen.insert(path).second) {
            fail(line, "this is there twice");
        }
        fs::path folder;
        for (const fs::path &part : path.parent_path()) {
            folder /= part;
            if (seen.insert(folder / "").second) {
                cpio.add(folder, S_IFDIR | 0755);
            }
        }
        cpio.add(path, S_IFREG | 0644, content_of_file(file));
    }
    if (text) {
        cpio.add("modules_load_order", S_IFREG | 0644, content_of_file(list));
    }
}

ContentPtr first_ramdisk(const std::string &blobs)
{
    Cpio cpio;

    cpio.add("dev", S_IFDIR | 0755);
    cpio.add("init", S_IFREG | 0755, content_of_file(blobs + "/init"));
    add_modules(cpio, blobs);
    return cpio.write();
}

/*
 * What the layout of AWS's builder has no place for, and its init does not
 * know: where the command starts, and as whom.  Only what is not the default
 * is there, so that all else measures as it does without.
 */
void add_settings(Cpio &cpio, const Container &container)
{
    const ContainerUser &user = container.user;

    if (container.working_folder.size() >= PATH_MAX) {
        throw Error(Code::building, "WorkingDir has "
                    + std::to_string(container.working_folder.size())
                    + " bytes, more than " + std::to_string(PATH_MAX - 1),
                    "Give the container image a shorter WorkingDir.");
    }
    if (container.working_folder != "/") {
        cpio.add("cwd", S_IFREG | 0644,
                 content_of(container.working_folder + "\n"));
    }
    if (!user.is_root()) {
        std::vector<std::string> ids = {std::to_string(user.uid),
                                        std::to_string(user.gid)};

        if (user.groups.size() > max_groups) {
            throw Error(Code::building, "the user is in "
                        + std::to_string(user.groups.size()) + " groups, more"
                        " than " + std::to_string(max_groups), "Give the"
                        " container image a User with its group: USER:GROUP.");
        }
        for (uint32_t group : user.groups) {
            ids.push_back(std::to_string(group));
        }
        cpio.add("user", S_IFREG | 0644, content_of(joined(ids, '\n')));
    }
}

/* A program that root runs misses nothing: say it, and go on. */
void warn_of_left_out(const Cpio &cpio)
{
    Cpio::LeftOut all = cpio.left_out();

    if (!all.files) {
        return;
    }
    std::cerr << "warning: a ramdisk cannot hold extended attributes: those of "
              << all.files << (all.files == 1 ? " file" : " files")
              << " are left out (the first: "
              << printable(all.first.substr(strlen("rootfs"))) << ")";
    if (all.capabilities) {
        std::cerr << "; " << all.capabilities << " of them "
                  << (all.capabilities == 1 ? "is" : "are")
                  << " security.capability, without which a program has its"
                     " capabilities only if root runs it";
    }
    std::cerr << ".\n";
}

ContentPtr second_ramdisk(const BuildOptions &options)
{
    Cpio cpio;

    for (const char *folder : {"dev", "proc", "run", "sys", "tmp", "var"}) {
        cpio.add(std::string("rootfs/") + folder, S_IFDIR | 0755);
    }
    if (options.container) {
        options.container->root.add_to(cpio, "rootfs");
        add_settings(cpio, *options.container);
    } else {
        cpio.add_tree(options.rootfs, "rootfs");
    }
    warn_of_left_out(cpio);
    check_lists(options.cmd, options.env);
    add_list(cpio, "cmd", options.cmd);
    add_list(cpio, "env", options.env);
    return cpio.write();
}

std::string first_line(const Bytes &data)
{
    std::string text(data.begin(), data.end());

    return text.substr(0, text.find_first_of("\r\n"));
}

} // namespace

EifParts build_parts(const BuildOptions &options)
{
    if (!options.container) {
        struct stat st;
        int error = stat(options.rootfs.c_str(), &st) ? errno
            : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

        if (error) {
            throw Error(Code::file, options.rootfs + ": " + error_text(error),
                        "Give the folder that becomes the enclave's root with"
                        " --rootfs.");
        }
    }
    return {
        options.architecture,
        content_of_file(options.blobs + "/" + options.architecture.kernel),
        options.cmdline ? *options.cmdline
                        : first_line(read_file(options.blobs + "/cmdline")),
        make_metadata(options),
        {first_ramdisk(options.blobs), second_ramdisk(options)},
    };
}
