/*
 * Container images: archives of `docker save`, and OCI archives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/container.hh"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <sys/stat.h>

#include "support/bytes.hh"
#include "support/errors.hh"
#include "support/json.hh"
#include "support/progress.hh"

using nlohmann::json;

namespace {

constexpr uint64_t max_read = 4 << 20;      /* bytes of a file read whole */
constexpr size_t max_layers = 1000;
constexpr size_t max_images = 1000;         /* and other entries of indexes */
constexpr int max_nesting = 4;              /* nesting depth of indexes */
const std::string id_kind = "sha256:";      /* of all digests */
const char *const build_again = "Build the container image again, or with"
    " another tool: its description is not what the OCI specification asks"
    " for.";

/* The files of an archive, by name */
class Files {
public:
    Files(const Descriptor &file, const std::string &path,
          std::shared_ptr<Spool> spool, UnpackLimit &limit,
          std::string platform);

    bool has(const std::string &name) const { return find(name); }
    Blob get(const std::string &name) const;
    /* Throws if it has too many bytes. */
    Blob get_json(const std::string &name) const;
    json read_json(const std::string &name) const;
    [[noreturn]] void fail(const std::string &why,
                           const char *advice = save_again) const;

    /* Does it have the directories of a root, such as usr and etc? */
    bool looks_like_root_filesystem() const;

    /* Throw if all is in one directory, as if that had been archived. */
    void check_top() const;

    /* The path of an OCI digest; the content of the file may differ */
    std::string name_of(const std::string &digest) const;
    /* The same for a file of JSON, but throws if its content differs */
    std::string by_digest(const std::string &digest) const;
    void check_digest(const std::string &name, const std::string &digest,
                      const std::string &found) const;

    const std::string path;
    const std::shared_ptr<Spool> spool;
    const std::string platform;         /* the platform to choose */

private:
    const Blob *find(std::string name) const;
    static std::string bounded(const ArchiveReader &reader, const char *given);

    std::map<std::string, Blob> files_;
    std::map<std::string, std::string> links_;
    std::string top_;                   /* the first part of the first name */
    bool has_one_top_ = true;           /* of all names */
    std::set<std::string> root_tops_;   /* those that a root has */
};

/* Directories at the top of a root */
const char *const directories_of_roots[] = {"bin", "dev", "etc", "lib", "usr"};

std::string clean(const std::string &name)
{
    std::vector<std::string> parts;
    std::istringstream stream(name);
    std::string text;

    for (std::string part; getline(stream, part, '/');) {
        if (part == ".." && !parts.empty()) {
            parts.pop_back();
        } else if (!part.empty() && part != "." && part != "..") {
            parts.push_back(part);
        }
    }
    for (const std::string &part : parts) {
        text += (text.empty() ? "" : "/") + part;
    }
    return text;
}

/*
 * A regular file that is not compressed is read in place.  Another file can be
 * read only once, so it is unpacked.
 */
std::unique_ptr<ArchiveReader> open_archive(const Descriptor &file,
                                            const std::string &path,
                                            UnpackLimit &limit)
{
    struct stat st;

    if (fstat(file.get(), &st)) {
        throw Error(Code::file, path + ": " + error_text(errno),
                    "Check that it can be read.");
    }
    if (S_ISDIR(st.st_mode)) {
        throw Error(Code::file, path + ": " + error_text(EISDIR),
                    "Give the archive that docker save writes, or use --rootfs"
                    " for a directory.");
    }
    if (!S_ISREG(st.st_mode)) {
        return std::make_unique<ArchiveReader>(file, path, limit);
    }
    auto store = std::make_shared<FileStore>(file, path);
    return ArchiveReader::open(Blob{store, 0, store->size()}, path, limit);
}

Files::Files(const Descriptor &file, const std::string &path,
             std::shared_ptr<Spool> spool, UnpackLimit &limit,
             std::string platform)
    : path(path), spool(std::move(spool)), platform(std::move(platform))
{
    auto reader = open_archive(file, path, limit);
    Progress progress("reading " + path, 0);

    while (archive_entry *entry = reader->next()) {
        std::string name = clean(bounded(*reader,
                                         archive_entry_pathname(entry)));
        std::string top = name.substr(0, name.find('/'));

        if (!top.empty()) {
            top_ = top_.empty() ? top : top_;
            has_one_top_ = has_one_top_ && top == top_;
            if (std::ranges::count(directories_of_roots, top)) {
                root_tops_.insert(top);
            }
        }
        if (const char *target = archive_entry_hardlink(entry)) {
            links_[name] = clean(bounded(*reader, target));
        } else if (const char *to = archive_entry_symlink(entry)) {
            links_[name] = clean(name + "/../" + bounded(*reader, to));
        } else if (archive_entry_filetype(entry) == AE_IFREG) {
            files_[name] = reader->data(this->spool);
            progress.add(files_[name].size);
        }
    }
}

