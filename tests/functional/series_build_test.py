"""QEMU can be configured after each patch of the series, and built at the end.

With "Each", it is built after each patch, as needed for bisection."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import sys

import harness
from series import Series, tree

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its directory is known only now)


class SeriesBuild(Series):
    def placeholders(self, directory):
        """Empty files in the places of firmware"""
        text = (directory / "meson.build").read_text()
        lists = re.findall(r"^ *(fds|blobs) = \[(.*?)\]", text, re.M | re.S)
        for kind, names in lists:
            for name in re.findall(r"'(.*?)'", names):
                path = directory / (f"{name}.bz2" if kind == "fds" else name)
                if not path.exists():
                    path.touch()

    def options(self, where):
        """How to configure the tree so far: only the boards that are changed
        """
        devices = where / "configs/devices/x86_64-softmmu"
        if (devices / "nitro-enclave.mak").exists():
            return configure.DEVICES_FEW
        (devices / "some.mak").write_text("CONFIG_MICROVM=y\n"
                                          "CONFIG_VHOST_USER_VSOCK=y\n")
        return ["--without-default-devices", "--with-devices-x86_64=some"]

    def each(self, build_each):
        """Configure and build in the same directory after each patch."""
        # Upstream's source in Debian's archive lacks a Python package that its
        # configure needs, and that Debian's patches do not need.
        where, patches = self.applied("debian")
        # The layout is that of scripts/build-qemu, so that the compiler cache
        # has the results.
        (self.dir / "qemu-tree").mkdir()
        where = where.rename(self.dir / "qemu-tree/src")
        last = self.run_ok("git", "rev-parse", "HEAD", cwd=where).strip()
        build = self.dir / "qemu"
        env = configure.environment(self.dir)
        # Upstream's source in Debian's archive has no firmware, but QEMU's
        # build checks that it exists.
        self.placeholders(where / "pc-bios")
        for left in range(len(patches), -1, -1):
            self.run_ok("git", "checkout", "-q", f"{last}~{left}", cwd=where)
            configure.configure(where, build, env, self.options(where))
            # This configures again if a patch has changed how.
            target = "qemu-system-x86_64" if build_each else "build.ninja"
            with self.subTest(left=left):
                self.run_ok("ninja", target, cwd=build, env=env)
        self.run_ok("ninja", *configure.TARGETS, cwd=build, env=env)
        self.assertIn("nitro-enclave", self.run_ok(
            build / "qemu-system-x86_64", "-machine", "help"))


class Last(SeriesBuild):
    def test_last(self):
        self.each(False)


class Each(SeriesBuild):
    def test_each(self):
        self.each(True)


if __name__ == "__main__":
    harness.main()
