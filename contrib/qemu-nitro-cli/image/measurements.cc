/*
 * Measurements of enclave images, and how they are printed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/measurements.hh"

#include <gnutls/crypto.h>

Measurer::Measurer()
{
    gnutls_hash_hd_t hash;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA384) < 0) {
        throw std::runtime_error("SHA-384 is not available");
    }
    hash_ = hash;
}

Measurer::~Measurer()
{
    if (hash_) {
        gnutls_hash_deinit(static_cast<gnutls_hash_hd_t>(hash_), nullptr);
    }
}

void Measurer::add(const void *data, size_t size)
{
    if (gnutls_hash(static_cast<gnutls_hash_hd_t>(hash_), data, size) < 0) {
        throw std::runtime_error("SHA-384 failed");
    }
}

Pcr Measurer::finish()
{
    std::array<uint8_t, 2 * std::tuple_size<Pcr>()> both{};
    Pcr pcr;

    gnutls_hash_deinit(static_cast<gnutls_hash_hd_t>(hash_),
                       both.data() + pcr.size());
    hash_ = nullptr;
    if (gnutls_hash_fast(GNUTLS_DIG_SHA384, both.data(), both.size(),
                         pcr.data()) < 0) {
        throw std::runtime_error("SHA-384 failed");
    }
    return pcr;
}

Pcr measure(const Bytes &data)
{
    Measurer measurer;

    measurer.add(data.data(), data.size());
    return measurer.finish();
}

nlohmann::ordered_json to_json(const Measurements &measurements)
{
    nlohmann::ordered_json json = {
        {"HashAlgorithm", "Sha384 { ... }"},
        {"PCR0", hex(measurements.pcr0)},
        {"PCR1", hex(measurements.pcr1)},
        {"PCR2", hex(measurements.pcr2)},
    };

    if (measurements.pcr8) {
        json["PCR8"] = hex(*measurements.pcr8);
    }
    return json;
}