/* A name or a target, which is kept in memory */
std::string Files::bounded(const ArchiveReader &reader, const char *given)
{
    size_t size = given ? strlen(given) : 0;

    if (size >= PATH_MAX) {
        reader.fail("the archive has a name of " + std::to_string(size)
                    + " bytes, more than " + std::to_string(PATH_MAX - 1),
                    fix_layer);
    }
    reader.count_name(size);
    return given ? given : "";
}

const Blob *Files::find(std::string name) const
{
    name = clean(name);
    for (int links = 0; links < 10; links++) {
        auto file = files_.find(name);
        auto link = links_.find(name);

        if (file != files_.end()) {
            return &file->second;
        }
        if (link == links_.end()) {
            return nullptr;
        }
        name = link->second;
    }
    return nullptr;
}

Blob Files::get(const std::string &name) const
{
    const Blob *blob = find(name);

    if (!blob) {
        fail("the archive has no " + name + ", which it refers to");
    }
    return *blob;
}

void Files::fail(const std::string &why, const char *advice) const
{
    throw Error(Code::building, path + ": " + why, advice);
}

void Files::check_top() const
{
    std::string top = has_one_top_ ? top_ : "";

    for (const char *file : {"/manifest.json", "/index.json"}) {
        if (has(top + file)) {
            std::string advice = "Archive the files in the directory without"
                " its name: tar -C " + top + " -cf FILE .";

            fail("no container image: it has " + top + file + " instead of "
                 + (file + 1), advice.c_str());
        }
    }
}

bool Files::looks_like_root_filesystem() const
{
    return root_tops_.size() > 1;
}

Blob Files::get_json(const std::string &name) const
{
    Blob blob = get(name);

    if (blob.size > max_read) {
        fail(name + " has " + std::to_string(blob.size)
             + " bytes, more than " + std::to_string(max_read), build_again);
    }
    return blob;
}

json Files::read_json(const std::string &name) const
{
    return parse_any_json(get_json(name).read(), path + ": " + name,
                          Code::building, save_again);
}

std::string Files::name_of(const std::string &digest) const
{
    const std::string kind = "sha256:";
    std::string hex = digest.substr(std::min(kind.size(), digest.size()));

    if (digest.starts_with("sha512:")) {
        fail("the digest " + shortened(digest) + " is SHA-512, which is not"
             " supported", "Build or copy the container image with SHA-256"
             " digests, which are the default of all common tools.");
    }
    if (!digest.starts_with(kind) || hex.size() != 64 ||
        hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
        fail("the digest " + shortened(digest) + " is not SHA-256 in hex",
             build_again);
    }
    return "blobs/sha256/" + hex;
}

void Files::check_digest(const std::string &name, const std::string &digest,
                         const std::string &found) const
{
    if (found != digest) {
        fail(name + " is not what its name says");
    }
}

std::string Files::by_digest(const std::string &digest) const
{
    std::string name = name_of(digest);

    check_digest(name, digest, sha256_of(get_json(name)));
    return name;
}

/* The fields of untrusted JSON: a wrong type is an error */
class Fields {
public:
    Fields(const Files &files, std::string where, const json &value)
        : files_(files), where_(std::move(where)), value_(value)
    {
        if (!value.is_object()) {
            files.fail(where_ + " is not a JSON object", build_again);
        }
    }

