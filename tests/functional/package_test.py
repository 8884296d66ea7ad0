"""The Debian package is built, lintian has nothing to say, it works from where
it is unpacked, and it can be installed beside Debian's QEMU.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
import installed

OTHERS = ("qemu-system-x86", "qemu-system-common", "qemu-system-data",
          "qemu-utils")


def run(*command, **kwargs):
    """Run a command; its output (standard error is for the log)."""
    result = subprocess.run([str(c) for c in command], check=False, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            **kwargs)
    if result.returncode:
        raise AssertionError(f"{command[0]} failed:\n{result.stdout[-4000:]}")
    return result.stdout


def not_source(folder, names):
    """What of a folder is not to be copied: it was made here"""
    made = ("build", ".git") if folder == str(harness.TOP) else ()
    return [n for n in names if n == "__pycache__"
            or n.partition("-")[0] in made]


def files(package):
    """The paths of a package's files, but not its folders"""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package],
                             check=True, stdout=subprocess.PIPE).stdout
    names = subprocess.run(["tar", "-t"], input=archive, check=True,
                           stdout=subprocess.PIPE).stdout.decode()
    return {n for n in names.splitlines() if not n.endswith("/")}


class Package(installed.Checks, harness.Case):
    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        there = tempfile.TemporaryDirectory(prefix="nitro-package-")
        cls.addClassCleanup(there.cleanup)
        cls.there = pathlib.Path(there.name)
        source = cls.there / "source"
        shutil.copytree(harness.TOP, source, ignore=not_source)
        run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=source,
            stderr=subprocess.STDOUT)
        cls.package, = cls.there.glob("*.deb")
        cls.prefix = cls.there / "unpacked/usr"
        run("dpkg-deb", "-x", cls.package, cls.prefix.parent)

    def test_lintian(self):
        changes, = self.there.glob("*.changes")
        self.assertEqual(run("lintian", "--allow-root", changes), "")

    def test_what_it_depends_on(self):
        """Libraries as their packages are called, found by dpkg itself"""
        depends = run("dpkg-deb", "-f", self.package, "Depends")
        for library in (r"libc6\b", r"libcbor0\.\d+", r"libgnutls30",
                        r"libarchive13", r"libisal2\b",
                        r"libyaml-cpp0\.\d"):
            self.assertRegex(depends, library)

    def test_shares_no_file_with_debians_qemu(self):
        ours = files(self.package)
        self.assertIn("./usr/bin/qemu-nitro-cli", ours)
        run("apt-get", "download", *OTHERS, cwd=self.dir,
            stderr=subprocess.STDOUT)
        packages = list(self.dir.glob("*.deb"))
        self.assertEqual(len(packages), len(OTHERS))
        theirs = set().union(*map(files, packages))
        self.assertIn("./usr/bin/qemu-system-x86_64", theirs)
        self.assertEqual(ours & theirs, set())


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
