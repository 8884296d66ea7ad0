"""QEMU without GnuTLS or libcbor is QEMU without the machine."""
# SPDX-License-Identifier: GPL-2.0-or-later

import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its folder is known only now)

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
        build = self.dir / "build"
        configure.configure(
            SOURCE, build, configure.environment(build),
            configure.DEVICES_ALL,
            [f for f in configure.FEATURES if f != f"--enable-{feature}"]
            + [f"--disable-{feature}"])
        return devices(build)

    def test_with_all(self):
        self.assertTrue(set(OURS) <= devices(harness.BUILD / "qemu"))

    def test_without(self):
        for feature in ("gnutls", "libcbor"):
            found = self.without(feature)
            self.assertIn("CONFIG_MICROVM", found)
            self.assertEqual(set(OURS) & found, set(), feature)


if __name__ == "__main__":
    harness.main()
