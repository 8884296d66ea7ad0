/*
 * Measuring an image while it is written
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/image_measurer.hh"

#include <algorithm>

#include "support/threads.hh"

ImageMeasurer::ImageMeasurer()
{
    for (Piece &piece : pieces_) {
        piece.data.reserve(piece_size);
    }
    try {
        for (unsigned i = 0; i < threads_.size(); i++) {
            threads_[i] = start_thread(&ImageMeasurer::run, this, i);
        }
    } catch (...) {
        stop();
        throw;
    }
}

ImageMeasurer::~ImageMeasurer()
{
    stop();
}

/* End the threads after the pieces that were passed on. */
void ImageMeasurer::stop()
{
    {
        std::lock_guard guard(lock_);
        stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread &thread : threads_) {
        if (thread.joinable()) {
            thread.join();
        }
    }
}

void ImageMeasurer::measure(unsigned thread, const Piece &piece)
{
    Measurer &measurer = thread == 0 ? pcr0_
        : piece.part == Part::boot ? pcr1_ : pcr2_;

    measurer.add(piece.data.data(), piece.data.size());
}

void ImageMeasurer::run(unsigned thread)
{
    uint64_t &measured = measured_[thread];
    std::unique_lock guard(lock_);

    while (true) {
        changed_.wait(guard, [&] {
            return stopped_ || measured < passed_on_;
        });
        if (measured == passed_on_) {
            return;
        }
        const Piece &piece = pieces_[measured % num_pieces];
        std::exception_ptr thrown;
        guard.unlock();
        try {
            measure(thread, piece);
        } catch (...) {
            thrown = std::current_exception();
        }
        guard.lock();
        thrown_ = thrown ? thrown : thrown_;
        measured++;
        changed_.notify_all();
    }
}

/* Give the current piece to the threads, and wait for one that is free. */
void ImageMeasurer::pass_on()
{
    std::unique_lock guard(lock_);

    passed_on_++;
    changed_.notify_all();
    changed_.wait(guard, [this] {
        return passed_on_ - std::ranges::min(measured_) < num_pieces;
    });
    pieces_[passed_on_ % num_pieces].data.clear();
}

void ImageMeasurer::add(Part part, const uint8_t *data, size_t size)
{
    while (size) {
        Piece *piece = &pieces_[passed_on_ % num_pieces];

        if (piece->data.size() == piece_size ||
            (!piece->data.empty() && piece->part != part)) {
            pass_on();
            piece = &pieces_[passed_on_ % num_pieces];
        }
        size_t n = std::min(size, piece_size - piece->data.size());
        piece->part = part;
        piece->data.insert(piece->data.end(), data, data + n);
        data += n;
        size -= n;
    }
}

Measurements ImageMeasurer::finish()
{
    pass_on();
    stop();
    if (thrown_) {
        std::rethrow_exception(thrown_);
    }
    return {pcr0_.finish(), pcr1_.finish(), pcr2_.finish(), {}};
}
