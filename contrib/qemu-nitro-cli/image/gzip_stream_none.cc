/*
 * Replaces gzip_stream.cc in builds without ISA-L, which use libarchive
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/gzip_stream.hh"

struct inflate_state {};

const bool GzipStream::is_available = false;

GzipStream::GzipStream(Input input) : input_(std::move(input)) {}

GzipStream::~GzipStream() = default;

const char *GzipStream::read(Bytes &)
{
    return "not supported by this build";
}
