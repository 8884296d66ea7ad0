/*
 * Reading enclave images, from C++
 *
 * hw/core/eif.c reports failure in QEMU's Error, of which this program has a
 * class of its own; here it comes as a line of text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_EIF_READER_H
#define QEMU_NITRO_CLI_IMAGE_EIF_READER_H

#include "hw/core/eif.h"

G_BEGIN_DECLS

/*
 * Gets an image's bytes as EifSink's function does; returning false ends the
 * load.
 */
typedef bool EifReaderSink(void *opaque, const EifSection *section,
                           uint64_t offset, const void *data, size_t size);

/*
 * These do what the functions of eif.h with the same names do.  On failure
 * @error gets the reason, to be freed with g_free().
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
