/*
 * C functions of the reader of enclave images, for C++
 *
 * hw/core/eif.c reports failure with QEMU's type Error.  This program has
 * another class of that name, so these functions return errors as text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_EIF_READER_H
#define QEMU_NITRO_CLI_IMAGE_EIF_READER_H

#include "hw/core/eif-signature.h"

G_BEGIN_DECLS

/*
 * Receives an image's bytes like the function of EifSink.  If it returns false,
 * loading stops.
 */
typedef bool EifReaderSink(void *opaque, const EifSection *section,
                           uint64_t offset, const void *data, size_t size);

/*
 * These call the functions of eif*.h with the same names.  On failure, @error
 * is set to the reason; the caller frees it with g_free().
 */
EifImage *eif_reader_open(const char *path, char **error);
bool eif_reader_load(EifImage *image, EifReaderSink *sink, void *opaque,
                     EifResult *result, char **error);
bool eif_reader_check_crc(const EifImage *image, const EifResult *result,
                          char **error);
EifSignature *eif_reader_signature(const EifImage *image,
                                   const EifResult *result, char **error);

G_END_DECLS

#endif
