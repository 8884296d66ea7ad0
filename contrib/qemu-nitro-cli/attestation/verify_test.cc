/*
 * Tests of document.cc and verify.cc: each test breaks one rule, and expects
 * that the verdict names this rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/verify.hh"

#include <algorithm>
#include <gtest/gtest.h>

#include "attestation/document_maker.hh"

namespace {

const char *const verified = "verified";

/* The rule that `document` breaks first */
std::string verdict(const Bytes &document, const AttestationPolicy &policy)
{
    try {
        verify_attestation(decode_attestation(document), policy);
    } catch (const Violation &violation) {
        EXPECT_STRNE(violation.what(), "");
        return violation.rule;
    }
    return verified;
}

class Attestation : public testing::Test {
protected:
    explicit Attestation(size_t authorities = 4) : maker(authorities) {}

    /* Make the document of `maker`, and verify it with its root */
    std::string made()
    {
        maker.prepare();
        return judged();
    }

    /* The same, after prepare() and changes to the payload */
    std::string judged()
    {
        policy.root = maker.certificates[0];
        return verdict(maker.document(), policy);
    }

    /* A document that differs in one value of the payload */
    std::string with(const std::string &key, const Bytes &value)
    {
        maker.prepare();
        maker.value(key) = value;
        return judged();
    }

    AttestationMaker maker;
    AttestationPolicy policy{.root = {}, .at = AttestationMaker::signed_at,
                             .pcrs = {}, .nonce = {}, .user_data = {},
                             .public_key = {}, .max_age = {}};
};

/* The smallest document, for tests with many verifications */
class ShortAttestation : public Attestation {
protected:
    ShortAttestation() : Attestation(1) {}
};

TEST_F(Attestation, Verifies)
{
    EXPECT_EQ(made(), verified);

    AttestationDocument document = decode_attestation(maker.document());
    EXPECT_EQ(document.module_id, "i-0123-enc4567");
    EXPECT_EQ(document.digest, "SHA384");
    EXPECT_EQ(document.timestamp, 1700000000500u);
    ASSERT_EQ(document.pcrs.size(), 4u);
    EXPECT_EQ(document.pcrs.at(3), Bytes(48, 0x13));
    EXPECT_EQ(document.cabundle.size(), 4u);
    EXPECT_EQ(document.cabundle[0], maker.certificates[0]);
    EXPECT_EQ(document.certificate, maker.certificates[4]);
    EXPECT_FALSE(document.public_key);
    EXPECT_FALSE(document.user_data);
    EXPECT_EQ(document.nonce, (Bytes{1, 2, 3}));
}

TEST_F(ShortAttestation, Verifies)
{
    EXPECT_EQ(made(), verified);
}

/* COSE */

TEST_F(ShortAttestation, Tags)
{
    for (const Bytes &tag : {Bytes{0xd2}, Bytes{0xd8, 18}}) {
        maker.prefix = tag;
        EXPECT_EQ(made(), verified);
    }
    for (const Bytes &tag : {Bytes{0xd1}, Bytes{0xd8, 98}, Bytes{0xd2, 0xd2}}) {
        maker.prefix = tag;
        EXPECT_EQ(made(), "cose-structure");
    }
}

TEST_F(ShortAttestation, ProtectedHeader)
{
    const Bytes bad[] = {
        {}, {0xa0}, {0xa1, 0x01, 0x26}, {0xa1, 0x01, 0x18, 34},
        {0xa1, 0x02, 0x38, 34}, {0xa1, 0x20, 0x38, 34}, {0x82, 1, 0x38, 34},
        {0xa2, 0x01, 0x38, 34, 0x02, 0x80}, {0xa1, 0x01, 0x38, 34, 0},
        {0x38, 34},
    };

    for (const Bytes &header : bad) {
        maker.protected_header = header;
        EXPECT_EQ(made(), "protected-header")
            << testing::PrintToString(header);
    }
    /* Other encodings of the same values */
    maker.protected_header = {0xbf, 0x18, 0x01, 0x39, 0, 34, 0xff};
    EXPECT_EQ(made(), verified);
}

