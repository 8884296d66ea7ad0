/*
 * Tests of hw/core/eif.c, the reader of enclave image files
 *
 * The images, their CRC and the measurements to compare with come from
 * eif-image.c, which shares no code with the reader; the measurements of one
 * image are constants, computed with Python's hashlib.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/core/eif.h"
#include "eif-image.h"

#define NOW             1700000000      /* seconds since 1970 */
#define NUM_CURVES      3

static char *image_path;
static unsigned threads_before;

static const gnutls_ecc_curve_t curves[NUM_CURVES] = {
    GNUTLS_ECC_CURVE_SECP256R1,
    GNUTLS_ECC_CURVE_SECP384R1,
    GNUTLS_ECC_CURVE_SECP521R1,
};

static unsigned count_entries(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;

    while (dir && g_dir_read_name(dir)) {
        count++;
    }
    return count;
}

/* The kernel lists a joined thread for a moment longer. */
static void assert_no_threads_left(void)
{
    int i;

    for (i = 0; i < 1000; i++) {
        if (count_entries("/proc/self/task") == threads_before) {
            return;
        }
        g_usleep(10000);
    }
    g_assert_cmpuint(count_entries("/proc/self/task"), ==, threads_before);
}

/* One line that names @path and has @words; frees *@err. */
static void assert_error(Error **err, const char *path, const char *words)
{
    const char *message;

    g_assert_nonnull(*err);
    message = error_get_pretty(*err);
    if (!strstr(message, path) || !strstr(message, words) ||
        strchr(message, '\n')) {
        g_error("expected '%s' and '%s' in one line: %s", path, words,
                message);
    }
    error_free(*err);
    *err = NULL;
}

static void assert_not_opened(const char *path, const char *words)
{
    Error *err = NULL;

    g_assert_null(eif_open(path, &err));
    assert_error(&err, path, words);
}

static void assert_bytes_not_opened(const GByteArray *bytes, const char *words)
{
    test_eif_write(image_path, bytes);
    assert_not_opened(image_path, words);
}

static GByteArray *text(const char *string)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, (const uint8_t *)string, strlen(string));
    return bytes;
}

static EifImage *open_eif(TestEif *eif)
{
    g_autoptr(GByteArray) bytes = test_eif_build(eif);

    test_eif_write(image_path, bytes);
    return eif_open(image_path, &error_abort);
}

static GByteArray *pattern(size_t size, unsigned seed)
{
    GByteArray *bytes = g_byte_array_new();
    size_t i;

    g_byte_array_set_size(bytes, size);
    for (i = 0; i < size; i++) {
        bytes->data[i] = i * 7 + seed + (i >> 8);
    }
    return bytes;
}

/* The image of the constants below; its sections span several pieces. */
static void add_usual_sections(TestEif *eif)
{
    eif->version = 4;
    test_eif_add(eif, EIF_SECTION_KERNEL, pattern(3000, 1));
    test_eif_add(eif, EIF_SECTION_CMDLINE, text("console=ttyS0 quiet"));
    test_eif_add(eif, EIF_SECTION_METADATA, text("{}"));
    test_eif_add(eif, EIF_SECTION_RAMDISK, pattern(600000, 2));
    test_eif_add(eif, EIF_SECTION_RAMDISK, pattern(1000001, 3));
    test_eif_add(eif, EIF_SECTION_RAMDISK, pattern(5, 4));
}

static const char usual_pcr0[] =
    "939bf5ebd83e96bf5d8180d4804a1d6e946ed958d9338e0d"
    "e12150fb47c7284a3503b2d2cc8cc22e216f21ef8a813ee2";
static const char usual_pcr1[] =
    "d59870fc4fdc44230b57c520e564c4458a1377bb838953cb"
    "d344d9629fdd03cdfaaac32be5e452205de9cf5db2017f3a";
static const char usual_pcr2[] =
    "53582c5575f224aa2fe8b2b9b43858156c320a4ee196fe3a"
    "d86ce38f3a06b8f3683160aca7fc8275c4277707519d2e0f";
