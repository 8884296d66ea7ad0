/*
 * Measuring an image while it is written
 *
 * Each byte of an application is in two PCRs.  SHA-384 takes most of the time
 * of a build, so a thread computes PCR0, and another one PCR1 and PCR2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_IMAGE_MEASURER_HH
#define QEMU_NITRO_CLI_IMAGE_IMAGE_MEASURER_HH

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>

#include "image/measurements.hh"
#include "support/bytes.hh"

class ImageMeasurer {
public:
    /* Throws Error if a thread cannot be started. */
    ImageMeasurer();
    ImageMeasurer(const ImageMeasurer &) = delete;
    ImageMeasurer &operator=(const ImageMeasurer &) = delete;
    ~ImageMeasurer();

    /* Which PCR, besides PCR0, the bytes are in: PCR1 has what boots (kernel,
     * command line, first ramdisk), and PCR2 the application. */
    enum class Part { boot, application };

    /* The bytes are copied. */
    void add(Part part, const uint8_t *data, size_t size);
    /* The PCRs, without PCR8.  No bytes can be added afterwards. */
    Measurements finish();

private:
    struct Piece {
        Part part = Part::boot;
        Bytes data;
    };
    static constexpr size_t piece_size = 1 << 20;
    static constexpr size_t num_pieces = 4;

    void run(unsigned thread);
    void measure(unsigned thread, const Piece &piece);
    void pass_on();
    void stop();

    Measurer pcr0_, pcr1_, pcr2_;
    /* A ring.  The piece at `passed_on_` is being filled. */
    std::array<Piece, num_pieces> pieces_;
    std::mutex lock_;
    std::condition_variable changed_;
    /* the lock protects these: numbers of pieces, and how it ends */
    uint64_t passed_on_ = 0;
    std::array<uint64_t, 2> measured_{};        /* by each thread */
    bool stopped_ = false;
    std::exception_ptr thrown_;
    std::array<std::thread, 2> threads_;
};

#endif
