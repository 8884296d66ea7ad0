/*
 * The files that are in each image: the kernel, the init program, and modules
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/blobs.hh"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "image/cpio.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string &file, const std::string &why,
                       const std::string &advice)
{
    throw Error(Code::blobs, file + ": " + why, advice);
}

/* Warn of what AWS's builder accepts, although it will not boot. */
void warn(const std::string &file, const std::string &why)
{
    fprintf(stderr, "warning: %s: %s\n", printable(file).c_str(),
            printable(why).c_str());
}

/* The path of one of the blobs; throws Error if it is not there. */
std::string blob(const std::string &blobs, const char *name,
                 const Architecture &architecture)
{
    std::string path = blobs + "/" + name;

    if (access(path.c_str(), F_OK) && (errno == ENOENT || errno == ENOTDIR)) {
        fail(path, error_text(errno), std::string("Set NITRO_CLI_BLOBS to a"
             " directory with ") + architecture.kernel + ", cmdline and"
             " init.");
    }
    return path;
}

/* The first bytes of a file, fewer if it is shorter */
std::string first_bytes(const std::string &path, size_t size)
{
    std::ifstream file(path, std::ios::binary);
    std::string head(size, '\0');

    file.read(head.data(), head.size());
    head.resize(file.gcount());
    return head;
}

void refuse_empty(const std::string &path, const std::string &head)
{
    if (head.empty()) {
        fail(path, "this file is empty", "Check that all of it was copied.");
    }
}

constexpr size_t arm64_header = 64;     /* bytes */

bool is_arm64_kernel(std::string_view head)
{
    constexpr size_t magic_at = 56;     /* Documentation/arch/arm64/booting */

    return head.size() >= arm64_header &&
        head.substr(magic_at).starts_with("ARMd");
}

/* Documentation/arch/x86/boot.rst, "header" */
bool is_bzimage(std::string_view head)
{
    constexpr size_t magic_at = 0x202;

    return head.size() > magic_at &&
        head.substr(magic_at).starts_with("HdrS");
}

/*
 * Check the kernel's format.  Otherwise the error would show only when the
 * enclave does not boot, after the image was measured and signed.
 */
void check_kernel(const std::string &path, const Architecture &architecture)
{
    std::string head = first_bytes(path, 1024);
    bool for_arm = architecture.flags & aarch64.flags;

    refuse_empty(path, head);
    if (for_arm && head.size() < arm64_header) {
        fail(path, "this is not a kernel for aarch64: it has "
             + std::to_string(head.size()) + " bytes, fewer than the "
             + std::to_string(arm64_header) + " of its header",
             "Check that all of it was copied.");
    }
    if (!for_arm && !is_arm64_kernel(head) && !is_bzimage(head)) {
        warn(path, "this is not a bzImage, and no enclave boots it");
    }
    if (is_arm64_kernel(head) && !for_arm) {
        fail(path, "this is a kernel for aarch64", "Give a bzImage, or call"
             " the kernel Image and give --arch aarch64.");
    }
    if (for_arm && head.starts_with("\x1f\x8b")) {
        fail(path, "this kernel is compressed with gzip", "An image for"
             " aarch64 holds the kernel uncompressed: unpack it with gunzip.");
    }
    if (for_arm && !is_arm64_kernel(head)) {
        fail(path, "this is not a kernel for aarch64: it has no \"ARM\\x64\""
             " at byte 56", "Give the file arch/arm64/boot/Image of a kernel"
             " build.");
    }
}

/* The machine that an ELF file is for */
std::optional<unsigned> elf_machine(const std::string &head)
{
    constexpr size_t machine_at = offsetof(Elf64_Ehdr, e_machine);

    if (!head.starts_with(ELFMAG) || head.size() < machine_at + 2) {
        return {};
    }
    return static_cast<uint8_t>(head[machine_at])
        + (static_cast<uint8_t>(head[machine_at + 1]) << 8);
}

[[noreturn]] void refuse_machine(const std::string &path, unsigned machine,
                                 const Architecture &architecture)
{
    fail(path, std::string("this is not for ") + architecture.name
         + ": its ELF machine is " + std::to_string(machine) + ", not "
         + std::to_string(architecture.elf_machine), std::string("Set"
         " NITRO_CLI_BLOBS to a directory with files for ")
         + architecture.name + ".");
}

/* A file that is not ELF may be a script. */
void check_init(const std::string &path, const Architecture &architecture)
{
    std::string head = first_bytes(path, sizeof(Elf64_Ehdr));
    std::optional<unsigned> machine = elf_machine(head);

    refuse_empty(path, head);
    if (!machine || *machine == architecture.elf_machine) {
        return;
    }
    if (*machine != architecture.elf_machine_32) {
        refuse_machine(path, *machine, architecture);
    }
    warn(path, "this is a 32-bit program, which not every kernel and CPU for "
         + std::string(architecture.name) + " runs");
}

