/*
 * The first program of an enclave
 *
 * The layout is that of the image builder for EC2: the first ramdisk has this
 * program and /dev, the second has /rootfs, /cmd and /env (one item per line).
 * This program sends the heartbeat, one byte over vsock, and waits until the
 * parent sends it back.  Then it makes /rootfs the root directory and runs the
 * command there.  When the command ends, the enclave reboots, which ends it.
 *
 * build-enclave may add files that the builder for EC2 does not write:
 *
 *   /cwd          the directory in which the command starts
 *   /user         the ids of the user, the group and the supplementary groups
 *                 that the command runs as, one per line
 *   /cmd0, /env0  replace /cmd and /env where an item contains a newline: here
 *                 each item ends with a NUL byte
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT_CID      3
#define HEARTBEAT_PORT  9000
#define HEARTBEAT       0xb7

/* Where the command is searched if the environment has no PATH.  Container
 * engines use the same directories. */
#define DEFAULT_PATH \
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Linux follows as many links in a path. */
#define MAX_LINKS       40

/* With less than this left, in blocks, the root file system counts as full. */
#define LITTLE_ROOM     16

static void end(void)
{
    sync();
    reboot(RB_AUTOBOOT);
    for (;;) {
        pause();
    }
}

static void fail(const char *what)
{
    fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
    end();
}

/*
 * Change to a directory.  Create it and its parents if they do not exist.  A
 * link in the path may name a directory that does not exist; this is created
 * too.  Such links may be nested `links` times.  Returns -1 with errno set on
 * failure.
 */
static int make_and_enter(char *path, int links)
{
    if (path[0] == '/' && chdir("/")) {
        return -1;
    }
    for (char *name; (name = strsep(&path, "/"));) {
        char target[PATH_MAX] = "";

        if (!name[0]) {
            continue;
        }
        mkdir(name, 0755);
        if (!chdir(name)) {
            continue;
        }
        if (errno != ENOENT || !links ||
            readlink(name, target, sizeof(target) - 1) < 0 ||
            make_and_enter(target, links - 1)) {
            return -1;
        }
    }
    return 0;
}

static void mount_one(const char *type, const char *where, unsigned long flags,
                      const char *options)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", where);
    make_and_enter(path, MAX_LINKS);
    if (chdir("/")) {
        fail("/");
    }
    /* The kernel may lack a file system: the command may not need it. */
    if (mount(type, where, type, flags, options) && errno != EBUSY &&
        errno != ENODEV) {
        fail(where);
    }
}

static void take_console(void)
{
    int fd = open("/dev/console", O_RDWR);

    if (fd < 0) {
        return;
    }
    setsid();
    for (int i = 0; i < 3; i++) {
        dup2(fd, i);
    }
    if (fd > 2) {
        close(fd);
    }
}

/*
 * If the root file system becomes full, the kernel prints a message or nothing,
 * and starts this program.  Files such as /user may be missing then.
 */
static void check_ramdisk(void)
{
    struct statfs st;

    if (statfs("/", &st)) {
        fail("/");
    }
    /* Without a limit, the number of all blocks or files is 0. */
    if ((st.f_blocks && st.f_bfree < LITTLE_ROOM) ||
        (st.f_files && !st.f_ffree)) {
        errno = ENOSPC;
        fail("the enclave needs more memory to unpack its image");
    }
}

static void load_nsm(void)
{
    int fd = open("/nsm.ko", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return;     /* built into the kernel */
    }
    if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST) {
        fail("/nsm.ko");
    }
    close(fd);
    unlink("/nsm.ko");
}

static void send_heartbeat(void)
{
    struct sockaddr_vm parent = {
        .svm_family = AF_VSOCK,
        .svm_cid = PARENT_CID,
        .svm_port = HEARTBEAT_PORT,
    };
    unsigned char byte = HEARTBEAT;
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&parent, sizeof(parent)) ||
        write(fd, &byte, 1) != 1) {
        fail("heartbeat");
    }
    byte = 0;
    if (read(fd, &byte, 1) != 1 || byte != HEARTBEAT) {
        errno = EPROTO;
        fail("heartbeat");
    }
    close(fd);
}

/* Read a file and remove it.  A NUL byte follows the data. */
static char *read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st)) {
        fail(path);
    }
    data = malloc(st.st_size + 1);
    if (!data) {
        fail(path);
    }
    for (*size = 0; *size < (size_t)st.st_size; *size += n) {
        n = read(fd, data + *size, st.st_size - *size);
        if (n <= 0) {
            fail(path);
        }
    }
    data[*size] = '\0';
    close(fd);
    unlink(path);
    return data;
}

/*
 * Split a file into items, each of which ends with `mark`.  The list ends with
 * NULL.  An item may be empty, and the last one may lack its mark.
 */
static char **read_items(const char *path, char mark)
{
    size_t size, items = 1, n = 0;
    char *data = read_file(path, &size), *end = data + size, *next;
    char **list;

    for (char *p = data; p < end; p++) {
        items += *p == mark;
    }
    list = calloc(items + 1, sizeof(*list));
    if (!list) {
        fail(path);
    }
    for (char *item = data; item < end; item = next) {
        char *stop = memchr(item, mark, end - item);

        stop = stop ? stop : end;
        *stop = '\0';
        list[n++] = item;
        next = stop + 1;
    }
    return list;
}

