"""The Debian packages for this host's release, with the programs of $BUILD.  Lintian
reports nothing.  They are installed, used and purged in a tree of that release.  A
container image is made of them and unpacked, and an ordinary user runs its entry
point.

With $PACKAGES, a directory of packages, those are tested instead.  release_test.py
tests what scripts/release makes, for all releases of Debian.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
import packaging
from packaging import debiantree, run

HOLD = tempfile.TemporaryDirectory(prefix="nitro-package-")
SUITE = debiantree.host_suite()


def not_source(directory, names):
    """The names in a directory that are not copied: what was built"""
    made = ("build", ".git") if directory == str(harness.TOP) else ()
    return [n for n in names if n == "__pycache__"
            or n.partition("-")[0] in made]


@functools.cache
def built():
    """The directory with the packages, which are made once"""
    if os.environ.get("PACKAGES"):
        return pathlib.Path(os.environ["PACKAGES"])
    if SUITE is None:
        raise AssertionError("packages are made for Debian "
                             + " and ".join(debiantree.RELEASES.values())
                             + ", and this host is none of them")
    there = pathlib.Path(HOLD.name)
    shutil.copytree(harness.TOP, there / "source", ignore=not_source)
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=there / "source",
        env={**os.environ, "ENCLAVE_BUILD": str(harness.BUILD.resolve())},
        stderr=subprocess.STDOUT)
    return there


@functools.cache
def image():
    """The archive of a container image of them, made once"""
    archive = pathlib.Path(HOLD.name) / "oci.tar"
    run(harness.TOP / "scripts/build-container", "--suite", SUITE, built(),
        archive, stderr=subprocess.STDOUT)
    return archive


class Built:
    """A mixin: these packages"""
    suites = (SUITE,)

    @classmethod
    def directory(cls):
        return built()


class Contents(Built, packaging.Contents, harness.Case):
    pass


class Unpacked(Built, packaging.Unpacked, harness.Case):
    pass


@harness.needs_mounts
class Installed(Built, packaging.Installed, harness.Case):
    pass


@harness.needs_mounts
class Image(Built, packaging.Image, harness.Case):
    @classmethod
    def archive(cls):
        return image()


class Refusals(harness.Case):
    """What the scripts of a release say when they cannot"""

    def test_container(self):
        program = harness.TOP / "scripts/build-container"
        directory = self.dir / "empty"
        directory.mkdir()
        for args, word in (((directory, "x"), "scripts/release"),
                           ((directory / "none", "x"), "none")):
            self.assertIn(word, self.refused(program, *args))
        for name in packaging.NAMES:
            (directory / f"{name}_1+deb13_amd64.deb").write_bytes(b"")
        self.assertIn("--engine", self.refused(program, directory))
        self.assertIn("deb12", self.refused(program, "--suite", "bookworm",
                                            directory, "x"))
        self.assertIn("deb13", self.refused(program, directory, "x"))
        self.assertFalse((directory / "x").exists())

    def test_without_mmdebstrap(self):
        (self.dir / "bin").mkdir()
        for name in ("dpkg-deb", "apt-config", "apt-get", "python3", "env"):
            (self.dir / "bin" / name).symlink_to(shutil.which(name))
        for name in packaging.NAMES:
            control = self.dir / name / "DEBIAN/control"
            control.parent.mkdir(parents=True)
            control.write_text(
                f"Package: {name}\nVersion: 1+deb13\nArchitecture: all\n"
                "Maintainer: test <test@localhost>\nDescription: empty\n")
            run("dpkg-deb", "--build", control.parents[1],
                self.dir / f"{name}_1+deb13_all.deb")
        self.assertIn("mmdebstrap", self.refused(
            "/usr/bin/env", f"PATH={self.dir / 'bin'}", "/usr/bin/python3",
            harness.TOP / "scripts/build-container", self.dir, "x"))

    def test_directory_that_is_not_empty(self):
        self.file("file", b"")
        self.assertIn("not empty", self.refused(
            harness.TOP / "scripts/release", self.dir))

    def test_source_twice(self):
        """The same commit gives the same bytes."""
        if not (harness.TOP / ".git").exists():
            self.skipTest("this is not a git checkout")
        made = []
        for name in ("one", "two"):
            run(harness.TOP / "scripts/release", "--only-source",
                self.dir / name, stderr=subprocess.STDOUT)
            made.append((self.dir / name / "SHA256SUMS").read_text())
        self.assertEqual(made[0], made[1])


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