TEST_F(ShortAttestation, UnprotectedHeader)
{
    maker.unprotected_header = {0xa1, 0x01, 0x38, 34};
    EXPECT_EQ(made(), "unprotected-header");
    maker.unprotected_header = {0x80};
    EXPECT_EQ(made(), "cose-structure");
}

TEST_F(ShortAttestation, CoseParts)
{
    const Bytes header = cbor::bytes({0xa1, 0x01, 0x38, 34});
    const Bytes empty = cbor::map({}), none = cbor::bytes({});
    const Bytes signature = cbor::bytes(Bytes(96));
    const Bytes bad[] = {
        cbor::text("document"),
        cbor::array({}),
        cbor::array({header, empty, none}),
        cbor::array({header, empty, none, signature, none}),
        cbor::array({empty, empty, none, signature}),
        cbor::array({header, empty, cbor::null(), signature}),
        cbor::array({header, empty, cbor::text(""), signature}),
        cbor::array({header, empty, none, cbor::text(std::string(96, 'x'))}),
        cbor::array({header, empty, none, cbor::bytes(Bytes(95))}),
        cbor::array({header, empty, none, cbor::bytes(Bytes(97))}),
        cbor::join({cbor::array({header, empty, none, signature}), none}),
    };

    for (const Bytes &document : bad) {
        EXPECT_EQ(verdict(document, policy), "cose-structure");
    }
}

TEST_F(ShortAttestation, CutAtEveryLength)
{
    made();
    Bytes document = maker.document();

    for (size_t size = 0; size < document.size(); size++) {
        ASSERT_EQ(verdict(Bytes(document.begin(), document.begin() + size),
                          policy), "cose-structure") << size;
    }
}

TEST_F(ShortAttestation, Trailing)
{
    made();
    Bytes document = maker.document();

    document.push_back(0);
    EXPECT_EQ(verdict(document, policy), "cose-structure");
}

TEST_F(ShortAttestation, EveryChangedByteIsRefused)
{
    ASSERT_EQ(made(), verified);
    const Bytes document = maker.document();

    for (size_t i = 0; i < document.size(); i++) {
        Bytes changed = document;

        changed[i] ^= 1 << i % 8;
        ASSERT_NE(verdict(changed, policy), verified) << "byte " << i;
    }
}

TEST(AttestationDocument, TooLong)
{
    EXPECT_EQ(verdict(Bytes(document_max + 1), {}), "size");
    EXPECT_EQ(verdict(Bytes(document_max), {}), "cose-structure");
}

TEST(AttestationDocument, NestingAndClaimedSizes)
{
    for (uint8_t byte : {0x81, 0x9f, 0xa1, 0xbf, 0xd2, 0x5f, 0x9b, 0xbb}) {
        EXPECT_EQ(verdict(Bytes(document_max, byte), {}), "cose-structure");
    }
    EXPECT_EQ(verdict({0x84, 0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff}, {}),
              "cose-structure");
}

/* The payload */

TEST_F(ShortAttestation, PayloadIsAMap)
{
    maker.prepare();
    Bytes header = cbor::bytes(maker.protected_header);

    for (const Bytes &payload : {Bytes{}, cbor::array({}), cbor::text("x"),
                                 Bytes(1000, 0x81), Bytes{0xa1, 0x61},
                                 Bytes{0xa0, 0xa0}, Bytes{0xa0}}) {
        Bytes document = cbor::array({header, cbor::map({}),
                                      cbor::bytes(payload),
                                      cbor::bytes(Bytes(96))});
        EXPECT_EQ(verdict(document, policy), "payload-structure");
    }
}