static const char pcr_of_nothing[] =
    "21b9efbc184807662e966d34f390821309eeac6802309798"
    "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a";

static void assert_pcr(const uint8_t pcr[EIF_PCR_SIZE], const char *hex)
{
    g_autoptr(GByteArray) expected = test_hex(hex);

    g_assert_cmpmem(pcr, EIF_PCR_SIZE, expected->data, expected->len);
}

/* The other way: what @pcr measures, a list that ends in NULL */
static void assert_pcr_of(const uint8_t pcr[EIF_PCR_SIZE],
                          const GByteArray *const *parts)
{
    uint8_t expected[EIF_PCR_SIZE];

    test_eif_pcr(expected, parts);
    g_assert_cmpmem(pcr, EIF_PCR_SIZE, expected, sizeof(expected));
}

/* A sink that collects, and can fail or cut the file short. */
typedef struct Target {
    const EifImage *image;
    GByteArray *got[EIF_MAX_SECTIONS];
    unsigned calls;
    unsigned fail_at;       /* the call that fails, from 1 on */
    off_t cut_to;           /* the file's size after the first call, or 0 */
} Target;

static bool target_data(void *opaque, const EifSection *section,
                        uint64_t offset, const void *data, size_t size,
                        Error **errp)
{
    Target *target = opaque;
    GByteArray **got = &target->got[section - target->image->sections];

    target->calls++;
    if (target->cut_to && target->calls == 1) {
        g_assert_cmpint(truncate(image_path, target->cut_to), ==, 0);
    }
    if (target->calls == target->fail_at) {
        error_setg(errp, "%s: the sink is full", image_path);
        return false;
    }
    if (!*got) {
        *got = g_byte_array_new();
    }
    g_assert_cmpuint((*got)->len, ==, offset);
    g_byte_array_append(*got, data, size);
    return true;
}

static void target_clear(Target *target)
{
    int i;

    for (i = 0; i < EIF_MAX_SECTIONS; i++) {
        g_clear_pointer(&target->got[i], g_byte_array_unref);
    }
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

static void check_load(EifImage *image, const TestEif *eif)
{
    g_auto(Target) target = { .image = image };
    EifSink sink = { .data = target_data, .opaque = &target };
    g_auto(EifResult) result = { };
    unsigned i;

    eif_load(image, &sink, &result, &error_abort);
    g_assert_true(eif_check_crc(image, &result, &error_abort));
    assert_pcr(result.pcr0, usual_pcr0);
    assert_pcr(result.image_pcr0, usual_pcr0);
    assert_pcr(result.pcr1, usual_pcr1);
    assert_pcr(result.pcr2, usual_pcr2);
    for (i = 0; i < eif->num_sections; i++) {
        const GByteArray *data = eif->sections[i].data;

        g_assert_nonnull(target.got[i]);
        g_assert_cmpmem(target.got[i]->data, target.got[i]->len, data->data,
                        data->len);
    }
    g_assert_true(eif_verify_signature(image, &result, NOW, &error_abort));
    assert_no_threads_left();
}

/* Twice, as a machine does that is reset */
static void test_load(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;

    add_usual_sections(&eif);
    image = open_eif(&eif);
    check_load(image, &eif);
    check_load(image, &eif);
}

/* What no section covers is neither measured nor a part of the CRC. */
static void test_gaps(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(EifImage) image = NULL;

    add_usual_sections(&eif);
    eif.sections[0].gap = 3;
    eif.sections[4].gap = 4097;
    eif.tail = 99;
    image = open_eif(&eif);
    check_load(image, &eif);
}

/* A command line behind the ramdisks is in PCR0 and PCR1, in that order. */
static void test_cmdline_last(void)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };
    const GByteArray *parts[4] = { };

    test_eif_add(&eif, EIF_SECTION_KERNEL, pattern(10, 1));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, pattern(20, 2));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, pattern(30, 3));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text("x"));
    image = open_eif(&eif);
    eif_load(image, NULL, &result, &error_abort);
    parts[0] = eif.sections[0].data;
    parts[1] = eif.sections[1].data;
    parts[2] = eif.sections[3].data;
    assert_pcr_of(result.pcr1, parts);
}

