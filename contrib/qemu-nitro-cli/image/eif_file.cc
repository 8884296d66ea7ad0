/*
 * Reading and measuring an enclave image file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/eif_file.hh"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <sys/stat.h>

#include "support/errors.hh"
#include "support/files.hh"
#include "support/progress.hh"

namespace {

const char *const check_image = "Give an enclave image file, as build-enclave"
    " makes them.";

/* Throw the reader's message as an Error. */
[[noreturn]] void fail(char *text)
{
    std::unique_ptr<char, decltype(&g_free)> owned(text, g_free);

    throw Error(Code::eif, owned ? owned.get() : "unknown error", check_image);
}

/* Use Code::file for errors of the file, and Code::eif for the format. */
void check_readable(const std::string &path)
{
    struct stat st;
    int error = 0;

    if (stat(path.c_str(), &st) || access(path.c_str(), R_OK)) {
        error = errno;
    } else if (S_ISDIR(st.st_mode)) {
        error = EISDIR;
    }
    if (error || !S_ISREG(st.st_mode)) {
        throw Error(Code::file, path + ": " + (error ? error_text(error)
                                               : "not a regular file"),
                    "Check the path given with --eif-path.");
    }
}

/* The reader is C, so no exception may pass it: keep it until it returns. */
struct Pass {
    const EifFile::Sink &sink;
    Progress progress;
    std::exception_ptr thrown;

    static bool data(void *opaque, const EifSection *section, uint64_t offset,
                     const void *data, size_t size)
    {
        Pass *pass = static_cast<Pass *>(opaque);

        try {
            pass->progress.add(size);
            if (pass->sink) {
                pass->sink(*section, offset,
                           static_cast<const uint8_t *>(data), size);
            }
            return true;
        } catch (...) {
            pass->thrown = std::current_exception();
            return false;
        }
    }
};

Pcr pcr(const uint8_t (&bytes)[NITRO_PCR_SIZE])
{
    Pcr out;

    std::copy(bytes, bytes + NITRO_PCR_SIZE, out.begin());
    return out;
}

} // namespace

EifFile::EifFile(const std::string &path)
{
    char *error = nullptr;

    check_readable(path);
    image_.reset(eif_reader_open(path.c_str(), &error));
    if (!image_) {
        fail(error);
    }
}

Bytes EifFile::section(const EifSection &section) const
{
    Bytes data(section.size);
    ssize_t n = pread_fully(image_->fd, data.data(), data.size(),
                            section.offset);

    if (n < 0 || static_cast<size_t>(n) < data.size()) {
        throw Error(Code::file, std::string(image_->path) + ": "
                    + (n < 0 ? error_text(errno) : "it has become shorter"),
                    "Check that nobody writes to the image.");
    }
    return data;
}

void EifFile::load(const Sink &sink)
{
    uint64_t size = 0;
    char *error = nullptr;

    for (unsigned i = 0; i < image_->num_sections; i++) {
        size += image_->sections[i].size;
    }
    Pass pass = {sink, Progress("measuring", size), {}};
    if (!eif_reader_load(image_.get(), Pass::data, &pass, &result_, &error)) {
        if (pass.thrown) {
            g_free(error);
            std::rethrow_exception(pass.thrown);
        }
        fail(error);
    }
}

bool EifFile::crc_matches() const
{
    char *error = nullptr;
    bool ok = eif_reader_check_crc(image_.get(), &result_, &error);

    g_free(error);
    return ok;
}

const EifSignature &EifFile::signature() const
{
    if (!signature_) {
        char *error = nullptr;

        signature_.reset(eif_reader_signature(image_.get(), &result_, &error));
        if (!signature_) {
            fail(error);
        }
    }
    return *signature_;
}

Bytes EifFile::signing_certificate() const
{
    const GByteArray *der = signature().certificate;

    return Bytes(der->data, der->data + der->len);
}

bool EifFile::signature_covers() const
{
    return eif_signature_covers(&signature(), result_.image_pcr0);
}

bool EifFile::signature_is_current() const
{
    const EifSignature &s = signature();
    int64_t now = time(nullptr);

    return now >= s.not_before && now <= s.not_after;
}

Measurements EifFile::measurements_without_signature() const
{
    return {pcr(result_.pcr0), pcr(result_.pcr1), pcr(result_.pcr2), {}};
}

Measurements EifFile::measurements() const
{
    Measurements m = measurements_without_signature();

    if (is_signed()) {
        m.pcr8 = measure(signing_certificate());
    }
    return m;
}
