/*
 * Objects of GnuTLS that are freed at the end of their scope
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_GNUTLS_HANDLES_HH
#define QEMU_NITRO_CLI_SUPPORT_GNUTLS_HANDLES_HH

#include <cstdint>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <span>
#include <utility>

#include "support/bytes.hh"

template <typename T, auto deinit> struct Handle {
    T value = nullptr;
    Handle() = default;
    Handle(Handle &&other) noexcept : value(std::exchange(other.value, nullptr))
    {
    }
    Handle &operator=(Handle &&other) noexcept
    {
        std::swap(value, other.value);
        return *this;
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle()
    {
        if (value) {
            deinit(value);
        }
    }
};

using PrivateKeyHandle = Handle<gnutls_privkey_t, gnutls_privkey_deinit>;
using PublicKeyHandle = Handle<gnutls_pubkey_t, gnutls_pubkey_deinit>;
using CertificateHandle = Handle<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;

/* Bytes that GnuTLS has allocated */
struct Datum {
    gnutls_datum_t value = {nullptr, 0};
    Datum() = default;
    Datum(const Datum &) = delete;
    Datum &operator=(const Datum &) = delete;
    ~Datum() { gnutls_free(value.data); }
};

/* Our bytes for GnuTLS, whose pointers are not const although it only reads */
inline gnutls_datum_t datum(std::span<const uint8_t> data)
{
    return {const_cast<uint8_t *>(data.data()),
            static_cast<unsigned>(data.size())};
}

#endif
