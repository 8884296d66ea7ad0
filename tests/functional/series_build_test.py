"""QEMU can be configured after each patch of the series, and built after the last.

With "Each", it is built after each patch, as whoever bisects would."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import sys

import harness
from series import Series, tree

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its folder is known only now)


class SeriesBuild(Series):
    def placeholders(self, folder):
        """Empty files in the places of firmware"""
        text = (folder / "meson.build").read_text()
        lists = re.findall(r"^ *(fds|blobs) = \[(.*?)\]", text, re.M | re.S)
        for kind, names in lists:
            for name in re.findall(r"'(.*?)'", names):
                path = folder / (f"{name}.bz2" if kind == "fds" else name)
                if not path.exists():
                    path.touch()

    def options(self, where):
        """How to configure what is in the tree so far: the boards that are
        changed"""
        devices = where / "configs/devices/x86_64-softmmu"
        if (devices / "nitro-enclave.mak").exists():
            return configure.DEVICES_FEW
        (devices / "some.mak").write_text("CONFIG_MICROVM=y\n"
                                          "CONFIG_VHOST_USER_VSOCK=y\n")
        return ["--without-default-devices", "--with-devices-x86_64=some"]

    def each(self, build_each):
        """In one folder from patch to patch"""
        # Upstream's, as Debian's archive has it, lacks a Python package that
        # its configure asks for, and that Debian's patches leave out.
        where, patches = self.applied("debian")
        # Laid out as scripts/build-qemu does, so that compilers' results are
        # found in the cache
        (self.dir / "qemu-tree").mkdir()
        where = where.rename(self.dir / "qemu-tree/src")
        last = self.run_ok("git", "rev-parse", "HEAD", cwd=where).strip()
        build = self.dir / "qemu"
        env = configure.environment(self.dir)
        # Debian's archive of upstream's tree has no firmware, but QEMU's build
        # asks whether it is there.
        self.placeholders(where / "pc-bios")
        for left in range(len(patches), -1, -1):
            self.run_ok("git", "checkout", "-q", f"{last}~{left}", cwd=where)
            configure.configure(where, build, env, self.options(where))
            # This configures anew where a patch has changed how.
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