TEST_F(ShortAttestation, EveryKeyIsNeededOnce)
{
    for (const char *key : {"module_id", "digest", "timestamp", "pcrs",
                            "certificate", "cabundle", "public_key",
                            "user_data", "nonce"}) {
        maker.prepare();
        std::erase_if(maker.payload, [&](const Pair &pair) {
            return pair.key == cbor::text(key);
        });
        /* AWS publishes that the last three may be absent. */
        bool may = std::string(key) == "public_key"
                   || std::string(key) == "user_data"
                   || std::string(key) == "nonce";
        EXPECT_EQ(judged(), may ? verified : "payload-structure") << key;

        maker.prepare();
        maker.payload.push_back({cbor::text(key), maker.value(key)});
        EXPECT_EQ(judged(), "payload-structure") << key;
    }
}

TEST_F(ShortAttestation, OtherKeys)
{
    for (const Bytes &key : {cbor::text("other"), cbor::text(""),
                             cbor::text("noncex"), cbor::bytes({'x'}),
                             cbor::number(1), cbor::null()}) {
        maker.prepare();
        maker.payload.push_back({key, cbor::null()});
        EXPECT_EQ(judged(), "payload-structure");
    }
}

TEST_F(ShortAttestation, KeysInAnyOrder)
{
    maker.prepare();
    std::swap(maker.payload[0], maker.payload[5]);
    EXPECT_EQ(judged(), verified);
}

TEST_F(ShortAttestation, WrongTypes)
{
    const Bytes text = cbor::text("text"), bytes = cbor::bytes({1});
    const struct {
        const char *key, *rule;
        std::vector<Bytes> values;
    } cases[] = {
        {"module_id", "module-id", {bytes, cbor::null(), cbor::number(1)}},
        {"digest", "digest", {cbor::bytes({'S', 'H', 'A', '3', '8', '4'}),
                              cbor::null()}},
        {"timestamp", "timestamp", {text, Bytes{0x20}, cbor::null(),
                                    Bytes{0xf9, 0x3c, 0}}},
        {"pcrs", "pcrs", {cbor::array({}), cbor::null(), bytes}},
        {"certificate", "certificate", {text, cbor::null(),
                                        cbor::array({bytes})}},
        {"cabundle", "cabundle", {bytes, cbor::null(), cbor::map({}),
                                  cbor::array({text})}},
        {"public_key", "public-key", {text, cbor::number(0), Bytes{0xf7}}},
        {"user_data", "user-data", {text, cbor::number(0), Bytes{0xf7}}},
        {"nonce", "nonce", {text, cbor::number(0), Bytes{0xf4}}},
    };

    for (const auto &c : cases) {
        for (const Bytes &value : c.values) {
            EXPECT_EQ(with(c.key, value), c.rule)
                << testing::PrintToString(value);
        }
    }
}

TEST_F(ShortAttestation, ModuleId)
{
    EXPECT_EQ(with("module_id", cbor::text("")), "module-id");
}

TEST_F(ShortAttestation, Digest)
{
    for (const char *name : {"", "SHA256", "SHA512", "sha384", "SHA384 "}) {
        EXPECT_EQ(with("digest", cbor::text(name)), "digest");
    }
}

TEST_F(ShortAttestation, Pcrs)
{
    const Bytes value = cbor::bytes(Bytes(48));
    std::vector<Bytes> all;

    for (unsigned i = 0; i < 32; i++) {
        all.push_back(cbor::number(i));
        all.push_back(value);
    }
    EXPECT_EQ(with("pcrs", cbor::map(all)), verified);
    EXPECT_EQ(with("pcrs", cbor::map({cbor::number(31), value})), verified);
    for (size_t size : {32, 64}) {
        EXPECT_EQ(with("pcrs", cbor::map({cbor::number(0),
                                          cbor::bytes(Bytes(size))})),
                  verified);
    }

    EXPECT_EQ(with("pcrs", cbor::map({})), "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({cbor::number(32), value})), "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({cbor::number(UINT64_MAX), value})),
              "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({Bytes{0x20}, value})), "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({cbor::text("0"), value})), "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({cbor::number(0), value, cbor::number(0),
                                      value})), "pcrs");
    EXPECT_EQ(with("pcrs", cbor::map({cbor::number(0), cbor::null()})),
              "pcrs");
    for (size_t size : {0, 1, 31, 33, 47, 49, 63, 65}) {
        EXPECT_EQ(with("pcrs", cbor::map({cbor::number(0),
                                          cbor::bytes(Bytes(size))})),
                  "pcrs");
    }
    all.push_back(cbor::number(0));
    all.push_back(value);
    EXPECT_EQ(with("pcrs", cbor::map(all)), "pcrs");
}

