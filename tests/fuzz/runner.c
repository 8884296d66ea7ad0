/*
 * Runs a fuzz target without a fuzzer: on files, and on mutations of them
 *
 * usage: TARGET [--mutations=N] FILE|DIRECTORY...
 *
 * Each file is a test, with N mutations (0 by default).  These are the same in
 * each run, because they depend only on the bytes of this file and of the files
 * next to it.  An input that crashes the target is written to "crash-input" in
 * the current directory; run the target on this file to reproduce the crash.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "target.h"

#define MAX_SIZE        65536   /* the largest size of a mutation, in bytes */
#define MAX_SECONDS     120     /* for one input */

/* Sanitizers call these for their options: an error must raise a signal. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

/* The current input, or NULL */
static const uint8_t *current_data;
static size_t current_size;

static void on_death(int signal)
{
    static const char text[] = "the input is in ./crash-input\n";
    int fd;

    if (current_data) {
        fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd >= 0 &&
            write(fd, current_data, current_size) == current_size &&
            write(2, text, sizeof(text) - 1) < 0) {
            _exit(1);
        }
    }
    raise(signal);
}

static void watch_for_death(void)
{
    static const int signals[] = { SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE };
    struct sigaction action = {
        .sa_handler = on_death,
        .sa_flags = SA_RESETHAND | SA_NODEFER,
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
}

/* In its own block, so that sanitizers find reads beyond its end */
static void run_one(const GByteArray *input)
{
    g_autofree uint8_t *data = g_memdup2(input->data, input->len);

    current_data = data;
    current_size = input->len;
    alarm(MAX_SECONDS);
    LLVMFuzzerTestOneInput(data, input->len);
    alarm(0);
    current_data = NULL;
}

/* The seeds */

typedef struct Seed {
    char *name;
    GByteArray *bytes;
} Seed;

static void seed_clear(gpointer seed)
{
    g_free(((Seed *)seed)->name);
    g_byte_array_unref(((Seed *)seed)->bytes);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Seed *)a)->name, ((const Seed *)b)->name);
}

static void add_path(GArray *seeds, const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    g_autoptr(GError) err = NULL;
    const char *name;
    gsize size;
    char *data;
    Seed seed;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);

        add_path(seeds, inside);
    }
    if (dir) {
        g_dir_close(dir);
        return;
    }
    if (!g_file_get_contents(path, &data, &size, &err)) {
        g_printerr("%s\n", err->message);
        exit(2);
    }
    seed = (Seed) {
        g_path_get_basename(path), g_byte_array_new_take((guint8 *)data, size)
    };
    g_array_append_val(seeds, seed);
}

/* Mutations */

static size_t up_to(GRand *rand, size_t limit)
{
    return g_rand_int(rand) % (limit + 1);
}

/* A range of @bytes, most often a short one */
static void pick_range(GRand *rand, const GByteArray *bytes, size_t *at,
                       size_t *size)
{
    *at = up_to(rand, bytes->len);
    *size = bytes->len - *at;
    if (up_to(rand, 3)) {
        *size = MIN(*size, up_to(rand, 8));
    }
    *size = up_to(rand, *size);
}

static void insert(GByteArray *bytes, size_t at, const uint8_t *data,
                   size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);
    size_t old = bytes->len;

    if (!size || old + size > MAX_SIZE) {
        return;
    }
    g_byte_array_set_size(bytes, old + size);
    memmove(bytes->data + at + size, bytes->data + at, old - at);
    memcpy(bytes->data + at, copy, size);
}

static void change_number(GRand *rand, GByteArray *bytes)
{
    static const uint64_t numbers[] = {
        0, 1, 0x17, 0x18, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
        0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
    };
    size_t size = MIN(1u << up_to(rand, 3), bytes->len);
    size_t at = up_to(rand, bytes->len - size);
    uint64_t number = numbers[up_to(rand, ARRAY_SIZE(numbers) - 1)];

    for (; size; size--, number >>= 8) {
        bytes->data[at + size - 1] = number;
    }
}

static void mutate(GRand *rand, GByteArray *bytes, const GByteArray *other)
{
    size_t at, size;

    pick_range(rand, bytes, &at, &size);
    switch (up_to(rand, 6)) {
    case 0:
        if (at < bytes->len) {
            bytes->data[at] ^= 1 << up_to(rand, 7);
        }
        break;
    case 1:
        if (at < bytes->len) {
            bytes->data[at] = g_rand_int(rand);
        }
        break;
    case 2:
        change_number(rand, bytes);
        break;
    case 3:
        if (size) {
            g_byte_array_remove_range(bytes, at, size);
        }
        break;
    case 4:
        insert(bytes, up_to(rand, bytes->len), bytes->data + at, size);
        break;
    case 5:
        pick_range(rand, other, &at, &size);
        insert(bytes, up_to(rand, bytes->len), other->data + at, size);
        break;
    default:
        g_byte_array_set_size(bytes, at);
    }
}

static void run_mutations(const GArray *seeds, int index, int count)
{
    const GByteArray *seed = g_array_index(seeds, Seed, index).bytes;
    GRand *rand = g_rand_new_with_seed(index);
    int i;

    for (i = 0; i < count; i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        int n;

        g_byte_array_append(bytes, seed->data, seed->len);
        for (n = up_to(rand, 4); n >= 0; n--) {
            int other = up_to(rand, seeds->len - 1);

            mutate(rand, bytes, g_array_index(seeds, Seed, other).bytes);
        }
        run_one(bytes);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_autoptr(GArray) seeds = g_array_new(false, false, sizeof(Seed));
    int mutations = 0;
    int i;

    g_array_set_clear_func(seeds, seed_clear);
    watch_for_death();
    for (i = 1; i < argc; i++) {
        if (g_str_has_prefix(argv[i], "--mutations=")) {
            mutations = atoi(strchr(argv[i], '=') + 1);
        } else {
            add_path(seeds, argv[i]);
        }
    }
    if (!seeds->len) {
        g_printerr("usage: %s [--mutations=N] FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    g_array_sort(seeds, by_name);
    printf("1..%u\n", seeds->len);
    for (i = 0; i < seeds->len; i++) {
        Seed *seed = &g_array_index(seeds, Seed, i);

        run_one(seed->bytes);
        run_mutations(seeds, i, mutations);
        printf("ok %d %s\n", i + 1, seed->name);
        fflush(stdout);
    }
    return 0;
}