static void test_one_ramdisk(void)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(EifImage) image = NULL;
    g_auto(EifResult) result = { };

    test_eif_add(&eif, EIF_SECTION_KERNEL, pattern(10, 1));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text(""));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, pattern(20, 2));
    image = open_eif(&eif);
    eif_load(image, NULL, &result, &error_abort);
    assert_pcr(result.pcr2, pcr_of_nothing);
}

/* Load the image with the ramdisk @data added. */
static void load_with_ramdisk(TestEif *eif, const GByteArray *data,
                              EifResult *result)
{
    g_autofree char *path = g_strconcat(image_path, ".ramdisk", NULL);
    g_autoptr(EifImage) image = open_eif(eif);
    Error *err = NULL;

    test_eif_write(path, data);
    g_assert_true(eif_add_ramdisk(image, path, &error_abort));
    g_assert_false(eif_add_ramdisk(image, path, &err));
    assert_error(&err, image_path, "cannot be added");
    unlink(path);
    eif_load(image, NULL, result, &error_abort);
    g_assert_true(eif_check_crc(image, result, &error_abort));
}

/* The last ramdisk of the usual image, added instead */
static void test_added_ramdisk(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) added = NULL;
    g_auto(EifResult) result = { };
    const GByteArray *parts[5] = { };

    add_usual_sections(&eif);
    added = eif.sections[--eif.num_sections].data;
    load_with_ramdisk(&eif, added, &result);
    assert_pcr(result.pcr0, usual_pcr0);
    assert_pcr(result.pcr1, usual_pcr1);
    assert_pcr(result.pcr2, usual_pcr2);

    parts[0] = eif.sections[0].data;
    parts[1] = eif.sections[1].data;
    parts[2] = eif.sections[3].data;
    parts[3] = eif.sections[4].data;
    assert_pcr_of(result.image_pcr0, parts);
}

/* It is not the first ramdisk even where there is no other. */
static void test_added_only_ramdisk(void)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(GByteArray) added = pattern(300000, 4);
    g_auto(EifResult) result = { };
    const GByteArray *parts[4] = { };
    const GByteArray *ramdisk[2] = { added, NULL };

    test_eif_add(&eif, EIF_SECTION_KERNEL, pattern(10, 1));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text("x"));
    load_with_ramdisk(&eif, added, &result);
    parts[0] = eif.sections[0].data;
    parts[1] = eif.sections[1].data;
    assert_pcr_of(result.image_pcr0, parts);
    assert_pcr_of(result.pcr1, parts);
    parts[2] = added;
    assert_pcr_of(result.pcr0, parts);
    assert_pcr_of(result.pcr2, ramdisk);
}

/* One field of the usual image overwritten, in big-endian order */
static const struct {
    unsigned at;
    unsigned width;
    uint64_t value;
    const char *words;
} broken_fields[] = {
    { 0x000, 1, 0x7f, "7f 65 69 66" },
    { 0x004, 2, 0, "version 0" },
    { 0x004, 2, 1, "version 1" },
    { 0x004, 2, 5, "version 5" },
    { 0x004, 2, 2, "metadata section" },
    { 0x004, 2, 3, "metadata section" },
    { 0x006, 2, 1, "aarch64" },
    { 0x01a, 2, 0, "0 sections" },
    { 0x01a, 2, 1, "1 sections" },
    { 0x01a, 2, 33, "33 sections" },
    { 0x01a, 2, 2, "no metadata" },
    { 0x01c, 8, 547, "overlaps the header" },
    { 0x024, 8, 548, "ascending" },
    { 0x024, 8, 560, "overlaps the section" },
    { 0x044, 8, UINT64_MAX, "2^64" },
    { 0x044, 8, UINT64_MAX - 12, "2^64" },
    { 0x11c, 8, UINT64_MAX, "2^64" },
    { 0x11c, 8, 2999, "2999" },
    { 0x144, 8, 6, "shorter" },
    { 548, 2, 0, "type 0" },
    { 548, 2, 6, "type 6" },
    { 548, 2, 2, "second command line" },
    { 548, 2, 3, "ramdisk before the kernel" },
    { 552, 8, 2999, "2999" },
};