    std::string needed_text(const char *key) const
    {
        std::string found = text(key);

        if (found.empty()) {
            files_.fail(where_ + " has no " + key, build_again);
        }
        return found;
    }
    std::string text(const char *key) const
    {
        const json *found = at(key);

        if (found && !found->is_string()) {
            files_.fail(where_ + ": " + key + " is not a string", build_again);
        }
        std::string text = found ? found->get<std::string>() : "";
        refuse_zero(key, text);
        return text;
    }
    std::vector<std::string> texts(const char *key) const
    {
        std::vector<std::string> all;

        for (const json &item : items(key)) {
            if (!item.is_string()) {
                files_.fail(where_ + ": " + key + " is not a list of strings",
                            build_again);
            }
            all.push_back(item);
            refuse_zero(key, all.back());
        }
        return all;
    }
    json items(const char *key) const
    {
        const json *found = at(key);

        if (found && !found->is_array()) {
            files_.fail(where_ + ": " + key + " is not a list", build_again);
        }
        return found ? *found : json::array();
    }
    json object(const char *key) const
    {
        const json *found = at(key);

        return found ? *found : json::object();
    }

private:
    /* No user of these strings supports a zero byte. */
    void refuse_zero(const char *key, const std::string &text) const
    {
        size_t zero = text.find('\0');

        if (zero != std::string::npos) {
            files_.fail(where_ + ": " + key + " has a string with a zero byte"
                        " in it, behind " + text.substr(0, std::min(
                            zero, text.find('='))), build_again);
        }
    }
    const json *at(const char *key) const
    {
        auto found = value_.find(key);

        return found == value_.end() || found->is_null() ? nullptr : &*found;
    }

    const Files &files_;
    std::string where_;
    const json &value_;
};

/* Strings in the order of their addition, each once */
class Strings {
public:
    void add(const std::string &text)
    {
        if (known_.insert(text).second) {
            all_.push_back(text);
        }
    }
    void add(const Strings &other)
    {
        for (const std::string &text : other.all_) {
            add(text);
        }
    }
    const std::vector<std::string> &all() const { return all_; }

private:
    std::vector<std::string> all_;
    std::set<std::string> known_;
};

/* The names of an image, and the digests of its manifest and of the indexes
 * that list it */
struct Labels {
    Strings names, digests;

    void add(const Labels &other)
    {
        names.add(other.names);
        digests.add(other.digests);
    }
};

/* An entry of the archive: an image and its parts, or something else */
struct Candidate {
    Labels labels;
    std::string platform;               /* empty if the image has none */
    std::string other;                  /* what it is, if not an image */
    std::string config;                 /* a file of the archive */
    std::string id;                     /* the digest of that */
    /* files, and their digests if the files are named after them */
    std::vector<std::string> layers, digests;
    std::string variant;                /* of the architecture, such as v3 */
    std::string encrypted;              /* the type of a layer that is */
};

/* OS and architecture, which some builders omit or spell in another way */
std::string platform_of(const Files &files, const json &value,
                        const std::string &where)
{
    Fields fields(files, where, value);
    std::string os = fields.text("os");
    std::string architecture = fields.text("architecture");

    if (architecture.empty()) {
        return "";
    }
    if (architecture == "x86_64" || architecture == "x86-64") {
        architecture = "amd64";
    }
    if (architecture == "aarch64") {
        architecture = "arm64";
    }
    return (os.empty() ? "linux" : os) + "/" + architecture;
}

void check_number_of_images(const Files &files, size_t number)
{
    if (number > max_images) {
        files.fail("the archive lists more than " + std::to_string(max_images)
                   + " images", "Save only the image that is wanted.");
    }
}

/*
 * The images that were found.  Neither a configuration, nor a manifest, nor an
 * index is read twice, because an archive may refer to one many times.
 */
class Candidates {
public:
    explicit Candidates(const Files &files) : files_(files) {}

    void add_docker(const json &list);
    /* The images of index.json */
    void add_oci() { add_index("index.json", 1, {}); }

    std::vector<Candidate> found;

private:
    /* What a configuration has, for the choice of the image */
    struct Config {
        std::string id, platform, variant;
    };

    void add_config(Candidate &c);
    size_t add(Candidate added);
    std::vector<size_t> add_index(const std::string &name, int depth,
                                  const Labels &labels);
    std::vector<size_t> add_descriptor(const json &descriptor, int depth,
                                       Labels labels);
    const Candidate &manifest(const std::string &digest);
    Candidate read_manifest(const std::string &digest);

    const Files &files_;
    /* by the place of the file: several names may lead to it */
    std::map<std::pair<const Store *, uint64_t>, Config> configs_;
    /* by the digest */
    std::map<std::string, Candidate> manifests_;
    std::map<std::string, std::vector<size_t>> indexes_;
    size_t descriptors_ = 0;
};

/* Read the platform and the variant from an image's configuration. */
void Candidates::add_config(Candidate &c)
{
    Blob blob = files_.get(c.config);
    auto [known, is_new] = configs_.try_emplace({blob.store.get(),
                                                 blob.position});

    if (is_new) {
        json config = files_.read_json(c.config);

        known->second = {sha256_of(blob),
                         platform_of(files_, config, c.config),
                         Fields(files_, c.config, config).text("variant")};
    }
    c.id = known->second.id;
    c.platform = known->second.platform;
    c.variant = known->second.variant;
}

