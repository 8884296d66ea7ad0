/*
 * Tests of root.cc: one root for each user, kept and private
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/root.hh"

#include <csignal>
#include <ctime>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/files.hh"
#include "support/gnutls_handles.hh"
#include "support/test_support.hh"

namespace {

class Root : public DirectoryTest {
protected:
    Root() { setenv("XDG_DATA_HOME", path("data/more").c_str(), 1); }
    ~Root() override { unsetenv("XDG_DATA_HOME"); }

    static std::string text(const std::string &file)
    {
        Bytes data = read_file(file);

        return {data.begin(), data.end()};
    }
    const std::string pem = "data/more/qemu-nitro/attestation-root.pem";
    const std::string key = "data/more/qemu-nitro/attestation-root.key";
};

TEST_F(Root, MadeOnce)
{
    AttestationRoot root = attestation_root();
    std::string certificate = read(pem), secret = read(key);

    EXPECT_EQ(root.certificate, path(pem));
    EXPECT_EQ(root.key, path(key));
    EXPECT_TRUE(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    EXPECT_TRUE(secret.starts_with("-----BEGIN PRIVATE KEY-----"));
    attestation_root();
    EXPECT_EQ(read(pem), certificate);
    EXPECT_EQ(read(key), secret);
}

TEST_F(Root, Private)
{
    mode_t before = umask(0);

    attestation_root();
    umask(before);
    EXPECT_EQ(mode("data/more/qemu-nitro"), 0700u);
    EXPECT_EQ(mode(key), 0600u);
    ASSERT_EQ(chmod(path("data/more/qemu-nitro").c_str(), 0755), 0);
    EXPECT_EQ(code_of([] { attestation_root(); }), 19);
}

/* A root that expires soon is renewed, or used if that is not possible. */
TEST_F(Root, Renewal)
{
    constexpr time_t day = 86400;
    AttestationRoot root = attestation_root();
    auto replace = [&](time_t end) {
        CertificateHandle certificate;
        Handle<gnutls_x509_privkey_t, gnutls_x509_privkey_deinit> private_key;
        Bytes secret = read_file(root.key);
        gnutls_datum_t key_data = datum(secret);
        Datum out;

        gnutls_x509_crt_init(&certificate.value);
        gnutls_x509_privkey_init(&private_key.value);
        gnutls_x509_privkey_import_pkcs8(private_key.value, &key_data,
                                         GNUTLS_X509_FMT_PEM, nullptr,
                                         GNUTLS_PKCS_PLAIN);
        gnutls_x509_crt_set_version(certificate.value, 3);
        gnutls_x509_crt_set_serial(certificate.value, "1", 1);
        gnutls_x509_crt_set_dn(certificate.value, "CN=test", nullptr);
        gnutls_x509_crt_set_key(certificate.value, private_key.value);
        gnutls_x509_crt_set_activation_time(certificate.value, end - 99 * day);
        gnutls_x509_crt_set_expiration_time(certificate.value, end);
        gnutls_x509_crt_sign2(certificate.value, certificate.value,
                              private_key.value, GNUTLS_DIG_SHA384, 0);
        gnutls_x509_crt_export2(certificate.value, GNUTLS_X509_FMT_PEM,
                                &out.value);
        write(pem, {reinterpret_cast<char *>(out.value.data), out.value.size});
        return read(pem);
    };

    for (int days : {-1, 1, 29}) {
        std::string old = replace(time(nullptr) + days * day);

        attestation_root();
        EXPECT_NE(read(pem), old) << days;
    }
    std::string far = replace(time(nullptr) + 31 * day);
    attestation_root();
    EXPECT_EQ(read(pem), far);

    /* No room for a new one */
    rlimit saved, none;
    getrlimit(RLIMIT_FSIZE, &saved);
    none = {0, saved.rlim_max};
    auto without_room = [&] {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &none);
        int code = code_of([] { attestation_root(); });
        setrlimit(RLIMIT_FSIZE, &saved);
        signal(SIGXFSZ, SIG_DFL);
        return code;
    };
    std::string secret = read(key), soon = replace(time(nullptr) + 29 * day);
    EXPECT_EQ(without_room(), 0);
    EXPECT_EQ(read(pem), soon);
    EXPECT_EQ(read(key), secret);
    soon = replace(time(nullptr) + day);
    EXPECT_EQ(without_room(), 19);
    EXPECT_EQ(read(pem), soon);
    EXPECT_EQ(read(key), secret);
}

/* Of several processes, the first makes the root and all get the same one. */
TEST_F(Root, ManyAtOnce)
{
    for (int i = 0; i < 8; i++) {
        if (fork() == 0) {
            AttestationRoot root = attestation_root();
            std::ofstream(path("seen" + std::to_string(i)))
                << text(root.certificate) << text(root.key);
            _exit(0);
        }
    }
    while (wait(nullptr) > 0) {
        /* for all of them */
    }
    for (int i = 0; i < 8; i++) {
        EXPECT_EQ(read("seen" + std::to_string(i)), read(pem) + read(key));
    }
}

/* If making a root is interrupted, there is a key without a certificate. */
TEST_F(Root, MadeAgainIfHalf)
{
    attestation_root();
    std::string secret = read(key);
    std::filesystem::remove(path(pem));
    attestation_root();
    EXPECT_NE(read(key), secret);
    EXPECT_TRUE(std::filesystem::exists(path(pem)));
}

TEST_F(Root, Damaged)
{
    attestation_root();
    write(pem, "no certificate");
    EXPECT_EQ(code_of([] { attestation_root(); }), 19);
    EXPECT_EQ(read(pem), "no certificate");
}

TEST_F(Root, Nowhere)
{
    std::string home = getenv("HOME") ? getenv("HOME") : "";

    setenv("XDG_DATA_HOME", "not/absolute", 1);
    setenv("HOME", dir.c_str(), 1);
    EXPECT_TRUE(attestation_root().key.starts_with(
        path(".local/share/qemu-nitro")));
    setenv("HOME", "not/absolute", 1);
    EXPECT_EQ(code_of([] { attestation_root(); }), 19);
    write("file", "");
    setenv("XDG_DATA_HOME", path("file").c_str(), 1);
    EXPECT_EQ(code_of([] { attestation_root(); }), 19);
    setenv("HOME", home.c_str(), 1);
}

} // namespace