/* Read /cmd or /env, or the file that replaces it. */
static char **read_list(const char *lines, const char *items)
{
    return access(items, F_OK) ? read_items(lines, '\n')
                               : read_items(items, '\0');
}

/* Read the lines of a file that is optional. */
static char **read_settings(const char *path)
{
    static char *none[1];

    return access(path, F_OK) ? none : read_items(path, '\n');
}

/* Read the name of a directory, which may contain newlines; or return NULL. */
static char *read_directory(const char *path)
{
    size_t size;
    char *name;

    if (access(path, F_OK)) {
        return NULL;
    }
    name = read_file(path, &size);
    if (size && name[size - 1] == '\n') {
        name[size - 1] = '\0';
    }
    return name;
}

/* pivot_root() does not work on the initramfs: move /rootfs over it. */
static void enter_rootfs(void)
{
    if (mount("/rootfs", "/rootfs", NULL, MS_BIND, NULL) ||
        chdir("/rootfs")) {
        fail("/rootfs");
    }
    if (mount("/dev", "/rootfs/dev", NULL, MS_MOVE, NULL)) {
        fail("/rootfs/dev");
    }
    if (mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
        fail("/rootfs");
    }
    mount_one("proc", "/proc", MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL);
    mount_one("sysfs", "/sys", MS_NODEV | MS_NOSUID | MS_NOEXEC, NULL);
    mount_one("tmpfs", "/run", MS_NODEV | MS_NOSUID, "mode=0755");
    mount_one("tmpfs", "/tmp", MS_NODEV | MS_NOSUID, NULL);
    mount_one("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, NULL);
    mount_one("tmpfs", "/dev/shm", MS_NODEV | MS_NOSUID, NULL);
    symlink("/proc/self/fd", "/dev/fd");
    symlink("/proc/self/fd/0", "/dev/stdin");
    symlink("/proc/self/fd/1", "/dev/stdout");
    symlink("/proc/self/fd/2", "/dev/stderr");
}

/* Give up root: its user, its group and its supplementary groups. */
static void become(char **user)
{
    gid_t *groups;
    size_t n = 0;

    if (!user[0]) {
        return;
    }
    while (user[n + 1]) {
        n++;
    }
    groups = calloc(n + 1, sizeof(*groups));
    if (!groups) {
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        groups[i] = strtoul(user[i + 1], NULL, 10);
    }
    if (!n) {
        errno = EINVAL;
    }
    /* Programs open /dev/stdout and /dev/stderr, which are the console. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        (void)!fchown(fd, strtoul(user[0], NULL, 10), -1);
    }
    if (!n || setgroups(n - 1, groups + 1) || setgid(groups[0]) ||
        setuid(strtoul(user[0], NULL, 10))) {
        fprintf(stderr, "init: /user: %s\n", strerror(errno));
        _exit(126);
    }
}

/* Create the directory if it does not exist, as container engines do. */
static void enter_directory(char *path)
{
    char *rest = path ? strdup(path) : NULL;

    if (path && (!rest || make_and_enter(rest, MAX_LINKS))) {
        fprintf(stderr, "init: %s: %s\n", path, strerror(errno));
        _exit(126);
    }
}

/*
 * Search the command as execvp() does, but do not give a file of an unknown
 * format to a shell.  Returns only on failure, with errno set.
 */
static void execute(char **command)
{
    const char *path = getenv("PATH"), *end;
    int error = ENOENT;

    if (strchr(command[0], '/')) {
        execv(command[0], command);
        return;
    }
    if (!path) {
        path = DEFAULT_PATH;
    }
    for (; path; path = *end ? end + 1 : NULL) {
        char file[PATH_MAX];

        end = strchrnul(path, ':');
        /* An empty item is the working directory. */
        if (snprintf(file, sizeof(file), "%.*s%s%s", (int)(end - path), path,
                     end > path ? "/" : "./", command[0])
            >= (int)sizeof(file)) {
            continue;
        }
        execv(file, command);
        if (errno == EACCES) {
            error = EACCES;
        } else if (errno != ENOENT && errno != ENOTDIR) {
            return;
        }
    }
    errno = error;
}

static pid_t start(char **command, char **environment, char *directory,
                   char **user)
{
    pid_t pid = fork();

    if (pid == 0) {
        setsid();
        enter_directory(directory);
        become(user);
        environ = environment;
        execute(command);
        fprintf(stderr, "init: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

int main(void)
{
    char **command, **environment, **user, *directory;
    pid_t pid, ended;
    int status;

    mount_one("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, NULL);
    take_console();
    check_ramdisk();
    load_nsm();
    send_heartbeat();

    command = read_list("/cmd", "/cmd0");
    environment = read_list("/env", "/env0");
    directory = read_directory("/cwd");
    user = read_settings("/user");
    if (!command[0]) {
        errno = EINVAL;
        fail("/cmd");
    }
    enter_rootfs();

    pid = start(command, environment, directory, user);
    if (pid < 0) {
        fail("fork");
    }
    /* Orphaned processes become children of this one: reap them too. */
    do {
        ended = wait(&status);
    } while (ended != pid && (ended > 0 || errno == EINTR));
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "init: %s: killed by signal %d\n", command[0],
                WTERMSIG(status));
    } else if (WEXITSTATUS(status)) {
        fprintf(stderr, "init: %s: exit status %d\n", command[0],
                WEXITSTATUS(status));
    }
    end();
}
