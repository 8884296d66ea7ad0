/*
 * Measurements of enclave images, and how they are printed
 *
 * A register is extended once, from zero: SHA-384 of 48 zero bytes and the
 * SHA-384 of what is measured.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_MEASUREMENTS_HH
#define QEMU_NITRO_CLI_IMAGE_MEASUREMENTS_HH

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "support/bytes.hh"

using Pcr = std::array<uint8_t, 48>;

struct Measurements {
    Pcr pcr0{}, pcr1{}, pcr2{};
    std::optional<Pcr> pcr8;        /* of a signed image */
};

/* A running measurement: bytes in, in pieces, and the register out */
class Measurer {
public:
    Measurer();
    Measurer(const Measurer &) = delete;
    Measurer &operator=(const Measurer &) = delete;
    ~Measurer();

    void add(const void *data, size_t size);
    /* The register; nothing can be added after it. */
    Pcr finish();

private:
    void *hash_ = nullptr;          /* gnutls_hash_hd_t */
};

Pcr measure(const Bytes &data);

/* HashAlgorithm and the registers, in nitro-cli's order */
nlohmann::ordered_json to_json(const Measurements &measurements);

#endif
