"""The QEMU tree can be assembled from each form of the source of QEMU 10.0."""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import shutil
import subprocess
import sys

import harness

BUILT = harness.BUILD / "qemu-tree"
sys.path.insert(0, str(harness.TOP / "scripts"))
import tree  # noqa: E402 (its directory is known only now)


class Tree(harness.Case):
    """With only the files of QEMU that the patches edit"""

    def setUp(self):
        super().setUp()
        self.patched = {name for patch, _ in tree.series()
                        for name in tree.patched_files(patch)}
        self.qemu = self.dir / "qemu-10.0.13"
        for name in ["VERSION", *self.patched, *tree.all_removed()]:
            if (BUILT / "base" / name).exists():
                (self.qemu / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(BUILT / "base" / name, self.qemu / name)

    def assemble(self, source):
        return tree.assemble(source, self.dir / "work")

    def check(self, made):
        """`made` has our files and the patches, like the tree of the build."""
        for name in [*self.patched, *tree.overlay_files()]:
            self.assertEqual((made / name).read_bytes(),
                             (BUILT / "src" / name).read_bytes(), name)

    def refused(self, source, *words):
        with self.assertRaises(SystemExit) as caught:
            self.assemble(source)
        for word in words:
            self.assertIn(word, str(caught.exception.code))

    def tarball(self, *options):
        path = self.dir / "qemu.tar"
        subprocess.run(["tar", "-cf", path, *options, "-C", self.dir,
                        self.qemu.name], check=True)
        return path

    def test_directory(self):
        self.check(self.assemble(self.qemu))

    def test_tarball(self):
        self.check(self.assemble(self.tarball()))

    def test_compressed_tarball(self):
        self.check(self.assemble(self.tarball("-J")))

    def test_patched_directory_is_not_changed(self):
        before = {p: p.read_bytes() for p in self.qemu.rglob("*")
                  if p.is_file()}
        self.assemble(self.qemu)
        self.assertEqual(before, {p: p.read_bytes()
                                  for p in self.qemu.rglob("*")
                                  if p.is_file()})

    def test_nothing_is_written_twice(self):
        made = self.assemble(self.qemu)
        times = {p: p.stat().st_mtime_ns for p in made.rglob("*")
                 if p.is_file()}
        self.assemble(self.qemu)
        self.assertEqual(times, {p: p.stat().st_mtime_ns
                                 for p in made.rglob("*") if p.is_file()})

    def test_what_was_changed_in_the_tree_is_laid_again(self):
        made = self.assemble(self.qemu)
        (made / "hw/core/eif.c").write_text("changed")
        (made / "MAINTAINERS").write_text("changed")
        self.check(self.assemble(self.qemu))

    def test_another_source(self):
        """Files that only an earlier source had are removed."""
        (self.qemu / "old.c").write_text("")
        made = self.assemble(self.qemu)
        self.assertTrue((made / "old.c").exists())
        (self.qemu / "old.c").unlink()
        made = self.assemble(self.tarball())
        self.assertFalse((made / "old.c").exists())
        self.check(made)

    def test_edit_of_the_source(self):
        """Edits of a source directory are seen the next time."""
        made = self.assemble(self.qemu)
        (self.qemu / "new.c").write_text("1")
        self.assemble(self.qemu)
        self.assertEqual((made / "new.c").read_text(), "1")
        (self.qemu / "new.c").write_text("22")
        self.assemble(self.qemu)
        self.assertEqual((made / "new.c").read_text(), "22")

    def test_refusals(self):
        self.refused(self.dir / "none", "none does not exist")
        self.refused(self.file("broken.tar", b"no tarball"), "broken.tar")
        (self.dir / "empty").mkdir()
        self.refused(self.dir / "empty", "VERSION")
        (self.qemu / "VERSION").write_text("9.2.0\n")
        self.refused(self.qemu, "9.2.0", "10.0")

    def test_patch_that_does_not_fit(self):
        """The error names the patch, the file and the line."""
        (self.qemu / "Kconfig.host").write_text("nothing\n")
        self.refused(self.qemu, "0010-hw-core-eif.patch",
                     "Kconfig.host", "Hunk #1")

    def test_what_upstream_has_goes(self):
        """Upstream's machine is replaced, and none of its files stays."""
        made = self.assemble(self.qemu)
        ours = set(tree.overlay_files())
        removed = tree.all_removed()
        self.assertIn("hw/virtio/cbor-helpers.c", removed - ours)
        self.assertIn("hw/core/eif.c", removed & ours)
        for name in removed:
            self.assertEqual((made / name).exists(), name in ours, name)

    def test_debians_patches(self):
        """Files as in Debian's repository, or with patches applied by
        dpkg-source"""
        patches = self.qemu / "debian/patches"
        patches.mkdir(parents=True)
        (patches / "series").write_text("one.patch # of Debian\n")
        (patches / "one.patch").write_text(
            "--- a/VERSION\n+++ b/VERSION\n@@ -1 +1,2 @@\n"
            f" {tree.version(self.qemu)}\n+patched\n")
        made = self.assemble(self.qemu)
        self.assertIn("patched", (made / "VERSION").read_text())
        (self.qemu / ".pc").mkdir()
        (self.qemu / ".pc/applied-patches").write_text("one.patch\n")
        made = self.assemble(self.qemu)
        self.assertNotIn("patched", (made / "VERSION").read_text())


if __name__ == "__main__":
    if not os.path.isdir(BUILT / "base"):
        sys.exit("the tree is not built")
    harness.main()
