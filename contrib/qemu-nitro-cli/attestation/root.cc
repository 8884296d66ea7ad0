/*
 * The root certificate of this user's enclaves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/root.hh"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <pwd.h>
#include <sys/stat.h>

#include "support/atomic_file.hh"
#include "support/errors.hh"
#include "support/files.hh"
#include "support/gnutls_handles.hh"

namespace {

namespace fs = std::filesystem;

constexpr int lock_wait_ms = 60000;
constexpr time_t skew = 5 * 60;             /* of a verifier's clock */
constexpr time_t day = 86400;
constexpr time_t life = 30 * 365 * day;     /* that of AWS's root */
constexpr time_t renewal = 30 * day;        /* before its end */
/* With less time left, a root is not used, because enclaves may run longer. */
constexpr time_t too_short = 2 * day;
constexpr mode_t private_mode = 0600;

const char *const advice = "Check the directory $XDG_DATA_HOME/qemu-nitro"
    " (~/.local/share/qemu-nitro), or remove its attestation-root files.";

void check(int result, const char *what)
{
    if (result < 0) {
        throw Error(Code::signing, std::string("attestation root: ") + what
                    + ": " + gnutls_strerror(result), advice);
    }
}

/* The data directory of the XDG Base Directory Specification */
std::string data_directory()
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

    if (xdg && xdg[0] == '/') {
        return std::string(xdg) + "/qemu-nitro";
    }
    if (!home) {
        /* Services may have no HOME. */
        const passwd *user = getpwuid(geteuid());

        home = user ? user->pw_dir : nullptr;
    }
    if (!home || home[0] != '/') {
        throw Error(Code::file, "neither HOME nor the user database has a"
                    " directory for the attestation root",
                    "Set HOME or XDG_DATA_HOME.");
    }
    return std::string(home) + "/.local/share/qemu-nitro";
}

void make_data_directory(const std::string &path)
{
    std::error_code error;

    fs::create_directories(fs::path(path).parent_path(), error);
    if (error) {
        throw Error(Code::file, path + ": " + error.message(), advice);
    }
    make_private_directory(path);
}

/* The end of a certificate's validity */
time_t end_of(const std::string &path)
{
    CertificateHandle certificate;
    Bytes text = read_file(path);
    gnutls_datum_t data = datum(text);

    check(gnutls_x509_crt_init(&certificate.value), "certificate");
    if (gnutls_x509_crt_import(certificate.value, &data,
                               GNUTLS_X509_FMT_PEM) < 0) {
        throw Error(Code::file, path + ": this is not a certificate in PEM",
                    advice);
    }
    return gnutls_x509_crt_get_expiration_time(certificate.value);
}

void set_name(gnutls_x509_crt_t certificate)
{
    static const std::pair<const char *, const char *> parts[] = {
        {GNUTLS_OID_X520_ORGANIZATION_NAME, "QEMU"},
        {GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, "nitro-enclave emulation"},
        {GNUTLS_OID_X520_COMMON_NAME, "aws.nitro-enclaves"},
    };

    for (auto [oid, value] : parts) {
        check(gnutls_x509_crt_set_dn_by_oid(certificate, oid, 0, value,
                                            strlen(value)), "name");
    }
}

void set_numbers(gnutls_x509_crt_t certificate)
{
    uint8_t serial[16], id[64];
    size_t id_size = sizeof(id);
    time_t begin = time(nullptr) - skew;

    check(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)), "serial");
    /* A random serial number: positive, and always of the same length */
    serial[0] = (serial[0] & 0x7f) | 0x40;
    check(gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial)),
          "serial");
    check(gnutls_x509_crt_set_activation_time(certificate, begin),
          "validity");
    check(gnutls_x509_crt_set_expiration_time(certificate, begin + life),
          "validity");
    check(gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA1, id,
                                     &id_size), "key identifier");
    check(gnutls_x509_crt_set_subject_key_id(certificate, id, id_size),
          "key identifier");
}

/* A certificate authority on P-384 (RFC 5280, 4.2.1.3 and 4.2.1.9) */
void make_certificate(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    check(gnutls_x509_crt_set_version(certificate, 3), "version");
    check(gnutls_x509_crt_set_key(certificate, key), "key");
    set_name(certificate);
    set_numbers(certificate);
    check(gnutls_x509_crt_set_basic_constraints(certificate, 1, -1),
          "basic constraints");
    check(gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_KEY_CERT_SIGN
                                        | GNUTLS_KEY_CRL_SIGN
                                        | GNUTLS_KEY_DIGITAL_SIGNATURE),
          "key usage");
    check(gnutls_x509_crt_sign2(certificate, certificate, key,
                                GNUTLS_DIG_SHA384, 0), "signing");
}

void make(const AttestationRoot &root)
{
    Handle<gnutls_x509_privkey_t, gnutls_x509_privkey_deinit> key;
    CertificateHandle certificate;
    Datum key_text, text;

    check(gnutls_x509_privkey_init(&key.value), "key");
    check(gnutls_x509_privkey_generate(
              key.value, GNUTLS_PK_ECDSA,
              GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), 0), "key");
    check(gnutls_x509_crt_init(&certificate.value), "certificate");
    make_certificate(certificate.value, key.value);
    check(gnutls_x509_privkey_export2_pkcs8(key.value, GNUTLS_X509_FMT_PEM,
                                            nullptr, GNUTLS_PKCS_PLAIN,
                                            &key_text.value), "key");
    check(gnutls_x509_crt_export2(certificate.value, GNUTLS_X509_FMT_PEM,
                                  &text.value), "certificate");
    AtomicFile key_file(root.key, private_mode);
    AtomicFile certificate_file(root.certificate, private_mode);
    key_file.write(key_text.value.data, key_text.value.size);
    certificate_file.write(text.value.data, text.value.size);
    gnutls_memset(key_text.value.data, 0, key_text.value.size);
    /* Both files are written, so the old ones can go.  The certificate comes
     * last: if it exists, its key exists. */
    fs::remove(root.certificate);
    key_file.commit();
    certificate_file.commit();
}

/* Replace a root that expires soon.  If that fails, it is used while it can
 * still issue certificates. */
void renew(const AttestationRoot &root, time_t end)
{
    time_t left = end - time(nullptr);

    try {
        make(root);
    } catch (const Error &e) {
        if (left < too_short) {
            throw;
        }
        fprintf(stderr, "The attestation root expires in %ld days and cannot be"
                " renewed: %s\n", static_cast<long>(left / day), e.what());
        return;
    }
    fprintf(stderr, "The attestation root %s; this is a new one: %s\n",
            left <= 0 ? "has expired" : "was about to expire",
            root.certificate.c_str());
}

} // namespace

AttestationRoot attestation_root()
{
    std::string directory = data_directory();
    AttestationRoot root = {directory + "/attestation-root.pem",
                            directory + "/attestation-root.key"};

    make_data_directory(directory);
    Descriptor lock = lock_file(directory + "/lock", lock_wait_ms);
    if (!lock) {
        throw Error(Code::file, directory + "/lock: another command holds this",
                    "See what holds it: fuser " + directory + "/lock");
    }
    if (!fs::exists(root.certificate)) {
        make(root);
    } else if (time_t end = end_of(root.certificate);
               end < time(nullptr) + renewal) {
        renew(root, end);
    }
    return root;
}