TEST_F(ShortAttestation, CertificateSizes)
{
    for (const Bytes &der : {Bytes{}, Bytes(1025)}) {
        EXPECT_EQ(with("certificate", cbor::bytes(der)), "certificate");
        EXPECT_EQ(with("cabundle", cbor::array({cbor::bytes(der)})),
                  "cabundle");
    }
    EXPECT_EQ(with("cabundle", cbor::array({})), "cabundle");
    for (const Bytes &der : {Bytes(1), Bytes(1024)}) {
        EXPECT_EQ(with("certificate", cbor::bytes(der)),
                  "certificate-format");
        EXPECT_EQ(with("cabundle", cbor::array({cbor::bytes(der)})),
                  "certificate-format");
    }
}

TEST_F(ShortAttestation, LongFieldsVerify)
{
    for (const char *key : {"public_key", "user_data", "nonce"}) {
        for (size_t size : {0, 1, 513, 1025, 4073}) {
            EXPECT_EQ(with(key, cbor::bytes(Bytes(size))), verified);
        }
        EXPECT_EQ(with(key, cbor::null()), verified);
    }
}

/* Certificates */

TEST_F(ShortAttestation, BytesAfterACertificate)
{
    maker.prepare();
    Bytes longer = maker.certificates.back();
    longer.push_back(0);
    maker.value("certificate") = cbor::bytes(longer);
    EXPECT_EQ(judged(), "certificate-format");
}

TEST_F(Attestation, AnotherRoot)
{
    made();
    Bytes first = maker.certificates[0];
    Bytes document = maker.document();

    /* The same name and key, but another serial number and signature */
    maker.prepare();
    ASSERT_NE(maker.certificates[0], first);
    policy.root = maker.certificates[0];
    EXPECT_EQ(verdict(document, policy), "root");
    policy.root = {};
    EXPECT_EQ(verdict(document, policy), "root");
    policy.root = first;
    EXPECT_EQ(verdict(document, policy), verified);
}

/* The root, but not in the first place */
TEST_F(Attestation, RootIsNotFirst)
{
    maker.prepare();
    std::vector<Bytes> bundle;
    for (int i : {1, 0, 2, 3}) {
        bundle.push_back(cbor::bytes(maker.certificates[i]));
    }
    maker.value("cabundle") = cbor::array(bundle);
    EXPECT_EQ(judged(), "root");
}

TEST_F(Attestation, OrderOfCabundle)
{
    /* Without path length limits, which would be the first violation */
    for (auto &spec : maker.chain) {
        spec.path_length = -1;
    }
    for (const std::vector<int> &order :
         {std::vector{0, 2, 1, 3}, {0, 1, 3, 2}, {0, 3, 2, 1}, {0, 1, 2},
          {0, 2, 3}, {0}, {0, 1, 2, 3, 3}, {0, 1, 1, 2, 3}}) {
        std::vector<Bytes> bundle;

        maker.prepare();
        for (int i : order) {
            bundle.push_back(cbor::bytes(maker.certificates[i]));
        }
        maker.value("cabundle") = cbor::array(bundle);
        EXPECT_EQ(judged(), "issuer") << testing::PrintToString(order);
    }
}

TEST_F(Attestation, KeyOnAnotherCurve)
{
    Key small = make_key(GNUTLS_ECC_CURVE_SECP256R1);
    Key large = make_key(GNUTLS_ECC_CURVE_SECP521R1);

    for (size_t i = 0; i < maker.chain.size(); i++) {
        Key before = maker.chain[i].key;

        for (const Key &key : {small, large}) {
            maker.chain[i].key = key;
            maker.prepare();
            maker.signer = before;
            EXPECT_EQ(judged(), "key-type") << i;
        }
        maker.chain[i].key = before;
        maker.signer.reset();
    }
}

