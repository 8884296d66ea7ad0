/*
 * The options of build-enclave, and what it prints
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <iostream>

#include "image/builder.hh"
#include "image/container_engine.hh"
#include "support/arguments.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/json.hh"
#include "support/process.hh"

namespace {

namespace fs = std::filesystem;

const char *const build_usage =
    "qemu-nitro-cli build-enclave SOURCE --output-file FILE [OPTION]...\n"
    "\n"
    "Make an enclave image and print its measurements.  The same input gives\n"
    "the same measurements anywhere; with SOURCE_DATE_EPOCH set, it gives the\n"
    "same bytes.  SOURCE is one of:\n"
    "\n"
    "  --rootfs DIR           a directory, which becomes the root; needs --cmd\n"
    "  --docker-archive FILE  a container image: the output of docker save, or\n"
    "                         an OCI archive, which may be compressed;\n"
    "                         --docker-uri NAME chooses one of its images\n"
    "  --docker-uri NAME      an image that docker or podman has or can pull\n"
    "  --docker-uri NAME --docker-dir DIR\n"
    "                         an image that they build from DIR\n"
    "\n"
    "  --cmd WORD             a word of the command to run; repeat it for each\n"
    "                         word.  The default is the container image's Cmd\n"
    "                         or, if it has none, its Entrypoint, as on EC2.\n"
    "  --env NAME=VALUE       a variable of its environment; repeat it for each.\n"
    "                         It replaces that of the container image.\n"
    "  --output-file FILE     the image to write\n"
    "  --name, --version TEXT name and version in the image's metadata\n"
    "  --metadata FILE        a JSON object that is added to the metadata\n"
    "  --cmdline TEXT         the kernel's command line, in place of the blobs'\n"
    "  --arch NAME            x86_64 or aarch64, also spelled amd64 and arm64:\n"
    "                         the image's architecture; the default is that of\n"
    "                         the kernel.  Images for aarch64 run on EC2 only.\n"
    "  --signing-certificate, --private-key FILE\n"
    "                         PEM files to sign the image with\n"
    "\n"
    "The kernel, its command line and the init program come from the directory\n"
    "$NITRO_CLI_BLOBS: bzImage (for aarch64, Image), cmdline, init, and, if there\n"
    "are some, nsm.ko, or modules_load_order and the modules that it lists.  If\n"
    "that is not set, they are those installed with this program, for x86_64.\n";

/* The build time in the metadata: SOURCE_DATE_EPOCH, or else now */
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
                    + epoch + " is not a number of seconds",
                    "Set it to the seconds since 1970, or not at all.");
    }
    return value;
}

/* The user's blobs, or those that were installed or built with this program */
std::string find_blobs()
{
    const char *blobs = getenv("NITRO_CLI_BLOBS");

    if (blobs && *blobs) {
        return blobs;
    }
    for (const std::string &bin : program_directories()) {
        for (const char *place : {"/../lib/qemu-nitro-enclave/blobs",
                                  "/../images/blobs"}) {
            if (access((bin + place + "/bzImage").c_str(), R_OK) == 0) {
                return bin + place;
            }
        }
    }
    throw Error(Code::blobs, "no blobs are installed with this program",
                "Set NITRO_CLI_BLOBS to a directory with bzImage, cmdline and"
                " init.");
}

/* The architecture of --arch, or else of the blobs' kernel */
Architecture choose_architecture(const Arguments &arguments,
                                 const std::string &blobs)
{
    auto has = [&](const Architecture &architecture) {
        return access((blobs + "/" + architecture.kernel).c_str(), F_OK) == 0;
    };

    if (!arguments.has("arch")) {
        return has(aarch64) && !has(x86_64) ? aarch64 : x86_64;
    }
    std::string name = arguments.required("arch");
    std::optional<Architecture> chosen = architecture_of(name);
    if (!chosen) {
        throw Error(Code::invalid_argument, "--arch " + name + " is not known",
                    "Give x86_64 (amd64) or aarch64 (arm64).");
    }
    if (!has(*chosen)) {
        throw Error(Code::blobs, blobs + " has no kernel for " + chosen->name
                    + " (a file " + chosen->kernel + ")", "Set NITRO_CLI_BLOBS"
                    " to a directory with " + std::string(chosen->kernel)
                    + ", cmdline and init.");
    }
    return *chosen;
}

