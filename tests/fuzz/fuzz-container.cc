/*
 * Fuzz target: container images that become the root of an enclave
 *
 * The first byte of an input says what the rest is:
 *   0  an archive, as docker save or another tool writes it
 *   1  a layer, of an image that is right for the rest
 *   2  a configuration, of an image that is right for the rest
 *   3  an index.json, beside a configuration and a layer that it may name
 * Other values mean 0.  The result is written as a ramdisk and discarded.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <algorithm>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "image/container.hh"
#include "support/errors.hh"

extern "C" {
#include "target.h"
}

namespace {

/* A small limit, so that a decompression bomb ends soon */
constexpr UnpackLimit limit = {8 << 20, 1000};

using Files = std::vector<std::pair<std::string, std::string>>;

/* A tar archive of files with short names */
std::string tar_of(const Files &files)
{
    std::string out;

    for (const auto &[name, data] : files) {
        std::string header(512, '\0');
        char text[13];
        unsigned sum = 0;

        header.replace(0, name.size(), name);
        header.replace(100, 7, "0000644");
        header.replace(108, 7, "0000000");
        header.replace(116, 7, "0000000");
        snprintf(text, sizeof(text), "%011zo", data.size());
        header.replace(124, 11, text, 11);
        header.replace(136, 11, "00000000000");
        header.replace(148, 8, "        ");
        header[156] = '0';
        header.replace(257, 5, "ustar");
        header.replace(263, 2, "00");
        for (unsigned char c : header) {
            sum += c;
        }
        snprintf(text, sizeof(text), "%06o", sum);
        header.replace(148, 7, std::string(text) + '\0');
        out += header + data;
        out.append(-out.size() & 511, '\0');
    }
    return out + std::string(1024, '\0');
}

std::string digest_of(const std::string &data)
{
    auto spool = Spool::create("/tmp", 1 << 20);

    spool->write(0, data.data(), data.size());
    return sha256_of({spool, 0, data.size()});
}

std::string config_of(const std::string &layer)
{
    return nlohmann::json{
        {"architecture", "amd64"}, {"os", "linux"},
        {"config", {{"Cmd", {"/run"}}, {"Env", {"A=b"}}, {"User", "u:g"}}},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {digest_of(layer)}}}},
    }.dump();
}

std::string small_layer()
{
    return tar_of({{"etc/passwd", "u:x:1:2::/:\n"}, {"etc/group", "g:x:3:u\n"},
                   {"run", "program"}});
}

/* An archive of docker save */
std::string docker_archive(const std::string &config, const std::string &layer)
{
    std::string manifest = nlohmann::json::array({{
        {"Config", "config.json"}, {"RepoTags", {"a:1"}},
        {"Layers", {"layer.tar"}},
    }}).dump();

    return tar_of({{"manifest.json", manifest}, {"config.json", config},
                   {"layer.tar", layer}});
}

std::string archive_of(uint8_t form, const std::string &rest)
{
    switch (form) {
    case 1:
        return docker_archive(config_of(rest), rest);
    case 2:
        return docker_archive(rest, small_layer());
    case 3:
        return tar_of({{"index.json", rest},
                       {"blobs/sha256/" + digest_of(rest).substr(7), rest}});
    default:
        return rest;
    }
}

/* The size of each file fits in a ramdisk's header. */
void write_out(const Container &container)
{
    Cpio cpio;
    uint64_t size = 0;

    container.root.add_to(cpio, "rootfs");
    ContentPtr content = cpio.write();
    content->copy([&](const uint8_t *, size_t n) { size += n; });
    if (size != content->size()) {
        abort();
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    std::string archive = archive_of(
        *data, std::string(reinterpret_cast<const char *>(data + 1), size - 1));
    Descriptor file(memfd_create("archive", MFD_CLOEXEC));

    if (!file || ::write(file.get(), archive.data(), archive.size()) !=
        static_cast<ssize_t>(archive.size())) {
        abort();
    }
    try {
        write_out(read_container(file, "archive", {{}, false, x86_64}, "/tmp",
                                 limit));
    } catch (const Error &) {
    }
    return 0;
}
