/*
 * The options of verify-attestation, and what it prints
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "commands/commands.hh"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>

#include "attestation/verify.hh"
#include "support/arguments.hh"
#include "support/errors.hh"
#include "support/files.hh"

namespace {

using Json = nlohmann::ordered_json;

const char *const verify_usage =
    "qemu-nitro-cli verify-attestation --document FILE --root FILE [OPTION]...\n"
    "\n"
    "Check an attestation document: its form, the chain of certificates from a\n"
    "root that you trust, its signature, and the values that you expect.  Prints\n"
    "the document and the verdict.  If the document verifies, exits with 0.  If\n"
    "not, exits with 59 and prints the first rule that the document breaks.\n"
    "\n"
    "  --document FILE     the document, as a Nitro Secure Module returns it, or\n"
    "                      in base64 or hex; - is the standard input\n"
    "  --root FILE         the root certificate, PEM\n"
    "  --pcrN HEX          the expected value of register N (0 to 31)\n"
    "  --nonce HEX         the expected nonce\n"
    "  --user-data HEX     the expected user data\n"
    "  --public-key HEX    the expected public key\n"
    "  --max-age SECONDS   the maximum age of the document\n"
    "  --at TIME           verify as of this time, not as of now\n"
    "                      (RFC 3339: 2022-10-13T09:00:00Z)\n";

const char *const debug_mode_warning =
    "Warning: PCR0, PCR1 and PCR2 are zero: the enclave runs in debug mode, and\n"
    "the document does not identify its image.  Give the expected value with\n"
    "--pcr0.\n";

/* "pcr0" and so on */
const std::vector<std::string> &pcr_names()
{
    static const std::vector<std::string> names = [] {
        std::vector<std::string> list;

        for (unsigned i = 0; i < pcr_count; i++) {
            list.push_back("pcr" + std::to_string(i));
        }
        return list;
    }();
    return names;
}

std::vector<Option> options()
{
    std::vector<Option> list = {
        {"document"}, {"root"}, {"nonce"}, {"user-data"}, {"public-key"},
        {"max-age"}, {"at"},
    };

    for (const std::string &name : pcr_names()) {
        list.push_back({name.c_str()});
    }
    return list;
}

/* Values of options */

int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c)
                          : nullptr;

    return found ? found - digits : -1;
}

std::optional<Bytes> hex_option(const Arguments &arguments, const char *name)
{
    std::optional<std::string> text = arguments.single(name);
    Bytes bytes;

    if (!text) {
        return {};
    }
    for (size_t i = 0; i < text->size(); i += 2) {
        int high = hex_digit((*text)[i]);
        int low = i + 1 < text->size() ? hex_digit((*text)[i + 1]) : -1;

        if (high < 0 || low < 0) {
            throw Error(Code::invalid_argument, std::string("--") + name + " "
                        + *text + " is not hexadecimal",
                        "Give two digits for each byte, and nothing between.");
        }
        bytes.push_back(high << 4 | low);
    }
    return bytes;
}

std::map<unsigned, Bytes> pcr_options(const Arguments &arguments)
{
    std::map<unsigned, Bytes> pcrs;

    for (unsigned i = 0; i < pcr_count; i++) {
        const char *name = pcr_names()[i].c_str();
        std::optional<Bytes> value = hex_option(arguments, name);

        if (!value) {
            continue;
        }
        if (!is_pcr_size(value->size())) {
            throw Error(Code::invalid_argument, std::string("--") + name
                        + " has " + std::to_string(value->size())
                        + " bytes: no register has",
                        "Give 96 digits, for the 48 bytes of SHA-384.");
        }
        pcrs[i] = *value;
    }
    return pcrs;
}

/* Convert a time of RFC 3339 (5.6) to seconds since the epoch. */
std::optional<int64_t> parse_time(const std::string &text)
{
    static const std::regex form(
        "(\\d{4})-(\\d\\d)-(\\d\\d)[Tt ](\\d\\d):(\\d\\d):(\\d\\d)(\\.\\d+)?"
        "([Zz]|([+-])(\\d\\d):(\\d\\d))", std::regex::optimize);
    std::smatch match;

    if (text.size() > 64 || !std::regex_match(text, match, form)) {
        return {};
    }
    auto number = [&](int group) {
        return match[group].matched ? std::stoi(match[group]) : 0;
    };
    std::chrono::year_month_day date{
        std::chrono::year(number(1)),
        std::chrono::month(static_cast<unsigned>(number(2))),
        std::chrono::day(static_cast<unsigned>(number(3)))};
    /* A leap second is the 60th. */
    if (!date.ok() || number(4) > 23 || number(5) > 59 || number(6) > 60
        || number(10) > 23 || number(11) > 59) {
        return {};
    }
    int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
    int64_t east = (number(10) * 60 + number(11)) * 60;

    return ((days * 24 + number(4)) * 60 + number(5)) * 60 + number(6)
           - (match[9] == "-" ? -east : east);
}

int64_t time_option(const Arguments &arguments)
{
    std::optional<std::string> text = arguments.single("at");

    if (!text) {
        return time(nullptr);
    }
    std::optional<int64_t> at = parse_time(*text);
    if (!at) {
        throw Error(Code::invalid_argument, "--at " + *text + " is not a time",
                    "Write it like 2022-10-13T09:00:00Z.");
    }
    return *at;
}

