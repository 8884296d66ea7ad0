/*
 * Decoding attestation documents of a Nitro Secure Module
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/document.hh"

#include <algorithm>
#include <gnutls/gnutls.h>
#include <span>

#include "attestation/cbor_reader.hh"
#include "support/cose.hh"

namespace {

using Kind = CborItem::Kind;

constexpr size_t signature_size = 2 * es384.width;

CborItem read(const char *rule, std::span<const uint8_t> bytes)
{
    try {
        return read_cbor(bytes);
    } catch (const CborError &e) {
        throw Violation(rule, std::string("not well-formed CBOR: ")
                        + e.what());
    }
}

void expect(const CborItem &item, Kind kind, const char *rule,
            const std::string &what)
{
    if (item.kind != kind) {
        throw Violation(rule, what + " is " + CborItem::name(item.kind)
                        + ", not " + CborItem::name(kind));
    }
}

/* COSE */

void check_protected_header(const Bytes &bytes)
{
    const char *rule = "protected-header";
    CborItem header = read(rule, bytes);

    expect(header, Kind::map, rule, "it");
    if (header.items.size() != 2
        || header.items[0].kind != Kind::unsigned_integer
        || header.items[0].number != COSE_HEADER_ALG
        || header.items[1].kind != Kind::negative_integer
        || header.items[1].number != -1 - es384.number) {
        throw Violation(rule, "it is not exactly {1: -35}, for ES384");
    }
}

/* The parts of a COSE_Sign1, without its tag if it has one */
void decode_cose(CborItem item, AttestationDocument &document)
{
    const char *rule = "cose-structure";
    static const struct {
        const char *name;
        Kind kind;
    } parts[] = {
        {"the protected header", Kind::bytes},
        {"the unprotected header", Kind::map},
        {"the payload", Kind::bytes},
        {"the signature", Kind::bytes},
    };

    if (item.kind == Kind::tag) {
        if (item.number != COSE_SIGN1_TAG) {
            throw Violation(rule, "tag " + std::to_string(item.number)
                            + " is not that of COSE_Sign1, 18");
        }
        item = CborItem(std::move(item.items[0]));
    }
    expect(item, Kind::array, rule, "the document");
    if (item.items.size() != std::size(parts)) {
        throw Violation(rule, "an array of "
                        + std::to_string(item.items.size())
                        + " items, not of 4");
    }
    for (size_t i = 0; i < std::size(parts); i++) {
        expect(item.items[i], parts[i].kind, rule, parts[i].name);
    }
    document.protected_header = std::move(item.items[0].data);
    check_protected_header(document.protected_header);
    if (!item.items[1].items.empty()) {
        throw Violation("unprotected-header", "it is not empty");
    }
    document.payload = std::move(item.items[2].data);
    document.signature = std::move(item.items[3].data);
    if (document.signature.size() != signature_size) {
        throw Violation(rule, "a signature of "
                        + std::to_string(document.signature.size())
                        + " bytes, not of 96");
    }
}

/* Read the payload's values; each function has the name of its rule. */

void decode_module_id(CborItem &item, AttestationDocument &document)
{
    expect(item, Kind::text, "module-id", "it");
    if (item.data.empty()) {
        throw Violation("module-id", "it is empty");
    }
    document.module_id.assign(item.data.begin(), item.data.end());
}

void decode_digest(CborItem &item, AttestationDocument &document)
{
    expect(item, Kind::text, "digest", "it");
    document.digest.assign(item.data.begin(), item.data.end());
    if (document.digest != "SHA384") {
        throw Violation("digest", "it is not SHA384");
    }
}

void decode_timestamp(CborItem &item, AttestationDocument &document)
{
    expect(item, Kind::unsigned_integer, "timestamp", "it");
    if (item.number == 0) {
        throw Violation("timestamp", "it is 0");
    }
    document.timestamp = item.number;
}

void decode_pcrs(CborItem &item, AttestationDocument &document)
{
    const char *rule = "pcrs";

    expect(item, Kind::map, rule, "it");
    if (item.items.empty() || item.items.size() > 2 * pcr_count) {
        throw Violation(rule, std::to_string(item.items.size() / 2)
                        + " registers, not 1 to 32");
    }
    for (size_t i = 0; i < item.items.size(); i += 2) {
        CborItem &index = item.items[i], &value = item.items[i + 1];

        expect(index, Kind::unsigned_integer, rule, "an index");
        if (index.number >= pcr_count) {
            throw Violation(rule, "index " + std::to_string(index.number)
                            + " is greater than 31");
        }
        std::string name = "PCR" + std::to_string(index.number);
        expect(value, Kind::bytes, rule, name);
        if (!is_pcr_size(value.data.size())) {
            throw Violation(rule, name + " has "
                            + std::to_string(value.data.size())
                            + " bytes, not 32, 48 or 64");
        }
        Bytes &pcr = document.pcrs[static_cast<unsigned>(index.number)];
        if (!pcr.empty()) {
            throw Violation(rule, name + " occurs twice");
        }
        pcr = std::move(value.data);
    }
}

Bytes decode_der(CborItem &item, const char *rule)
{
    expect(item, Kind::bytes, rule, "a certificate");
    if (item.data.empty() || item.data.size() > certificate_max) {
        throw Violation(rule, "a certificate has "
                        + std::to_string(item.data.size())
                        + " bytes, not 1 to 1024");
    }
    return std::move(item.data);
}

void decode_certificate(CborItem &item, AttestationDocument &document)
{
    document.certificate = decode_der(item, "certificate");
}

