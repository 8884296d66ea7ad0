"""The programs that "meson install" installs work in their new place."""
# SPDX-License-Identifier: GPL-2.0-or-later

import pathlib
import subprocess
import tempfile

import harness
import installed


class Install(installed.Checks, harness.Case):
    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        cls.there = tempfile.TemporaryDirectory(prefix="nitro-install-")
        cls.addClassCleanup(cls.there.cleanup)
        subprocess.run(["meson", "install", "-C", harness.BUILD,
                        "--no-rebuild", "--quiet", "--destdir",
                        cls.there.name], check=True,
                       stdout=subprocess.DEVNULL)
        cls.prefix = pathlib.Path(cls.there.name) / "usr/local"

    def test_uninstall(self):
        """Uninstalling leaves nothing, even after a second installation."""
        there = self.dir / "there"
        for _ in range(2):
            subprocess.run(["meson", "install", "-C", harness.BUILD,
                            "--no-rebuild", "--quiet", "--destdir", there],
                           check=True, stdout=subprocess.DEVNULL)
        self.assertTrue((there / "usr/local/bin/qemu-nitro-cli").is_file())
        theirs = there / "usr/local/share/doc/other"
        theirs.mkdir()
        subprocess.run(["meson", "--internal", "uninstall"], check=True,
                       cwd=harness.BUILD, stdout=subprocess.DEVNULL)
        self.assertEqual([p for p in there.rglob("*") if not p.is_dir()], [])
        self.assertEqual([p for p in there.rglob("*qemu-nitro-enclave*")], [])
        self.assertTrue(theirs.is_dir())


if __name__ == "__main__":
    harness.main()
