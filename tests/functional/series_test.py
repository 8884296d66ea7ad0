"""The exported series applies, and is what was built and tested."""
# SPDX-License-Identifier: GPL-2.0-or-later

import harness
from series import Series, tree


class Applied(Series):
    def test_debian_is_what_is_built(self):
        where, _ = self.applied("debian")
        built = harness.BUILD / "qemu-tree/src"
        names = self.run_ok("git", "diff", "--name-only",
                            f"HEAD~{len(list(tree.series()))}", cwd=where)
        self.assertGreater(len(names.split()), 10)
        for name in names.split():
            self.assertEqual((where / name).exists(), (built / name).exists(),
                             name)
            if (where / name).exists():
                self.assertEqual((where / name).read_bytes(),
                                 (built / name).read_bytes(), name)

    def test_upstream_and_checkpatch(self):
        where, patches = self.applied("upstream")
        for patch in patches:
            out = self.run_ok("scripts/checkpatch.pl", "--quiet", patch,
                              cwd=where)
            self.assertEqual(out, "", patch.name)

    def test_without_programs(self):
        """What is for upstream has nothing of the programs beside QEMU."""
        out = self.dir / "out"
        self.run_ok(harness.TOP / "scripts/export-series", out)
        patches = sorted(out.glob("*.patch"))[1:]
        self.assertGreater(len(patches), 8)
        for patch in patches:
            text = patch.read_text()
            self.assertNotIn("+++ b/contrib/", text, patch.name)
            self.assertNotIn("+++ b/tests/fuzz/", text, patch.name)

    def test_every_file_is_in_one_change(self):
        changes = list(tree.series())
        for name in tree.overlay_files():
            self.assertEqual(len(tree.change_of(name, changes)), 1, name)


if __name__ == "__main__":
    harness.main()
