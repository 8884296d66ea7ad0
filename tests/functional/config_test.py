"""QEMU with other libraries and targets than those that the project builds.

Without GnuTLS or libcbor it is QEMU without the machine; other targets beside
x86_64 get what they need.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import subprocess
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

    def test_other_targets(self):
        """MIPS's Malta has ACPI's hotplug and nothing of a PC: it links with
        stubs, which x86_64 must not have, for the microvm board's sake."""
        build = self.dir / "build"
        configure.configure(
            SOURCE, build, configure.environment(build),
            [*configure.DEVICES_ALL,
             "--target-list=mips-softmmu,x86_64-softmmu"])
        for target, there in (("mips", True), ("x86_64", False)):
            inputs = subprocess.run(
                ["ninja", "-t", "query", f"qemu-system-{target}"], cwd=build,
                check=True, capture_output=True, text=True).stdout
            self.assertIn("hw_acpi_aml-build.c.o", inputs)
            self.assertEqual("hw_acpi_acpi-x86-stub.c.o" in inputs, there,
                             target)


if __name__ == "__main__":
    harness.main()
