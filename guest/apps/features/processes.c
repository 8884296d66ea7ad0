/*
 * Input and output that do not wait, what processes share, and system calls
 * that the C library and runtimes build on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/rseq.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "features.h"

static int new_file(void)
{
    int fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    return fd;
}

void use_aio(void)
{
    int fd = new_file();
    struct iocb request = {
        .aio_data = 42, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd,
        .aio_buf = (uintptr_t)"written", .aio_nbytes = 7, .aio_offset = 1,
    };
    struct iocb *requests[] = { &request };
    aio_context_t context = 0;
    struct io_event event;
    char data[8];

    CHECK(!syscall(SYS_io_setup, 1, &context));
    CHECK(syscall(SYS_io_submit, context, 1, requests) == 1);
    CHECK(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
    CHECK(event.data == 42 && event.res == 7);
    CHECK(pread(fd, data, sizeof(data), 0) == 8);
    CHECK(!memcmp(data, "\0written", 8));
}

void use_io_uring(void)
{
    struct io_uring_params p = { 0 };
    int ring = syscall(SYS_io_uring_setup, 1, &p), fd = new_file();
    struct io_uring_sqe *request;
    struct io_uring_cqe *result;
    char *queue, data[8];

    CHECK(ring >= 0);
    CHECK(p.features & IORING_FEAT_SINGLE_MMAP);
    queue = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                 IORING_OFF_SQ_RING);
    request = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                   IORING_OFF_SQES);
    CHECK(queue != MAP_FAILED && request != MAP_FAILED);
    *request = (struct io_uring_sqe) {
        .opcode = IORING_OP_WRITE, .fd = fd, .user_data = 42, .off = 1,
        .addr = (uintptr_t)"written", .len = 7,
    };
    *(uint32_t *)(queue + p.sq_off.array) = 0;
    __atomic_store_n((uint32_t *)(queue + p.sq_off.tail), 1,
                     __ATOMIC_RELEASE);
    CHECK(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS,
                  NULL, 0) == 1);
    CHECK(__atomic_load_n((uint32_t *)(queue + p.cq_off.tail),
                          __ATOMIC_ACQUIRE) == 1);
    result = (struct io_uring_cqe *)(queue + p.cq_off.cqes);
    CHECK(result->user_data == 42 && result->res == 7);
    CHECK(pread(fd, data, sizeof(data), 0) == 8);
    CHECK(!memcmp(data, "\0written", 8));
}

void use_sysvipc(void)
{
    struct { long type; char text[8]; } sent = { 5, "message" }, got;
    int queue = msgget(IPC_PRIVATE, 0600);
    int semaphore = semget(IPC_PRIVATE, 1, 0600);
    int memory = shmget(IPC_PRIVATE, 4096, 0600);
    struct sembuf up = { .sem_op = 1 }, down = { .sem_op = -1 };
    char *shared;
    pid_t child;

    CHECK(queue >= 0 && semaphore >= 0 && memory >= 0);
    CHECK(!msgsnd(queue, &sent, sizeof(sent.text), 0));
    CHECK(msgrcv(queue, &got, sizeof(got.text), 5, 0) == sizeof(got.text));
    CHECK(!strcmp(got.text, "message"));

    shared = shmat(memory, NULL, 0);
    CHECK(shared != (void *)-1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        shared[0] = 's';
        CHECK(!semop(semaphore, &up, 1));
        _exit(0);
    }
    CHECK(!semop(semaphore, &down, 1));
    CHECK(shared[0] == 's');
    CHECK(succeeded(child));
    CHECK(!msgctl(queue, IPC_RMID, NULL) && !semctl(semaphore, 0, IPC_RMID) &&
          !shmctl(memory, IPC_RMID, NULL));
}

void use_mqueue(void)
{
    struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = 16 };
    mqd_t queue = mq_open("/features", O_RDWR | O_CREAT | O_EXCL, 0600,
                          &attributes);
    unsigned priority;
    char data[16];

    CHECK(queue >= 0);
    CHECK(!mq_send(queue, "low", 3, 1));
    CHECK(!mq_send(queue, "high", 4, 9));
    CHECK(mq_receive(queue, data, sizeof(data), &priority) == 4);
    CHECK(priority == 9 && !memcmp(data, "high", 4));
    CHECK(!mq_unlink("/features"));
}

void use_membarrier(void)
{
    int commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

    CHECK(commands > 0);
    CHECK(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    CHECK(!syscall(SYS_membarrier,
                   MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
}

/* The C library has registered it, if the kernel has it. */
void use_rseq(void)
{
    const struct rseq *mine;

    CHECK(__rseq_size > 0);
    mine = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
    CHECK((int)mine->cpu_id >= 0);
}

/* A page is there when it is first touched, as the other process put it. */
void use_userfaultfd(void)
{
    static char page[4096] __attribute__((aligned(4096))) = "put there";
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct uffdio_copy copy = { .src = (uintptr_t)page, .len = sizeof(page) };
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    char *memory = mmap(NULL, sizeof(page), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(fd >= 0 && memory != MAP_FAILED);
    CHECK(!ioctl(fd, UFFDIO_API, &api));
    range.range.start = copy.dst = (uintptr_t)memory;
    range.range.len = sizeof(page);
    CHECK(!ioctl(fd, UFFDIO_REGISTER, &range));
    CHECK(!ioctl(fd, UFFDIO_COPY, &copy));
    CHECK(!strcmp(memory, "put there"));
}

void use_process_vm(void)
{
    static char theirs[8];
    char data[8] = "";
    struct iovec here = { data, sizeof(data) };
    struct iovec there = { theirs, sizeof(theirs) };
    int ready[2];
    pid_t child;

    CHECK(!pipe(ready));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        strcpy(theirs, "child's");
        CHECK(write(ready[1], "", 1) == 1);
        pause();
    }
    CHECK(read(ready[0], data, 1) == 1);
    CHECK(process_vm_readv(child, &here, 1, &there, 1, 0) == 8);
    CHECK(!strcmp(data, "child's"));
    kill(child, SIGKILL);
}
