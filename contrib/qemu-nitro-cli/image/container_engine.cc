/*
 * Container images that docker or podman has, can pull or can build
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/container_engine.hh"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/errors.hh"
#include "support/files.hh"
#include "support/process.hh"

namespace {

std::string find_engine()
{
    for (const char *name : {"docker", "podman"}) {
        try {
            return find_program(name);
        } catch (const Error &) {
        }
    }
    throw Error(Code::docker_pull, "neither docker nor podman is installed",
                "Install one, or give --docker-archive or --rootfs, which need"
                " none.");
}

/* Run the engine.  Returns whether it succeeded. */
bool run(const std::vector<std::string> &command, int out, int err)
{
    Descriptor nothing(open("/dev/null", O_RDWR | O_CLOEXEC));
    int status;
    pid_t pid = start_bound(command, {nothing.get(), out < 0 ? nothing.get()
                                                             : out,
                                      err < 0 ? nothing.get() : err, {}});

    if (pid < 0) {
        throw Error(Code::docker_pull, command[0] + ": " + error_text(errno),
                    "Try again when the machine is less busy.");
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Descriptor file_in(const std::string &directory)
{
    Descriptor file = make_nameless_file(directory);

    if (!file) {
        throw Error(Code::file, directory + ": " + error_text(errno),
                    "Give a directory that can be written to with"
                    " --output-file.");
    }
    return file;
}

} // namespace

Descriptor save_image(const std::string &uri,
                      const std::optional<std::string> &build_from,
                      const std::string &platform, const std::string &directory)
{
    std::string engine = find_engine();
    struct stat st;

    /* The engine would read a name that begins with a dash as an option. */
    if (uri.starts_with('-')) {
        throw Error(Code::invalid_argument, "--docker-uri " + uri + " is not"
                    " the name of an image", "Give its name and tag.");
    }
    if (build_from) {
        if (stat(build_from->c_str(), &st) || !S_ISDIR(st.st_mode)) {
            throw Error(Code::file, *build_from + ": no such directory",
                        "Give the directory with the Dockerfile with"
                        " --docker-dir.");
        }
        /* The absolute path does not begin with a dash. */
        std::string from = *build_from;
        from = from.starts_with('/') ? from : "./" + from;
        if (!run({engine, "build", "--platform", platform, "-t", uri,
                  from}, STDERR_FILENO, STDERR_FILENO)) {
            throw Error(Code::docker_build, engine + " could not build "
                        + uri + " from " + *build_from,
                        "See what it says above.");
        }
    } else if (!run({engine, "image", "inspect", uri}, -1, -1) &&
               !run({engine, "pull", "--platform", platform, uri},
                    STDERR_FILENO, STDERR_FILENO)) {
        throw Error(Code::docker_pull, engine + " could not pull " + uri,
                    "See what it says above, and check the image's name.");
    }
    Descriptor file = file_in(directory);
    if (!run({engine, "save", uri}, file.get(), STDERR_FILENO)) {
        throw Error(Code::docker_pull, engine + " could not save " + uri,
                    "See what it says above.");
    }
    lseek(file.get(), 0, SEEK_SET);
    return file;
}
