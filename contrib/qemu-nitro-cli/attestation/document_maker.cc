/*
 * Documents for the tests of the verifier
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/document_maker.hh"

#include <algorithm>
#include <gnutls/crypto.h>
#include <stdexcept>

namespace cbor {

Bytes head(unsigned major, uint64_t number)
{
    Bytes out;
    int width = number < 24 ? 0 : number < 0x100 ? 1 : number < 0x10000 ? 2
                : number < 0x100000000 ? 4 : 8;
    unsigned info = width == 0 ? number : width == 1 ? 24 : width == 2 ? 25
                    : width == 4 ? 26 : 27;

    out.push_back(major << 5 | info);
    for (int i = width - 1; i >= 0; i--) {
        out.push_back(number >> (8 * i));
    }
    return out;
}

Bytes join(const std::vector<Bytes> &pieces)
{
    Bytes out;

    for (const Bytes &piece : pieces) {
        out.insert(out.end(), piece.begin(), piece.end());
    }
    return out;
}

Bytes number(uint64_t value)
{
    return head(0, value);
}

Bytes bytes(const Bytes &data)
{
    return join({head(2, data.size()), data});
}

Bytes text(const std::string &text)
{
    return join({head(3, text.size()), Bytes(text.begin(), text.end())});
}

Bytes null()
{
    return {0xf6};
}

Bytes array(const std::vector<Bytes> &items)
{
    return join({head(4, items.size()), join(items)});
}

Bytes map(const std::vector<Bytes> &items)
{
    return join({head(5, items.size() / 2), join(items)});
}

} // namespace cbor

namespace {

void check(int result)
{
    if (result < 0) {
        throw std::runtime_error(gnutls_strerror(result));
    }
}

void set_name(gnutls_x509_crt_t x509, const std::string &name, bool issuer)
{
    auto set = issuer ? gnutls_x509_crt_set_issuer_dn_by_oid
                      : gnutls_x509_crt_set_dn_by_oid;

    check(set(x509, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
              name.size()));
}

void set_public_key(gnutls_x509_crt_t x509, const Key &key)
{
    gnutls_pubkey_t public_key;

    check(gnutls_pubkey_init(&public_key));
    check(gnutls_pubkey_import_privkey(public_key, key.get(), 0, 0));
    check(gnutls_x509_crt_set_pubkey(x509, public_key));
    gnutls_pubkey_deinit(public_key);
}

void set_extensions(gnutls_x509_crt_t x509, const CertificateSpec &spec)
{
    static const uint8_t null[] = {5, 0};

    if (spec.has_constraints) {
        check(gnutls_x509_crt_set_basic_constraints(x509, spec.is_ca,
                                                    spec.path_length));
    }
    if (spec.usage) {
        check(gnutls_x509_crt_set_key_usage(x509, spec.usage));
    }
    if (!spec.critical_extension.empty()) {
        check(gnutls_x509_crt_set_extension_by_oid(
            x509, spec.critical_extension.c_str(), null, sizeof(null), 1));
    }
}

/*
 * Sign a certificate with another issuer name.  GnuTLS takes the name from a
 * certificate, so this makes one with that name.
 */
void sign(gnutls_x509_crt_t x509, const CertificateSpec &spec,
          const CertificateSpec &issuer)
{
    gnutls_x509_crt_t named;
    Key key = spec.signer ? spec.signer : issuer.key;

    check(gnutls_x509_crt_init(&named));
    set_name(named, spec.issuer.empty() ? issuer.name : spec.issuer, false);
    set_public_key(named, key);
    check(gnutls_x509_crt_privkey_sign(x509, named, key.get(), spec.digest,
                                       0));
    gnutls_x509_crt_deinit(named);
}

Bytes make_certificate(const CertificateSpec &spec,
                       const CertificateSpec &issuer)
{
    gnutls_x509_crt_t x509;
    gnutls_datum_t der;
    static uint8_t serial;

    check(gnutls_x509_crt_init(&x509));
    check(gnutls_x509_crt_set_version(x509, 3));
    serial = serial % 127 + 1;
    check(gnutls_x509_crt_set_serial(x509, &serial, 1));
    set_name(x509, spec.name, false);
    check(gnutls_x509_crt_set_activation_time(x509, spec.begin));
    check(gnutls_x509_crt_set_expiration_time(x509, spec.end));
    set_public_key(x509, spec.key);
    set_extensions(x509, spec);
    sign(x509, spec, issuer);
    check(gnutls_x509_crt_export2(x509, GNUTLS_X509_FMT_DER, &der));
    gnutls_x509_crt_deinit(x509);
    Bytes bytes(der.data, der.data + der.size);
    gnutls_free(der.data);
    return bytes;
}

