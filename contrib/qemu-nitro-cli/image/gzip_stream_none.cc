/*
 * In place of gzip_stream.cc where ISA-L is not there: libarchive is used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/gzip_stream.hh"

struct inflate_state {};

const bool GzipStream::is_there = false;

GzipStream::GzipStream(Input input) : input_(std::move(input)) {}

GzipStream::~GzipStream() = default;

const char *GzipStream::read(Bytes &)
{
    return "not supported by this build";
}
