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
            self.assertEqual((where / name).read_bytes(),
                             (built / name).read_bytes(), name)

    def test_upstream_and_checkpatch(self):
        where, patches = self.applied("upstream")
        for patch in patches:
            out = self.run_ok("scripts/checkpatch.pl", "--quiet", patch,
                              cwd=where)
            self.assertEqual(out, "", patch.name)

    def test_every_file_is_in_one_change(self):
        changes = list(tree.series())
        for name in tree.overlay_files():
            self.assertEqual(len(tree.change_of(name, changes)), 1, name)


if __name__ == "__main__":
    harness.main()