/* r and s, of 48 bytes each */
Bytes ecdsa(const Key &key, Bytes data)
{
    gnutls_datum_t in = {data.data(), static_cast<unsigned>(data.size())};
    gnutls_datum_t der, parts[2];
    Bytes out;

    check(gnutls_privkey_sign_data2(key.get(), GNUTLS_SIGN_ECDSA_SHA384, 0,
                                    &in, &der));
    check(gnutls_decode_rs_value(&der, &parts[0], &parts[1]));
    for (const gnutls_datum_t &part : parts) {
        Bytes number(part.data, part.data + part.size);

        number.insert(number.begin(), 48, 0);
        out.insert(out.end(), number.end() - 48, number.end());
        gnutls_free(part.data);
    }
    gnutls_free(der.data);
    return out;
}

} // namespace

Key make_key(gnutls_ecc_curve_t curve)
{
    gnutls_privkey_t key;

    check(gnutls_privkey_init(&key));
    check(gnutls_privkey_generate(key, GNUTLS_PK_ECDSA,
                                  GNUTLS_CURVE_TO_BITS(curve), 0));
    return Key(key, gnutls_privkey_deinit);
}

AttestationMaker::AttestationMaker(size_t authorities)
{
    static std::vector<Key> keys;       /* shared: making keys is slow */

    for (size_t i = 0; i <= authorities; i++) {
        bool leaf = i == authorities;
        CertificateSpec spec;

        if (i == keys.size()) {
            keys.push_back(make_key());
        }
        spec.name = leaf ? "leaf" : "authority " + std::to_string(i);
        spec.key = keys[i];
        spec.is_ca = !leaf;
        spec.usage = leaf ? GNUTLS_KEY_DIGITAL_SIGNATURE
                          : GNUTLS_KEY_KEY_CERT_SIGN;
        spec.path_length = i == 0 || leaf ? -1 : authorities - 1 - i;
        spec.begin = signed_at - 100;
        spec.end = signed_at + 10000;
        chain.push_back(spec);
    }
}

void AttestationMaker::prepare()
{
    std::vector<Bytes> bundle, pcrs;

    certificates.clear();
    for (size_t i = 0; i < chain.size(); i++) {
        certificates.push_back(make_certificate(chain[i],
                                                chain[i ? i - 1 : 0]));
        bundle.push_back(cbor::bytes(certificates.back()));
    }
    bundle.pop_back();
    for (unsigned i = 0; i < 4; i++) {
        pcrs.push_back(cbor::number(i));
        pcrs.push_back(cbor::bytes(Bytes(48, 0x10 + i)));
    }
    payload = {
        {cbor::text("module_id"), cbor::text("i-0123-enc4567")},
        {cbor::text("digest"), cbor::text("SHA384")},
        {cbor::text("timestamp"), cbor::number(signed_at * 1000 + 500)},
        {cbor::text("pcrs"), cbor::map(pcrs)},
        {cbor::text("certificate"), cbor::bytes(certificates.back())},
        {cbor::text("cabundle"), cbor::array(bundle)},
        {cbor::text("public_key"), cbor::null()},
        {cbor::text("user_data"), cbor::null()},
        {cbor::text("nonce"), cbor::bytes({1, 2, 3})},
    };
}

Bytes &AttestationMaker::value(const std::string &key)
{
    Bytes encoded = cbor::text(key);

    return std::find_if(payload.begin(), payload.end(), [&](const Pair &p) {
        return p.key == encoded;
    })->value;
}

Bytes AttestationMaker::document()
{
    std::vector<Bytes> items;

    for (const Pair &pair : payload) {
        items.push_back(pair.key);
        items.push_back(pair.value);
    }
    Bytes body = cbor::map(items);
    Bytes to_sign = cbor::array({cbor::text("Signature1"),
                                 cbor::bytes(protected_header),
                                 cbor::bytes({}), cbor::bytes(body)});
    Bytes signature = ecdsa(signer ? signer : chain.back().key, to_sign);

    return cbor::join({prefix, cbor::array({cbor::bytes(protected_header),
                                            unprotected_header,
                                            cbor::bytes(body),
                                            cbor::bytes(signature)})});
}
