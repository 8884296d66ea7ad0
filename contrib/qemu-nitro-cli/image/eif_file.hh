/*
 * An enclave image file, read and measured
 *
 * The format is hw/core/eif.c's affair, here as in QEMU: what a tool says of
 * an image is what the machine finds.
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
    /* Gets the bytes of the sections, in pieces, in the file's order. */
    using Sink = std::function<void(const EifSection &section, uint64_t offset,
                                    const uint8_t *data, size_t size)>;

    /*
     * Open the file and check its header and table; throws Error if it cannot
     * be read (Code::file) or is no image (Code::eif).
     */
    explicit EifFile(const std::string &path);

    const EifImage &image() const { return *image_; }

    /* The bytes of one section; throws Error if they cannot be read. */
    Bytes section(const EifSection &section) const;

    /*
     * Read all of it, once, with progress on a terminal.  What follows is
     * known only then.
     */
    void load(const Sink &sink = {});

    bool crc_matches() const;
    bool is_signed() const { return result_.signature != nullptr; }
    /* Of the registers, PCR8 only for a signed image */
    Measurements measurements() const;

    /* Who signed a signed image; whether it is this one that is signed */
    Bytes signing_certificate() const;      /* DER */
    bool signature_covers() const;
    /* Whether its certificate is valid now */
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
    /* parsed and verified when somebody asks */
    mutable std::unique_ptr<EifSignature,
                            Release<EifSignature, eif_signature_free>>
        signature_;
};

#endif
