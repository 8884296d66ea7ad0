"""What scripts/release makes: packages that are built in trees of Debian 12 and
Debian 13, and installed, used and purged in other trees; the container image.  A
second release of the same commit has the same bytes.

With $RELEASE, a directory that scripts/release has filled, that one is tested.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import functools
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import harness
import packaging
from packaging import debiantree, run, sha256

HOLD = tempfile.TemporaryDirectory(prefix="nitro-release-")


@functools.cache
def source():
    """A release is made of a commit: changes of the tree that are not committed
    are committed in a copy."""
    there = pathlib.Path(HOLD.name) / "source"
    run("git", "clone", "--quiet", harness.TOP, there)
    names = run("git", "-C", harness.TOP, "ls-files", "-z", "-com",
                "--exclude-standard").split("\0")
    for name in filter(None, names):
        path = harness.TOP / name
        if path.exists() or path.is_symlink():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there / name, follow_symlinks=False)
        else:
            (there / name).unlink(missing_ok=True)
    git = ["git", "-C", there, "-c", "user.name=test",
           "-c", "user.email=test@localhost"]
    run(*git, "add", "-A")
    run(*git, "commit", "--quiet", "--allow-empty", "-m", "as it is")
    return there


def make(name, **environment):
    directory = pathlib.Path(HOLD.name) / name
    run(source() / "scripts/release", directory, stderr=subprocess.STDOUT,
        env={**os.environ, **environment})
    return directory


@functools.cache
def release():
    """The directory of a release, made once"""
    if os.environ.get("RELEASE"):
        return pathlib.Path(os.environ["RELEASE"])
    return make("made")


class Released:
    """A mixin: the packages of the release"""
    suites = tuple(debiantree.RELEASES)

    @classmethod
    def directory(cls):
        return release()


class Contents(Released, packaging.Contents, harness.Case):
    def test_same_blobs(self):
        """So an image has the same measurements, whichever release made it."""
        def blobs(suite):
            where = self.dir / suite
            run("dpkg-deb", "-x", self.packages(suite)["qemu-nitro-cli"],
                where)
            directory = where / "usr/lib/qemu-nitro-enclave/blobs"
            return {p.name: sha256(p) for p in directory.iterdir()}

        self.assertEqual(set(blobs("bookworm")), {"bzImage", "cmdline", "init"})
        self.assertEqual(blobs("bookworm"), blobs("trixie"))


@harness.needs_mounts
class Installed(Released, packaging.Installed, harness.Case):
    pass


@harness.needs_mounts
class Image(Released, packaging.Image, harness.Case):
    @classmethod
    def archive(cls):
        archive, = release().glob("*-oci.tar")
        return archive


class Directory(Released, packaging.Directory, harness.Case):
    def test_checksums(self):
        listed = {}
        for line in (release() / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            listed[name] = digest
        made = {p.name for p in release().iterdir()
                if p.suffix in (".deb", ".xz", ".tar")}
        self.assertEqual(set(listed), made)
        self.assertEqual(len(made), 2 * len(packaging.NAMES) + 2)
        for name, digest in listed.items():
            self.assertEqual(sha256(release() / name), digest, name)

    def test_source(self):
        """It has what builds it, and nothing that was made."""
        tarball, = release().glob("*.tar.xz")
        with tarfile.open(tarball) as archive:
            names = {pathlib.PurePath(n).relative_to(
                pathlib.PurePath(n).parts[0]).as_posix()
                for n in archive.getnames()}
        self.assertLessEqual({"run", "meson.build", "debian/rules",
                              "hw/core/eif.c", "action.yml"}, names)
        self.assertEqual([n for n in names if n.startswith("build")], [])

    @harness.needs_mounts
    def test_again(self):
        """All of it has the same bytes: packages, image, source.  All of it is
        made again: nothing comes from a cache."""
        if os.environ.get("RELEASE"):
            self.skipTest("$RELEASE may be of another commit")
        cache = pathlib.Path(HOLD.name) / "cache"
        cache.mkdir()
        again = make("again", XDG_CACHE_HOME=str(cache))
        self.assertEqual((again / "SHA256SUMS").read_text(),
                         (release() / "SHA256SUMS").read_text())


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
