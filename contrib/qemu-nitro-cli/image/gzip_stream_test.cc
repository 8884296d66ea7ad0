/*
 * Tests of gzip_stream.cc, compared with zlib
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/gzip_stream.hh"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <zlib.h>

namespace {

Bytes gzip(const Bytes &data, int level = 6)
{
    z_stream z = {};

    EXPECT_EQ(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
              Z_OK);
    Bytes out(deflateBound(&z, data.size()) + 64);
    z.next_in = const_cast<Bytef *>(data.data());
    z.avail_in = data.size();
    z.next_out = out.data();
    z.avail_out = out.size();
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

Bytes operator+(Bytes a, const Bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

struct Result {
    Bytes data;
    const char *error = nullptr;
};

/* Decompress `input`, in pieces of `size` bytes. */
Result gunzip(const Bytes &input, size_t size = 1 << 20)
{
    size_t at = 0;
    GzipStream stream([&](const void **data) {
        size_t n = std::min(size, input.size() - at);

        *data = input.data() + at;
        at += n;
        return n;
    });
    static Bytes piece;         /* made only once, because it is slow */
    Result result;

    for (;;) {
        result.error = stream.read(piece);
        if (result.error || piece.empty()) {
            return result;
        }
        result.data.insert(result.data.end(), piece.begin(), piece.end());
    }
}

/* Half of it is noise, and half can be compressed. */
Bytes sample(size_t size)
{
    std::mt19937 random(size);
    Bytes data(size);

    for (size_t i = 0; i < size; i++) {
        data[i] = i / 1000 % 2 ? random() : "enclave "[random() % 8];
    }
    return data;
}

TEST(GzipStream, Sizes)
{
    for (size_t size : {0, 1, 100, 65536, (256 << 10) - 1, 256 << 10,
                        (256 << 10) + 1, 3 << 20}) {
        for (int level : {0, 1, 9}) {
            Bytes data = sample(size);
            Result result = gunzip(gzip(data, level));

            EXPECT_EQ(result.error, nullptr) << size;
            EXPECT_EQ(result.data, data) << size;
        }
    }
}

TEST(GzipStream, InputInPieces)
{
    Bytes data = sample(5000), input = gzip(data) + gzip({}) + gzip(data);

    for (size_t size : {1, 2, 3, 7, 100}) {
        Result result = gunzip(input, size);

        EXPECT_EQ(result.error, nullptr) << size;
        EXPECT_EQ(result.data, data + data) << size;
    }
}

/* A header with all optional fields */
TEST(GzipStream, Header)
{
    Bytes data = sample(1000), plain = gzip(data), input = plain;

    input.resize(10);
    input[3] = 2 | 4 | 8 | 16;
    Bytes extra(300, 'x');
    input = input + Bytes{44, 1} + extra + Bytes{'n', 'a', 0} + Bytes{'c', 0};
    uint32_t crc = crc32_z(0, input.data(), input.size());
    input = input + Bytes{uint8_t(crc), uint8_t(crc >> 8)}
        + Bytes(plain.begin() + 10, plain.end());
    for (size_t size : {1, 5, 1000000}) {
        Result result = gunzip(input, size);

        EXPECT_EQ(result.error, nullptr) << size;
        EXPECT_EQ(result.data, data) << size;
    }
}

TEST(GzipStream, WhatFollowsIsIgnored)
{
    Bytes data = sample(1000);

    for (const Bytes &after : {Bytes(1, 0), Bytes(1000, 0), Bytes{0x1f},
                               Bytes{0x1f, 0x8c, 8}, Bytes(1000, 'x')}) {
        for (size_t size : {1, 1000000}) {
            Result result = gunzip(gzip(data) + after, size);

            EXPECT_EQ(result.error, nullptr);
            EXPECT_EQ(result.data, data);
        }
    }
}

TEST(GzipStream, CutShort)
{
    Bytes data = sample(3000), input = gzip(data);

    for (size_t size = 2; size < input.size(); size++) {
        Bytes part(input.begin(), input.begin() + size);

        EXPECT_NE(gunzip(part).error, nullptr) << size;
        EXPECT_NE(gunzip(part, 1).error, nullptr) << size;
    }
    /* The start of a second member */
    EXPECT_NE(gunzip(input + Bytes{0x1f, 0x8b}).error, nullptr);
}

/* The damage is found, or does not change the result. */
TEST(GzipStream, Damage)
{
    Bytes data = sample(1200), input = gzip(data);

    for (size_t i = 0; i < input.size(); i++) {
        for (int bit = 0; bit < 8; bit++) {
            Bytes damaged = input;

            damaged[i] ^= 1 << bit;
            Result result = gunzip(damaged);
            bool is_first = i < 2;      /* then this is not gzip */
            EXPECT_TRUE(result.error || (is_first ? Bytes() : data)
                        == result.data) << i << ' ' << bit;
        }
    }
}

} // namespace