/* Init gives a module to the kernel as it is, so it cannot be compressed. */
void check_module(const std::string &path, const Architecture &architecture)
{
    std::string head = first_bytes(path, sizeof(Elf64_Ehdr));
    std::optional<unsigned> machine = elf_machine(head);

    refuse_empty(path, head);
    if (!machine) {
        warn(path, "this is not an ELF file, so init cannot load it; a module"
             " that is compressed has to be unpacked");
    } else if (*machine != architecture.elf_machine) {
        refuse_machine(path, *machine, architecture);
    }
}

bool is_plain_version(const std::string &version)
{
    return version.size() < 100 && std::ranges::all_of(version,
                                                       [](unsigned char c) {
        return c > ' ' && c < 0x7f;
    });
}

/*
 * The version in a bzImage's header, up to the first blank (Linux,
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

/* An uncompressed kernel contains its banner (Linux, init/version.c). */
std::string version_of_image(const std::string &path)
{
    const std::string banner = "Linux version ";
    constexpr size_t piece = 1 << 20, longest = 128;
    std::ifstream file(path, std::ios::binary);
    std::string text;

    for (bool more = true; more;) {
        /* Keep bytes that may be the start of the banner. */
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

/*
 * The path of a module in a line of the list.  Throws Error if the line is not
 * a valid path.
 */
fs::path module_path(const std::string &blobs, const std::string &list,
                     const std::string &line)
{
    fs::path path = fs::path(line).relative_path();
    std::error_code error;
    auto refuse = [&](const std::string &why) {
        fail(list, printable(line) + ": " + why, "Give a path below " + blobs
             + " in each line.");
    };

    if (path.empty() || path != path.lexically_normal() ||
        *path.begin() == ".." ||
        std::ranges::any_of(line, [](unsigned char c) {
            return c < ' ' || c == 0x7f;
        })) {
        refuse("this is not the path of a file");
    }
    /* These would replace other files of the ramdisk. */
    for (const char *other : {"dev", "init", "modules_load_order"}) {
        if (path == other) {
            refuse("this is not a module");
        }
    }
    if (!fs::is_regular_file(blobs + "/" + path.string(), error)) {
        refuse("no such file in " + blobs + (error ? ": " + error.message()
                                                   : ""));
    }
    return path;
}

/*
 * The list of modules that AWS's init loads, in this order, for kernels that
 * need more than nsm.ko.  Each line is a path from the root of the first
 * ramdisk.
 */
void add_modules(Cpio &cpio, const std::string &blobs,
                 const Architecture &architecture)
{
    const std::string list = blobs + "/modules_load_order";
    std::optional<Bytes> text = read_optional_file(list);
    std::set<fs::path> seen;
    auto add = [&](const fs::path &path) {
        std::string file = blobs + "/" + path.string();
        ContentPtr content = content_of_file(file);

        check_module(file, architecture);
        cpio.add(path, S_IFREG | 0644, content);
    };

    if (!text) {
        /* If there is no nsm.ko, the kernel has a built-in NSM driver. */
        if (access((blobs + "/nsm.ko").c_str(), F_OK) == 0) {
            add("nsm.ko");
        }
        return;
    }
    std::istringstream lines(std::string(text->begin(), text->end()));
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) {
            continue;
        }
        fs::path path = module_path(blobs, list, line);
        if (!seen.insert(path).second) {
            fail(list, printable(line) + ": this is listed twice",
                 "Give each module once.");
        }
        add(path);
    }
    if (seen.empty()) {
        warn(list, "this lists no module: the kernel has to have the drivers"
             " built in");
    }
    cpio.add("modules_load_order", S_IFREG | 0644, content_of_file(list));
}

} // namespace

ContentPtr kernel_of(const std::string &blobs,
                     const Architecture &architecture)
{
    std::string path = blob(blobs, architecture.kernel, architecture);
    ContentPtr kernel = content_of_file(path);

    check_kernel(path, architecture);
    return kernel;
}

std::string command_line_of(const std::string &blobs,
                            const Architecture &architecture)
{
    Bytes data = read_file(blob(blobs, "cmdline", architecture));
    std::string text(data.begin(), data.end());

    return text.substr(0, text.find_first_of("\r\n"));
}

std::string kernel_version(const std::string &blobs,
                           const Architecture &architecture)
{
    std::string path = blobs + "/" + architecture.kernel;

    return architecture.flags & aarch64.flags ? version_of_image(path)
                                              : version_of_bzimage(path);
}

ContentPtr first_ramdisk(const std::string &blobs,
                         const Architecture &architecture)
{
    std::string init = blob(blobs, "init", architecture);
    ContentPtr content = content_of_file(init);
    Cpio cpio;

    check_init(init, architecture);
    cpio.add("dev", S_IFDIR | 0755);
    cpio.add("init", S_IFREG | 0755, content);
    add_modules(cpio, blobs, architecture);
    return cpio.write();
}