static void test_broken_fields(void)
{
    g_auto(TestEif) eif = { };
    g_autoptr(GByteArray) good = NULL;
    unsigned fds = count_entries("/proc/self/fd");
    unsigned i, k;

    add_usual_sections(&eif);
    good = test_eif_build(&eif);
    for (i = 0; i < ARRAY_SIZE(broken_fields); i++) {
        g_autoptr(GByteArray) bad = g_byte_array_new();

        g_byte_array_append(bad, good->data, good->len);
        for (k = 0; k < broken_fields[i].width; k++) {
            unsigned shift = 8 * (broken_fields[i].width - 1 - k);

            bad->data[broken_fields[i].at + k] =
                broken_fields[i].value >> shift;
        }
        assert_bytes_not_opened(bad, broken_fields[i].words);
    }
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
}

/* Images of kernel (10 bytes unless said), command line and others */
static const struct {
    uint16_t version;
    uint16_t types[4];
    size_t sizes[4];
    const char *words;
} broken_sections[] = {
    { 2, { 1, 3 }, { 10, 10 }, "no command line" },
    { 2, { 2, 2 }, { 10, 10 }, "second command line" },
    { 2, { 2, 4 }, { 10, 10 }, "signature" },
    { 3, { 2, 4 }, { 10, 10 }, "no kernel" },
    { 2, { 1, 1, 2 }, { 10, 10, 10 }, "second kernel" },
    { 2, { 1, 2 }, { 0, 10 }, "empty" },
    { 2, { 1, 2, 4 }, { 10, 10, 10 }, "version 2" },
    { 3, { 1, 2, 4 }, { 10, 10, 32769 }, "32769" },
    { 3, { 1, 2, 4, 4 }, { 10, 10, 10, 10 }, "second signature" },
    { 4, { 1, 2 }, { 10, 10 }, "no metadata" },
    { 4, { 1, 2, 5, 5 }, { 10, 10, 10, 10 }, "second metadata" },
};

static void test_broken_sections(void)
{
    unsigned i, k;

    for (i = 0; i < ARRAY_SIZE(broken_sections); i++) {
        g_auto(TestEif) eif = { .version = broken_sections[i].version };
        g_autoptr(GByteArray) bytes = NULL;

        for (k = 0; k < 4 && broken_sections[i].types[k]; k++) {
            test_eif_add(&eif, broken_sections[i].types[k],
                         pattern(broken_sections[i].sizes[k], k));
        }
        bytes = test_eif_build(&eif);
        assert_bytes_not_opened(bytes, broken_sections[i].words);
    }
}

static void test_short_files(void)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(GByteArray) bytes = NULL;

    test_eif_add(&eif, EIF_SECTION_KERNEL, pattern(10, 1));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text("x"));
    bytes = test_eif_build(&eif);
    while (bytes->len) {
        g_byte_array_set_size(bytes, bytes->len - 1);
        assert_bytes_not_opened(bytes, "shorter");
    }
}

static void test_not_a_file(void)
{
    g_autofree char *dir = g_path_get_dirname(image_path);
    g_autofree char *fifo = g_strconcat(image_path, ".fifo", NULL);

    assert_not_opened(dir, "directory");
    assert_not_opened("/dev/null", "regular");
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    assert_not_opened(fifo, "regular");
    unlink(fifo);
    assert_not_opened(fifo, "No such file");
}

