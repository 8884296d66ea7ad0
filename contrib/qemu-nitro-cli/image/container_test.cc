/*
 * Tests of container.cc: the choice of the image, and invalid archives
 *
 * Whole builds are tested from outside, in tests/functional/cli_build_test.py.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/container.hh"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <sys/stat.h>

#include "support/bytes.hh"
#include "support/test_support.hh"

namespace {

using nlohmann::json;

using Files = std::vector<std::pair<std::string, std::string>>;

/* A tar archive with these files */
std::string tar(const Files &files)
{
    std::unique_ptr<archive, int (*)(archive *)> a(archive_write_new(),
                                                   archive_write_free);
    size_t size = 1 << 20, used = 0;

    for (const auto &[name, data] : files) {
        size += data.size();
    }
    std::string out(size, '\0');

    archive_write_set_format_pax_restricted(a.get());
    archive_write_open_memory(a.get(), out.data(), out.size(), &used);
    for (const auto &[name, data] : files) {
        archive_entry *e = archive_entry_new();

        archive_entry_set_pathname(e, name.c_str());
        archive_entry_set_mode(e, S_IFREG | 0644);
        archive_entry_set_size(e, data.size());
        EXPECT_EQ(archive_write_header(a.get(), e), ARCHIVE_OK);
        archive_write_data(a.get(), data.data(), data.size());
        archive_entry_free(e);
    }
    EXPECT_EQ(archive_write_close(a.get()), ARCHIVE_OK);
    out.resize(used);
    return out;
}

std::string sha256(const std::string &data)
{
    uint8_t digest[32];

    gnutls_hash_fast(GNUTLS_DIG_SHA256, data.data(), data.size(), digest);
    return hex(digest);
}

const std::string layer = tar({
    {"etc/passwd", "root:x:0:0::/:\nweb:x:33:44::/:\n"},
    {"etc/group", "root:x:0:\nweb:x:44:\nlog:x:55:web\n"},
    {"bin/app", "program"},
});

json config_for(const std::string &architecture)
{
    return {
        {"architecture", architecture}, {"os", "linux"},
        {"config", {{"Cmd", {"/bin/app", "x"}}, {"Env", {"A=1"}}}},
        {"rootfs", {{"type", "layers"},
                    {"diff_ids", {"sha256:" + sha256(layer)}}}},
    };
}

class Containers : public DirectoryTest {
protected:
    /* The archive of `docker save` with one image */
    Files docker_archive(const json &config) const
    {
        json manifest = {{{"Config", "config.json"},
                          {"RepoTags", {"app:latest"}},
                          {"Layers", {"layer.tar"}}}};

        return {{"manifest.json", manifest.dump()},
                {"config.json", config.dump()}, {"layer.tar", layer}};
    }

    /* An OCI archive with images; each has a name and a configuration */
    static Files oci_archive(
        const std::vector<std::pair<std::string, json>> &images)
    {
        Files files = {{"blobs/sha256/" + sha256(layer), layer}};
        json index = {{"manifests", json::array()}};
        auto add = [&](const std::string &data) {
            files.emplace_back("blobs/sha256/" + sha256(data), data);
            return "sha256:" + sha256(data);
        };

        for (const auto &[name, config] : images) {
            json manifest = {
                {"config", {{"digest", add(config.dump())}}},
                {"layers", {{{"digest", "sha256:" + sha256(layer)}}}}};

            index["manifests"].push_back(
                {{"digest", add(manifest.dump())},
                 {"annotations",
                  {{"org.opencontainers.image.ref.name", name}}}});
        }
        files.emplace_back("index.json", index.dump());
        return files;
    }

    Container read(const std::string &archive,
                   const ImageSelector &selector = {}, UnpackLimit limit = {})
    {
        std::string name = write("archive.tar", archive);
        Descriptor file(open(name.c_str(), O_RDONLY | O_CLOEXEC));

        return read_container(file, name, selector, dir, limit);
    }
    Container read(const Files &files, const ImageSelector &selector = {})
    {
        return read(tar(files), selector);
    }
    template <typename Archive>
    int refusal(const Archive &archive, const ImageSelector &selector = {})
    {
        return code_of([&] { read(archive, selector); });
    }
    /* What is said of an archive that is refused */
    std::string message(const Files &files)
    {
        try {
            read(files);
        } catch (const Error &e) {
            return std::string(e.what()) + " " + e.advice;
        }
        return "";
    }
    /* The ids of User=`text` */
    ContainerUser user(const std::string &text)
    {
        json config = config_for("amd64");

        config["config"]["User"] = text;
        return read(docker_archive(config)).user;
    }
};

