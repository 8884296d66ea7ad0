/*
 * Measurements of enclave images, and how they are printed
 *
 * A PCR is extended once, from zero: it is the SHA-384 of 48 zero bytes and the
 * SHA-384 of the measured bytes.
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

/* A running measurement of bytes that are added in pieces */
class Measurer {
public:
    Measurer();
    Measurer(const Measurer &) = delete;
    Measurer &operator=(const Measurer &) = delete;
    ~Measurer();

    void add(const void *data, size_t size);
    /* The PCR.  No bytes can be added afterwards. */
    Pcr finish();

private:
    void *hash_ = nullptr;          /* gnutls_hash_hd_t */
};

Pcr measure(const Bytes &data);

/* HashAlgorithm and the PCRs, in the order of AWS's nitro-cli */
nlohmann::ordered_json to_json(const Measurements &measurements);

#endif