/* The one certificate in a file, as DER */
Bytes read_root(const std::string &path)
{
    const char *advice = "Give the root's certificate in PEM, alone.";
    Bytes text = read_file(path);
    gnutls_datum_t data = {text.data(), static_cast<unsigned>(text.size())};
    gnutls_x509_crt_t *list = nullptr;
    gnutls_datum_t der = {};
    unsigned count = 0;
    Bytes bytes;

    int ret = gnutls_x509_crt_list_import2(&list, &count, &data,
                                           GNUTLS_X509_FMT_PEM, 0);
    if (ret >= 0 && count == 1) {
        ret = gnutls_x509_crt_export2(list[0], GNUTLS_X509_FMT_DER, &der);
        bytes.assign(der.data, der.data + der.size);
        gnutls_free(der.data);
    }
    for (unsigned i = 0; ret >= 0 && i < count; i++) {
        gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    if (ret < 0) {
        throw Error(Code::invalid_argument, "--root " + path
                    + " has no certificate: " + gnutls_strerror(ret), advice);
    }
    if (count != 1) {
        throw Error(Code::invalid_argument, "--root " + path + " has "
                    + std::to_string(count) + " certificates", advice);
    }
    return bytes;
}

/* Read the document, and one byte more to detect one that is too long. */
Bytes read_document(const std::string &path)
{
    /* In hex, with line ends */
    constexpr size_t text_max = 3 * document_max;
    Descriptor file(path == "-" ? dup(STDIN_FILENO)
                                : open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Bytes data(text_max);
    ssize_t n = file ? read_fully(file.get(), data.data(), data.size()) : -1;

    if (n < 0) {
        throw Error(Code::file, "--document " + path + ": "
                    + error_text(errno), "Check that it can be read.");
    }
    data.resize(n);
    Encoding encoding;
    Bytes bytes = remove_encoding(data, &encoding);
    if (data.empty()) {
        std::cerr << "--document " << path << " is empty.\n";
    } else if (encoding == Encoding::other_text) {
        std::cerr << "--document " << path << " is text, but neither base64"
            " nor hex of a document; perhaps a part is missing.\n";
    } else if (encoding != Encoding::bytes) {
        std::cerr << "--document " << path << " is in "
                  << (encoding == Encoding::hex ? "hex" : "base64")
                  << "; the decoded document is verified.\n";
    }
    bytes.resize(std::min(bytes.size(), document_max + 1));
    return bytes;
}

/* Output */

Json hex_or_null(const std::optional<Bytes> &bytes)
{
    return bytes ? Json(hex(*bytes)) : Json();
}

/* null if it is no certificate */
Json certificate_json(const Bytes &der)
{
    std::optional<CertificateSummary> summary = summarize_certificate(der);

    if (!summary) {
        return {};
    }
    return {
        {"subject", summary->subject},
        {"not_before", time_text(summary->not_before)},
        {"not_after", time_text(summary->not_after)},
    };
}

Json document_json(const AttestationDocument &document)
{
    Json pcrs = Json::object(), cabundle = Json::array();

    for (const auto &[index, value] : document.pcrs) {
        pcrs[std::to_string(index)] = hex(value);
    }
    for (const Bytes &der : document.cabundle) {
        cabundle.push_back(certificate_json(der));
    }
    return {
        {"module_id", document.module_id},
        {"digest", document.digest},
        {"timestamp", document.timestamp},
        {"pcrs", pcrs},
        {"certificate", certificate_json(document.certificate)},
        {"cabundle", cabundle},
        {"public_key", hex_or_null(document.public_key)},
        {"user_data", hex_or_null(document.user_data)},
        {"nonce", hex_or_null(document.nonce)},
    };
}

} // namespace

void verify_attestation_command(int argc, char **argv)
{
    Arguments arguments(argc, argv, options());
    AttestationPolicy policy;
    std::optional<Violation> violation;
    Json document;

    if (arguments.help()) {
        std::cout << verify_usage;
        return;
    }
    std::string path = arguments.required("document");
    std::string root = arguments.required("root");
    policy.at = time_option(arguments);
    policy.pcrs = pcr_options(arguments);
    policy.nonce = hex_option(arguments, "nonce");
    policy.user_data = hex_option(arguments, "user-data");
    policy.public_key = hex_option(arguments, "public-key");
    if (auto age = arguments.single("max-age")) {
        policy.max_age = parse_number("--max-age", *age, UINT32_MAX);
    }
    policy.root = read_root(root);

    try {
        AttestationDocument decoded = decode_attestation(read_document(path));

        document = document_json(decoded);
        if (is_debug_mode(decoded) && policy.pcrs.empty()) {
            std::cerr << debug_mode_warning;
        }
        verify_attestation(decoded, policy);
    } catch (const Violation &v) {
        violation = v;
    }
    Json verdict = {
        {"Verified", !violation},
        {"VerifiedAt", time_text(policy.at)},
        {"FailedRule", violation ? Json(violation->rule) : Json()},
        {"Reason", violation ? Json(violation->what()) : Json()},
        {"Document", document},
    };
    /* Names in a document may be invalid UTF-8, or have control characters. */
    std::cout << verdict.dump(2, ' ', true, Json::error_handler_t::replace)
              << std::endl;
    if (violation) {
        throw Error(Code::signature_check, "the document does not verify: "
                    + std::string(violation->rule) + ": " + violation->what(),
                    "Do not trust what it says.");
    }
}