TEST_F(Attestation, Validity)
{
    for (size_t i = 0; i < maker.chain.size(); i++) {
        CertificateSpec before = maker.chain[i];

        maker.chain[i].end = policy.at - 1;
        EXPECT_EQ(made(), "validity") << i;
        maker.chain[i] = before;
        maker.chain[i].begin = policy.at + 1;
        EXPECT_EQ(made(), "validity") << i;
        maker.chain[i] = before;
    }
    for (auto &spec : maker.chain) {
        spec.begin = spec.end = policy.at;
    }
    EXPECT_EQ(made(), verified);
}

TEST_F(Attestation, AsOfAnotherTime)
{
    policy.at = maker.chain[0].end;
    EXPECT_EQ(made(), verified);
    policy.at++;
    EXPECT_EQ(made(), "validity");
    policy.at = maker.chain[0].begin;
    EXPECT_EQ(made(), verified);
    policy.at--;
    EXPECT_EQ(made(), "validity");
}

TEST_F(Attestation, AuthorityThatIsNone)
{
    for (size_t i = 0; i < 4; i++) {
        CertificateSpec before = maker.chain[i];

        maker.chain[i].is_ca = false;
        EXPECT_EQ(made(), "basic-constraints") << i;
        maker.chain[i] = before;
        maker.chain[i].has_constraints = false;
        EXPECT_EQ(made(), "basic-constraints") << i;
        maker.chain[i] = before;
    }
}

TEST_F(Attestation, LeafThatIsAnAuthority)
{
    maker.chain[4].is_ca = true;
    EXPECT_EQ(made(), "basic-constraints");
    maker.chain[4].is_ca = false;
    maker.chain[4].has_constraints = false;
    EXPECT_EQ(made(), verified);
}

TEST_F(Attestation, PathLength)
{
    for (int i = 0; i < 4; i++) {
        int before = maker.chain[i].path_length;

        maker.chain[i].path_length = 3 - i;
        EXPECT_EQ(made(), verified) << i;
        if (i < 3) {
            maker.chain[i].path_length = 2 - i;
            EXPECT_EQ(made(), "path-length") << i;
        }
        maker.chain[i].path_length = before;
    }
}

TEST_F(Attestation, KeyUsage)
{
    for (size_t i = 0; i < 4; i++) {
        maker.chain[i].usage = GNUTLS_KEY_CRL_SIGN
                               | GNUTLS_KEY_DIGITAL_SIGNATURE;
        EXPECT_EQ(made(), "key-usage") << i;
        maker.chain[i].usage = 0;
        EXPECT_EQ(made(), i ? "key-usage" : verified) << i;
        maker.chain[i].usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN;
    }
    EXPECT_EQ(made(), verified);
    for (unsigned usage : {0, GNUTLS_KEY_KEY_CERT_SIGN,
                           GNUTLS_KEY_NON_REPUDIATION}) {
        maker.chain[4].usage = usage;
        EXPECT_EQ(made(), "key-usage") << usage;
    }
    maker.chain[4].usage = GNUTLS_KEY_DIGITAL_SIGNATURE
                           | GNUTLS_KEY_NON_REPUDIATION;
    EXPECT_EQ(made(), verified);
}

TEST_F(Attestation, CriticalExtension)
{
    for (size_t i = 0; i < maker.chain.size(); i++) {
        maker.chain[i].critical_extension = "1.3.6.1.4.1.55555.1";
        EXPECT_EQ(made(), "critical-extension") << i;
        maker.chain[i].critical_extension.clear();
    }
}

TEST_F(Attestation, IssuerOfAnotherName)
{
    for (size_t i = 1; i < maker.chain.size(); i++) {
        maker.chain[i].issuer = "nobody";
        EXPECT_EQ(made(), "issuer") << i;
        maker.chain[i].issuer.clear();
    }
}

