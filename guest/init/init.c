/*
 * The first program of an enclave
 *
 * Works on the layout that the image builder for EC2 writes: this program and
 * /dev in the first ramdisk; /rootfs, /cmd and /env (one item a line) in the
 * second.  It tells the parent that the enclave has booted (one byte over
 * vsock, which the parent gives back), makes /rootfs the root and runs the
 * command there.  When that ends, the enclave does: it reboots.
 *
 * Two files more may be there, which that builder does not write: /cwd, the
 * folder in which the command starts; and /user, the numbers of the user, the
 * group and further groups that it runs as, one a line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT_CID      3
#define HEARTBEAT_PORT  9000
#define HEARTBEAT       0xb7
#define LIST_MAX        4096    /* items of /cmd or /env */

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

static void mount_one(const char *type, const char *where, unsigned long flags,
                      const char *options)
{
    mkdir(where, 0755);
    /* Not every kernel has every file system. */
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

/* The lines of a file, as a list that ends in NULL. */
static char **read_list(const char *path)
{
    char **list = calloc(LIST_MAX + 1, sizeof(*list));
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    int n = 0;

    if (!f || !list) {
        fail(path);
    }
    while (n < LIST_MAX && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0]) {
            list[n++] = strdup(line);
        }
    }
    free(line);
    fclose(f);
    return list;
}

/* The same, of a file that need not be there and is not left there */
static char **read_settings(const char *path)
{
    static char *none[1];
    char **list = access(path, F_OK) ? none : read_list(path);

    unlink(path);
    return list;
}

/* The first file system cannot be pivoted away from: move over it. */
static void enter_rootfs(void)
{
    if (mount("/rootfs", "/rootfs", NULL, MS_BIND, NULL) ||
        chdir("/rootfs") ||
        mount("/dev", "/rootfs/dev", NULL, MS_MOVE, NULL) ||
        mount(".", "/", NULL, MS_MOVE, NULL) ||
        chroot(".") || chdir("/")) {
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

/* Nobody but the user: nothing of root's is kept. */
static void become(char **user)
{
    gid_t groups[LIST_MAX];
    size_t n = 0;

    if (!user[0]) {
        return;
    }
    for (char **group = user + 1; *group; group++) {
        groups[n++] = strtoul(*group, NULL, 10);
    }
    if (!n) {
        errno = EINVAL;
    }
    if (!n || setgroups(n - 1, groups + 1) || setgid(groups[0]) ||
        setuid(strtoul(user[0], NULL, 10))) {
        fprintf(stderr, "init: /user: %s\n", strerror(errno));
        _exit(126);
    }
}

/* As in a container, a folder that is not there is made. */
static void enter_folder(char *path)
{
    if (!path) {
        return;
    }
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
    mkdir(path, 0755);
    if (chdir(path)) {
        fprintf(stderr, "init: %s: %s\n", path, strerror(errno));
        _exit(126);
    }
}

static pid_t start(char **command, char **environment, char *folder,
                   char **user)
{
    pid_t pid = fork();

    if (pid == 0) {
        setsid();
        enter_folder(folder);
        become(user);
        environ = environment;
        execvp(command[0], command);
        fprintf(stderr, "init: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    return pid;
}

int main(void)
{
    char **command, **environment, **folder, **user;
    pid_t pid, ended;
    int status;

    mount_one("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, NULL);
    take_console();
    load_nsm();
    send_heartbeat();

    command = read_list("/cmd");
    environment = read_list("/env");
    folder = read_settings("/cwd");
    user = read_settings("/user");
    if (!command[0]) {
        errno = EINVAL;
        fail("/cmd");
    }
    unlink("/cmd");
    unlink("/env");
    enter_rootfs();

    pid = start(command, environment, folder[0], user);
    if (pid < 0) {
        fail("fork");
    }
    /* Everything that is orphaned comes here. */
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