void decode_cabundle(CborItem &item, AttestationDocument &document)
{
    expect(item, Kind::array, "cabundle", "it");
    if (item.items.empty()) {
        throw Violation("cabundle", "it is empty");
    }
    for (CborItem &der : item.items) {
        document.cabundle.push_back(decode_der(der, "cabundle"));
    }
}

/*
 * AWS publishes limits of 1024 bytes for a public key, and of 512 for the
 * others.  But its modules also sign longer values, so there is no limit here.
 */
std::optional<Bytes> decode_optional(CborItem &item, const char *rule)
{
    if (item.kind == Kind::null) {
        return {};
    }
    expect(item, Kind::bytes, rule, "it");
    return std::move(item.data);
}

void decode_public_key(CborItem &item, AttestationDocument &document)
{
    document.public_key = decode_optional(item, "public-key");
}

void decode_user_data(CborItem &item, AttestationDocument &document)
{
    document.user_data = decode_optional(item, "user-data");
}

void decode_nonce(CborItem &item, AttestationDocument &document)
{
    document.nonce = decode_optional(item, "nonce");
}

const struct Key {
    const char *name;
    bool required;
    void (*decode)(CborItem &item, AttestationDocument &document);
} keys[] = {
    {"module_id", true, decode_module_id},
    {"digest", true, decode_digest},
    {"timestamp", true, decode_timestamp},
    {"pcrs", true, decode_pcrs},
    {"certificate", true, decode_certificate},
    {"cabundle", true, decode_cabundle},
    {"public_key", false, decode_public_key},
    {"user_data", false, decode_user_data},
    {"nonce", false, decode_nonce},
};

size_t find_key(const CborItem &item)
{
    const char *rule = "payload-structure";

    expect(item, Kind::text, rule, "a key");
    std::string name(item.data.begin(), item.data.end());
    for (size_t i = 0; i < std::size(keys); i++) {
        if (name == keys[i].name) {
            return i;
        }
    }
    /* The message does not have the key, which can be any text. */
    throw Violation(rule, "a key that no document has");
}

void decode_payload(AttestationDocument &document)
{
    const char *rule = "payload-structure";
    CborItem payload = read(rule, document.payload);
    CborItem *values[std::size(keys)] = {};

    expect(payload, Kind::map, rule, "it");
    for (size_t i = 0; i < payload.items.size(); i += 2) {
        size_t key = find_key(payload.items[i]);

        if (values[key]) {
            throw Violation(rule, std::string(keys[key].name)
                            + " occurs twice");
        }
        values[key] = &payload.items[i + 1];
    }
    for (size_t i = 0; i < std::size(keys); i++) {
        if (values[i]) {
            keys[i].decode(*values[i], document);
        } else if (keys[i].required) {
            throw Violation(rule, std::string(keys[i].name) + " is missing");
        }
    }
}

/* The first byte of a COSE_Sign1: an array of four, or the tag 18 before it */
constexpr uint8_t cose_array = 0x84, cose_tag = 0xd2;

/* Decode a text with `decode`.  Returns no bytes if that fails. */
Bytes decode_text(const std::string &text,
                  int (*decode)(const gnutls_datum_t *, gnutls_datum_t *))
{
    std::string copy = text;
    gnutls_datum_t in = {reinterpret_cast<uint8_t *>(copy.data()),
                         static_cast<unsigned>(copy.size())};
    gnutls_datum_t out = {};

    if (decode(&in, &out) < 0) {
        return {};
    }
    Bytes bytes(out.data, out.data + out.size);
    gnutls_free(out.data);
    return bytes;
}

} // namespace

bool is_pcr_size(size_t size)
{
    return size == 32 || size == 48 || size == 64;
}

AttestationDocument decode_attestation(std::span<const uint8_t> bytes)
{
    AttestationDocument document;

    if (bytes.size() > document_max) {
        throw Violation("size", "more than "
                        + std::to_string(document_max) + " bytes");
    }
    decode_cose(read("cose-structure", bytes), document);
    decode_payload(document);
    return document;
}

Bytes remove_encoding(const Bytes &text, Encoding *encoding)
{
    static const std::string_view spaces = " \t\r\n";
    static const Bytes mark = {0xef, 0xbb, 0xbf};   /* U+FEFF in UTF-8 */
    std::string word;
    std::span<const uint8_t> rest = text;

    if (std::ranges::equal(rest.first(std::min(rest.size(), mark.size())),
                           mark)) {
        rest = rest.subspan(mark.size());
    }
    *encoding = Encoding::bytes;
    for (uint8_t c : rest) {
        if (c < ' ' ? spaces.find(c) == spaces.npos : c > '~') {
            return text;
        }
        if (spaces.find(c) == spaces.npos) {
            word += c == '-' ? '+' : c == '_' ? '/' : static_cast<char>(c);
        }
    }
    /* Hex is valid base64, too, but then does not begin like a document. */
    std::string padded = word;
    while (padded.size() % 4) {
        padded += '=';
    }
    for (Encoding w : {Encoding::hex, Encoding::base64}) {
        Bytes bytes = w == Encoding::hex
            ? decode_text(word, gnutls_hex_decode2)
            : decode_text(padded, gnutls_base64_decode2);

        if (!bytes.empty() &&
            (bytes[0] == cose_array || bytes[0] == cose_tag)) {
            *encoding = w;
            return bytes;
        }
    }
    *encoding = Encoding::other_text;
    return text;
}
