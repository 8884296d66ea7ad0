"""QEMU with other libraries and targets than this project uses

Without GnuTLS or libcbor, or if one is too old, QEMU is built without the
machine.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import shutil
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its directory is known only now)

SOURCE = harness.BUILD / "qemu-tree/src"
OURS = ("CONFIG_NITRO_ENCLAVE", "CONFIG_VIRTIO_NSM", "CONFIG_EIF")


def devices(build):
    """The generated configuration of boards and devices"""
    text = (build / "x86_64-softmmu-config-devices.mak").read_text()
    return {line.partition("=")[0] for line in text.splitlines()
            if line.endswith("=y")}


class Configuration(harness.Case):
    def without(self, feature):
        """Configure with all boards and devices, but without `feature`."""
        return self.configured(
            SOURCE, [f for f in configure.FEATURES
                     if f != f"--enable-{feature}"]
            + [f"--disable-{feature}"])

    def configured(self, source, features):
        build = self.dir / "build"
        configure.configure(source, build, configure.environment(build),
                            configure.DEVICES_ALL, features)
        return devices(build)

    def test_with_all(self):
        self.assertTrue(set(OURS) <= devices(harness.BUILD / "qemu"))

    def test_without(self):
        for feature in ("gnutls", "libcbor"):
            found = self.without(feature)
            self.assertIn("CONFIG_MICROVM", found)
            self.assertEqual(set(OURS) & found, set(), feature)

    def test_old_gnutls(self):
        """Without gnutls_hash_copy(), only the machine is missing."""
        tree = self.dir / "src"
        shutil.copytree(SOURCE, tree, symlinks=True)
        build = tree / "meson.build"
        text = build.read_text()
        self.assertEqual(text.count("'>=3.6.9'"), 1)
        build.write_text(text.replace("'>=3.6.9'", "'>=99'"))
        found = self.configured(tree, configure.FEATURES)
        self.assertIn("CONFIG_MICROVM", found)
        self.assertEqual(set(OURS) & found, set())


if __name__ == "__main__":
    harness.main()