TEST_F(Containers, DockerArchive)
{
    Container c = read(docker_archive(config_for("amd64")));

    EXPECT_EQ(c.name, "app:latest");
    EXPECT_EQ(c.id, sha256(config_for("amd64").dump()));
    EXPECT_EQ(c.cmd, (std::vector<std::string>{"/bin/app", "x"}));
    EXPECT_EQ(c.env, std::vector<std::string>{"A=1"});
    EXPECT_TRUE(c.entrypoint.empty());
    EXPECT_EQ(c.working_directory, "/");
    EXPECT_TRUE(c.user.is_root());
    EXPECT_EQ(c.info["Architecture"], "amd64");
    ContentPtr program = c.root.file("bin/app");
    ASSERT_TRUE(program);
    EXPECT_EQ(read_all(*program), Bytes({'p', 'r', 'o', 'g', 'r', 'a', 'm'}));
    /* The directory has only the archive. */
    EXPECT_EQ(count(), 1U);
}

/* All names are kept in memory, so they are bounded as in layers. */
TEST_F(Containers, LongestNameInTheArchive)
{
    for (size_t size : {4095u, 4096u}) {
        Files files = docker_archive(config_for("amd64"));

        files.emplace_back(std::string(size, 'n'), "");
        EXPECT_EQ(refusal(files), size == 4095 ? 0 : 48);
    }
}

TEST_F(Containers, NamesInTheArchiveAreBounded)
{
    Files files = docker_archive(config_for("amd64"));
    uint64_t names = 0;
    std::string in_layer = "etcetc/passwdetc/groupbinbin/app";

    for (const auto &[name, data] : files) {
        names += name.size();
    }
    names += in_layer.size();
    for (uint64_t less : {0, 1}) {
        EXPECT_EQ(code_of([&] {
            read(tar(files), {}, {.names = names - less});
        }), less ? 48 : 0);
    }
}

TEST_F(Containers, ImageForThisArchitecture)
{
    Files files = oci_archive({{"a:1", config_for("arm64")},
                               {"b:1", config_for("amd64")}});

    EXPECT_EQ(read(files).name, "b:1");
    EXPECT_EQ(refusal(oci_archive({{"a:1", config_for("arm64")}})), 48);
    EXPECT_EQ(refusal(files, {"a:1", false}), 48);
    EXPECT_EQ(read(oci_archive({{"c", config_for("x86_64")}})).name, "c");
}

/* Neither is read more than once, whatever refers to it. */
TEST_F(Containers, NumberOfImagesIsBounded)
{
    for (size_t number : {1000u, 1001u}) {
        int expected = number == 1000 ? 0 : 48;
        Files docker = docker_archive(config_for("amd64"));
        json one = json::parse(docker[0].second)[0], list;
        Files oci = oci_archive({{"a:1", config_for("amd64")}});
        json index = json::parse(oci.back().second);

        for (size_t i = 0; i < number; i++) {
            one["RepoTags"] = {"app:" + std::to_string(i)};
            list.push_back(one);
        }
        docker[0].second = list.dump();
        EXPECT_EQ(refusal(docker), expected);
        EXPECT_EQ(refusal(docker, {"app:999", false}), expected);
        index["manifests"] = std::vector<json>(number, index["manifests"][0]);
        oci.back().second = index.dump();
        EXPECT_EQ(refusal(oci), expected);
    }
}

/* Each index has the next one twice, with another name each time. */
TEST_F(Containers, IndexesInIndexes)
{
    Files files = oci_archive({{"a:1", config_for("amd64")}});

    for (int i = 0; i < 3; i++) {
        std::string inner = files.back().second, digest = sha256(inner);
        json index = {{"manifests", json::array()}};

        files.back().first = "blobs/sha256/" + digest;
        for (const char *name : {"b", "c"}) {
            index["manifests"].push_back(
                {{"digest", "sha256:" + digest},
                 {"mediaType", "application/vnd.oci.image.index.v1+json"},
                 {"annotations", {{"org.opencontainers.image.ref.name",
                                   name + std::to_string(i)}}}});
        }
        files.emplace_back("index.json", index.dump());
    }
    std::vector<std::string> names = read(files).info["RepoTags"];
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"a:1", "b0", "b1", "b2", "c0",
                                               "c1", "c2"}));
}

