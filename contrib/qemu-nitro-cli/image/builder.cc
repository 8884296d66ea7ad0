/*
 * Building an image from a directory or a container image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/builder.hh"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "image/blobs.hh"
#include "image/cpio.hh"
#include "image/description.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

/* Linux's limits for a new program (execve(2), with 8 MiB of stack) */
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
 * Add a list for init, as AWS's builder writes it: a line for each item.  If an
 * item contains a line end, the list is in another file instead.  An init that
 * does not know this file then fails, and does not run a wrong command.
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

/* Check Linux's limits here, so that execve() does not fail in the enclave. */
void check_lists(const std::vector<std::string> &cmd,
                 const std::vector<std::string> &env)
{
    size_t size = PATH_MAX;         /* for the path of the program */

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
            {"KernelVersion", kernel_version(options.blobs,
                                             options.architecture)},
        }},
        {"DockerInfo", nullptr},
        {"CustomMetadata", options.custom},
    };
    if (options.container) {
        json["DockerInfo"] = options.container->info;
    }
    std::string text = json.dump(-1, ' ', false,
                                 nlohmann::json::error_handler_t::replace);
    check_metadata(text);
    return text;
}

/*
 * Add the working directory and the user of the command.  AWS's builder and
 * init do not have these files.  They are added only if they are not the
 * default, so that other images have the same measurements as those of AWS's
 * builder.
 */
void add_settings(Cpio &cpio, const Container &container)
{
    const ContainerUser &user = container.user;

    if (container.working_directory.size() >= PATH_MAX) {
        throw Error(Code::building, "WorkingDir has "
                    + std::to_string(container.working_directory.size())
                    + " bytes, more than " + std::to_string(PATH_MAX - 1),
                    "Give the container image a shorter WorkingDir.");
    }
    if (container.working_directory != "/") {
        cpio.add("cwd", S_IFREG | 0644,
                 content_of(container.working_directory + "\n"));
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

/* Only warn: a program that root runs does not need the attributes. */
void warn_of_omitted_attributes(const Cpio &cpio)
{
    Cpio::OmittedAttributes all = cpio.omitted_attributes();

    if (!all.files) {
        return;
    }
    std::string first = all.first.substr(strlen("rootfs"));
    /* the root itself */
    first = (first.starts_with('/') ? "" : "/") + first;
    std::cerr << "warning: a ramdisk cannot hold extended attributes: those of "
              << all.files << (all.files == 1 ? " file" : " files")
              << " are left out (the first: "
              << printable(first) << ")";
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

    for (const char *directory : {"dev", "proc", "run", "sys", "tmp", "var"}) {
        cpio.add(std::string("rootfs/") + directory, S_IFDIR | 0755);
    }
    if (options.container) {
        options.container->root.add_to(cpio, "rootfs");
        add_settings(cpio, *options.container);
    } else {
        cpio.add_tree(options.rootfs, "rootfs");
    }
    warn_of_omitted_attributes(cpio);
    check_lists(options.cmd, options.env);
    add_list(cpio, "cmd", options.cmd);
    add_list(cpio, "env", options.env);
    return cpio.write();
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
                        "Give the directory of the enclave's root with"
                        " --rootfs.");
        }
    }
    return {
        options.architecture,
        kernel_of(options.blobs, options.architecture),
        options.cmdline ? *options.cmdline
                        : command_line_of(options.blobs, options.architecture),
        make_metadata(options),
        {first_ramdisk(options.blobs, options.architecture),
         second_ramdisk(options)},
    };
}
