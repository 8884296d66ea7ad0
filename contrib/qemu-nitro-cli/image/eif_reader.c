/*
 * C functions of the reader of enclave images, for C++
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "image/eif_reader.h"
#include "qapi/error.h"

/* Store the text of @err in @error.  Returns true if there is no @err. */
static bool take_error(Error *err, char **error)
{
    if (!err) {
        return true;
    }
    *error = g_strdup(error_get_pretty(err));
    error_free(err);
    return false;
}

EifImage *eif_reader_open(const char *path, char **error)
{
    Error *err = NULL;
    EifImage *image = eif_open(path, &err);

    take_error(err, error);
    return image;
}

typedef struct Caller {
    EifReaderSink *sink;
    void *opaque;
} Caller;

static bool pass_on(void *opaque, const EifSection *section, uint64_t offset,
                    const void *data, size_t size, Error **errp)
{
    const Caller *caller = opaque;

    if (!caller->sink(caller->opaque, section, offset, data, size)) {
        error_setg(errp, "Reading was stopped");
        return false;
    }
    return true;
}

bool eif_reader_load(EifImage *image, EifReaderSink *sink, void *opaque,
                     EifResult *result, char **error)
{
    Caller caller = { .sink = sink, .opaque = opaque };
    EifSink through = { .data = pass_on, .opaque = &caller };
    Error *err = NULL;

    eif_load(image, sink ? &through : NULL, result, &err);
    return take_error(err, error);
}

bool eif_reader_check_crc(const EifImage *image, const EifResult *result,
                          char **error)
{
    Error *err = NULL;

    eif_check_crc(image, result, &err);
    return take_error(err, error);
}

EifSignature *eif_reader_signature(const EifImage *image,
                                   const EifResult *result, char **error)
{
    Error *err = NULL;
    EifSignature *signature = eif_signature_parse(image, result, &err);

    take_error(err, error);
    return signature;
}