TEST_F(Containers, ListOfImagesIsShort)
{
    std::vector<std::pair<std::string, json>> images;

    for (int i = 0; i < 30; i++) {
        json config = config_for("arm64");

        config["number"] = i;
        images.emplace_back("n" + std::to_string(i) + std::string(1000, 'x'),
                            config);
    }
    std::string text = message(oci_archive(images));
    EXPECT_LT(text.size(), 20 * 350u);
    EXPECT_NE(text.find(", and 10 more"), text.npos) << text;
    EXPECT_NE(text.find("n19xxx"), text.npos) << text;
    EXPECT_EQ(text.find("n20xxx"), text.npos) << text;
}

TEST_F(Containers, DigestsAndLayersThatAreNotSupported)
{
    Files files = oci_archive({{"a:1", config_for("amd64")}});
    json index = json::parse(files.back().second);
    std::string &manifest = files[files.size() - 2].second;
    json parsed = json::parse(manifest);

    parsed["layers"][0]["mediaType"] =
        "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    manifest = parsed.dump();
    files[files.size() - 2].first = "blobs/sha256/" + sha256(manifest);
    index["manifests"][0]["digest"] = "sha256:" + sha256(manifest);
    files.back().second = index.dump();
    EXPECT_NE(message(files).find("encrypted layer"), std::string::npos)
        << message(files);
    index["manifests"][0]["digest"] = "sha512:" + std::string(128, 'a');
    files.back().second = index.dump();
    EXPECT_NE(message(files).find("SHA-512, which is not supported"),
              std::string::npos) << message(files);
}

TEST_F(Containers, LargestManifest)
{
    constexpr size_t largest = 4 << 20;
    Files files = docker_archive(config_for("amd64"));
    std::string &manifest = files[0].second;

    manifest.resize(largest, ' ');
    EXPECT_EQ(refusal(files), 0);
    manifest += ' ';
    EXPECT_EQ(refusal(files), 48);
}

TEST_F(Containers, NumberOfLayersIsBounded)
{
    for (size_t number : {1000u, 1001u}) {
        json config = config_for("amd64");
        config["rootfs"]["diff_ids"] = std::vector<std::string>(
            number, "sha256:" + sha256(layer));
        Files docker = docker_archive(config);
        json manifest = json::parse(docker[0].second);

        manifest[0]["Layers"] = std::vector<std::string>(number, "layer.tar");
        docker[0].second = manifest.dump();
        EXPECT_EQ(refusal(docker), number == 1000 ? 0 : 48);
    }
}

TEST_F(Containers, ImageByName)
{
    json other = config_for("amd64");
    other["config"]["Cmd"] = {"other"};
    Files files = oci_archive({{"app:latest", config_for("amd64")},
                               {"example.org/x/other:2", other}});

    EXPECT_EQ(refusal(files), 48);          /* two fit */
    for (const char *name : {"app", "app:latest", "library/app",
                             "docker.io/library/app:latest",
                             "index.docker.io/app"}) {
        EXPECT_EQ(read(files, {name, false}).name, "app:latest") << name;
    }
    EXPECT_EQ(read(files, {"example.org/x/other:2", false}).cmd,
              std::vector<std::string>{"other"});
    for (const char *name : {"app:2", "x/other:2", "example.org/x/other", ""}) {
        EXPECT_EQ(refusal(files, {name, false}), 48) << name;
    }
    /* The image that an engine saved is used, with any name. */
    EXPECT_EQ(read(docker_archive(config_for("amd64")), {"alias", true}).name,
              "app:latest");
}

TEST_F(Containers, ArchitectureThatIsNotNamed)
{
    json config = config_for("amd64");

    config.erase("architecture");
    EXPECT_EQ(read(docker_archive(config)).name, "app:latest");
    EXPECT_EQ(refusal(oci_archive({{"a", config}, {"b", config_for("arm64")}})),
              48);
}

TEST_F(Containers, Users)
{
    EXPECT_TRUE(user("").is_root());
    EXPECT_TRUE(user("root").is_root());
    EXPECT_EQ(user("web").uid, 33U);
    EXPECT_EQ(user("web").gid, 44U);
    EXPECT_EQ(user("web").groups, std::vector<uint32_t>{55});
    EXPECT_EQ(user("33").groups, std::vector<uint32_t>{55});
    EXPECT_EQ(user("web:log").gid, 55U);
    EXPECT_TRUE(user("web:log").groups.empty());
    EXPECT_EQ(user("1000:7").uid, 1000U);
    EXPECT_EQ(user("1000:7").gid, 7U);
    EXPECT_EQ(user("1000").gid, 0U);
    EXPECT_EQ(user(":log").gid, 55U);
    for (const char *text : {"nobody", "web:none", "-1", "4294967295",
                             "99999999999", "1x", "web:-1"}) {
        EXPECT_EQ(code_of([&] { user(text); }), 48) << text;
    }
}