TEST_F(Attestation, SignedByAnotherKey)
{
    Key other = make_key();

    for (size_t i = 1; i < maker.chain.size(); i++) {
        maker.chain[i].signer = other;
        EXPECT_EQ(made(), "certificate-signature") << i;
        maker.chain[i].signer.reset();
    }
}

TEST_F(Attestation, SignedWithAnotherDigest)
{
    for (size_t i = 1; i < maker.chain.size(); i++) {
        for (auto digest : {GNUTLS_DIG_SHA256, GNUTLS_DIG_SHA512}) {
            maker.chain[i].digest = digest;
            EXPECT_EQ(made(), "certificate-signature") << i;
        }
        maker.chain[i].digest = GNUTLS_DIG_SHA384;
    }
    /* The user trusts the root, so its own signature is not checked. */
    maker.chain[0].digest = GNUTLS_DIG_SHA512;
    EXPECT_EQ(made(), verified);
}

/* Time and signature of the document */

TEST_F(ShortAttestation, Timestamp)
{
    const int64_t now = AttestationMaker::signed_at;

    EXPECT_EQ(with("timestamp", cbor::number(0)), "timestamp");
    EXPECT_EQ(with("timestamp", cbor::number(1)), "timestamp");
    EXPECT_EQ(with("timestamp", cbor::number(UINT64_MAX)), "timestamp");
    /* In seconds, which is the wrong unit */
    EXPECT_EQ(with("timestamp", cbor::number(now)), "timestamp");
    EXPECT_EQ(with("timestamp", cbor::number((now - 100) * 1000)), verified);
    EXPECT_EQ(with("timestamp", cbor::number((now - 101) * 1000)),
              "timestamp");
    EXPECT_EQ(with("timestamp", cbor::number((now + 300) * 1000)), verified);
    EXPECT_EQ(with("timestamp", cbor::number((now + 301) * 1000)),
              "timestamp");
    policy.at = now + 10000;
    EXPECT_EQ(with("timestamp", cbor::number((now + 10000) * 1000)), verified);
    EXPECT_EQ(with("timestamp", cbor::number((now + 10001) * 1000)),
              "timestamp");
}

TEST_F(ShortAttestation, SignedByAnotherKey)
{
    maker.signer = make_key();
    EXPECT_EQ(made(), "signature");
}

TEST_F(ShortAttestation, SignatureOfNumbersOutOfRange)
{
    made();
    Bytes document = maker.document();

    for (uint8_t byte : {0x00, 0x01, 0x80, 0xff}) {
        std::fill(document.end() - 96, document.end(), byte);
        EXPECT_EQ(verdict(document, policy), "signature") << unsigned{byte};
    }
}

/* One in 128 signatures has such an r or s. */
TEST_F(ShortAttestation, SignatureOfSmallNumbers)
{
    bool small_r = false, small_s = false;

    maker.prepare();
    for (int i = 0; i < 20000 && !(small_r && small_s); i++) {
        Bytes document = maker.document();
        bool r = document[document.size() - 96] == 0;
        bool s = document[document.size() - 48] == 0;

        if (r || s) {
            policy.root = maker.certificates[0];
            EXPECT_EQ(verdict(document, policy), verified);
            small_r |= r;
            small_s |= s;
        }
    }
    EXPECT_TRUE(small_r && small_s);
}

/* What is expected */

TEST_F(ShortAttestation, ExpectedPcrs)
{
    policy.pcrs = {{0, Bytes(48, 0x10)}, {3, Bytes(48, 0x13)}};
    EXPECT_EQ(made(), verified);
    policy.pcrs[3][47]++;
    EXPECT_EQ(made(), "expected-pcr");
    policy.pcrs = {{0, Bytes(32, 0x10)}};
    EXPECT_EQ(made(), "expected-pcr");
    policy.pcrs = {{4, Bytes(48)}};
    EXPECT_EQ(made(), "expected-pcr");
}