/* One image may occur several times with different names.  Returns its index
 * in `found`. */
size_t Candidates::add(Candidate added)
{
    auto same = std::ranges::find_if(found, [&](const Candidate &c) {
        return !added.id.empty() && c.id == added.id;
    });

    if (same == found.end()) {
        found.push_back(std::move(added));
        return found.size() - 1;
    }
    same->labels.add(added.labels);
    return same - found.begin();
}

void Candidates::add_docker(const json &list)
{
    if (!list.is_array()) {
        files_.fail("manifest.json is not a list", build_again);
    }
    check_number_of_images(files_, list.size());
    for (const json &item : list) {
        Fields fields(files_, "manifest.json", item);
        Candidate c;

        for (const std::string &name : fields.texts("RepoTags")) {
            c.labels.names.add(name);
        }
        c.config = fields.needed_text("Config");
        c.layers = fields.texts("Layers");
        if (std::ranges::count(c.layers, "")) {
            files_.fail("manifest.json: Layers has an empty name",
                        build_again);
        }
        add_config(c);
        add(std::move(c));
    }
}

/* Returns the candidates that an index leads to. */
std::vector<size_t> Candidates::add_index(const std::string &name, int depth,
                                          const Labels &labels)
{
    json index = files_.read_json(name);
    std::vector<size_t> all;

    if (depth > max_nesting) {
        files_.fail("an index within an index, " + std::to_string(depth)
                    + " deep, with at most " + std::to_string(max_nesting),
                    build_again);
    }
    for (const json &d : Fields(files_, name, index).items("manifests")) {
        check_number_of_images(files_, ++descriptors_);
        std::vector<size_t> more = add_descriptor(d, depth, labels);
        all.insert(all.end(), more.begin(), more.end());
    }
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

/*
 * The names of an image in its descriptor.  One of them may be only a tag,
 * in addition to the full name.
 */
void add_names(const Fields &notes, Strings &names)
{
    std::string whole = notes.text("io.containerd.image.name");
    std::string name = notes.text("org.opencontainers.image.ref.name");

    if (!whole.empty()) {
        names.add(whole);
    }
    if (!name.empty() && (whole.empty() ||
                          name.find(':') != std::string::npos)) {
        names.add(name);
    }
}

/*
 * The kind of a manifest that is not an image: charts, signatures and lists of
 * parts are stored in the same way as images.  Empty for an image.
 */
std::string describe_non_image(const Files &files, const std::string &name,
                               const Fields &manifest)
{
    json config = manifest.object("config");
    std::string type = Fields(files, name, config).text("mediaType");
    std::string artifact = manifest.text("artifactType");

    if (!artifact.empty()) {
        return artifact;
    }
    if (!type.empty() && type != "application/vnd.oci.image.config.v1+json" &&
        type != "application/vnd.docker.container.image.v1+json") {
        return type;
    }
    json layers = manifest.items("layers");
    for (const json &layer : layers) {
        type = Fields(files, name, layer).text("mediaType");
        if (!type.empty() && type.find("tar") == std::string::npos) {
            return type;
        }
    }
    return "";
}

void check_number_of_layers(const Files &files, size_t number)
{
    if (number > max_layers) {
        files.fail("the image has " + std::to_string(number)
                   + " layers, more than " + std::to_string(max_layers),
                   "Build the container image with fewer layers.");
    }
}

/* An entry that cannot be chosen: it is only listed in messages. */
Candidate only_listed(Labels labels, const std::string &platform,
                      const std::string &other)
{
    Candidate c;

    c.labels = std::move(labels);
    c.platform = platform;
    c.other = other;
    return c;
}

/* The archive may have only some of the platforms that it lists. */
std::vector<size_t> Candidates::add_descriptor(const json &descriptor,
                                               int depth, Labels labels)
{
    Fields fields(files_, "a descriptor", descriptor);
    json notes = fields.object("annotations");
    std::string digest = fields.needed_text("digest");
    std::string type = fields.text("mediaType");

    add_names(Fields(files_, "annotations", notes), labels.names);
    labels.digests.add(digest);
    if (type.ends_with(".index.v1+json") ||
        type.ends_with(".manifest.list.v2+json")) {
        auto known = indexes_.find(digest);

        if (known == indexes_.end()) {
            return indexes_[digest] = add_index(files_.by_digest(digest),
                                                depth + 1, labels);
        }
        for (size_t i : known->second) {
            found[i].labels.add(labels);
        }
        return known->second;
    }
    json platform = fields.object("platform");
    std::string platform_name = platform_of(files_, platform, "platform");
    if (platform_name == "unknown/unknown") {   /* BuildKit's attestations */
        return {add(only_listed(labels, "", "an attestation"))};
    }
    if (!platform_name.empty() && platform_name != files_.platform) {
        return {add(only_listed(labels, platform_name, ""))};
    }
    Candidate c = manifest(digest);
    c.labels = labels;
    /* Not all builders repeat it in the configuration. */
    if (c.other.empty() && c.variant.empty()) {
        c.variant = Fields(files_, "platform", platform).text("variant");
    }
    return {add(std::move(c))};
}

const Candidate &Candidates::manifest(const std::string &digest)
{
    auto known = manifests_.find(digest);

    return known != manifests_.end() ? known->second
        : manifests_.emplace(digest, read_manifest(digest)).first->second;
}

/* The image of a manifest, without what its descriptor has */
Candidate Candidates::read_manifest(const std::string &digest)
{
    std::string name = files_.by_digest(digest);
    json manifest = files_.read_json(name);
    Fields parts(files_, name, manifest);
    std::string other = describe_non_image(files_, name, parts);
    if (!other.empty()) {
        return only_listed({}, "", other);
    }
    json config = parts.object("config"), layers = parts.items("layers");
    Fields configuration(files_, name + ": config", config);
    Candidate c;

    check_number_of_layers(files_, layers.size());
    c.config = files_.by_digest(configuration.needed_text("digest"));
    for (const json &layer : layers) {
        Fields description(files_, name + ": a layer", layer);
        std::string type = description.text("mediaType");

        c.digests.push_back(description.needed_text("digest"));
        c.layers.push_back(files_.name_of(c.digests.back()));
        if (type.ends_with("+encrypted")) {
            c.encrypted = type;
        }
    }
    add_config(c);
    return c;
}

/*
 * The archives of docker 25 and later are OCI archives too, which have the
 * digests of the manifests.
 */
void add_digests(const Files &files, std::vector<Candidate> &found)
{
    Candidates described(files);

    described.add_oci();
    for (Candidate &c : found) {
        for (const Candidate &same : described.found) {
            if (same.id == c.id) {
                c.labels.digests.add(same.labels.digests);
            }
        }
    }
}

std::vector<Candidate> candidates(const Files &files, bool with_digests)
{
    Candidates all(files);
    json list;

    if (files.has("manifest.json")) {
        list = files.read_json("manifest.json");
    }
    /* It may be empty, in addition to an index that lists images. */
    if (!list.empty()) {
        all.add_docker(list);
        if (with_digests && files.has("index.json")) {
            add_digests(files, all.found);
        }
        return std::move(all.found);
    }
    if (files.has("index.json")) {
        all.add_oci();
        return std::move(all.found);
    }
    if (files.has("manifest.json")) {
        files.fail("manifest.json lists no image", "Name the images to save"
                   " with docker save.");
    }
    if (files.looks_like_root_filesystem()) {
        files.fail("no container image, but the files of a container, as"
                   " docker export writes them", "Give what docker save"
                   " writes, or unpack this and use --rootfs and --cmd.");
    }
    files.check_top();
    files.fail("no container image: it has neither manifest.json nor"
               " index.json", "Give what docker save writes, or an OCI"
               " archive.");
}

std::string listed_names(const std::vector<std::string> &all)
{
    constexpr size_t shown = 5;
    std::string text;

    for (size_t i = 0; i < std::min(all.size(), shown); i++) {
        text += (i ? " or " : "") + shortened(all[i]);
    }
    return all.empty() ? "one without a name"
        : all.size() <= shown ? text
        : text + " or " + std::to_string(all.size() - shown) + " other names";
}

/* The list of images for a message, which can be read */
std::string listed(const std::vector<Candidate> &all)
{
    constexpr size_t shown = 20;
    std::string text;

    for (size_t i = 0; i < std::min(all.size(), shown); i++) {
        const Candidate &c = all[i];

        text += text.empty() ? "" : ", ";
        text += listed_names(c.labels.names.all());
        text += !c.other.empty() ? " (no image: " + shortened(c.other) + ")"
            : c.platform.empty() ? " for an architecture that it does not name"
                                 : " for " + shortened(c.platform);
        text += c.variant.empty() ? "" : "/" + shortened(c.variant);
        text += c.id.empty() ? "" : " (id " + c.id.substr(id_kind.size(), 12)
            + ")";
    }
    if (all.size() > shown) {
        text += ", and " + std::to_string(all.size() - shown) + " more";
    }
    return text.empty() ? "none" : text;
}

/*
 * The full name of an image, with docker's defaults: the registry docker.io,
 * the tag latest, and the repository library for a name without a slash.
 */
std::string full_name(const std::string &name)
{
    const std::string usual = "docker.io/", library = "library/";
    size_t slash = name.find('/');
    std::string first = name.substr(0, slash);
    std::string full = name;

    if (slash == std::string::npos ||
        (first != "localhost" && first.find_first_of(".:") ==
         std::string::npos)) {
        full = usual + name;
    } else if (first == "index.docker.io") {
        full = usual + name.substr(slash + 1);
    }
    if (full.starts_with(usual) &&
        full.find('/', usual.size()) == std::string::npos) {
        full.insert(usual.size(), library);
    }
    if (full.find_first_of(":@", full.rfind('/')) == std::string::npos) {
        full += ":latest";
    }
    return full;
}

bool is_hex(const std::string &text)
{
    return text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/* The digest in NAME@DIGEST; empty if there is none */
std::string digest_in(const std::string &name)
{
    size_t at = name.find('@');

    return at == std::string::npos ? "" : name.substr(at + 1);
}

/* An image's id, or its first digits, with the prefix "sha256:"; empty if the
 * string is neither */
std::string id_prefix(const std::string &text)
{
    constexpr size_t fewest = 4, all = 64;
    std::string hex = text.starts_with(id_kind) ? text.substr(id_kind.size())
                                                : text;

    return hex.size() >= fewest && hex.size() <= all && is_hex(hex)
        ? id_kind + hex : "";
}

/*
 * The images with a name.  As in docker, only the digest counts if there is
 * one, and a string that is not an image's name may be its id.
 */
std::vector<Candidate> images_named(const std::vector<Candidate> &all,
                                    const std::string &name)
{
    std::string digest = digest_in(name), id = id_prefix(name);
    std::vector<Candidate> found;
    auto find = [&](auto is_wanted) {
        std::ranges::copy_if(all, std::back_inserter(found), is_wanted);
    };

    if (!digest.empty()) {
        find([&](const Candidate &c) {
            return std::ranges::count(c.labels.digests.all(), digest);
        });
        return found;
    }
    find([&, full = full_name(name)](const Candidate &c) {
        return std::ranges::any_of(c.labels.names.all(),
                                   [&](const std::string &other) {
            return full_name(other) == full;
        });
    });
    if (found.empty() && !id.empty()) {
        find([&](const Candidate &c) {
            return c.id.starts_with(id) ||
                std::ranges::any_of(c.labels.digests.all(),
                                    [&](const std::string &other) {
                    return other.starts_with(id);
                });
        });
    }
    return found;
}

/* The archive does not have the image that --docker-uri names. */
[[noreturn]] void refuse_name(const Files &files, const std::string &name,
                              const std::vector<Candidate> &all)
{
    std::string digest = digest_in(name), id = id_prefix(name);
    const char *advice = "Give one of these names or ids with --docker-uri,"
        " or leave that out if there is one image.";

    if (name.find('@') != std::string::npos &&
        (!digest.starts_with(id_kind) || digest.size() != id_kind.size() + 64 ||
         !is_hex(digest.substr(id_kind.size())))) {
        files.fail("--docker-uri " + name + " has no digest behind the @",
                   "Write NAME@sha256: and 64 digits in hex.");
    }
    bool has_digests = std::ranges::any_of(all, [](const Candidate &c) {
        return !c.labels.digests.all().empty();
    });
    if (!digest.empty() && !has_digests) {
        files.fail("the archive does not have the digests of manifests, and"
                   " --docker-uri has one: " + name + "; it has: "
                   + listed(all), advice);
    }
    if (!digest.empty()) {
        files.fail("no image has the digest " + digest + "; it has: "
                   + listed(all), advice);
    }
    files.fail("no image is called " + full_name(name)
               + (id.empty() ? "" : ", and no id begins with " + id)
               + "; it has: " + listed(all), advice);
}

/* Is this the variant of an architecture that each of its CPUs runs? */
bool is_basic(const Candidate &c)
{
    return c.variant.empty() || c.variant == "v1" ||
        (c.platform == aarch64.platform && c.variant == "v8");
}

Candidate choose(const Files &files, const ImageSelector &selector)
{
    std::string advice = "Save one image for " + files.platform + ", name"
        " the one to take with --docker-uri, or give another --arch.";
    bool with_digests = selector.name && !selector.is_only_image &&
        (!digest_in(*selector.name).empty() ||
         !id_prefix(*selector.name).empty());
    std::vector<Candidate> all = candidates(files, with_digests), left = all,
                           fit;

    if (selector.name) {
        left = images_named(all, *selector.name);
        if (left.empty() && !selector.is_only_image) {
            refuse_name(files, *selector.name, all);
        }
        auto is_other = [](const Candidate &c) { return !c.other.empty(); };
        if (!left.empty() && std::ranges::all_of(left, is_other)) {
            files.fail(*selector.name + " is not an image, but "
                       + shortened(left[0].other),
                       ("Name another with --docker-uri; the archive has: "
                        + listed(all) + ".").c_str());
        }
        left = left.empty() ? all : left;
    }
    std::erase_if(left, [](const Candidate &c) { return !c.other.empty(); });
    std::ranges::copy_if(left, std::back_inserter(fit),
                         [&](const Candidate &c) {
        return c.platform == files.platform;
    });
    if (fit.size() > 1 && std::ranges::count_if(fit, is_basic) == 1) {
        return *std::ranges::find_if(fit, is_basic);
    }
    if (fit.empty() && left.size() == 1 && left[0].platform.empty()) {
        std::cerr << "warning: " << printable(files.path) << ": the image"
            " does not name its architecture; it is taken to be for "
                  << files.platform << ".\n";
        return left[0];
    }
    if (fit.size() != 1) {
        files.fail((fit.empty() ? std::string("no image is") :
                    std::to_string(fit.size()) + " images are")
                   + " for " + files.platform + ", of: " + listed(all),
                   advice.c_str());
    }
    return fit[0];
}

/* Users and groups */

/* A line of /etc/passwd or /etc/group: the name, the password, the id, and the
 * group's id or the names of the members */
using Record = std::array<std::string_view, 4>;

/* /etc/passwd or /etc/group, or "" if the image does not have it */
std::string read_records(const Files &files, const LayeredTree &root,
                         const char *path)
{
    ContentPtr data = root.file(path);

    if (!data) {
        return "";
    }
    if (data->size() > max_read) {
        files.fail(std::string("/") + path + " has "
                   + std::to_string(data->size()) + " bytes, more than "
                   + std::to_string(max_read),
                   "Give the container image a smaller file.");
    }
    Bytes bytes = read_all(*data);
    return {bytes.begin(), bytes.end()};
}

/* Remove and return the beginning of `text`, up to `end`, which is removed too.
 */
std::string_view take(std::string_view &text, char end)
{
    size_t size = text.find(end);
    std::string_view taken = text.substr(0, size);

    text.remove_prefix(size == text.npos ? text.size() : size + 1);
    return taken;
}

/* Take the next record from `text`.  Lines without an id are skipped. */
std::optional<Record> take_record(std::string_view &text)
{
    while (!text.empty()) {
        std::string_view line = take(text, '\n');
        Record record;

        if (std::ranges::count(line, ':') >= 2) {
            for (auto &field : record) {
                field = take(line, ':');
            }
            return record;
        }
    }
    return {};
}

std::optional<uint32_t> number(std::string_view text)
{
    uint32_t value;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(),
                                        value);

    if (error != std::errc() || end != text.data() + text.size() ||
        value == UINT32_MAX) {
        return {};
    }
    return value;
}

/* The record with this name, or otherwise the one with this number */
std::optional<Record> lookup(std::string_view records, const std::string &key)
{
    for (size_t field : {0, 2}) {
        std::string_view rest = records;

        while (auto record = take_record(rest)) {
            if ((*record)[field] == key) {
                return record;
            }
        }
    }
    return {};
}

/* `file` has the records of users or of groups. */
uint32_t id_of(const Files &files, const std::optional<Record> &record,
               const std::string &text, const char *file,
               const std::string &user)
{
    std::optional<uint32_t> id = number(record ? (*record)[2] : text);

    if (!id) {
        files.fail("User " + user + ": the image's " + file + " does not have "
                   + text, "Give the container image a User that is there, or"
                   " a number.");
    }
    return *id;
}

/* The groups, beside that of /etc/passwd, that have the user as a member */
std::vector<uint32_t> supplementary_groups(std::string_view groups,
                                           std::string_view user, uint32_t gid)
{
    std::set<uint32_t> found;

    while (auto group = take_record(groups)) {
        std::optional<uint32_t> id = number((*group)[2]);
        std::string_view members = (*group)[3];

        while (id && *id != gid && !members.empty()) {
            if (take(members, ',') == user) {
                found.insert(*id);
            }
        }
    }
    return {found.begin(), found.end()};
}

/* USER or UID, perhaps with a colon and a group; groups are set as by docker */
ContainerUser user_of(const Files &files, const LayeredTree &root,
                      const std::string &text)
{
    size_t colon = text.find(':');
    std::string name = text.substr(0, colon);
    ContainerUser user;

    if (text.empty()) {
        return user;
    }
    std::string users = read_records(files, root, "etc/passwd");
    std::string groups = read_records(files, root, "etc/group");
    auto record = lookup(users, name.empty() ? "0" : name);
    user.uid = name.empty() ? 0 : id_of(files, record, name,
                                              "/etc/passwd", text);
    if (colon != std::string::npos && colon + 1 < text.size()) {
        std::string group = text.substr(colon + 1);

        user.gid = id_of(files, lookup(groups, group), group, "/etc/group",
                         text);
        return user;
    }
    if (record) {
        user.gid = number((*record)[3]).value_or(0);
        user.groups = supplementary_groups(groups, (*record)[0], user.gid);
    }
    return user;
}

/*
 * Apply the layers, and compare their digests with those in the configuration
 * and in their names.  A layer that is not compressed is read only once.
 */
void apply_layers(const Files &files, const Candidate &image,
                  const std::vector<std::string> &diff_ids, UnpackLimit &limit,
                  LayeredTree &root)
{
    Progress progress("reading the layers of " + files.path, 0);

    if (diff_ids.size() != image.layers.size()) {
        files.fail("the image has " + std::to_string(image.layers.size())
                   + " layers, but " + image.config + " has "
                   + std::to_string(diff_ids.size()) + " diff_ids",
                   build_again);
    }
    check_number_of_layers(files, diff_ids.size());
    for (const std::string &digest : diff_ids) {
        files.name_of(digest);          /* throws if it is not SHA-256 */
    }
    for (size_t i = 0; i < diff_ids.size(); i++) {
        const std::string &file = image.layers[i];
        std::string name = files.path + ": layer " + std::to_string(i + 1);
        Blob blob = files.get(file);
        auto found = root.apply(blob, name, limit);

        if (!image.digests.empty()) {
            files.check_digest(file, image.digests[i], found.stored);
        }
        if (found.tar != diff_ids[i]) {
            files.fail("layer " + std::to_string(i + 1) + " does not have the"
                       " digest in the image's configuration");
        }
        progress.add(blob.size);
    }
}

} // namespace

