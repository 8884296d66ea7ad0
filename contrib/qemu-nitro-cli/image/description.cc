/*
 * The output of describe-eif
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/description.hh"

#include "image/certificate.hh"
#include "support/errors.hh"
#include "support/json.hh"

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/* More than any builder writes, and small enough for memory */
constexpr uint64_t max_metadata = 16 << 20;

/*
 * Add the members of `from` to the small object `to`, unless `to` has the key.
 * Appends to the container directly, because ordered_json searches all keys at
 * each insertion.
 */
void merge(ordered_json &to, const json &from)
{
    const ordered_json before = to;

    if (from.is_object()) {
        for (const auto &[key, value] : from.items()) {
            if (!before.contains(key)) {
                to.get_ref<ordered_json::object_t &>().push_back({key, value});
            }
        }
    }
}

void check_metadata_size(const EifImage &image)
{
    for (unsigned i = 0; i < image.num_sections; i++) {
        const EifSection &section = image.sections[i];

        if (section.type == EIF_SECTION_METADATA &&
            section.size > max_metadata) {
            throw Error(Code::eif, std::string(image.path) + ": its metadata"
                        " has " + std::to_string(section.size)
                        + " bytes, at most " + std::to_string(max_metadata)
                        + " are read", "Build the image again.");
        }
    }
}

} // namespace

void check_metadata(const std::string &section)
{
    const char *advice = "Use a file of --metadata, or a container image with a"
        " configuration, that is smaller or nested less deeply.";

    if (section.size() > max_metadata) {
        throw Error(Code::building, "the image's metadata would have "
                    + std::to_string(section.size()) + " bytes, and at most "
                    + std::to_string(max_metadata) + " are read", advice);
    }
    parse_json({section.begin(), section.end()}, "the image's metadata",
               Code::building, advice);
}

ordered_json describe_metadata(const Bytes &section)
{
    json metadata = parse_json(section, "the image's metadata", Code::eif,
                               "Build the image again.");
    ordered_json out = ordered_json::object();
    ordered_json inner = ordered_json::object();

    for (const char *key : {"ImageName", "ImageVersion"}) {
        if (metadata.contains(key)) {
            out[key] = metadata[key];
        }
    }
    json build = metadata.value("BuildMetadata", json::object());
    for (const char *key : {"BuildTime", "BuildTool", "BuildToolVersion",
                            "OperatingSystem", "KernelVersion"}) {
        if (build.contains(key)) {
            inner[key] = build[key];
        }
    }
    if (metadata.contains("DockerInfo")) {
        inner["DockerInfo"] = metadata["DockerInfo"];
    }
    merge(inner, metadata.value("CustomMetadata", json::object()));
    out["Metadata"] = inner;
    return out;
}

std::optional<Bytes> metadata_of(const EifFile &file)
{
    const EifImage &image = file.image();

    check_metadata_size(image);
    for (unsigned i = 0; i < image.num_sections; i++) {
        if (image.sections[i].type == EIF_SECTION_METADATA) {
            return file.section(image.sections[i]);
        }
    }
    return {};
}

ordered_json describe_eif(const std::string &path)
{
    EifFile file(path);
    const EifImage &image = file.image();
    bool has_metadata = false;
    Bytes metadata;

    check_metadata_size(image);
    file.load([&](const EifSection &section, uint64_t, const uint8_t *data,
                  size_t size) {
        if (section.type == EIF_SECTION_METADATA) {
            has_metadata = true;
            metadata.insert(metadata.end(), data, data + size);
        }
    });

    ordered_json out = {
        {"EifVersion", image.version},
        {"Measurements", to_json(file.measurements())},
        {"IsSigned", file.is_signed()},
    };
    if (file.is_signed()) {
        out["SigningCertificate"] =
            describe_certificate(file.signing_certificate());
    }
    out["CheckCRC"] = file.crc_matches();
    if (file.is_signed()) {
        out["SignatureCheck"] = file.signature_covers();
    }
    if (has_metadata) {
        ordered_json described = describe_metadata(metadata);

        for (const auto &[key, value] : described.items()) {
            out[key] = value;
        }
    }
    return out;
}
