"""qemu-nitro-cli build-enclave: enclave images from directories and containers

The tests write container images entry by entry, valid and hostile ones, and
decode the enclave images, including the ramdisks' entries.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import socket
import stat
import struct
import subprocess
import tarfile
import tempfile
import unittest

import harness
from harness import CMDLINE, KERNEL, METADATA, RAMDISK, SIGNATURE
from signing import Signer, sections

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
ENGINE = """#!/bin/sh
echo "$@" >> "$ENGINE_LOG"
case $1 in
save) cat "$ENGINE_ARCHIVE" ;;
image) exit "${ENGINE_THERE:-0}" ;;
pull) exit "${ENGINE_PULL:-0}" ;;
build) exit "${ENGINE_BUILD:-0}" ;;
esac
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, data=b"", kind=tarfile.REGTYPE, mode=0o644, **fields):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def directory(name, mode=0o755, **fields):
    return entry(name, kind=tarfile.DIRTYPE, mode=mode, **fields)


def symlink(name, to):
    return entry(name, kind=tarfile.SYMTYPE, linkname=to)


def hardlink(name, to):
    return entry(name, kind=tarfile.LNKTYPE, linkname=to)


def tar(entries, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8",
                      errors="surrogateescape") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pax_record(key, value):
    """A record of a pax header, which gives its own length"""
    size = len(key) + len(value) + 3
    size += len(str(size + len(str(size))))
    return b"%d %s=%s\n" % (size, key, value)


def with_pax(records, info, data=b""):
    """An archive with an entry of which the pax header has these records:
    tarfile writes none that is wrong."""
    body = b"".join(pax_record(*r) for r in records)
    head, _ = entry("pax", body, kind=tarfile.XHDTYPE)
    return b"".join(
        part for info, data in ((head, body), (info, data)) for part in (
            info.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % 512))
    ) + bytes(1024)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


def image_config(layers, options=None, arch="amd64"):
    return json.dumps({
        **({} if arch is None else {"architecture": arch}), "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["/bin/run"]} if options is None else options,
        "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + sha256(x) for x in layers]},
    }).encode()


def docker_files(layers, options=None, names=("repo/name:1",), arch="amd64",
                 pack=lambda x: x):
    """The files of a `docker save` archive, and the id of its image"""
    config = image_config(layers, options, arch)
    files = {f"{i}/layer.tar": pack(x) for i, x in enumerate(layers)}
    item = {"Config": sha256(config) + ".json", "RepoTags": list(names),
            "Layers": list(files)}
    files[item["Config"]] = config
    files["manifest.json"] = json.dumps([item]).encode()
    return files, sha256(config)


def docker(layers, *args, **kwargs):
    return archive_of(docker_files(layers, *args, **kwargs)[0])


def archive_of(files):
    return tar([entry(name, data) for name, data in files.items()])


class Oci:
    """An OCI archive that is built in steps"""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(self, data, kind, **extra):
        self.files["blobs/sha256/" + sha256(data)] = data
        return {"mediaType": "application/vnd.oci.image." + kind,
                "digest": "sha256:" + sha256(data), "size": len(data), **extra}

    def manifest(self, layers, pack=lambda x: x, arch="amd64", more=None,
                 **extra):
        config = image_config(layers, arch=arch)
        return self.blob(json.dumps({
            "schemaVersion": 2,
            "config": self.blob(config, "config.v1+json"),
            "layers": [self.blob(pack(x), "layer.v1.tar") for x in layers],
            **(more or {})}).encode(), "manifest.v1+json", **extra)

    def index(self, manifests, **extra):
        data = json.dumps({"schemaVersion": 2, "manifests": manifests})
        return self.blob(data.encode(), "index.v1+json", **extra)

    def archive(self, manifests):
        return archive_of({**self.files, "index.json": json.dumps(
            {"schemaVersion": 2, "manifests": manifests}).encode()})


