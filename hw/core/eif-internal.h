/*
 * AWS Nitro Enclaves image files (EIF): declarations for the eif*.c files only
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_CORE_EIF_INTERNAL_H
#define HW_CORE_EIF_INTERNAL_H

#include "hw/core/eif.h"

/* Where the CRC is in the header: the last field, in bytes from its start. */
#define EIF_HEADER_CRC32        0x220

/*
 * Read exactly @size bytes at @offset of the open file @fd into @buf.  Fails
 * if the file @path has become shorter than that.
 */
bool eif_read_fully(int fd, const char *path, void *buf, size_t size,
                    uint64_t offset, struct Error **errp);

#endif