TEST_F(ShortAttestation, ExpectedFields)
{
    const struct {
        const char *key, *rule;
        std::optional<Bytes> &expected;
    } cases[] = {
        {"nonce", "expected-nonce", policy.nonce},
        {"user_data", "expected-user-data", policy.user_data},
        {"public_key", "expected-public-key", policy.public_key},
    };

    for (const auto &c : cases) {
        c.expected = Bytes{7, 8};
        EXPECT_EQ(with(c.key, cbor::bytes({7, 8})), verified);
        for (const Bytes &other : {Bytes{}, Bytes{7}, Bytes{7, 9},
                                   Bytes{7, 8, 0}}) {
            EXPECT_EQ(with(c.key, cbor::bytes(other)), c.rule);
        }
        EXPECT_EQ(with(c.key, cbor::null()), c.rule);
        /* An empty value is not the same as no value. */
        c.expected = Bytes{};
        EXPECT_EQ(with(c.key, cbor::bytes({})), verified);
        EXPECT_EQ(with(c.key, cbor::null()), c.rule);
        c.expected.reset();
    }
}

TEST(AttestationTime, Text)
{
    EXPECT_EQ(time_text(0), "1970-01-01T00:00:00Z");
    EXPECT_EQ(time_text(1665651600), "2022-10-13T09:00:00Z");
    EXPECT_EQ(time_text(INT64_MAX), "9223372036854775807 seconds after 1970");
}

TEST_F(ShortAttestation, MaxAge)
{
    const int64_t now = AttestationMaker::signed_at;

    policy.max_age = 100;
    policy.at = now + 100;
    EXPECT_EQ(with("timestamp", cbor::number(now * 1000)), verified);
    EXPECT_EQ(with("timestamp", cbor::number(now * 1000 - 1)), "max-age");
    policy.max_age = 0;
    EXPECT_EQ(with("timestamp", cbor::number((now + 99) * 1000)), "max-age");
    EXPECT_EQ(with("timestamp", cbor::number((now + 100) * 1000)), verified);
    EXPECT_EQ(with("timestamp", cbor::number((now + 150) * 1000)), verified);
}

TEST(AttestationWriting, HexAndBase64)
{
    auto bytes = [](std::string_view text) {
        return Bytes(text.begin(), text.end());
    };
    const Bytes document = {0x84, 0xfb, 0xff, 0xfe, 0};
    Encoding encoding;

    for (const char *text : {"84fbfffe00", "84FBFFFE00\n",
                             " 84 fb\r\nfffe\t00"}) {
        EXPECT_EQ(remove_encoding(bytes(text), &encoding), document) << text;
        EXPECT_EQ(encoding, Encoding::hex);
    }
    for (const char *text : {"hPv//gA=", "hPv__gA=", "hPv__gA",
                             "hPv/\n/gA\n=\n"}) {
        EXPECT_EQ(remove_encoding(bytes(text), &encoding), document) << text;
        EXPECT_EQ(encoding, Encoding::base64);
    }
    EXPECT_EQ(remove_encoding(bytes("\xef\xbb\xbfhPv//gA="), &encoding),
              document);
    EXPECT_EQ(encoding, Encoding::base64);
    for (const Bytes &other : {Bytes(), Bytes{' '}, bytes("84f"),
                               bytes("84fg"), bytes("0x84fb"),
                               bytes("hello"), bytes("hPv//gA=="), bytes("="),
                               bytes("\"hPv//gA=\""), bytes("hPv/!/gA="),
                               bytes("{\"document\": \"hPv//gA=\"}"),
                               bytes("00112233"), bytes("\xef\xbb\xbf#")}) {
        EXPECT_EQ(remove_encoding(other, &encoding), other);
        EXPECT_EQ(encoding, Encoding::other_text);
    }
    for (const Bytes &other : {document, bytes("hPv//gA=\x7f"),
                               bytes("\xef\xbb"), Bytes{'8', '4', 0}}) {
        EXPECT_EQ(remove_encoding(other, &encoding), other);
        EXPECT_EQ(encoding, Encoding::bytes);
    }
}

} // namespace
