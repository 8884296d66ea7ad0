"""The exported series, for the tests that apply it"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import tree  # noqa: E402 (its directory is known only now)

IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_CONFIG_COUNT": "4", "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "A", "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "a@example.org",
            "GIT_CONFIG_KEY_2": "safe.directory", "GIT_CONFIG_VALUE_2": "*",
            # git must not pack in the background while the directory is
            # removed.
            "GIT_CONFIG_KEY_3": "gc.auto", "GIT_CONFIG_VALUE_3": "0"}


# QEMU's tree has many small files: keep it in memory where possible.
if os.access("/dev/shm", os.W_OK) and \
        shutil.disk_usage("/dev/shm").free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"


class Series(harness.Case):
    """A test case that exports the series and applies it"""

    def run_ok(self, *command, env=None, **kwargs):
        result = subprocess.run(
            [str(c) for c in command], check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**(env or os.environ), **IDENTITY}, **kwargs)
        self.assertEqual(result.returncode, 0, result.stdout[-4000:])
        return result.stdout

    def source(self):
        return pathlib.Path(subprocess.run(
            [harness.TOP / "scripts/fetch-source", "qemu"], check=True,
            stdout=subprocess.PIPE, text=True).stdout.strip())

    def applied(self, base):
        """Export for `base`, and apply to it.  Returns the tree and the
        patches."""
        out, where = self.dir / "out", self.dir / "qemu"
        self.run_ok(harness.TOP / "scripts/export-series", "--base", base,
                    "--with-programs", out)
        patches = sorted(out.glob("*.patch"))[1:]
        self.assertEqual(len(patches), len(list(tree.series())))
        tree.unpack_debian(self.source(), where, base == "upstream")
        self.run_ok("git", "init", "-q", where)
        self.run_ok("git", "add", "-A", "-f", cwd=where)
        self.run_ok("git", "commit", "-q", "-m", "QEMU", cwd=where)
        self.run_ok("git", "am", "-q", *patches, cwd=where)
        return where, patches
