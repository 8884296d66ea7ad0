/*
 * Certificates: those that sign images
 *
 * Object identifiers are from RFC 4519, RFC 4524 and RFC 5280 for names, and
 * from RFC 4055, RFC 5758 and RFC 8410 for algorithms.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/certificate.hh"

#include <algorithm>
#include <ctime>
#include <functional>
#include <map>
#include <utility>

#include "support/errors.hh"
#include "support/gnutls_handles.hh"
#include "support/pem.hh"

namespace {

using Names = std::map<std::string, const char *, std::less<>>;

const Names attribute_names = {
    {"0.9.2342.19200300.100.1.1", "userId"},
    {"0.9.2342.19200300.100.1.25", "domainComponent"},
    {"1.2.840.113549.1.9.1", "emailAddress"},
    {"2.5.4.3", "commonName"},
    {"2.5.4.4", "surname"},
    {"2.5.4.5", "serialNumber"},
    {"2.5.4.6", "countryName"},
    {"2.5.4.7", "localityName"},
    {"2.5.4.8", "stateOrProvinceName"},
    {"2.5.4.9", "streetAddress"},
    {"2.5.4.10", "organizationName"},
    {"2.5.4.11", "organizationalUnitName"},
    {"2.5.4.12", "title"},
    {"2.5.4.17", "postalCode"},
    {"2.5.4.41", "name"},
    {"2.5.4.42", "givenName"},
    {"2.5.4.43", "initials"},
    {"2.5.4.44", "generationQualifier"},
    {"2.5.4.46", "dnQualifier"},
    {"2.5.4.65", "pseudonym"},
};

const Names algorithm_names = {
    {"1.2.840.10045.4.1", "ecdsa-with-SHA1"},
    {"1.2.840.10045.4.3.1", "ecdsa-with-SHA224"},
    {"1.2.840.10045.4.3.2", "ecdsa-with-SHA256"},
    {"1.2.840.10045.4.3.3", "ecdsa-with-SHA384"},
    {"1.2.840.10045.4.3.4", "ecdsa-with-SHA512"},
    {"1.2.840.113549.1.1.5", "sha1WithRSAEncryption"},
    {"1.2.840.113549.1.1.10", "rsassaPss"},
    {"1.2.840.113549.1.1.11", "sha256WithRSAEncryption"},
    {"1.2.840.113549.1.1.12", "sha384WithRSAEncryption"},
    {"1.2.840.113549.1.1.13", "sha512WithRSAEncryption"},
    {"1.3.101.112", "ED25519"},
    {"1.3.101.113", "ED448"},
};

/* An identifier without a name is printed as it is. */
std::string name_of(const Names &names, const std::string &oid)
{
    auto found = names.find(oid);

    return found == names.end() ? oid : found->second;
}

void check_read(int result, const char *what)
{
    if (result < 0) {
        throw Error(Code::eif, std::string("the signing certificate has ")
                    + what + " that cannot be read: "
                    + gnutls_strerror(result),
                    "Sign the image with another certificate.");
    }
}

void put_utf8(std::string &out, uint32_t c)
{
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        c = 0xfffd;
    }
    auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };

    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        put(0xe0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3f));
    } else {
        put(0xf0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3f));
        put(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80) {
        put(0x80 | (c & 0x3f));
    }
}

/* The text of a value, of any of ASN.1's string types */
std::string text_of(const gnutls_x509_ava_st &ava)
{
    enum { utf8 = 12, numeric = 18, printable, t61, ia5 = 22, visible = 26,
           universal = 28, bmp = 30 };
    const uint8_t *p = ava.value.data;
    size_t width = ava.value_tag == universal ? 4 : ava.value_tag == bmp ? 2
                                                                        : 1;
    std::string text;

    switch (ava.value_tag) {
    case utf8:
        return std::string(p, p + ava.value.size);
    case numeric: case printable: case t61: case ia5: case visible:
    case universal: case bmp:
        for (size_t i = 0; i + width <= ava.value.size; i += width) {
            uint32_t c = 0;

            for (size_t j = 0; j < width; j++) {
                c = c << 8 | p[i + j];
            }
            put_utf8(text, c);
        }
        return text;
    default:
        return "#" + hex({p, ava.value.size});
    }
}

nlohmann::ordered_json issuer(gnutls_x509_crt_t certificate)
{
    std::map<std::string, std::string> sorted;
    gnutls_x509_ava_st ava;
    gnutls_x509_dn_t dn;

    check_read(gnutls_x509_crt_get_issuer(certificate, &dn), "an issuer");
    for (int rdn = 0;; rdn++) {
        int part = 0;

        while (gnutls_x509_dn_get_rdn_ava(dn, rdn, part, &ava) == 0) {
            std::string oid(ava.oid.data, ava.oid.data + ava.oid.size);

            /* The size may include the terminating zero byte. */
            sorted[name_of(attribute_names, oid.c_str())] = text_of(ava);
            part++;
        }
        if (part == 0) {
            break;
        }
    }
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    for (const auto &[name, value] : sorted) {
        json[name] = value;
    }
    return json;
}