def cpio(data):
    """The entries of a ramdisk, in order: name, fields and data"""
    found, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701"
        f = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = os.fsdecode(data[at + 110:at + 110 + f[11] - 1])
        at = (at + 110 + f[11] + 3) & ~3
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        assert name not in found
        found[name] = {"ino": f[0], "mode": f[1], "uid": f[2], "gid": f[3],
                       "links": f[4], "time": f[5], "dev": (f[9], f[10]),
                       "data": data[at:at + f[6]]}
        at = (at + f[6] + 3) & ~3


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.blobs = self.dir / "blobs"
        self.blobs.mkdir()
        self.kernel = harness.bzimage()
        (self.blobs / "bzImage").write_bytes(self.kernel)
        (self.blobs / "cmdline").write_text("console=ttyS0\n")
        (self.blobs / "init").write_bytes(b"init")
        self.output = self.dir / "image.eif"

    def call(self, *options, env=None, more=(), **kwargs):
        return subprocess.run(
            [harness.NITRO_CLI, "build-enclave", *map(str, options), *more],
            check=False, timeout=120, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={
                **os.environ, "NITRO_CLI_BLOBS": str(self.blobs),
                **(env or {})}, **kwargs)

    def build(self, *options, **kwargs):
        result = self.call(*options, "--output-file", self.output, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.printed = json.loads(result.stdout)
        *warned, start, end = result.stderr.splitlines(keepends=True)
        self.assertEqual((start, end), (
            "Start building the Enclave Image...\n",
            "Enclave Image successfully created.\n"))
        self.warned = "".join(warned)
        parts = sections(self.output.read_bytes())
        self.assertEqual([p[0] for p in parts][:5],
                         [KERNEL, CMDLINE, METADATA, RAMDISK, RAMDISK])
        self.metadata = json.loads(parts[2][1])
        self.parts = parts
        return cpio(parts[4][1])

    def archive(self, data, *options, **kwargs):
        return self.build("--docker-archive", self.file("image.tar", data),
                          *options, **kwargs)

    def count_left_out(self):
        """The number of files without their attributes, from the only warning
        """
        self.assertEqual(len(self.warned.splitlines()), 1, self.warned)
        return int(re.search(r"those of (\d+) files? ", self.warned)[1])

    def fails(self, code, words, *options, **kwargs):
        """The command prints two lines, exits with `code`, and leaves no file.
        """
        before = sorted(os.listdir(self.dir))
        result = self.call(*options, "--output-file", self.output, **kwargs)
        self.assertEqual(len(self.explained(result, code, words)), 2,
                         result.stderr)
        self.advice = result.stderr.splitlines()[-1]
        self.assertEqual(sorted(os.listdir(self.dir)), before)

    def refuses(self, words, data, *options):
        path = self.file("image.tar", data)
        self.fails(48, [path, *words], "--docker-archive", path, *options)

    def refuses_layer(self, words, *entries):
        """The same, with an error that saving the image again would not
        correct"""
        self.refuses(words, docker([tar(entries)]))
        self.assertNotIn("Save", self.advice)


class Rootfs(Case):
    def setUp(self):
        super().setUp()
        self.root = self.dir / "root"
        (self.root / "bin").mkdir(parents=True)
        (self.root / "bin/run").write_bytes(b"program")
        (self.root / "bin/run").chmod(0o755)
        for name in ("b", "a", "c/2", "c/1", "d/e/f"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(name)
        self.options = ("--rootfs", self.root, "--cmd", "/bin/run")

    def test_image(self):
        found = self.build(*self.options, "--cmd", "two words", "--env",
                           "A=b", "--env", "C=d")
        self.assertEqual(list(found), sorted(found))
        self.assertEqual(found["rootfs/bin/run"]["data"], b"program")
        self.assertEqual(found["cmd"]["data"], b"/bin/run\ntwo words\n")
        self.assertEqual(found["env"]["data"], b"A=b\nC=d\n")
        for name in ("dev", "proc", "run", "sys", "tmp", "var"):
            self.assertTrue(stat.S_ISDIR(found["rootfs/" + name]["mode"]))
        first = cpio(self.parts[3][1])
        self.assertEqual(list(first), ["dev", "init"])
        self.assertEqual(first["init"]["data"], b"init")
        self.assertEqual(self.parts[0][1], self.kernel)
        self.assertEqual(self.parts[1][1], b"console=ttyS0")
        self.assertEqual(self.printed, {"Measurements": {
            "HashAlgorithm": "Sha384 { ... }",
            "PCR0": harness.pcr(b"".join(self.parts[i][1]
                                         for i in (0, 1, 3, 4))),
            "PCR1": harness.pcr(b"".join(self.parts[i][1]
                                         for i in (0, 1, 3))),
            "PCR2": harness.pcr(self.parts[4][1])}})

    def test_same_bytes(self):
        self.build(*self.options, env=EPOCH)
        first = self.output.read_bytes()
        self.output.unlink()
        other = self.copy(self.dir / "other")
        self.build("--rootfs", other, "--cmd", "/bin/run",
                   env={**EPOCH, "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"},
                   umask=0o077)
        self.assertEqual(self.output.read_bytes(), first)
        self.assertEqual(self.metadata["BuildMetadata"]["BuildTime"],
                         "2023-11-14T22:13:20+00:00")

    def copy(self, other):
        """Copy the root, with differences that must not change the image: the
        order in which files are made, their times, and their owners."""
        for path in reversed(sorted(self.root.rglob("*"))):
            to = other / path.relative_to(self.root)
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                to.mkdir(exist_ok=True)
            else:
                shutil.copy(path, to)
        for path in (other, *other.rglob("*")):
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & ~0o022)
            if os.geteuid() == 0:
                os.chown(path, 12345, 54321)
        return other

    def test_metadata(self):
        path = self.file("metadata", b'{"Team": "a", "Ids": [1, 2]}')
        self.build(*self.options, "--metadata", path, "--name", "n",
                   "--version", "v", "--cmdline", "quiet")
        self.assertEqual(self.metadata["CustomMetadata"],
                         {"Team": "a", "Ids": [1, 2]})
        self.assertEqual((self.metadata["ImageName"],
                          self.metadata["ImageVersion"]), ("n", "v"))
        self.assertEqual(self.parts[1][1], b"quiet")
        for data in (b"", b"[1]", b'{"a":', b"[" * 100):
            self.fails(3, [path], *self.options, "--metadata",
                       self.file("metadata", data))
        self.fails(19, ["gone"], *self.options, "--metadata",
                   self.dir / "gone")
        # The image's metadata has one level more, and 64 are read.
        for levels in (63, 64):
            data = b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
            path = self.file("metadata", data)
            if levels == 63:
                self.build(*self.options, "--metadata", path)
            else:
                self.fails(48, ["metadata", "64 levels"], *self.options,
                           "--metadata", path)

    def test_signed(self):
        signer = Signer()
        self.build(*self.options, "--signing-certificate",
                   self.file("cert", signer.cert_pem()), "--private-key",
                   self.file("key", signer.key_pem()))
        self.assertEqual(self.parts[5][0], SIGNATURE)
        self.assertEqual(self.printed["Measurements"]["PCR8"], signer.pcr8())

    def test_options(self):
        archive = ("--docker-archive", "a")
        self.fails(1, ["--rootfs", "--docker-archive", "--docker-uri"])
        self.fails(1, ["--cmd"], "--rootfs", self.root)
        self.fails(1, ["--docker-uri"], "--docker-dir", self.root)
        self.fails(2, ["--rootfs", "--docker-archive"], *self.options,
                   *archive)
        self.fails(2, ["--rootfs", "--docker-uri"], *self.options,
                   "--docker-uri", "x")
        self.fails(2, ["--docker-archive", "--docker-dir"], *archive,
                   "--docker-dir", "x")
        self.fails(19, ["gone"], "--rootfs", self.dir / "gone", "--cmd", "x")
        self.fails(19, ["gone"], "--docker-archive", self.dir / "gone")
        for option, value in (("--env", "A"), ("--env", "=b"),
                              ("--name", b"\xff"), ("--version", b"\xff"),
                              ("--cmdline", "a\nb")):
            self.fails(3, [option], *self.options, more=[option, value])
        self.fails(3, ["--cmd"], "--rootfs", self.root, "--cmd", "")
        for epoch in ("", "x", "-1", "253402300800"):
            self.fails(3, ["SOURCE_DATE_EPOCH"], *self.options,
                       env={"SOURCE_DATE_EPOCH": epoch})

    def test_attributes(self):
        """Attributes are counted, even if their names need more than a page.
        """
        try:
            for i in range(100):
                os.setxattr(self.root / "a", f"user.{i:0100}", b"x")
        except OSError as error:
            self.skipTest(f"no extended attributes here: {error}")
        self.build(*self.options)
        self.assertEqual(self.count_left_out(), 1)
        if os.geteuid() == 0:
            # version 2, CAP_NET_RAW permitted and effective
            os.setxattr(self.root / "bin/run", "security.capability",
                        struct.pack("<5I", 0x2000001, 1 << 13, 0, 0, 0))
            self.build(*self.options)
            self.assertEqual(self.count_left_out(), 2)
            self.assertIn("1 of them is security.capability", self.warned)

    def test_access_control_list(self):
        """Without the list, the group does not get more access than with it.
        """
        path = self.root / "a"
        path.chmod(0o600)
        entries = [(1, 6, -1), (2, 7, 5), (4, 4, -1), (0x10, 7, -1),
                   (0x20, 0, -1)]
        try:
            os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2)
                        + b"".join(struct.pack("<HHi", *e) for e in entries))
        except OSError as error:
            self.skipTest(f"no access control lists here: {error}")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o670)
        found = self.build(*self.options)
        self.assertEqual(found["rootfs/a"]["mode"], 0o100640)
        self.assertEqual(self.count_left_out(), 1)

    def test_output_in_its_own_root(self):
        self.output = self.root / "bin/image.eif"
        self.fails(2, ["--output-file", "--rootfs"], *self.options)
        os.symlink(self.root, self.dir / "link")
        self.output = self.dir / "link/image.eif"
        self.fails(2, ["--output-file", "--rootfs"], *self.options)
        # Another directory whose name begins with the same letters is allowed.
        (self.dir / "root2").mkdir()
        self.output = self.dir / "root2/image.eif"
        self.build(*self.options)

    def test_output_is_an_input(self):
        """The image does not replace what it is made of."""
        metadata = self.file("metadata", b"{}")
        archive = self.file("archive", docker([tar([entry("a")])]))
        for option, path, *more in (
                ("--metadata", metadata, *self.options),
                ("--docker-archive", archive)):
            before = path.read_bytes()
            self.output = self.dir / "same"
            self.output.unlink(missing_ok=True)
            os.link(path, self.output)
            self.fails(2, ["--output-file", option], option, path, *more)
            self.assertEqual(path.read_bytes(), before)

    def test_output_of_a_dangling_link(self):
        """The image becomes the target of the link."""
        self.output = self.dir / "link"
        os.symlink("target", self.output)
        self.build(*self.options)
        self.assertTrue(self.output.is_symlink())
        self.assertTrue((self.dir / "target").is_file())

    def test_paths_that_cannot_be_followed(self):
        """A loop of links, too long a name, a removed working directory"""
        loop = self.dir / "loop"
        loop.symlink_to("loop")
        for root in (loop, self.dir / ("x" * 300)):
            self.fails(19, [root], "--rootfs", root, "--cmd", "/bin/run")
        gone = self.dir / "gone"
        gone.mkdir()
        self.output = pathlib.Path("image.eif")
        result = subprocess.run(
            ["sh", "-c", 'cd "$1" && rmdir "$1" && shift && "$@"', "sh", gone,
             harness.NITRO_CLI, "build-enclave", *self.options,
             "--output-file", self.output], check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            env={**os.environ, "NITRO_CLI_BLOBS": str(self.blobs)})
        self.explained(result, 19, [self.output])

    def test_blobs(self):
        for name in "bzImage", "cmdline", "init":
            (self.blobs / name).rename(self.dir / "kept")
            self.fails(52, [f"{self.blobs}/{name}"], *self.options)
            self.assertIn("NITRO_CLI_BLOBS", self.advice)
            (self.blobs / name).mkdir()
            self.fails(19, [f"{self.blobs}/{name}: Is a directory"],
                       *self.options)
            (self.blobs / name).rmdir()
            (self.dir / "kept").rename(self.blobs / name)
        self.fails(52, ["/nonexistent/bzImage"], *self.options,
                   env={"NITRO_CLI_BLOBS": "/nonexistent"})
        program = self.dir / "qemu-nitro-cli"
        shutil.copy(harness.NITRO_CLI, program)
        result = subprocess.run(
            [program, "build-enclave", *self.options, "--output-file",
             self.output], check=False, stderr=subprocess.PIPE, env={})
        self.assertEqual(result.returncode, 52, result.stderr)

    def test_permissions(self):
        for umask, mode in ((0, 0o666), (0o027, 0o640), (0o077, 0o600)):
            self.build(*self.options, umask=umask)
            self.assertEqual(stat.S_IMODE(self.output.stat().st_mode), mode)
            self.output.unlink()
        self.output.touch()
        self.output.chmod(0o604)
        self.build(*self.options)
        self.assertEqual(stat.S_IMODE(self.output.stat().st_mode), 0o604)

    @unittest.skipIf(os.geteuid(), "only root can run a program as a user who"
                     " has no other threads")
    def test_no_thread(self):
        """An error if a thread cannot be made, and no file"""
        archive = self.file("image.tar", docker(
            [tar([entry("a", b"a")])], pack=gzip.compress))
        capabilities = "=+dac_override,+dac_read_search"
        for options in (self.options, ("--docker-archive", archive)):
            failed = []
            # One thread is the program's first, and QEMU's library has one.
            for threads in range(2, 6):
                before = sorted(os.listdir(self.dir))
                result = subprocess.run(
                    ["setpriv", "--reuid=12345", "--inh-caps" + capabilities,
                     "--ambient-caps" + capabilities, "prlimit",
                     f"--nproc={threads}", harness.NITRO_CLI, "build-enclave",
                     *options, "--output-file", self.output], check=False,
                    text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env={**os.environ, "NITRO_CLI_BLOBS": self.blobs})
                if result.returncode == 0:
                    break
                failed.append(threads)
                self.explained(result, 48, ["a thread cannot be started"])
                self.assertEqual(sorted(os.listdir(self.dir)), before)
            self.assertEqual(failed, [2, 3])
            self.output.unlink()

    def test_what_was_there_stays(self):
        self.output.write_bytes(b"before")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.root / "socket"))
        self.fails(19, ["socket"], *self.options)
        self.assertEqual(self.output.read_bytes(), b"before")