/* The container image that the options name; none with --rootfs */
std::optional<Container> container_of(const Arguments &arguments,
                                      const Architecture &architecture,
                                      const std::string &directory)
{
    std::optional<std::string> uri = arguments.single("docker-uri");

    if (arguments.has("rootfs")) {
        return {};
    }
    if (arguments.has("docker-archive")) {
        std::string path = arguments.required("docker-archive");
        Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));

        if (!file) {
            throw Error(Code::file, path + ": " + error_text(errno),
                        "Check that the file exists and can be read.");
        }
        return read_container(file, path, {uri, false, architecture},
                              directory);
    }
    Descriptor file = save_image(arguments.required("docker-uri"),
                                 arguments.single("docker-dir"),
                                 architecture.platform, directory);
    return read_container(file, *uri, {uri, true, architecture}, directory);
}

/* There must be one source, and no option that needs another source. */
void check_source(const Arguments &arguments)
{
    auto both = [&](const char *a, const char *b) {
        if (arguments.has(a) && arguments.has(b)) {
            throw Error(Code::conflicting_argument, std::string("--") + a
                        + " and --" + b + " exclude each other",
                        "Leave one of them out.");
        }
    };

    both("rootfs", "docker-archive");
    both("rootfs", "docker-uri");
    both("rootfs", "docker-dir");
    both("docker-archive", "docker-dir");
    if (arguments.has("docker-dir")) {
        arguments.required("docker-uri");
    }
    if (arguments.has("rootfs")) {
        arguments.required("rootfs");
        if (!arguments.has("cmd")) {
            arguments.required("cmd");
        }
    } else if (!arguments.has("docker-archive") &&
               !arguments.has("docker-uri")) {
        throw Error(Code::missing_argument, "none of --rootfs,"
                    " --docker-archive and --docker-uri is there",
                    "Say what the image is made of.  See --help.");
    }
}

/* AWS's init runs the Cmd, or the Entrypoint if there is none. */
std::vector<std::string> command_of(const Container &container)
{
    if (container.cmd.empty() && container.entrypoint.empty()) {
        throw Error(Code::building, "the container image has neither Cmd nor"
                    " Entrypoint", "Give the command with --cmd.");
    }
    if (!container.cmd.empty() && !container.entrypoint.empty()) {
        std::cerr << "The container image's Entrypoint is left out, as on EC2:"
                     " its Cmd is the command.\n";
    }
    return container.cmd.empty() ? container.entrypoint : container.cmd;
}

nlohmann::json custom_metadata(const Arguments &arguments)
{
    if (!arguments.has("metadata")) {
        return nullptr;
    }
    std::string path = arguments.required("metadata");
    return parse_json(read_file(path), path, Code::invalid_argument,
                      "Give a file with a JSON object with --metadata.");
}

/* Check for errors that would show only in the enclave, or that would change
 * the measurements */
void check_texts(const Arguments &arguments)
{
    const char *advice = "See qemu-nitro-cli build-enclave --help.";
    auto invalid = [advice](const std::string &what) {
        throw Error(Code::invalid_argument, what, advice);
    };
    std::vector<std::string> cmd = arguments.all("cmd");

    if (!cmd.empty() && cmd[0].empty()) {
        invalid("--cmd begins with an empty word, which is no program");
    }
    for (const std::string &item : arguments.all("env")) {
        if (item.find('=') == std::string::npos || item[0] == '=') {
            invalid("--env " + item + " is not NAME=VALUE");
        }
    }
    for (const char *option : {"name", "version"}) {
        if (!is_utf8(arguments.single(option).value_or(""))) {
            invalid(std::string("--") + option + " is not UTF-8");
        }
    }
    for (unsigned char c : arguments.single("cmdline").value_or("")) {
        if (c < ' ' || c == 0x7f) {
            invalid("--cmdline has the control character "
                    + std::to_string(c) + " in it");
        }
    }
}

