/*
 * What GnuTLS gives out, freed where it goes out of scope
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_GNUTLS_HANDLES_HH
#define QEMU_NITRO_CLI_SUPPORT_GNUTLS_HANDLES_HH

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "support/bytes.hh"

template <typename T, auto deinit> struct Handle {
    T value = nullptr;
    Handle() = default;
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
using CertificateHandle = Handle<gnutls_x509_crt_t, gnutls_x509_crt_deinit>;

/* Bytes that GnuTLS has allocated */
struct Datum {
    gnutls_datum_t value = {nullptr, 0};
    Datum() = default;
    Datum(const Datum &) = delete;
    Datum &operator=(const Datum &) = delete;
    ~Datum() { gnutls_free(value.data); }
};

/* GnuTLS's view of bytes of ours, which it does not change */
inline gnutls_datum_t datum(const Bytes &data)
{
    return {const_cast<uint8_t *>(data.data()),
            static_cast<unsigned>(data.size())};
}

#endif
