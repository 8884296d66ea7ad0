/*
 * What the numbers of errors mean
 *
 * The numbers are those of AWS's nitro-cli, the words are not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "explain.hh"

namespace {

const Explanation explanations[] = {
    {Code::missing_argument, "missing argument",
     "An option that the command cannot do without was not given, or was given"
     "\nwithout its value.  --help after the command's name lists them."},
    {Code::conflicting_argument, "conflicting arguments",
     "Two options exclude each other, or one that counts once is there twice."
     "\nLeave one of them out."},
    {Code::invalid_argument, "invalid argument",
     "A command or option is unknown, or a value is not of the kind that the"
     "\noption takes: a number out of its range, a name with characters that"
     "\nnames cannot have."},
    {Code::file, "file operation failure",
     "A file could not be opened, read, written or renamed.  The message has"
     "\nits path and the system's reason; check the path, the permissions and"
     "\nthe room on the disk."},
    {Code::memory, "insufficient memory requested",
     "The enclave was given less memory than it needs: four times the size of"
     "\nits image, and no less than 64 MiB.  Give more with --memory."},
    {Code::eif, "EIF parsing failure",
     "The file is no enclave image, is damaged, is for another architecture,"
     "\nor its signature does not verify.  Build or fetch it again."},
    {Code::boot, "enclave boot failure",
     "The enclave did not tell that it has booted: its program ended early,"
     "\nthe kernel stopped, or it took too long.  The last lines of its"
     "\nconsole are shown; --debug-mode and console show all of them."},
    {Code::console, "enclave console connection failure",
     "The console cannot be reached.  Only an enclave that was started with"
     "\n--debug-mode or --attach-console has one."},
    {Code::building, "EIF building failure",
     "What was given cannot become an enclave image: a container image is"
     "\ndamaged or has what a ramdisk cannot hold, or there is no command to"
     "\nrun.  The message names the part."},
    {Code::docker_build, "image build failure",
     "docker or podman could not build an image from the folder given with"
     "\n--docker-dir; its own messages stand above."},
    {Code::docker_pull, "image pull failure",
     "docker or podman is not there, or does not have the image given with"
     "\n--docker-uri and could not pull it; its own messages stand above."
     "\nWithout an engine, use --docker-archive or --rootfs."},
    {Code::blobs, "blobs path not set",
     "The kernel, its command line and the init program that every image is"
     "\nbuilt around were not found.  Install them with qemu-nitro-cli, or set"
     "\nNITRO_CLI_BLOBS to a folder with bzImage, cmdline and init."},
    {Code::name, "enclave name failure",
     "No enclave has this name or id, several have it, or the name is of no"
     "\nuse.  describe-enclaves lists those that run."},
    {Code::signature_check, "EIF signature check failure",
     "The image's signature is not its own, or its certificate is not valid"
     "\nnow.  Sign it again with sign-eif."},
    {Code::signing, "EIF signing failure",
     "The image could not be signed: the certificate or the private key is"
     "\nnot PEM, they do not belong together, or the key is not on the curve"
     "\nP-256, P-384 or P-521."},
};

} // namespace

std::optional<Explanation> explain(const std::string &code)
{
    size_t skip = code.size() > 1 && (code[0] == 'E' || code[0] == 'e');
    size_t digits = code.size() - skip;

    if (digits < 1 || digits > 2 ||
        code.find_first_not_of("0123456789", skip) != std::string::npos) {
        return {};
    }
    for (const Explanation &e : explanations) {
        if (static_cast<int>(e.code) == std::stoi(code.substr(skip))) {
            return e;
        }
    }
    return {};
}