/* If the image was in its own root, the next build would include it. */
void check_output_is_elsewhere(const std::string &output,
                               const std::string &rootfs)
{
    fs::path root = fs::weakly_canonical(rootfs) / "";
    fs::path parent = fs::weakly_canonical(fs::absolute(output).parent_path())
        / "";

    if (parent.native().starts_with(root.native())) {
        throw Error(Code::conflicting_argument, "--output-file " + output
                    + " is in the directory given with --rootfs",
                    "Write the image somewhere else: it would be part of the"
                    " next one.");
    }
}

/* The image replaces the output file when it is complete. */
void check_output_is_no_input(const Arguments &arguments)
{
    std::string output = arguments.required("output-file");
    struct stat st, other;

    if (stat(output.c_str(), &st)) {
        return;                     /* a new file */
    }
    for (const char *option : {"docker-archive", "metadata", "private-key",
                               "signing-certificate"}) {
        std::string input = arguments.single(option).value_or("");

        if (!input.empty() && stat(input.c_str(), &other) == 0 &&
            other.st_dev == st.st_dev && other.st_ino == st.st_ino) {
            throw Error(Code::conflicting_argument, "--output-file " + output
                        + " is the file of --" + option,
                        "Write the image to another file.");
        }
    }
}

/*
 * The image's environment with the variables of the options.  An option
 * replaces a variable of the same name, because getenv(3) would find the first
 * one.
 */
std::vector<std::string> merged(std::vector<std::string> env,
                                const std::vector<std::string> &added)
{
    for (const std::string &item : added) {
        std::string name = item.substr(0, item.find('=') + 1);
        auto same = [&](const std::string &other) {
            return other.starts_with(name);
        };
        auto first = std::ranges::find_if(env, same);

        if (first == env.end()) {
            env.push_back(item);
        } else {
            *first = item;
            env.erase(std::remove_if(first + 1, env.end(), same), env.end());
        }
    }
    return env;
}

/* Set the command and the names from the container image if no option does. */
void take_defaults(BuildOptions &options,
                   const std::optional<std::string> &uri)
{
    const Container &container = *options.container;
    std::string name = uri.value_or(container.name);

    if (options.cmd.empty()) {
        options.cmd = command_of(container);
    }
    options.env = merged(container.env, options.env);
    name = name.substr(0, name.find(':'));
    options.name = name.empty() ? "enclave" : name;
    options.version = container.id;
}

} // namespace

void build_enclave_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, {
        {"rootfs"}, {"docker-archive"}, {"docker-uri"}, {"docker-dir"},
        {"cmd"}, {"env"}, {"output-file"}, {"name"}, {"version"},
        {"metadata"}, {"cmdline"}, {"arch"}, {"signing-certificate"},
        {"private-key"},
    });
    BuildOptions options;

    if (arguments.help()) {
        std::cout << build_usage;
        return;
    }
    check_source(arguments);
    check_texts(arguments);
    if (arguments.has("rootfs")) {
        check_output_is_elsewhere(arguments.required("output-file"),
                                  arguments.required("rootfs"));
    }
    check_output_is_no_input(arguments);
    AtomicFile file(arguments.required("output-file"));
    std::optional<Signer> signer = signer_of(arguments);

    options.blobs = find_blobs();
    options.architecture = choose_architecture(arguments, options.blobs);
    options.rootfs = arguments.single("rootfs").value_or("");
    options.cmd = arguments.all("cmd");
    options.env = merged({}, arguments.all("env"));
    options.cmdline = arguments.single("cmdline");
    options.name = "enclave";
    options.version = "1";
    options.custom = custom_metadata(arguments);
    options.build_time = build_time();
    options.container = container_of(arguments, options.architecture,
                                     file.directory());
    if (options.container) {
        take_defaults(options, arguments.single("docker-uri"));
    }
    options.name = arguments.single("name").value_or(options.name);
    options.version = arguments.single("version").value_or(options.version);

    EifParts parts = build_parts(options);
    std::cerr << "Start building the Enclave Image...\n";
    Measurements measured = write_eif(file, parts,
                                      signer ? &*signer : nullptr);
    file.commit();
    std::cerr << "Enclave Image successfully created.\n";
    print_json({{"Measurements", to_json(measured)}},
               arguments.required("output-file"));
}