class Layers(Case):
    def test_kinds(self):
        long = "d" * 200 + "/" + "e" * 200
        found = self.archive(docker([tar([
            directory("etc", 0o750, uid=5, gid=6),
            entry("etc/file", b"text", mode=0o4755, uid=1000, gid=70000),
            symlink("etc/link", "/etc/file"),
            hardlink("etc/zhard", "etc/file"),
            entry("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
            entry("disk", kind=tarfile.BLKTYPE, devmajor=8, devminor=17),
            entry("pipe", kind=tarfile.FIFOTYPE),
            entry(long, b"far"), entry("/absolute", b"1"),
            entry("./dot//slash", b"2"), entry("\u00e9\u6f22", b"3"),
        ])]))
        self.assertEqual(list(found), sorted(found, key=str.encode))
        self.assertTrue(all(e["time"] == 0 for e in found.values()))
        file, hard = found["rootfs/etc/file"], found["rootfs/etc/zhard"]
        self.assertEqual((file["ino"], file["links"]), (hard["ino"], 2))
        self.assertEqual(file["data"] + hard["data"], b"text")
        self.assertEqual((file["mode"], file["uid"], file["gid"]),
                         (0o104755, 1000, 70000))
        etc = found["rootfs/etc"]
        self.assertEqual((etc["mode"], etc["uid"], etc["gid"]),
                         (0o40750, 5, 6))
        self.assertEqual(found["rootfs/etc/link"]["data"], b"/etc/file")
        self.assertEqual(found["rootfs/null"]["mode"], 0o20644)
        self.assertEqual(found["rootfs/null"]["dev"], (1, 3))
        self.assertEqual(found["rootfs/disk"]["mode"], 0o60644)
        self.assertEqual(found["rootfs/disk"]["dev"], (8, 17))
        self.assertEqual(found["rootfs/pipe"]["mode"], 0o10644)
        self.assertEqual(found["rootfs/" + long]["data"], b"far")
        self.assertEqual(found["rootfs/absolute"]["data"], b"1")
        self.assertEqual(found["rootfs/dot/slash"]["data"], b"2")
        self.assertEqual(found["rootfs/\u00e9\u6f22"]["data"], b"3")

    def test_names_are_bytes(self):
        """Names are copied byte by byte, in all forms of headers."""
        names = ["\u00e9", "e\u0301", "\u212a", "\u037e", "\u1fef", "\uf900",
                 "\ud55c", "\u1112\u1161\u11ab", "\U0001f600", "\udcff\udcfe",
                 "a\udc80", "\udced\udca0\udc80", "\n", "\x1b[1m", "\\", "%s"]
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            for lead in ("", "x" * 200 + "/"):
                self.check_names([lead + name for name in names], form)

    def check_names(self, names, form):
        entries = []
        for i, name in enumerate(names):
            entries += [entry(name + ".f", b"%d" % i), directory(name + ".d"),
                        symlink(name + ".s", name + ".f"),
                        hardlink(name + ".h", name + ".f"),
                        entry(name + ".gone"), entry(name + ".d/in")]
        found = self.archive(docker([tar(entries, form), tar(
            [entry(os.path.join(os.path.dirname(n),
                                ".wh." + os.path.basename(n) + ".gone"))
             for n in names], form)]), env={"LC_ALL": "C.UTF-8"})
        for i, name in enumerate(names):
            name = "rootfs/" + name
            self.assertEqual(found[name + ".h"]["data"], b"%d" % i)
            self.assertEqual(found[name + ".s"]["data"],
                             os.fsencode(name[7:] + ".f"))
            self.assertEqual(found[name + ".f"]["ino"],
                             found[name + ".h"]["ino"])
            self.assertEqual(found[name + ".d"]["mode"], 0o40755)
            self.assertIn(name + ".d/in", found)
            self.assertNotIn(name + ".gone", found)

    def names(self, *layers):
        found = self.archive(docker([tar(x) for x in layers]))
        return {n[7:]: e["data"] for n, e in found.items()
                if n.startswith("rootfs/") and n.split("/")[1] not in
                ("dev", "proc", "run", "sys", "tmp", "var")}

    def test_later_layers_win(self):
        self.assertEqual(self.names(
            [directory("a"), entry("a/1", b"old"), entry("a/2", b"2"),
             entry("b", b"file"), directory("c"), entry("c/in", b"x")],
            [entry("a/1", b"new"), directory("a", 0o700), directory("b"),
             entry("b/in", b"y"), entry("c", b"file")]),
            {"a": b"", "a/1": b"new", "a/2": b"2", "b": b"", "b/in": b"y",
             "c": b"file"})

    def test_whiteouts(self):
        lower = [directory("a"), entry("a/1", b"1"), entry("a/2", b"2"),
                 directory("a/b"), entry("a/b/3", b"3"), entry("a-", b"-")]
        self.assertEqual(self.names(lower, [entry(".wh.a")]), {"a-": b"-"})
        self.assertEqual(
            self.names(lower, [entry("a/.wh.1"), entry("a/.wh.b"),
                               entry("a/.wh.none")]),
            {"a": b"", "a/2": b"2", "a-": b"-"})
        # Entries of the same layer stay, before and after the whiteout.
        for own in ([entry("a/.wh..wh..opq"), entry("a/new", b"n")],
                    [entry("a/new", b"n"), entry("a/.wh..wh..opq")]):
            self.assertEqual(self.names(lower, own),
                             {"a": b"", "a/new": b"n", "a-": b"-"})
        self.assertEqual(self.names(lower, [entry("a/1", b"own"),
                                            entry("a/.wh.1")])["a/1"], b"own")
        self.assertEqual(self.names(lower, [entry(".wh..wh..opq"),
                                            entry("x", b"x")]), {"x": b"x"})

    def test_links_in_the_way_stay_within(self):
        found = self.names(
            [directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"),
             symlink("up", "../../.."), symlink("root", "/")],
            [entry("lib/a", b"a"), entry("up/b", b"b"),
             entry("root/usr/c", b"c"), entry("lib/../lib/d".replace(
                 "../lib/", ""), b"d")])
        self.assertEqual(found, {
            "usr": b"", "usr/lib": b"", "lib": b"usr/lib", "up": b"../../..",
            "root": b"/", "usr/lib/a": b"a", "b": b"b", "usr/c": b"c",
            "usr/lib/d": b"d"})

    def test_up_and_down(self):
        """As in docker, ".." removes the name before it, even if that is a
        link."""
        self.assertEqual(self.names(
            [directory("a"), directory("b"), symlink("a/link", "../b")],
            [entry("a/../c", b"c"), entry("x/y/../../d", b"d"),
             entry("/../e", b"e"), entry("a/link/../f", b"f"),
             hardlink("g", "b/../c"), entry("b/..", kind=tarfile.DIRTYPE),
             entry("b/../.wh.h"), symlink("i", "../../out")]),
            {"a": b"", "b": b"", "a/link": b"../b", "c": b"", "d": b"d",
             "e": b"e", "a/f": b"f", "g": b"c", "i": b"../../out"})

    def test_hostile(self):
        self.refuses_layer(["../x"], entry("../x"))
        self.refuses_layer(["a/../../x"], entry("a/../../x"))
        self.refuses_layer(["hard link a", "to b"], hardlink("a", "b"))
        self.refuses_layer(["hard link a,", "../../etc/passwd", "leads out"],
                           hardlink("a", "../../etc/passwd"))
        self.refuses_layer(["hard link a,", "255"], hardlink("a", "x" * 256))
        self.refuses_layer(["leads out"], entry(".."))
        self.refuses_layer(["leads out"], entry("a/../.././a"))
        self.refuses_layer(["b/a: owner -"], entry("b/a", uid=-5))
        self.refuses_layer(["hard link a", "to a"], hardlink("a", "a"))
        self.refuses_layer(["hard link"], directory("b"), hardlink("a", "b"))
        self.refuses_layer(["not a directory"], entry("a"), entry("a/b"))
        self.refuses_layer(["removes"], entry("a/.wh."))
        self.refuses_layer(["removes"], entry("a/.wh..."))
        self.refuses_layer(["symbolic link"], symlink("a", "x" * 4096))
        self.refuses_layer(["255"], entry("x" * 256))

    def test_attributes(self):
        """A ramdisk cannot hold extended attributes: the build omits them."""
        def with_headers(name, **headers):
            info, data = entry(name, b"data", mode=0o4755)
            info.pax_headers = {"SCHILY.xattr." + k.replace("__", "."): v
                                for k, v in headers.items()}
            return info, data

        gone = with_headers("gone", user__gone="x")
        labelled = with_headers("plain", security__selinux="label")
        found = self.archive(docker([tar([gone, labelled])]),
                             "--docker-uri", "repo/name:1")
        self.assertEqual(self.count_left_out(), 1)
        found = self.archive(docker([tar([gone, labelled]), tar([
            entry(".wh.gone"),
            with_headers("a", com__apple__provenance="\1\2",
                         user__more="x"),
            with_headers("b", security__capability="\1\0\0\2"),
            hardlink("c", "b"), with_headers("d", trusted__overlay__opaque="y")
        ])]))
        self.assertEqual(self.count_left_out(), 3)
        self.assertIn("/a, com.apple.provenance", self.warned)
        self.assertIn("1 of them is security.capability", self.warned)
        for name in "abcd":
            self.assertEqual(found["rootfs/" + name]["mode"], 0o104755)
        self.archive(docker([tar([labelled])]))
        self.assertEqual(self.warned, "")
        for name in (".", "./", "/"):
            top, _ = directory(name)
            top.pax_headers = {"SCHILY.xattr.user.x": "y"}
            self.archive(docker([tar([(top, b"")])]))
            self.assertIn("(the first: /, user.x)", self.warned)

    def test_access_control_list(self):
        info, data = entry("a", mode=0o664)
        info.pax_headers = {"SCHILY.acl.access": "user::rw-,user:5:rwx,"
                            "group::rwx,mask::r-x,other::r--"}
        found = self.archive(docker([tar([(info, data)])]))
        self.assertEqual(found["rootfs/a"]["mode"], 0o100654)
        self.assertEqual(self.count_left_out(), 1)

    def test_zero_in_a_name(self):
        """libarchive would cut the name there."""
        for pack in (bytes, gzip.compress, zstd):
            for key, info in ((b"path", entry("a", b"x")),
                              (b"linkpath", symlink("a", "b")),
                              (b"linkpath", hardlink("a", "b"))):
                for before in ((), [(b"comment", b"x" * 300000)],
                               [(b"comment", b"a\0b")]):
                    name = b"etc/passwd\0.txt"
                    layer = with_pax([*before, (key, name)], *info)
                    self.refuses(["layer 1", r"etc/passwd\x00.txt"],
                                 docker([layer], pack=pack))
                    self.assertNotIn("Save", self.advice)
            layer = with_pax([(b"comment", b"a\0b"), (b"path", b"c" * 99999)],
                             *entry("a", b"x"))
            self.refuses(["4095"], docker([layer], pack=pack))
            layer = with_pax([(b"comment", b"\0" * 900000), (b"path", b"c")],
                             *entry("a", b"x"))
            before = with_pax([(b"comment", b"a\0b")],
                              *entry("b", b"y" * (1 << 20)))[:-1024]
            found = self.archive(docker([before + layer], pack=pack))
            self.assertEqual(found["rootfs/c"]["data"], b"x")

    def test_link_loop(self):
        path = self.file("image.tar", docker([tar([
            symlink("a", "b"), symlink("b", "a"), entry("a/x")])]))
        self.fails(48, ["symbolic links"], "--docker-archive", path)

    def test_too_large(self):
        """The header of a file gives a larger size than a ramdisk can hold."""
        data = bytearray(tar([entry("a")]))
        data[124:136] = b"%011o\0" % (1 << 32)
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        self.refuses(["4294967295"], docker([bytes(data)]))


class Formats(Case):
    LAYER = tar([entry("bin/run", b"x" * 5000, mode=0o755)])

    def same(self, archive):
        found = self.archive(archive)
        self.assertEqual(found["rootfs/bin/run"]["data"], b"x" * 5000)
        return self.printed["Measurements"]["PCR0"]

    def test_all_are_the_same(self):
        oci = Oci()
        pcrs = {self.same(docker([self.LAYER], pack=p))
                for p in (bytes, gzip.compress, zstd)}
        packs = (bytes, gzip.compress, zstd, lzma.compress, bz2.compress)
        pcrs |= {self.same(p(docker([self.LAYER]))) for p in packs}
        for pack in packs:
            oci = Oci()
            pcrs.add(self.same(oci.archive([oci.manifest([self.LAYER],
                                                         pack)])))
            index = oci.index([oci.manifest([self.LAYER], pack)])
            pcrs.add(self.same(oci.archive([index])))
        self.assertEqual(len(pcrs), 1, pcrs)

    def written(self, archive, directory):
        """The number of bytes that a build from the archive writes to files,
        in total and to disks; the second number does not include memory."""
        process = self.spawn(
            harness.NITRO_CLI, "build-enclave", "--docker-archive",
            self.file("image.tar", archive), "--output-file",
            directory / "image.eif", stdout=subprocess.DEVNULL,
            env={**os.environ, "NITRO_CLI_BLOBS": str(self.blobs)})
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with open(f"/proc/{process.pid}/io", encoding="ascii") as f:
            counts = dict(line.split(": ") for line in f)
        self.assertEqual(process.wait(), 0)
        return int(counts["wchar"]), int(counts["write_bytes"])

    def test_written_once(self):
        """Uncompressed data is read from the archive.  Other data is unpacked
        into memory."""
        data = os.urandom(1 << 20) * 20
        layer = tar([entry("a", data)])
        most = len(data) * 1.2
        # This needs a disk; /tmp may be in memory.
        with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
            directory = pathlib.Path(name)
            written, _ = self.written(docker([layer]), directory)
            self.assertTrue(len(data) < written < most, written)
            if subprocess.run(["stat", "-f", "-c", "%T", directory],
                              check=True, text=True, stdout=subprocess.PIPE
                              ).stdout == "tmpfs\n":
                self.skipTest("/var/tmp is in memory: nothing goes to a disk")
            for archive in (docker([layer]),
                            docker([layer], pack=gzip.compress),
                            docker([layer], pack=zstd),
                            gzip.compress(docker([layer]))):
                _, to_disk = self.written(archive, directory)
                self.assertTrue(len(data) < to_disk < most, to_disk)

    def test_from_a_pipe(self):
        """A pipe can be read only once; the image is the same."""
        archive = docker([self.LAYER])
        first = self.same(archive)
        for data in (archive, gzip.compress(archive)):
            result = subprocess.run(
                [harness.NITRO_CLI, "build-enclave", "--docker-archive",
                 "/dev/stdin", "--output-file", self.output], check=True,
                input=data, stdout=subprocess.PIPE,
                env={**os.environ, "NITRO_CLI_BLOBS": str(self.blobs)})
            self.assertEqual(json.loads(result.stdout)["Measurements"]["PCR0"],
                             first)

    def test_sparse_and_long_headers(self):
        """The data is found after headers of each form."""
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT,
                     tarfile.USTAR_FORMAT):
            names = ["a", "b" * 90 + "/" + "c" * 90]
            if form != tarfile.USTAR_FORMAT:
                names += ["d" * 200 + "/" + "e" * 250]
            entries = [entry(n, n.encode() * 999) for n in names]
            if form == tarfile.PAX_FORMAT:
                entries[0][0].pax_headers = {"comment": "x" * 5000}
            found = self.archive(docker([tar(entries, form)]))
            for name in names:
                self.assertEqual(found["rootfs/" + name]["data"],
                                 name.encode() * 999)
        (self.dir / "sparse").write_bytes(b"begin")
        with open(self.dir / "sparse", "r+b") as f:
            f.seek(1 << 20)
            f.write(b"middle")
            f.truncate(3 << 20)
        for form in ("--sparse-version=0.0", "--sparse-version=0.1",
                     "--sparse-version=1.0", "--format=gnu"):
            layer = subprocess.run(
                ["tar", "-c", "-S", *(["--format=pax"] if "version" in form
                                      else []), form, "-C", self.dir,
                 "sparse"], check=True, stdout=subprocess.PIPE).stdout
            self.assertLess(len(layer), 1 << 20)
            found = self.archive(docker([layer, self.LAYER]))
            self.assertEqual(found["rootfs/sparse"]["data"],
                             (self.dir / "sparse").read_bytes())
            self.assertEqual(found["rootfs/bin/run"]["data"], b"x" * 5000)

    def test_layer_that_is_a_link(self):
        files, _ = docker_files([self.LAYER, self.LAYER])
        del files["1/layer.tar"]
        self.same(tar([*(entry(n, d) for n, d in files.items()),
                       symlink("1/layer.tar", "../0/layer.tar")]))

    def test_same_bytes(self):
        archive = docker([self.LAYER])
        self.archive(archive, env=EPOCH)
        first = self.output.read_bytes()
        self.archive(archive, env={**EPOCH, "LC_ALL": "C"}, umask=0o077)
        self.assertEqual(self.output.read_bytes(), first)

    def test_platforms(self):
        oci = Oci()
        arm = oci.manifest([self.LAYER], arch="arm64", platform={
            "os": "linux", "architecture": "arm64"})
        amd = oci.manifest([self.LAYER], platform={
            "os": "linux", "architecture": "amd64"})
        self.same(oci.archive([arm, amd]))
        self.same(oci.archive([oci.index([arm, amd])]))
        self.refuses(["linux/arm64"], oci.archive([arm]))
        self.refuses(["linux/arm64"], docker([self.LAYER], arch="arm64"))
        self.refuses(["none"], oci.archive([]))

    def test_choice(self):
        one, _ = docker_files([self.LAYER], {"Cmd": ["1"]}, ["one:1"])
        two, _ = docker_files([self.LAYER], {"Cmd": ["2"]}, ["two:1"])
        archive = archive_of({**one, **two, "manifest.json": json.dumps(
            json.loads(one["manifest.json"])
            + json.loads(two["manifest.json"])).encode()})
        self.refuses(["one:1", "two:1"], archive)
        self.refuses(["one:1", "two:1"], archive, "--docker-uri", "three:1")
        found = self.archive(archive, "--docker-uri", "two:1")
        self.assertEqual(found["cmd"]["data"], b"2\n")

    def test_names_in_full(self):
        for there, asked in (
                ("app:latest", "app"), ("docker.io/library/app:1", "app:1"),
                ("app:1", "docker.io/library/app:1"),
                ("me/app:1", "docker.io/me/app:1"),
                ("localhost/app:latest", "localhost/app"),
                ("host:5000/app:latest", "host:5000/app"),
                ("quay.io/a/b:latest", "quay.io/a/b"),
                ("app:1", "index.docker.io/library/app:1")):
            archive = docker([self.LAYER], names=[there])
            self.archive(archive, "--docker-uri", asked)
        for asked in ("app:2", "other:1", "quay.io/app:1", "localhost/app:1",
                      "app", "me/app:1"):
            self.refuses([asked, "app:1"], docker([self.LAYER], names=["app:1"]),
                         "--docker-uri", asked)
        self.refuses(["app", "without a name"], docker([self.LAYER], names=[]),
                     "--docker-uri", "app")

    def test_several_names(self):
        """BuildKit writes an image with two tags in this way."""
        oci = Oci()
        manifest = oci.manifest([self.LAYER])
        archive = oci.archive([{**manifest, "annotations": {
            "io.containerd.image.name": f"docker.io/library/a:{tag}",
            "org.opencontainers.image.ref.name": tag}} for tag in "12"])
        self.same(archive)
        self.assertEqual(self.metadata["DockerInfo"]["RepoTags"],
                         ["docker.io/library/a:1", "docker.io/library/a:2"])
        for name in ("a:1", "a:2"):
            self.archive(archive, "--docker-uri", name)
        self.refuses(["a:3"], archive, "--docker-uri", "a:3")
        files, _ = docker_files([self.LAYER])
        item = json.loads(files["manifest.json"])[0]
        self.same(archive_of({**files, "manifest.json": json.dumps(
            [item, {**item, "RepoTags": ["b:2"]}]).encode()}))

    def test_digests_and_ids(self):
        """What docker takes for a name"""
        oci = Oci()
        name = "org.opencontainers.image.ref.name"
        manifest = oci.manifest([self.LAYER])
        other = oci.manifest([tar([entry("other")])])
        index = oci.index([manifest])
        first, second, whole = (x["digest"] for x in (manifest, other, index))
        ids = [json.loads(oci.files["blobs/sha256/" + d[7:]])["config"]
               ["digest"][7:] for d in (first, second)]
        archive = oci.archive([
            {**index, "annotations": {name: "repo/name:1"}}, other])
        for asked in (f"repo/name@{first}", f"repo/name:1@{first}",
                      f"repo/name:7@{whole}", f"quay.io/x@{whole}", ids[0],
                      ids[0][:12], ids[0][:4], "sha256:" + ids[0],
                      "sha256:" + ids[0][:12], first, whole, first[7:19]):
            found = self.archive(archive, "--docker-uri", asked)
            self.assertIn("rootfs/bin/run", found, asked)
        found = self.archive(archive, "--docker-uri", "name@" + second)
        self.assertIn("rootfs/other", found)
        none = "sha256:" + "0" * 64
        for asked, words in (
                ("repo/name@" + none, [none, ids[1][:12]]),
                ("repo/name:1@" + none, [none]), (none, ["0" * 64]),
                ("0" * 12, ["no id begins with", ids[0][:12]]),
                (ids[0][:3], ["no image is called"]),
                ("x@sha256:" + "0" * 63, ["no digest"]),
                ("x@sha256:" + "G" * 64, ["no digest"]), ("x@", ["no digest"]),
                ("x@md5:" + "0" * 64, ["no digest"]),
                ("repo/name:1@", ["no digest"])):
            self.refuses(words, archive, "--docker-uri", asked)
            self.assertNotIn("Save", self.advice)

    def test_digests_of_docker(self):
        """Its archives know the ids, and since version 25 the digests."""
        files, image_id = docker_files([self.LAYER])
        found = "rootfs/bin/run"
        for asked in (image_id, image_id[:12], "sha256:" + image_id):
            self.assertIn(found, self.archive(archive_of(files),
                                              "--docker-uri", asked))
        oci = Oci()
        manifest = oci.manifest([self.LAYER])
        asked = "repo/name@" + manifest["digest"]
        self.refuses(["digests of manifests", "repo/name:1"], archive_of(files),
                     "--docker-uri", asked)
        config = sha256(image_config([self.LAYER]))
        self.assertEqual(config, image_id)
        newer = {**oci.files, **files, "index.json": json.dumps(
            {"manifests": [manifest]}).encode()}
        for name in (asked, "repo/name:1", image_id[:12]):
            self.assertIn(found, self.archive(archive_of(newer),
                                              "--docker-uri", name))
        # A name goes before an id that begins like it.
        layer = tar([entry("named")])
        both, _ = docker_files([layer], names=[image_id[:12]])
        both["0/named.tar"] = both.pop("0/layer.tar")
        items = json.loads(both["manifest.json"])
        items[0]["Layers"] = ["0/named.tar"]
        both["manifest.json"] = json.dumps(
            items + json.loads(files["manifest.json"])).encode()
        self.assertIn("rootfs/named", self.archive(
            archive_of({**files, **both}), "--docker-uri", image_id[:12]))

    def test_what_is_no_image(self):
        """Archives contain charts, signatures and so on beside images."""
        oci = Oci()
        helm = oci.manifest([b"chart"], more={"config": oci.blob(
            b"{}", "x", ) | {
                "mediaType": "application/vnd.cncf.helm.config.v1+json"}})
        signature = oci.manifest([], more={"layers": [{
            **oci.blob(b"{}", "x"), "mediaType":
            "application/vnd.dev.cosign.simplesigning.v1+json"}]})
        spdx = oci.manifest([], more={"artifactType": "application/spdx+json"})
        attestation = {"mediaType": "application/vnd.oci.image.manifest.v1"
                       "+json", "digest": "sha256:" + "0" * 64, "platform": {
                           "os": "unknown", "architecture": "unknown"}}
        others = [helm, signature, spdx, attestation]
        self.same(oci.archive([*others, oci.manifest([self.LAYER])]))
        for other, words in zip(others, (["helm"], ["cosign"], ["spdx"],
                                         ["attestation"])):
            self.refuses(words, oci.archive([other]))
        name = "org.opencontainers.image.ref.name"
        archive = oci.archive([
            {**helm, "annotations": {name: "a:chart"}},
            {**oci.manifest([self.LAYER]), "annotations": {name: "a:1"}}])
        self.refuses(["a:chart is not an image", "helm"], archive,
                     "--docker-uri", "a:chart")
        self.assertIn("a:1", self.advice)
        self.same(archive)

    def test_variants(self):
        """The variant that all CPUs of the architecture can run is chosen."""
        oci = Oci()

        def manifest(variant, text, platform_variant=None):
            config = json.loads(image_config([self.LAYER]))
            config["config"]["Cmd"] = [text]
            if variant:
                config["variant"] = variant
            platform = {"os": "linux", "architecture": "amd64"}
            if platform_variant:
                platform["variant"] = platform_variant
            return oci.manifest(
                [self.LAYER], platform=platform, more={"config": oci.blob(
                    json.dumps(config).encode(), "config.v1+json")})

        for basic in (None, "v1"):
            for others in ([manifest("v3", "3")], [manifest(None, "3", "v3")],
                           [manifest("v2", "2"), manifest("v4", "4")]):
                found = self.archive(oci.archive(
                    [*others, manifest(basic, "basic")]))
                self.assertEqual(found["cmd"]["data"], b"basic\n")
        found = self.archive(oci.archive([manifest("v3", "3")]))
        self.assertEqual(found["cmd"]["data"], b"3\n")
        self.refuses(["2 images", "linux/amd64/v2", "linux/amd64/v3"],
                     oci.archive([manifest("v2", "2"), manifest("v3", "3")]))

    def test_directory(self):
        self.fails(19, [self.dir, "Is a directory"], "--docker-archive",
                   self.dir)
        self.assertIn("--rootfs", self.advice)

    def test_architecture(self):
        first = self.same(docker([self.LAYER]))
        for arch in ("x86_64", "x86-64"):
            self.assertEqual(self.same(docker([self.LAYER], arch=arch)), first)
            self.assertEqual(self.warned, "")
        for arch in ("", None):
            self.assertEqual(self.same(docker([self.LAYER], arch=arch)), first)
            self.assertEqual(len(self.warned.splitlines()), 1)
        oci = Oci()
        archive = oci.archive([oci.manifest([self.LAYER], arch=a)
                               for a in ("", "arm64")])
        self.refuses(["arm64"], archive)
        archive = oci.archive([oci.manifest([self.LAYER], arch=a)
                               for a in ("", "amd64")])
        self.same(archive)

    def test_layer_of_nothing(self):
        for pack in (bytes, gzip.compress, zstd):
            self.same(docker([b"", self.LAYER, b""], pack=pack))

    def test_manifest_of_nothing(self):
        oci = Oci()
        manifest = oci.manifest([self.LAYER])
        for nothing in (b"null", b"[]"):
            self.refuses(["lists no image"],
                         archive_of({"manifest.json": nothing}))
            oci.files["manifest.json"] = nothing
            self.same(oci.archive([manifest]))

    def test_what_it_looks_like(self):
        self.refuses(["docker export"], tar([
            directory("bin"), directory("etc"), entry("etc/passwd", b"x")]))
        for data, word in ((b"", "empty"), (b"PK\3\4" + bytes(99), "zip"),
                           (b"\x7fELF" + bytes(999), "program"),
                           (b"{}", "JSON"), (b"FROM x\n", "Dockerfile"),
                           (b"hello\n" * 99, "text"), (b"\1" * 999, "known"),
                           (gzip.compress(b"x" * 99), "gzip"),
                           (gzip.compress(gzip.compress(b"x")), "gzip"),
                           (b"\xfd7z", "xz"), (b"070701" * 99, "cpio"),
                           (b"\x1f\x9d\x90" + bytes(99), "compress"),
                           (b"-----BEGIN CERTIFICATE-----\n", "certificate"),
                           (lzma.compress(b"x" * 99), "xz"),
                           (harness.image(), "enclave image")):
            self.refuses([word], data)
        self.refuses(["layer 1", "zip"], docker([b"PK\3\4" + bytes(99)]))

    def test_directory_around(self):
        """An archive of the directory, not of what is in it"""
        files, _ = docker_files([self.LAYER])
        self.refuses(["image/manifest.json"], tar(
            [directory("image"), *(entry("image/" + n, d)
                                for n, d in files.items())]))
        self.assertIn("-C image", self.advice)
        self.same(tar([directory("."), *(entry("./" + n, d)
                                      for n, d in files.items())]))

    def test_diff_ids(self):
        files, image_id = docker_files([self.LAYER])
        config = json.loads(files.pop(image_id + ".json"))
        item = json.loads(files["manifest.json"])[0]
        for ids, word in (([], "0 diff_ids"), (["sha512:" + "0" * 128],
                                               "sha512"),
                          (["sha256:" + "A" * 64], "SHA-256"),
                          (config["rootfs"]["diff_ids"] * 2, "2 diff_ids")):
            config["rootfs"]["diff_ids"] = ids
            self.refuses([word], archive_of({
                **files, "c.json": json.dumps(config).encode(),
                "manifest.json": json.dumps(
                    [{**item, "Config": "c.json"}]).encode()}))
            self.assertNotIn("Save", self.advice)

    def test_damage(self):
        whole = docker([self.LAYER])
        self.refuses(["no container image"], tar([entry("a")]))
        self.refuses([], b"no archive" * 1000)
        self.refuses([], b"")
        for cut in (700, len(whole) // 2):
            self.refuses([], whole[:cut])
        for pack in (gzip.compress, zstd, lzma.compress, bz2.compress):
            packed = pack(whole + os.urandom(999))
            for cut in (100, len(packed) // 2, len(packed) - 20):
                self.refuses([], packed[:cut])
        files, _ = docker_files([self.LAYER])
        for name, data in (("0/layer.tar", self.LAYER.replace(b"x", b"y")),
                           ("0/layer.tar", gzip.compress(self.LAYER)[:-30]),
                           ("manifest.json", b"{}"),
                           ("manifest.json", b"[7]"),
                           ("manifest.json", b'[{"Config":7}]'),
                           ("manifest.json", b'[{"Config":"\\ud800"}]'),
                           ("manifest.json", b'[{"Config":"\xff"}]'),
                           ("manifest.json", b"[" * 1000),
                           ("manifest.json", b" " * (5 << 20))):
            self.refuses([], archive_of({**files, name: data}))
        for name in ("0/layer.tar",
                     next(n for n in files if n.endswith(".json"))):
            rest = {k: v for k, v in files.items() if k != name}
            self.refuses([name], archive_of(rest))
            self.assertIn("Save", self.advice)

    def test_missing_keys(self):
        """It is named, and where."""
        for data in (b"[{}]", b'[{"Config":null}]', b'[{"Config":""}]'):
            self.refuses(["manifest.json has no Config"],
                         archive_of({"manifest.json": data}))
        files, _ = docker_files([self.LAYER])
        item = json.loads(files["manifest.json"])[0]
        files["manifest.json"] = json.dumps([{**item, "Layers": [""]}])
        files["manifest.json"] = files["manifest.json"].encode()
        self.refuses(["manifest.json", "Layers"], archive_of(files))
        oci = Oci()
        self.refuses(["descriptor", "digest"], oci.archive([{}]))
        for manifest in ({}, {"config": {}},
                         {"config": oci.blob(b"{}", "config.v1+json"),
                          "layers": [{}]}):
            found = oci.blob(json.dumps(manifest).encode(), "manifest.v1+json")
            self.refuses([found["digest"][7:], "digest"],
                         oci.archive([found]))

    def test_oci_digests(self):
        oci = Oci()
        manifest = oci.manifest([self.LAYER])
        for name in [n for n in oci.files if n.startswith("blobs/")]:
            other = Oci()
            other.files = {**oci.files, name: oci.files[name] + b" "}
            self.refuses([name], other.archive([manifest]))
        for digest in ("sha256:../../x", "md5:0", "", "sha256:" + "0" * 64):
            self.refuses([], oci.archive([{**manifest, "digest": digest}]))

    def test_index_in_itself(self):
        oci = Oci()
        index = oci.manifest([self.LAYER])
        for _ in range(6):
            index = oci.index([index])
        self.refuses(["deep"], oci.archive([index]))


class Settings(Case):
    def image(self, options, *more, files=()):
        return self.archive(docker([tar([entry("bin/run"), *files])],
                                   options), *more)

    def test_command(self):
        both = {"Entrypoint": ["/entry", "a b"], "Cmd": ["/cmd"],
                "Env": ["A=1", "B=2"]}
        found = self.image({"Entrypoint": ["/entry", "a b"], "Cmd": None})
        self.assertEqual(found["cmd"]["data"], b"/entry\na b\n")
        self.assertEqual(self.warned, "")
        found = self.image(both)
        self.assertEqual(found["cmd"]["data"], b"/cmd\n")
        self.assertIn("Entrypoint", self.warned)
        self.assertEqual(found["env"]["data"], b"A=1\nB=2\n")
        found = self.image(both, "--cmd", "/mine", "--env", "C=3")
        self.assertEqual(found["cmd"]["data"], b"/mine\n")
        self.assertEqual(found["env"]["data"], b"A=1\nB=2\nC=3\n")
        path = self.file("image.tar", docker([tar([])], {}))
        self.fails(48, ["Cmd", "Entrypoint"], "--docker-archive", path)
        path = self.file("image.tar", docker([tar([])], {"Cmd": "text"}))
        self.fails(48, ["Cmd"], "--docker-archive", path)

    def test_words_are_kept(self):
        """The files have AWS's format, unless an item contains a newline."""
        found = self.image({"Cmd": ["/run", "--save", "", "--append", ""],
                            "Env": ["A=1"]})
        self.assertEqual(found["cmd"]["data"], b"/run\n--save\n\n--append\n\n")
        found = self.image({"Cmd": ["sh", "-c", "a\nb", ""],
                            "Env": ["A=1"]})
        self.assertEqual(found["cmd0"]["data"], b"sh\0-c\0a\nb\0\0")
        self.assertEqual(found["env"]["data"], b"A=1\n")
        self.assertNotIn("cmd", found)
        found = self.image({"Cmd": ["x"]}, "--env", "PEM=a\nb\n")
        self.assertEqual(found["env0"]["data"], b"PEM=a\nb\n\0")
        self.assertNotIn("env", found)

    def test_env_replaces(self):
        env = ["A=1", "AB=2", "B", "C=3", "A=4"]
        for more, expected in (
                (("A=",), ["A=", "AB=2", "B", "C=3"]),
                (("C=x", "C=y"), ["A=1", "AB=2", "B", "C=y", "A=4"]),
                (("B=5", "D=6"), [*env, "B=5", "D=6"])):
            found = self.image({"Cmd": ["x"], "Env": env}, *(
                word for item in more for word in ("--env", item)))
            self.assertEqual(found["env"]["data"].decode().splitlines(),
                             expected)

    def test_limits(self):
        """A command that Linux would refuse to start is an error."""
        most = "x" * ((128 << 10) - 1)
        self.image({"Cmd": ["x", most], "Env": ["A=" + most[2:]]})
        self.image({"Cmd": ["x", *[""] * 200000]})
        for options, word in (
                ({"Cmd": ["x", "y" + most]}, "word 2"),
                ({"Cmd": ["x"], "Env": ["B=1", "LONG=" + most]}, "LONG"),
                ({"Cmd": ["x"], "Env": ["A\0B=1"]}, "Env"),
                ({"Cmd": ["x"], "Env": ["NAME=1\0"]}, "NAME"),
                ({"Cmd": ["x"], "WorkingDir": "/a\0b"}, "WorkingDir"),
                ({"Cmd": ["x"], "WorkingDir": "/" * 4096}, "WorkingDir"),
                ({"Cmd": ["x", *[most] * 16]}, str(2 << 20)),
                ({"Cmd": ["x", *[""] * 240000]}, str(2 << 20)),
                ({"Cmd": [""]}, "empty word"),
                ({"Entrypoint": ["", "x"]}, "empty word")):
            path = self.file("image.tar", docker([tar([])], options))
            self.fails(48, [word], "--docker-archive", path)

    def test_names(self):
        layer = tar([entry("bin/run")])
        _, image_id = docker_files([layer])
        self.archive(docker([layer]))
        self.assertEqual(self.metadata["ImageName"], "repo/name")
        self.assertEqual(self.metadata["ImageVersion"], image_id)
        info = self.metadata["DockerInfo"]
        self.assertEqual(info["Id"], "sha256:" + image_id)
        self.assertEqual(info["Config"], {"Cmd": ["/bin/run"]})
        self.archive(docker([layer]), "--name", "n", "--version", "v")
        self.assertEqual((self.metadata["ImageName"],
                          self.metadata["ImageVersion"]), ("n", "v"))

    def test_working_directory(self):
        cmd = {"Cmd": ["x"]}
        self.assertEqual(self.image({**cmd, "WorkingDir": "/a b"})
                         ["cwd"]["data"], b"/a b\n")
        for path in ("", "/"):
            self.assertNotIn("cwd", self.image({**cmd, "WorkingDir": path}))

    def test_user(self):
        files = [entry("etc/passwd", b"root:x:0:0::/:/bin/sh\n"
                       b"me:x:1000:100::/:/bin/sh\nbroken\n"),
                 entry("etc/group", b"root:x:0:\nusers:x:100:\n"
                       b"disk:x:6:me\nkvm:x:5:you,me\n")]
        for user, ids in (("me", "1000 100 5 6"), ("1000", "1000 100 5 6"),
                          ("me:disk", "1000 6"), ("77", "77 0"),
                          ("77:88", "77 88"), (":6", "0 6"), ("root", ""),
                          ("0", ""), ("0:0", ""), ("", "")):
            found = self.image({"Cmd": ["x"], "User": user}, files=files)
            output = found.get("user", {"data": b""})["data"].decode()
            self.assertEqual(output.split(), ids.split(), user)
        for user in ("nobody", "me:nobody", "broken", "-1", "4294967295"):
            path = self.file("image.tar", docker([tar(files)], {
                "Cmd": ["x"], "User": user}))
            self.fails(48, [f"User {user}"], "--docker-archive", path)
            self.assertNotIn("again", self.advice)

    def test_size_of_users(self):
        limit = 4 << 20
        text = (b"::\n" * limit)[:limit - 24] + b"\nme:x:1000:100::/:/bin/s"
        for name in "passwd", "group":
            files = [entry("etc/passwd", text), entry("etc/group", b"")]
            found = self.image({"Cmd": ["x"], "User": "me"}, files=files)
            self.assertEqual(found["user"]["data"].split(), [b"1000", b"100"])
            files.append(entry(f"etc/{name}", text + b"\n"))
            path = self.file("image.tar", docker([tar(files)], {
                "Cmd": ["x"], "User": "me"}))
            self.fails(48, [f"/etc/{name} has {limit + 1} bytes",
                            str(limit)], "--docker-archive", path)
            self.assertNotIn("again", self.advice)


class Engine(Case):
    """A script takes the place of docker, and records how it was called."""

    def setUp(self):
        super().setUp()
        directory_ = self.dir / "bin"
        directory_.mkdir()
        self.log = self.dir / "log"
        self.log.touch()
        self.engine = directory_ / "docker"
        self.engine.write_text(ENGINE)
        self.engine.chmod(0o755)
        self.env = {
            "PATH": f"{directory_}:/usr/bin:/bin", "ENGINE_LOG": str(self.log),
            "ENGINE_ARCHIVE": str(self.file("saved", docker(
                [tar([entry("bin/run", b"1")])])))}

    def calls(self):
        return [line.split()[0] for line in self.log.read_text().splitlines()]

    def test_there(self):
        found = self.build("--docker-uri", "repo/name:1", env=self.env)
        self.assertEqual(found["rootfs/bin/run"]["data"], b"1")
        self.assertEqual(self.calls(), ["image", "save"])
        self.assertEqual(self.metadata["ImageName"], "repo/name")

    def test_pull(self):
        self.build("--docker-uri", "repo/name:1",
                   env={**self.env, "ENGINE_THERE": "1"})
        self.assertEqual(self.calls(), ["image", "pull", "save"])

    def test_build(self):
        self.build("--docker-uri", "repo/name:1", "--docker-dir", self.dir,
                   env=self.env)
        self.assertEqual(self.calls(), ["build", "save"])
        self.assertIn(f"-t repo/name:1 {self.dir}", self.log.read_text())

    def test_podman(self):
        self.engine.rename(self.engine.with_name("podman"))
        env = {**self.env, "PATH": f"{self.engine.parent}:/bin"}
        self.build("--docker-uri", "repo/name:1", env=env)

    def test_failures(self):
        uri = ("--docker-uri", "repo/name:1")
        self.fails(50, ["repo/name:1"], *uri, env={
            **self.env, "ENGINE_THERE": "1", "ENGINE_PULL": "1"})
        self.fails(49, ["repo/name:1"], *uri, "--docker-dir", self.dir,
                   env={**self.env, "ENGINE_BUILD": "1"})
        self.fails(19, ["gone"], *uri, "--docker-dir", self.dir / "gone",
                   env=self.env)
        self.fails(3, ["-x"], "--docker-uri=-x", env=self.env)
        self.engine.unlink()
        self.fails(50, ["docker", "podman"], *uri,
                   env={**self.env, "PATH": str(self.engine.parent)})


SHOW = r"""
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
static void show(const char *what, const char *text)
{
    printf("%s=", what);
    for (; *text; text++) {
        printf("%02x", (unsigned char)*text);
    }
    puts(".");
}
int main(int argc, char **argv)
{
    char directory[4096];
    gid_t groups[10];
    int n = getgroups(10, groups);
    for (int i = 0; i < argc; i++) {
        show("word", argv[i]);
    }
    for (char **e = environ; *e; e++) {
        show("variable", *e);
    }
    show("directory", getcwd(directory, sizeof(directory)));
    printf("ids=%d %d", getuid(), getgid());
    for (int i = 0; i < n; i++) {
        printf(" %d", groups[i]);
    }
    printf(".\nroot=%d.\n", setuid(0) == 0);
    return 0;
}
"""
WORDS = ["", " ", "  before", "behind  ", "\t", "\"two' words\\", "a=b", "=",
         "\u00e9\u6f22 e\u0301", "\\n", "$PATH", "--save", "#", "\r", ""]
VARIABLES = ["PATH=/bin", "EMPTY=", "BLANK= ", " BEFORE=  x", "BEHIND=x  ",
             "QUOTED=\"'\\", "EQUAL==a=b", "UNICODE=\u00e9 e\u0301",
             "NOTHING", "", "TWICE=1", "TWICE=2", "CR=\r"]


class Guest(Case):
    """The program runs with the settings of its container image."""

    def boot(self, words, variables, *more, **options):
        """Boot the image.  Returns the output of its program, by keyword."""
        self.blobs = harness.BUILD / "images/blobs"
        self.found = self.archive(docker([tar([
            entry("bin/show", self.program(SHOW), mode=0o755),
            entry("etc/passwd", b"me:x:1000:100::/:/bin/sh\n"),
            entry("etc/group", b"kvm:x:5:me\n")])],
            {"Cmd": ["show", *words], "Env": variables, **options}), *more)
        console = self.run_enclave(self.output, "-m", "256M")
        output = {}
        for line in re.findall(r"^(\w+=.*)\.$", console, re.M):
            what, _, value = line.partition("=")
            output.setdefault(what, []).append(
                value if what in ("ids", "root")
                else bytes.fromhex(value).decode())
        self.assertTrue("root" in output, console[-3000:])
        return output

    def test_settings(self):
        output = self.boot(WORDS, VARIABLES, "--env", "TWICE=3", User="me",
                           WorkingDir="/made here/ and there ")
        variables = [v for v in VARIABLES if v != "TWICE=2"]
        variables[variables.index("TWICE=1")] = "TWICE=3"
        self.assertEqual(output, {
            "word": ["show", *WORDS], "variable": variables,
            "directory": ["/made here/ and there "], "ids": ["1000 100 5"],
            "root": ["0"]})
        self.assertNotIn("cmd0", self.found)
        self.assertNotIn("env0", self.found)

    def test_line_ends(self):
        """Items with newlines, and more arguments than fit in a page"""
        words = [*WORDS, "one\ntwo\n", "\n", "", *[""] * 5000, "end", ""]
        variables = [*VARIABLES, "PEM=-----BEGIN\n\nx\n-----END\n", "N=\n"]
        output = self.boot(words, variables, WorkingDir="/a\nb")
        self.assertEqual(output, {
            "word": ["show", *words], "variable": variables,
            "directory": ["/a\nb"], "ids": ["0 0"], "root": ["1"]})

    def boot_files(self, files, *options, memory="256M", **config):
        """Boot an image with these entries.  Returns its console."""
        self.blobs = harness.BUILD / "images/blobs"
        self.archive(docker([tar(files)], config), *options)
        return self.run_enclave(self.output, "-m", memory)

    def program(self, text):
        program = self.dir / "program"
        subprocess.run(["cc", "-static", "-Os", "-o", program, "-x", "c", "-"],
                       input=text.encode(), check=True)
        return program.read_bytes()

    def test_not_unpacked_whole(self):
        """Without room for all files, the program does not start.  It would
        run as root: /user comes last in the ramdisk."""
        show = entry("show", self.program(SHOW), mode=0o755)
        # Too many bytes, and too many files
        for more in ([entry(f"many/{i}", b"x" * 4097) for i in range(3500)],
                     [entry(f"many/{i}") for i in range(9000)]):
            with self.subTest(files=len(more)):
                console = self.boot_files([show, *more], memory="64M",
                                          Cmd=["/show"], User="1000")
                self.assertNotIn("ids=", console)
                self.assertIn("init: the enclave needs more memory", console)
                console = self.boot_files([show, *more], memory="256M",
                                          Cmd=["/show"], User="1000")
                self.assertIn("ids=1000 0.", console)

    def test_output_of_a_user(self):
        """Programs of a user can open the console by these names."""
        program = self.program(r"""
#include <stdio.h>
int main(void)
{
    for (const char **name = (const char *[]){"/dev/stdout", "/dev/stderr",
             "/proc/self/fd/1", "/log", NULL}; *name; name++) {
        FILE *file = fopen(*name, "a");
        if (file) {
            fprintf(file, "opened %s.\n", *name);
            fclose(file);
        }
    }
}
""")
        console = self.boot_files(
            [entry("program", program, mode=0o755),
             symlink("log", "/dev/stdout")],
            Cmd=["/program"], User="101")
        for name in ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/log"):
            self.assertIn(f"opened {name}.", console)

    def test_search(self):
        """Where the program is searched, and what it is"""
        show = self.program(SHOW)
        for place, env in (("usr/local/sbin/show", []), ("sbin/show", []),
                           ("one/show", ["PATH=/none:/one"]),
                           ("show", ["PATH=/none:"])):
            console = self.boot_files([entry(place, show, mode=0o755)],
                                      Cmd=["show"], Env=env)
            self.assertIn("ids=0 0.", console, place)
        for what, error in ((b"\x7fELF", "Exec format error"),
                            (b"echo a shell", "Exec format error")):
            console = self.boot_files(
                [entry("bin/sh", show, mode=0o755),
                 entry("bin/what", what, mode=0o755)], Cmd=["what"])
            self.assertIn(f"init: what: {error}", console)
        console = self.boot_files([entry("bin/what", b"x", mode=0o644)],
                                  Cmd=["what"])
        self.assertIn("init: what: Permission denied", console)

    def test_links_in_the_place_of_directories(self):
        """Links may name a directory that is not there."""
        show = self.program(SHOW)
        files = [entry("show", show, mode=0o755),
                 symlink("run", "var/none/run"),
                 symlink("tmp", "/private/tmp"),
                 symlink("one", "two/2"),
                 symlink("two", "deep/3"),
                 symlink("loop", "loop")]
        console = self.boot_files(files, Cmd=["/show"],
                                  WorkingDir="/one/x/../y")
        self.assertIn("ids=0 0.", console)
        self.assertIn(f"directory={b'/deep/3/2/y'.hex()}.", console)
        console = self.boot_files(files, Cmd=["/show"], WorkingDir="/loop/x")
        self.assertIn("init: /loop/x: Too many levels", console)

    def test_ramdisks_beyond_initrd_addr_max(self):
        """The kernel takes them at any address, as its xloadflags say."""
        initrd_addr_max, xloadflags, above_4g = 0x22c, 0x236, 2
        show = self.program(SHOW)
        blobs = harness.BUILD / "images/blobs"
        kernel = bytearray((blobs / "bzImage").read_bytes())
        flags, = struct.unpack_from("<H", kernel, xloadflags)
        self.assertTrue(flags & above_4g)
        struct.pack_into("<I", kernel, initrd_addr_max, 0x1ffffff)
        self.blobs = self.dir / "blobs-of-this-test"
        shutil.copytree(blobs, self.blobs)
        (self.blobs / "bzImage").write_bytes(kernel)
        self.archive(docker([tar([entry("show", show, mode=0o755)])],
                            {"Cmd": ["/show"]}))
        for memory in "3G", "5G":
            console = self.run_enclave(self.output, "-m", memory)
            self.assertIn("ids=0 0.", console, memory)

    def test_defaults(self):
        output = self.boot([], ["PATH=/bin"])
        self.assertEqual(output, {
            "word": ["show"], "variable": ["PATH=/bin"], "directory": ["/"],
            "ids": ["0 0"], "root": ["1"]})


if __name__ == "__main__":
    harness.main()
