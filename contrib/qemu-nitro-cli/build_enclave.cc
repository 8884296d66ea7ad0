/*
 * The command build-enclave: an image from a folder
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "build_enclave.hh"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "cpio.hh"

namespace {

Bytes bytes(const std::string &text)
{
    return Bytes(text.begin(), text.end());
}

/* Items of /cmd and /env are lines: one cannot hold a line's end. */
Bytes lines(const char *option, const std::vector<std::string> &items)
{
    std::string text;

    for (const std::string &item : items) {
        if (item.find('\n') != std::string::npos) {
            throw Error(Code::invalid_argument, std::string(option)
                        + ": an item has a line's end in it",
                        "Give one item with each option.");
        }
        text += item + "\n";
    }
    return bytes(text);
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

/*
 * What a bzImage says of itself, up to the first blank (Linux,
 * Documentation/arch/x86/boot.rst, kernel_version)
 */
std::string kernel_version(const std::string &path)
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
    bool plain = std::ranges::all_of(version, [](unsigned char c) {
        return c > ' ' && c < 0x7f;
    });
    return plain && version.size() < 100 ? version : "unknown";
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
            {"KernelVersion", kernel_version(options.blobs + "/bzImage")},
        }},
        {"DockerInfo", nullptr},
        {"CustomMetadata", nullptr},
    };
    return json.dump();
}

Bytes first_ramdisk(const std::string &blobs)
{
    Cpio cpio;
    std::string module = blobs + "/nsm.ko";

    cpio.add("dev", S_IFDIR | 0755);
    cpio.add("init", S_IFREG | 0755, read_file(blobs + "/init"));
    if (access(module.c_str(), F_OK) == 0) {
        cpio.add("nsm.ko", S_IFREG | 0644, read_file(module));
    }
    return cpio.write();
}

Bytes second_ramdisk(const BuildOptions &options)
{
    Cpio cpio;

    for (const char *folder : {"dev", "proc", "run", "sys", "tmp", "var"}) {
        cpio.add(std::string("rootfs/") + folder, S_IFDIR | 0755);
    }
    cpio.add_tree(options.rootfs, "rootfs");
    cpio.add("cmd", S_IFREG | 0644, lines("--cmd", options.cmd));
    cpio.add("env", S_IFREG | 0644, lines("--env", options.env));
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
    struct stat st;

    if (stat(options.rootfs.c_str(), &st) || !S_ISDIR(st.st_mode)) {
        throw Error(Code::file, options.rootfs + ": "
                    + error_text(S_ISDIR(st.st_mode) ? errno : ENOTDIR),
                    "Give the folder that becomes the enclave's root with"
                    " --rootfs.");
    }
    return {
        content_of_file(options.blobs + "/bzImage"),
        options.cmdline ? *options.cmdline
                        : first_line(read_file(options.blobs + "/cmdline")),
        make_metadata(options),
        {content_of(first_ramdisk(options.blobs)),
         content_of(second_ramdisk(options))},
    };
}