/* Each field of the configuration with a value of another type */
TEST_F(Containers, WrongTypes)
{
    for (const json &wrong : {json(7), json("text"), json(true),
                              json::array({1}), json::array({json::object()}),
                              json(std::string("a\0b", 3))}) {
        for (const char *path : {"/config/Cmd", "/config/Env",
                                 "/config/Entrypoint", "/rootfs/diff_ids",
                                 "/config", "/rootfs"}) {
            json config = config_for("amd64");

            config[json::json_pointer(path)] = wrong;
            EXPECT_EQ(refusal(docker_archive(config)), 48) << path << wrong;
        }
    }
    for (const char *path : {"/config/WorkingDir", "/config/User",
                             "/architecture", "/os"}) {
        json config = config_for("amd64");

        config[json::json_pointer(path)] = 7;
        EXPECT_EQ(refusal(docker_archive(config)), 48) << path;
    }
    /* The same as without the field */
    json config = config_for("amd64");
    config["config"]["Entrypoint"] = nullptr;
    config["config"]["User"] = nullptr;
    EXPECT_TRUE(read(docker_archive(config)).entrypoint.empty());
}

TEST_F(Containers, Manifests)
{
    for (const char *text : {"", "{", "{}", "7", "null", "[7]", "[{}]",
                             "[{\"Config\": 1}]", "[{\"Config\": \"none\"}]",
                             "[{\"Config\": \"config.json\","
                             " \"Layers\": \"layer.tar\"}]",
                             "[{\"Config\": \"config.json\","
                             " \"Layers\": [\"none\"]}]",
                             "[{\"Config\": \"config.json\","
                             " \"Layers\": []}]", "[]", "\xff"}) {
        Files files = docker_archive(config_for("amd64"));

        files[0].second = text;
        EXPECT_EQ(refusal(files), 48) << text;
    }
    std::string deep(100, '[');
    Files files = docker_archive(config_for("amd64"));
    files[0].second = deep + std::string(100, ']');
    EXPECT_EQ(refusal(files), 48);
}

TEST_F(Containers, IndexesThatNest)
{
    Files files;
    std::string inner = json{{"manifests", json::array()}}.dump();

    for (int i = 0; i < 20; i++) {
        files.emplace_back("blobs/sha256/" + sha256(inner), inner);
        inner = json{{"manifests", {{
            {"mediaType", "application/vnd.oci.image.index.v1+json"},
            {"digest", "sha256:" + sha256(inner)}}}}}.dump();
    }
    files.emplace_back("index.json", inner);
    EXPECT_EQ(refusal(files), 48);
}

TEST_F(Containers, Digests)
{
    Files good = oci_archive({{"a", config_for("amd64")}});

    EXPECT_EQ(read(good).name, "a");
    /* A changed byte of any file but the index */
    for (size_t i = 0; i + 1 < good.size(); i++) {
        Files files = good;

        files[i].second.back() ^= 1;
        EXPECT_EQ(refusal(files), 48) << files[i].first;
    }
    /* A file that is missing */
    for (size_t i = 0; i < good.size(); i++) {
        Files files = good;

        files.erase(files.begin() + i);
        EXPECT_EQ(refusal(files), 48) << good[i].first;
    }
    /* A layer that the configuration does not list */
    json config = config_for("amd64");
    config["rootfs"]["diff_ids"] = {"sha256:" + std::string(64, '0')};
    EXPECT_EQ(refusal(docker_archive(config)), 48);
    /* Digests of other forms */
    for (const char *digest : {"", "sha256:", "sha256:../../etc/passwd",
                               "md5:d41d8cd98f00b204e9800998ecf8427e"}) {
        json index = {{"manifests", {{{"digest", digest}}}}};
        Files files = {{"index.json", index.dump()}};

        EXPECT_EQ(refusal(files), 48) << digest;
    }
}

TEST_F(Containers, NoArchive)
{
    EXPECT_EQ(refusal(std::string()), 48);
    EXPECT_EQ(refusal(std::string("no archive")), 48);
    EXPECT_EQ(refusal(std::string(4096, '\0')), 48);
    EXPECT_EQ(refusal(layer), 48);          /* the files of a container */
    std::string cut = tar(docker_archive(config_for("amd64")));
    EXPECT_EQ(refusal(cut.substr(0, 1000)), 48);
    /* In the middle of the layer */
    EXPECT_EQ(refusal(cut.substr(0, cut.find("etc/passwd") + 1024)), 48);
}

} // namespace