/* Any bit of an image without gaps matters to a check or to the CRC. */
static void test_flipped_bits(void)
{
    g_auto(TestEif) eif = { .version = 4 };
    g_autoptr(GByteArray) bytes = NULL;
    unsigned i;

    test_eif_add(&eif, EIF_SECTION_KERNEL, pattern(40, 1));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text("cmd"));
    test_eif_add(&eif, EIF_SECTION_METADATA, text("{}"));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, pattern(30, 9));
    bytes = test_eif_build(&eif);
    for (i = 0; i < bytes->len * 8; i++) {
        g_autoptr(EifImage) image = NULL;
        g_auto(EifResult) result = { };
        Error *err = NULL;

        bytes->data[i / 8] ^= 1 << i % 8;
        test_eif_write(image_path, bytes);
        bytes->data[i / 8] ^= 1 << i % 8;
        image = eif_open(image_path, &err);
        if (image) {
            eif_load(image, NULL, &result, &error_abort);
            g_assert_false(eif_check_crc(image, &result, &err));
        }
        assert_error(&err, image_path, "");
    }
}

/* An image of more pieces than eif_load() has room for */
static void check_failing_load(unsigned fail_at, off_t cut_to,
                               const char *words)
{
    g_auto(TestEif) eif = { .version = 2 };
    g_autoptr(EifImage) image = NULL;
    g_auto(Target) target = { .fail_at = fail_at, .cut_to = cut_to };
    EifSink sink = { .data = target_data, .opaque = &target };
    EifResult result;
    Error *err = NULL;

    test_eif_add(&eif, EIF_SECTION_KERNEL, test_eif_bytes(1, 9 * MiB + 3));
    test_eif_add(&eif, EIF_SECTION_CMDLINE, text("c"));
    test_eif_add(&eif, EIF_SECTION_RAMDISK, pattern(9, 1));
    image = open_eif(&eif);
    target.image = image;
    g_assert_false(eif_load(image, &sink, &result, &err));
    assert_error(&err, image_path, words);
    g_assert_null(result.signature);
    assert_no_threads_left();
}

static void test_failing_sink(void)
{
    unsigned i;

    for (i = 1; i < 12; i++) {
        check_failing_load(i, 0, "the sink is full");
    }
}

static void test_shrinking_file(void)
{
    unsigned i;

    for (i = 1; i < 9; i++) {
        check_failing_load(0, i * 1000000, "shorter");
    }
}

/* Signatures: only the section is needed, and what is said to be measured */

static const EifImage signed_image = { .path = (char *)"signed.eif" };
static const uint8_t signed_pcr0[EIF_PCR_SIZE] = { 1, 0xff, 24, 255 };

/* Takes @section. */
static void result_init(EifResult *result, GByteArray *section)
{
    *result = (EifResult) { .signature = section };
    memcpy(result->image_pcr0, signed_pcr0, EIF_PCR_SIZE);
}

/* Takes @section. */
static void assert_not_verified(GByteArray *section, int64_t now,
                                const char *words)
{
    static const uint8_t zero[EIF_PCR_SIZE];
    g_auto(EifResult) result = { };
    Error *err = NULL;

    result_init(&result, section);
    g_assert_false(eif_verify_signature(&signed_image, &result, now, &err));
    assert_error(&err, signed_image.path, words);
    g_assert_cmpmem(result.pcr8, EIF_PCR_SIZE, zero, EIF_PCR_SIZE);
}

static void check_verified(const TestSigner *signer, const TestSignature *how)
{
    const GByteArray *der[] = { signer->der, NULL };
    g_auto(EifResult) result = { };

    result_init(&result, test_sign(signer, signed_pcr0, how));
    g_assert_true(eif_verify_signature(&signed_image, &result, NOW,
                                       &error_abort));
    assert_pcr_of(result.pcr8, der);
}

static TestSigner *usual_signer(unsigned curve)
{
    return test_signer_new(curves[curve], NOW - 10, NOW + 10);
}

