"""Downloads from Debian: the host's apt source that is used, and the checks"""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import importlib.machinery
import importlib.util
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
sys.dont_write_bytecode = True
import archive  # noqa: E402 (its folder is known only now)

loader = importlib.machinery.SourceFileLoader(
    "fetch_source", str(harness.TOP / "scripts/fetch-source"))
fetch_source = importlib.util.module_from_spec(
    importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(fetch_source)

MIRROR = "http://mirror.example/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
Types: deb
# a comment inside the stanza
URIs: {MIRROR}
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}
"""
VENDOR_DEB822 = """\
Types: deb
URIs: https://vendor.example/repos/tool/
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
"""
VENDOR_LINE = ("deb [arch=amd64 signed-by=/usr/share/keyrings/vendor.gpg]"
               " https://vendor.example/ stable main\n")


class Sources(harness.Case):
    def entry(self, **files):
        """The entry that is found with these files in sources.list.d"""
        parts = self.dir / "sources.list.d"
        parts.mkdir()
        for name, text in files.items():
            (parts / name.replace("__", ".")).write_text(text)
        return archive.main_entry(self.dir)

    def test_deb822(self):
        self.assertEqual(self.entry(debian__sources=DEB822),
                         (MIRROR, KEYRING))

    def test_deb822_with_the_key_in_it(self):
        text = DEB822.replace(f" {KEYRING}", "\n -----BEGIN\n .\n abc", 1)
        uri, key = self.entry(debian__sources=text)
        self.assertEqual((uri, key.split()),
                         (MIRROR, ["-----BEGIN", ".", "abc"]))

    def test_one_line(self):
        (self.dir / "sources.list").write_text(
            "# deb http://old.example/debian bookworm main\n"
            "deb http://mirror.example/debian-security bookworm-security main\n"
            f"deb-src {MIRROR} bookworm main\n"
            f"deb [arch=amd64 signed-by={KEYRING}] {MIRROR} bookworm main\n")
        self.assertEqual(self.entry(), (MIRROR, KEYRING))

    def test_one_line_without_options(self):
        (self.dir / "sources.list").write_text(
            f"deb {MIRROR} bookworm main contrib # a comment\n")
        self.assertEqual(self.entry(), (MIRROR, None))

    def test_newer_debian(self):
        self.assertEqual(
            self.entry(debian__sources=DEB822.replace("bookworm", "trixie")),
            (MIRROR, KEYRING))

    def test_vendors_come_first(self):
        self.assertEqual(
            self.entry(azure__sources=VENDOR_DEB822, browser__list=VENDOR_LINE,
                       debian__sources=DEB822), (MIRROR, KEYRING))

    def test_file_that_apt_does_not_read(self):
        self.assertEqual(
            self.entry(azure__sources__disabled=DEB822.replace("mirror", "x"),
                       debian__sources=DEB822), (MIRROR, KEYRING))

    def test_disabled_entry(self):
        off = "Enabled: no\n" + DEB822.replace("mirror", "off")
        self.assertEqual(
            self.entry(a__sources=off.partition("\n\n")[0] + "\n",
                       debian__sources=DEB822), (MIRROR, KEYRING))

    def test_none(self):
        with self.assertRaisesRegex(SystemExit, "no Debian entry"):
            self.entry(nodesource__list="deb https://v.example/ nodistro main")


class Fetched(harness.Case):
    """The files of a source package are those that its .dsc lists."""

    def setUp(self):
        super().setUp()
        (self.dir / "qemu_10.0.1+ds.orig.tar.xz").write_bytes(b"source")
        self.write_dsc(hashlib.sha256(b"source").hexdigest())

    def write_dsc(self, digest):
        (self.dir / "qemu_10.0.1.dsc").write_text(
            "Format: 3.0 (quilt)\nChecksums-Sha1:\n"
            " 0123 6 qemu_10.0.1+ds.orig.tar.xz\nChecksums-Sha256:\n"
            f" {digest} 6 qemu_10.0.1+ds.orig.tar.xz\nFiles:\n")

    def test_good(self):
        fetch_source.check_sums(self.dir)

    def test_damaged(self):
        """After a failure nothing is kept, so that the next run fetches again.
        """
        directory = self.dir / "package"
        directory.mkdir()
        for path in list(self.dir.glob("qemu_*")):
            path.rename(directory / path.name)
        (directory / "qemu_10.0.1+ds.orig.tar.xz").write_bytes(b"other")
        with self.assertRaisesRegex(SystemExit, "orig.tar.xz has SHA-256"):
            fetch_source.check_sums(directory)
        self.assertFalse(directory.exists())

    def test_suite_that_is_not_there(self):
        """The error is one line: what failed, where, and what to do instead.
        """
        for what, word in (("qemu", "-Dqemu_source"),
                           ("linux", "-Dkernel_source"),
                           ("meson", "Meson 1.5")):
            with self.assertRaises(SystemExit) as caught:
                fetch_source.apt_get(["-o", "Dir::Etc::sourcelist=/none"],
                                     "download", "no-such-package", what=what,
                                     suite="trixie", cwd=self.dir)
            line = str(caught.exception.code).splitlines()[0]
            for part in (what, "trixie", word):
                self.assertIn(part, line)


if __name__ == "__main__":
    harness.main()