/* A time in OpenSSL's format, independent of the locale */
std::string format_time(time_t time)
{
    static const char *const months[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    };
    struct tm tm;
    char text[64];

    if (time == GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION) {
        return "Dec 31 23:59:59 9999 GMT";
    }
    if (time < 0 || !gmtime_r(&time, &tm)) {
        throw Error(Code::eif, "the signing certificate has no readable"
                    " validity", "Sign the image with another certificate.");
    }
    snprintf(text, sizeof(text), "%s %2d %02d:%02d:%02d %d GMT",
             months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
             tm.tm_year + 1900);
    return text;
}

std::string algorithm(gnutls_x509_crt_t certificate)
{
    char oid[128];
    size_t size = sizeof(oid);

    check_read(gnutls_x509_crt_get_signature_oid(certificate, oid, &size),
               "a signature algorithm");
    return name_of(algorithm_names, oid);
}

std::string signature(gnutls_x509_crt_t certificate)
{
    std::string text;
    size_t size = 0;

    if (gnutls_x509_crt_get_signature(certificate, nullptr, &size) !=
        GNUTLS_E_SHORT_MEMORY_BUFFER) {
        size = 0;
    }
    std::vector<char> value(size);
    check_read(gnutls_x509_crt_get_signature(certificate, value.data(), &size),
               "a signature");
    for (unsigned char byte : value) {
        char digits[4];

        snprintf(digits, sizeof(digits), "%02X", byte);
        text += (text.empty() ? "" : ":") + std::string(digits);
    }
    return text;
}

} // namespace

Bytes certificate_der(const Bytes &pem, const std::string &origin)
{
    const std::string advice = "Give an X.509 certificate in PEM.";
    std::vector<PemBlock> blocks = pem_blocks(pem);
    auto first = std::ranges::find_if(blocks, &PemBlock::is_certificate);
    auto key = std::find_if(blocks.begin(), first,
                            std::mem_fn(&PemBlock::is_private_key));
    CertificateHandle certificate;
    Datum der;

    if (key != first) {
        throw Error(Code::signing, origin + " begins with "
                    + key->kind() + ", where a certificate is needed",
                    "Give a file with the certificate alone: nothing else"
                    " belongs in an image.");
    }
    if (first == blocks.end()) {
        KeyFile file = describe_key_file(pem);

        throw Error(Code::signing, origin + " is " + file.kind
                    + ", where a certificate in PEM is needed",
                    file.to_certificate.empty() ? advice
                    : "Make one with: " + file.to_certificate);
    }
    gnutls_datum_t text = {const_cast<uint8_t *>(pem.data()) + first->begin,
                           static_cast<unsigned>(first->size)};
    int result = gnutls_x509_crt_init(&certificate.value);
    if (result >= 0) {
        result = gnutls_x509_crt_import(certificate.value, &text,
                                        GNUTLS_X509_FMT_PEM);
    }
    if (result >= 0) {
        result = gnutls_x509_crt_export2(certificate.value,
                                         GNUTLS_X509_FMT_DER, &der.value);
    }
    if (result < 0) {
        throw Error(Code::signing, origin + ": its certificate cannot be read:"
                    " " + gnutls_strerror(result), advice);
    }
    return Bytes(der.value.data, der.value.data + der.value.size);
}

std::vector<std::string> beside_certificate(const Bytes &pem)
{
    std::vector<std::string> found;
    bool taken = false;

    for (const PemBlock &block : pem_blocks(pem)) {
        gnutls_datum_t text = {const_cast<uint8_t *>(pem.data()) + block.begin,
                               static_cast<unsigned>(block.size)};
        CertificateHandle certificate;
        Datum name;

        if (block.is_certificate() && !std::exchange(taken, true)) {
            continue;
        }
        if (block.is_certificate() &&
            gnutls_x509_crt_init(&certificate.value) >= 0 &&
            gnutls_x509_crt_import(certificate.value, &text,
                                   GNUTLS_X509_FMT_PEM) >= 0 &&
            gnutls_x509_crt_get_dn3(certificate.value, &name.value, 0) >= 0) {
            found.push_back("the certificate of " + std::string(
                name.value.data, name.value.data + name.value.size));
        } else {
            found.push_back(block.kind());
        }
    }
    return found;
}

nlohmann::ordered_json describe_certificate(const Bytes &der)
{
    gnutls_datum_t data = datum(der);
    CertificateHandle certificate;

    check_read(gnutls_x509_crt_init(&certificate.value), "a form");
    check_read(gnutls_x509_crt_import(certificate.value, &data,
                                      GNUTLS_X509_FMT_DER), "a form");
    return {
        {"IssuerName", issuer(certificate.value)},
        {"Algorithm", algorithm(certificate.value)},
        {"NotBefore", format_time(gnutls_x509_crt_get_activation_time(
                                      certificate.value))},
        {"NotAfter", format_time(gnutls_x509_crt_get_expiration_time(
                                     certificate.value))},
        {"Signature", signature(certificate.value)},
    };
}
