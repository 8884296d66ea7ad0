"""What "meson install" installs works in its new place."""
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


if __name__ == "__main__":
    harness.main()
