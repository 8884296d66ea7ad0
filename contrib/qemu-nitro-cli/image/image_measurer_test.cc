/*
 * Tests of image_measurer.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/image_measurer.hh"

#include <algorithm>
#include <gtest/gtest.h>

namespace {

using Part = ImageMeasurer::Part;

/* Bytes that do not repeat with the size of a piece */
Bytes sample(size_t size)
{
    Bytes data(size);
    uint32_t value = 1;

    for (uint8_t &byte : data) {
        value = value * 1103515245 + 12345;
        byte = value >> 16;
    }
    return data;
}

void add(ImageMeasurer &measurer, Part part, const Bytes &data, size_t step)
{
    for (size_t at = 0; at < data.size(); at += step) {
        measurer.add(part, data.data() + at,
                     std::min(step, data.size() - at));
    }
}

Bytes joined(Bytes a, const Bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/* Sizes around those of the pieces, added in steps of different sizes */
TEST(ImageMeasurer, AllSizes)
{
    constexpr size_t mib = 1 << 20;

    for (auto [boot, application] : {
             std::pair<size_t, size_t>{0, 0}, {1, 0}, {0, 1}, {1, 1},
             {mib - 1, 1}, {mib, mib}, {mib + 1, mib - 1},
             {3 * mib, 9 * mib + 5}}) {
        Bytes first = sample(boot), second = sample(application);

        for (size_t step : {size_t(4099), mib, 20 * mib}) {
            ImageMeasurer measurer;

            add(measurer, Part::boot, first, step);
            add(measurer, Part::application, second, step);
            Measurements found = measurer.finish();
            EXPECT_EQ(found.pcr0, measure(joined(first, second)));
            EXPECT_EQ(found.pcr1, measure(first));
            EXPECT_EQ(found.pcr2, measure(second));
            EXPECT_FALSE(found.pcr8);
        }
    }
}

/* A measurement that is given up ends its threads. */
TEST(ImageMeasurer, GivenUp)
{
    Bytes data = sample(10 << 20);

    for (size_t size : {size_t(0), size_t(1), data.size()}) {
        ImageMeasurer measurer;

        measurer.add(Part::boot, data.data(), size);
    }
}

} // namespace
