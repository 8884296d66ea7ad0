/*
 * File systems, and being told of what happens in them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "features.h"

#define EXT4_IMAGE      "/ext4.img"     /* which the test adds */
#define EXT4_MAGIC      0xef53
#define FUSE_MESSAGE_MAX (FUSE_MIN_READ_BUFFER * 2)     /* bytes */
#define FUSE_SIZE       4242            /* of our file system's root */

/* Enter an empty directory; mounts are seen by this process only. */
static void enter_new_directory(void)
{
    char name[] = "/tmp/featuresXXXXXX";

    CHECK(!unshare(CLONE_NEWNS));
    CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK(mkdtemp(name));
    CHECK(!chdir(name));
}

/* What is changed in an overlay is copied up; what is removed stays below. */
void use_overlay(void)
{
    enter_new_directory();
    CHECK(!mkdir("lower", 0755) && !mkdir("upper", 0755) &&
          !mkdir("work", 0755) && !mkdir("merged", 0755));
    write_text("lower/changed", "old");
    write_text("lower/removed", "old");
    CHECK(!mount("overlay", "merged", "overlay", 0,
                 "lowerdir=lower,upperdir=upper,workdir=work"));
    CHECK(has_text("merged/changed", "old"));
    write_text("merged/changed", "new");
    CHECK(!unlink("merged/removed"));
    CHECK(has_text("merged/changed", "new"));
    CHECK(access("merged/removed", F_OK));
    CHECK(has_text("lower/changed", "old"));
    CHECK(has_text("lower/removed", "old"));
    CHECK(has_text("upper/changed", "new"));
}

static void answer(int fd, uint64_t unique, int error, const void *data,
                   size_t size)
{
    struct {
        struct fuse_out_header head;
        char data[256];
    } message = {
        .head = { .len = sizeof(message.head) + size, .error = error,
                  .unique = unique },
    };

    if (size) {
        memcpy(message.data, data, size);
    }
    CHECK(write(fd, &message, message.head.len) == message.head.len);
}

/* A file system that has nothing but its root */
static void serve_fuse(int fd)
{
    static const struct fuse_init_out started = {
        .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_write = 4096,
    };
    static const struct fuse_attr_out root = {
        .attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755, .nlink = 2,
                  .size = FUSE_SIZE },
    };
    static char message[FUSE_MESSAGE_MAX]
        __attribute__((aligned(8)));
    const struct fuse_in_header *head = (struct fuse_in_header *)message;

    while (read(fd, message, sizeof(message)) >= (ssize_t)sizeof(*head)) {
        switch (head->opcode) {
        case FUSE_INIT:
            answer(fd, head->unique, 0, &started, sizeof(started));
            break;
        case FUSE_GETATTR:
            answer(fd, head->unique, 0, &root, sizeof(root));
            break;
        case FUSE_FORGET:
        case FUSE_INTERRUPT:
            break;
        default:
            answer(fd, head->unique, -ENOSYS, NULL, 0);
        }
    }
    _exit(0);
}

void use_fuse(void)
{
    char options[64];
    struct stat st;
    pid_t server;
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    enter_new_directory();
    CHECK(!mkdir("mounted", 0755));
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    CHECK(!mount("features", "mounted", "fuse", 0, options));
    server = fork();
    CHECK(server >= 0);
    if (server == 0) {
        serve_fuse(fd);
    }
    CHECK(!stat("mounted", &st));
    CHECK(st.st_size == FUSE_SIZE);
    CHECK(!umount("mounted"));
    CHECK(succeeded(server));
}

void use_ext4(void)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop, file;
    char device[32];
    struct statfs fs;

    CHECK(control >= 0);
    enter_new_directory();
    CHECK(!mkdir("mounted", 0755));
    file = open(EXT4_IMAGE, O_RDWR | O_CLOEXEC);
    CHECK(file >= 0);
    snprintf(device, sizeof(device), "/dev/loop%d",
             ioctl(control, LOOP_CTL_GET_FREE));
    loop = open(device, O_RDWR | O_CLOEXEC);
    CHECK(loop >= 0);
    CHECK(!ioctl(loop, LOOP_SET_FD, file));

    CHECK(!mount(device, "mounted", "ext4", 0, NULL));
    CHECK(!statfs("mounted", &fs) && fs.f_type == EXT4_MAGIC);
    write_text("mounted/file", "kept");
    CHECK(!umount("mounted"));
    CHECK(!mount(device, "mounted", "ext4", MS_RDONLY, NULL));
    CHECK(has_text("mounted/file", "kept"));
    CHECK(!umount("mounted"));
    CHECK(!ioctl(loop, LOOP_CLR_FD));
}

/* Extended attributes and access control lists, which overlays need too */
void use_tmpfs(void)
{
    /* version 2; owner rwx, group r-x, others r-x: as the mode 0755 */
    static const unsigned char list[] = {
        2, 0, 0, 0,
        1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff,
        4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,
        32, 0, 5, 0, 0xff, 0xff, 0xff, 0xff,
    };
    char value[4];

    enter_new_directory();
    write_text("file", "");
    CHECK(!setxattr("file", "trusted.features", "yes", 3, 0));
    CHECK(getxattr("file", "trusted.features", value, sizeof(value)) == 3);
    CHECK(!memcmp(value, "yes", 3));
    CHECK(!setxattr("file", "user.features", "yes", 3, 0));
    CHECK(!setxattr("file", "system.posix_acl_access", list, sizeof(list), 0));
}

void use_inotify(void)
{
    struct {
        struct inotify_event event;
        char name[256];
    } got;
    int fd = inotify_init1(IN_CLOEXEC);

    CHECK(fd >= 0);
    enter_new_directory();
    CHECK(inotify_add_watch(fd, ".", IN_CREATE) >= 0);
    write_text("made", "");
    CHECK(read(fd, &got, sizeof(got)) > (ssize_t)sizeof(got.event));
    CHECK(got.event.mask == IN_CREATE && !strcmp(got.event.name, "made"));
}

void use_fanotify(void)
{
    struct fanotify_event_metadata event;
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY);

    CHECK(fd >= 0);
    enter_new_directory();
    write_text("file", "text");
    CHECK(!fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "file"));
    CHECK(has_text("file", "text"));
    CHECK(read(fd, &event, sizeof(event)) == sizeof(event));
    CHECK(event.mask == FAN_OPEN && event.pid == getpid());
}

void use_file_handles(void)
{
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } it = { .handle.handle_bytes = MAX_HANDLE_SZ };
    char text[4];
    int id, here, fd;

    enter_new_directory();
    write_text("file", "text");
    CHECK(!name_to_handle_at(AT_FDCWD, "file", &it.handle, &id, 0));
    here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = open_by_handle_at(here, &it.handle, O_RDONLY);
    CHECK(fd >= 0);
    CHECK(read(fd, text, 4) == 4 && !memcmp(text, "text", 4));
}