/* Every curve with every way to write its bytes down */
static void test_signed(void)
{
    unsigned i, form;

    for (i = 0; i < NUM_CURVES; i++) {
        g_autoptr(TestSigner) signer = usual_signer(i);

        for (form = 0; form < FORM__MAX; form++) {
            TestSignature how = { .form = form };

            check_verified(signer, &how);
            how.tagged = true;
            check_verified(signer, &how);
            how.indefinite = true;
            check_verified(signer, &how);
        }
    }
}

static void test_validity(void)
{
    g_autoptr(TestSigner) signer = usual_signer(1);
    TestSignature how = { };
    g_auto(EifResult) result = { };

    result_init(&result, test_sign(signer, signed_pcr0, &how));
    g_assert_true(eif_verify_signature(&signed_image, &result, NOW - 10,
                                       &error_abort));
    g_assert_true(eif_verify_signature(&signed_image, &result, NOW + 10,
                                       &error_abort));
    assert_not_verified(test_sign(signer, signed_pcr0, &how), NOW - 11,
                        "valid only from");
    assert_not_verified(test_sign(signer, signed_pcr0, &how), NOW + 11,
                        "expired");
}

static void test_other_pcr0(void)
{
    g_autoptr(TestSigner) signer = usual_signer(1);
    uint8_t other[EIF_PCR_SIZE] = { 2 };
    TestSignature how = { };

    assert_not_verified(test_sign(signer, other, &how), NOW, "another image");
}

static void check_bad_signature(const TestSigner *signer, TestSignature how,
                                const char *words)
{
    assert_not_verified(test_sign(signer, signed_pcr0, &how), NOW, words);
}

static void test_bad_signatures(void)
{
    unsigned i;

    for (i = 0; i < NUM_CURVES; i++) {
        static const int other_algorithms[] = { -35, -36, -7 };
        g_autoptr(TestSigner) signer = usual_signer(i);

        check_bad_signature(signer, (TestSignature) { .damaged = true },
                            "wrong");
        check_bad_signature(signer, (TestSignature) { .width = -1 }, "bytes");
        check_bad_signature(signer, (TestSignature) { .width = 1 }, "bytes");
        check_bad_signature(signer, (TestSignature) {
            .algorithm = other_algorithms[i],
        }, "needs a key on");
        check_bad_signature(signer, (TestSignature) { .algorithm = -8 },
                            "unsupported");
        check_bad_signature(signer, (TestSignature) { .unprotected = "a10401" },
                            "not empty");
    }
}

static void test_bad_payloads(void)
{
    static const char *const words[] = { "register 8", "47 bytes" };
    g_autoptr(TestSigner) signer = usual_signer(1);
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(words); i++) {
        g_autoptr(GByteArray) payload =
            i ? test_payload(FORM_ARRAY, 0, signed_pcr0, 47)
              : test_payload(FORM_ARRAY, 8, signed_pcr0, 48);

        check_bad_signature(signer, (TestSignature) { .payload = payload },
                            words[i]);
    }
}

static void test_bad_certificates(void)
{
    g_autoptr(TestSigner) signer = usual_signer(1);
    g_autoptr(TestSigner) other = usual_signer(1);
    g_autoptr(TestSigner) rsa =
        test_signer_new(GNUTLS_ECC_CURVE_INVALID, NOW - 10, NOW + 10);
    TestSignature how = { };

    check_bad_signature(rsa, how, "RSA");
    how.certificate = other->pem;
    check_bad_signature(signer, how, "wrong");
    how.certificate = signer->der;
    check_bad_signature(signer, how, "PEM");
}

static void test_cut_signature(void)
{
    g_autoptr(TestSigner) signer = usual_signer(1);
    TestSignature how = { .form = FORM_STRING, .tagged = true };
    g_autoptr(GByteArray) good = test_sign(signer, signed_pcr0, &how);
    unsigned i;

    for (i = 0; i < good->len; i++) {
        GByteArray *cut = g_byte_array_new();

        g_byte_array_append(cut, good->data, i);
        assert_not_verified(cut, NOW, "");
    }
}