Container read_container(const Descriptor &file, const std::string &archive,
                         const ImageSelector &selector,
                         const std::string &directory, UnpackLimit limit)
{
    std::shared_ptr<Spool> spool = Spool::create(directory);
    Files files(file, archive, spool, limit,
                selector.architecture.platform);
    Candidate image = choose(files, selector);
    if (!image.encrypted.empty()) {
        files.fail("the image has an encrypted layer: "
                   + shortened(image.encrypted), "Decrypt it first, for example"
                   " with skopeo copy --decryption-key.");
    }
    json parsed = files.read_json(image.config);
    Fields config(files, image.config, parsed);
    json rootfs = config.object("rootfs"), inner = config.object("config");
    Fields options(files, image.config, inner);
    std::string digest = sha256_of(files.get(image.config));
    const std::vector<std::string> &names = image.labels.names.all();
    Container container = {
        names.empty() ? "" : names[0],
        digest.substr(digest.find(':') + 1),
        options.texts("Entrypoint"), options.texts("Cmd"),
        options.texts("Env"), options.text("WorkingDir"), {},
        {{"Id", digest}, {"RepoTags", names},
         {"Created", config.text("created")},
         {"Os", config.text("os")},
         {"Architecture", config.text("architecture")},
         {"Config", inner}},
        LayeredTree(spool)};

    apply_layers(files, image, Fields(files, image.config, rootfs)
                  .texts("diff_ids"), limit, container.root);
    if (container.working_directory.empty()) {
        container.working_directory = "/";
    }
    container.user = user_of(files, container.root, options.text("User"));
    return container;
}
