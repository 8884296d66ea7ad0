/*
 * qemu-nitro-cli: enclave images without EC2
 *
 * Results are JSON on stdout, in the form of AWS's nitro-cli; what goes wrong
 * is two lines on stderr, what and what to do, and the error's number is the
 * exit status.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <getopt.h>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "build_enclave.hh"

namespace {

const char *const build_usage =
    "qemu-nitro-cli build-enclave --rootfs DIR --cmd WORD... --output-file FILE"
    " [OPTION]...\n"
    "\n"
    "Make an enclave image whose root is the folder DIR, and print its\n"
    "measurements.  The same input gives the same measurements anywhere; with\n"
    "SOURCE_DATE_EPOCH set, it gives the same bytes.\n"
    "\n"
    "  --rootfs DIR           what becomes the root\n"
    "  --cmd WORD             of the command that runs there; once for each\n"
    "  --env NAME=VALUE       of its environment; once for each\n"
    "  --output-file FILE     where the image goes\n"
    "  --name, --version TEXT of the image, for its metadata\n"
    "  --cmdline TEXT         the kernel's command line, not that of the blobs\n"
    "  --signing-certificate, --private-key FILE\n"
    "                         PEM: sign the image\n"
    "\n"
    "The kernel, its command line and the init program (bzImage, cmdline, init,\n"
    "and nsm.ko if there is one) come from the folder $NITRO_CLI_BLOBS.\n";

const char *const usage =
    "qemu-nitro-cli COMMAND [OPTION]...\n"
    "\n"
    "  build-enclave          make an enclave image from a folder\n"
    "\n"
    "Each command describes its options with --help.\n";

std::string hex(const Pcr &pcr)
{
    std::string text;
    char digits[3];

    for (uint8_t byte : pcr) {
        snprintf(digits, sizeof(digits), "%02x", byte);
        text += digits;
    }
    return text;
}

void print_measurements(const Measurements &m)
{
    nlohmann::ordered_json json = {
        {"HashAlgorithm", "Sha384 { ... }"},
        {"PCR0", hex(m.pcr0)},
        {"PCR1", hex(m.pcr1)},
        {"PCR2", hex(m.pcr2)},
    };

    if (m.pcr8) {
        json["PCR8"] = hex(*m.pcr8);
    }
    std::cout << nlohmann::ordered_json{{"Measurements", json}}.dump(2)
              << std::endl;
}

/* When the image is built: now, or as SOURCE_DATE_EPOCH has it */
int64_t build_time()
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;

    if (!epoch) {
        return time(nullptr);
    }
    long long value = strtoll(epoch, &end, 10);
    if (!*epoch || *end || value < 0 || value > 253402300799) {
        throw Error(Code::invalid_argument, std::string("SOURCE_DATE_EPOCH=")
                    + epoch + " is no time in seconds",
                    "Set it to the seconds since 1970, or not at all.");
    }
    return value;
}

/* Options of which each takes a value: what was given for which */
using Values = std::map<std::string, std::vector<std::string>>;

/* False if help was asked for. */
bool parse(int argc, char **argv, const std::vector<const char *> &names,
           Values *values)
{
    std::vector<option> options = {{"help", no_argument, nullptr, 'h'}};

    for (const char *name : names) {
        options.push_back({name, required_argument, nullptr, 0});
    }
    options.push_back({});
    opterr = 0;
    for (int index = 0;;) {
        int c = getopt_long(argc, argv, "+:h", options.data(), &index);

        if (c == 'h') {
            return false;
        }
        if (c == -1 && optind == argc) {
            return true;
        }
        if (c != 0) {
            const char *word = argv[c == -1 ? optind : optind - 1];
            bool lacks = c == ':';

            throw Error(lacks ? Code::missing_argument
                              : Code::invalid_argument,
                        std::string(word) + (lacks ? " needs a value"
                                             : " is not an option"),
                        "See --help.");
        }
        (*values)[options[index].name].push_back(optarg);
    }
}

/* The one value of an option that may be there once */
std::optional<std::string> single(const Values &values, const char *name)
{
    auto found = values.find(name);

    if (found == values.end()) {
        return {};
    }
    if (found->second.size() > 1) {
        throw Error(Code::conflicting_argument, std::string("--") + name
                    + " is there twice", "Give it once.");
    }
    return found->second[0];
}

std::string required(const Values &values, const char *name)
{
    std::optional<std::string> value = single(values, name);

    if (!value || value->empty()) {
        throw Error(Code::missing_argument, std::string("--") + name
                    + " is missing", "See --help.");
    }
    return *value;
}

std::optional<Signer> signer(const Values &values)
{
    std::optional<std::string> certificate =
        single(values, "signing-certificate");
    std::optional<std::string> key = single(values, "private-key");

    if (!certificate && !key) {
        return {};
    }
    if (!certificate || !key) {
        throw Error(Code::missing_argument, std::string(certificate ?
                    "--private-key" : "--signing-certificate")
                    + " is missing", "Signing needs both.");
    }
    return Signer{read_file(*certificate), read_file(*key)};
}

void build_enclave(int argc, char **argv)
{
    Values values;
    BuildOptions options;

    if (!parse(argc, argv, {"rootfs", "cmd", "env", "output-file", "name",
                            "version", "cmdline", "signing-certificate",
                            "private-key"}, &values)) {
        std::cout << build_usage;
        return;
    }
    const char *blobs = getenv("NITRO_CLI_BLOBS");
    if (!blobs || !*blobs) {
        throw Error(Code::missing_argument, "NITRO_CLI_BLOBS is not set",
                    "Set it to the folder with bzImage, cmdline and init.");
    }
    options.blobs = blobs;
    options.rootfs = required(values, "rootfs");
    required(values, "output-file");
    if (values["cmd"].empty()) {
        required(values, "cmd");
    }
    options.cmd = values["cmd"];
    options.env = values["env"];
    options.cmdline = single(values, "cmdline");
    options.name = single(values, "name").value_or("enclave");
    options.version = single(values, "version").value_or("1");
    options.build_time = build_time();

    auto [image, measured] = make_eif(build_parts(options), signer(values));
    write_file(required(values, "output-file"), image);
    print_measurements(measured);
}

} // namespace

int main(int argc, char **argv)
{
    try {
        std::string command = argc > 1 ? argv[1] : "";

        if (command == "build-enclave") {
            build_enclave(argc - 1, argv + 1);
        } else if (command == "--help" || command == "help") {
            std::cout << usage;
        } else {
            throw Error(command.empty() ? Code::missing_argument
                                        : Code::invalid_argument,
                        command.empty() ? "no command is given"
                                        : command + " is not a command",
                        "See qemu-nitro-cli --help.");
        }
        return 0;
    } catch (const Error &e) {
        fprintf(stderr, "[ E%02d ] %s\n%s\n", static_cast<int>(e.code),
                e.what(), e.advice.c_str());
        return static_cast<int>(e.code);
    } catch (const std::exception &e) {
        fprintf(stderr, "qemu-nitro-cli: %s\n", e.what());
        return 1;
    }
}