/* Sections that claim, nest or end in the wrong way */
static void test_hostile_cbor(void)
{
    static const char *const sections[] = {
        "", "80", "9f", "a0", "81a0", "9bffffffffffffffff", "ff", "81ff",
        "81bbffffffffffffffff", "815bffffffffffffffff", "815fff", "1c",
        "81a1bbffffffffffffffff00", "81a15f5f4100ffff00", "81a100ff",
    };
    static const uint8_t nesting[] = { 0x81, 0x9f, 0xc1, 0xd2, 0xa1 };
    unsigned i, k;

    for (i = 0; i < ARRAY_SIZE(sections); i++) {
        assert_not_verified(test_hex(sections[i]), NOW, "");
    }
    for (i = 0; i < ARRAY_SIZE(nesting); i++) {
        GByteArray *section = test_hex("81a100");

        for (k = 0; k < 32000; k++) {
            g_byte_array_append(section, &nesting[i], 1);
        }
        assert_not_verified(section, NOW, "deeper than 16");
    }
}

/* Whatever is in the section: an answer, with an error if it is no. */
static void test_mutations(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autoptr(TestSigner) signer = usual_signer(1);
    TestSignature how = { .form = FORM_STRING };
    g_autoptr(GByteArray) good = test_sign(signer, signed_pcr0, &how);
    unsigned refused = 0;
    int i, k;

    for (i = 0; i < 1000; i++) {
        GByteArray *section = g_byte_array_new();
        g_auto(EifResult) result = { };
        Error *err = NULL;

        g_byte_array_append(section, good->data, good->len);
        for (k = g_rand_int_range(rand, 1, 5); k; k--) {
            section->data[g_rand_int_range(rand, 0, section->len)] =
                g_rand_int(rand);
        }
        result_init(&result, section);
        if (!eif_verify_signature(&signed_image, &result, NOW, &err)) {
            assert_error(&err, signed_image.path, "");
            refused++;
        }
    }
    /* Some bytes do not matter, such as the name in the certificate. */
    g_assert_cmpuint(refused, >, 500);
}

int main(int argc, char **argv)
{
    int ret, fd;

    threads_before = count_entries("/proc/self/task");
    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("test-eif.XXXXXX", &image_path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);

    g_test_add_func("/eif/load", test_load);
    g_test_add_func("/eif/gaps", test_gaps);
    g_test_add_func("/eif/cmdline-last", test_cmdline_last);
    g_test_add_func("/eif/one-ramdisk", test_one_ramdisk);
    g_test_add_func("/eif/added-ramdisk", test_added_ramdisk);
    g_test_add_func("/eif/added-only-ramdisk", test_added_only_ramdisk);
    g_test_add_func("/eif/broken-fields", test_broken_fields);
    g_test_add_func("/eif/broken-sections", test_broken_sections);
    g_test_add_func("/eif/short-files", test_short_files);
    g_test_add_func("/eif/not-a-file", test_not_a_file);
    g_test_add_func("/eif/flipped-bits", test_flipped_bits);
    g_test_add_func("/eif/failing-sink", test_failing_sink);
    g_test_add_func("/eif/shrinking-file", test_shrinking_file);
    g_test_add_func("/eif/signature/valid", test_signed);
    g_test_add_func("/eif/signature/validity", test_validity);
    g_test_add_func("/eif/signature/other-pcr0", test_other_pcr0);
    g_test_add_func("/eif/signature/bad", test_bad_signatures);
    g_test_add_func("/eif/signature/bad-payload", test_bad_payloads);
    g_test_add_func("/eif/signature/bad-certificate", test_bad_certificates);
    g_test_add_func("/eif/signature/cut", test_cut_signature);
    g_test_add_func("/eif/signature/hostile-cbor", test_hostile_cbor);
    g_test_add_func("/eif/signature/mutations", test_mutations);
    ret = g_test_run();

    unlink(image_path);
    g_free(image_path);
    return ret;
}
