/*
 * Reading and measuring an enclave image file
 *
 * hw/core/eif.c reads the format, as in QEMU.  So this program gets the same
 * results as the machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_EIF_FILE_HH
#define QEMU_NITRO_CLI_IMAGE_EIF_FILE_HH

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "image/eif_reader.h"
#include "image/measurements.hh"
#include "support/bytes.hh"

class EifFile {
public:
    /* Receives the bytes of the sections, in pieces and in the file's order. */
    using Sink = std::function<void(const EifSection &section, uint64_t offset,
                                    const uint8_t *data, size_t size)>;

    /*
     * Open the file, and check its header and its table of sections.  Throws
     * Error if it cannot be read (Code::file) or is not an image (Code::eif).
     */
    explicit EifFile(const std::string &path);

    const EifImage &image() const { return *image_; }

    /* The bytes of one section.  Throws Error if they cannot be read. */
    Bytes section(const EifSection &section) const;

    /*
     * Read the whole file once, with progress on a terminal.  Call this before
     * the functions below.
     */
    void load(const Sink &sink = {});

    bool crc_matches() const;
    bool is_signed() const { return result_.signature != nullptr; }
    /* The PCRs; PCR8 only for a signed image.  Throws Error if its signature
     * is not in the right form. */
    Measurements measurements() const;
    Measurements measurements_without_signature() const;

    /* The signer of a signed image; does the signature cover this image? */
    Bytes signing_certificate() const;      /* DER */
    bool signature_covers() const;
    /* Is the certificate valid now? */
    bool signature_is_current() const;

private:
    const EifSignature &signature() const;

    template <typename T, auto release> struct Release {
        void operator()(T *p) const { release(p); }
    };
    struct Result : EifResult {
        Result() : EifResult{} {}
        Result(const Result &) = delete;
        Result &operator=(const Result &) = delete;
        ~Result() { eif_result_clear(this); }
    };
    std::unique_ptr<EifImage, Release<EifImage, eif_close>> image_;
    Result result_;
    /* parsed and verified when it is first needed */
    mutable std::unique_ptr<EifSignature,
                            Release<EifSignature, eif_signature_free>>
        signature_;
};

#endif
