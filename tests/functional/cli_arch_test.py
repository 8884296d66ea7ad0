"""Images for aarch64, and blobs with several modules, as in newer AWS packages
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import gzip
import json
import os
import subprocess

import cli_build_test as build
import harness

BANNER = b"Linux version 6.1.158-15.288.amzn2023.aarch64 (builder) #1 SMP\0"
# An Image's header has this magic number at 56
# (Documentation/arch/arm64/booting.rst).
IMAGE = bytes(56) + b"ARM\x64" + bytes(1 << 20) + BANNER + bytes(5000)
FLAG_AARCH64 = 1
I386, ARM, X86_64, AARCH64 = 3, 40, 62, 183


def elf(machine):
    """The first bytes of a program or module"""
    return (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0"
            + machine.to_bytes(2, "little") + bytes(100))


def flags(path):
    return int.from_bytes(path.read_bytes()[6:8], "big")


class Arm(build.Case):
    LAYER = build.tar([build.entry("bin/run", b"layer")])

    def setUp(self):
        super().setUp()
        (self.dir / "root").mkdir()
        self.rootfs = ("--rootfs", self.dir / "root", "--cmd", "/run")
        (self.blobs / "bzImage").unlink()
        (self.blobs / "Image").write_bytes(IMAGE)

    def cli(self, *args):
        return subprocess.run([harness.NITRO_CLI, *map(str, args)], text=True,
                              check=False, timeout=120,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_build(self):
        """The default architecture is that of the kernel in the blobs."""
        self.build(*self.rootfs)
        self.assertEqual(flags(self.output), FLAG_AARCH64)
        kernel = build.sections(self.output.read_bytes())[0][1]
        self.assertEqual(kernel, IMAGE)
        self.assertEqual(self.metadata["BuildMetadata"]["KernelVersion"],
                         "6.1.158-15.288.amzn2023.aarch64")

    def test_both_kernels(self):
        """--arch selects one of two kernels; the default is x86_64."""
        (self.blobs / "bzImage").write_bytes(self.kernel)
        for arch, expected in ((None, 0), ("x86_64", 0), ("aarch64", 1),
                               ("arm64", 1), ("amd64", 0)):
            self.build(*self.rootfs, *(["--arch", arch] if arch else []))
            self.assertEqual(flags(self.output), expected, arch)

    def test_container(self):
        """From several container images, the one for arm64 is used."""
        oci = build.Oci()
        archive = self.file("image.tar", oci.archive([
            oci.manifest([self.LAYER], arch=arch)
            for arch in ("amd64", "arm64")]))
        self.build("--docker-archive", archive)
        self.assertEqual(self.metadata["DockerInfo"]["Architecture"], "arm64")
        amd = self.file("amd.tar", build.docker([self.LAYER]))
        result = self.call("--docker-archive", amd, "--output-file",
                           self.output)
        self.assertEqual(result.returncode, 48)
        self.assertIn("linux/arm64", result.stderr)
        self.assertIn("linux/amd64", result.stderr)

    def test_signed_and_described(self):
        self.build(*self.rootfs)
        before = json.loads(self.cli(
            "describe-eif", "--eif-path", self.output).stdout)
        self.assertEqual(before["Measurements"], self.printed["Measurements"])
        key, certificate = self.dir / "key.pem", self.dir / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:secp384r1", "-nodes", "-keyout", key, "-out",
             certificate, "-days", "9", "-subj", "/CN=signer"], check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result = self.cli("sign-eif", "--eif-path", self.output,
                          "--signing-certificate", certificate,
                          "--private-key", key)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(flags(self.output), FLAG_AARCH64)
        after = json.loads(self.cli(
            "describe-eif", "--eif-path", self.output).stdout)
        self.assertTrue(after["IsSigned"])
        self.assertTrue(after["CheckCRC"])
        for pcr, value in before["Measurements"].items():
            self.assertEqual(after["Measurements"][pcr], value)
        self.assertIn("PCR8", after["Measurements"])

    def test_not_run(self):
        self.build(*self.rootfs)
        env = dict(os.environ)
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            (self.dir / name[4:8]).mkdir(mode=0o700)
            env[name] = str(self.dir / name[4:8])
        result = subprocess.run(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", self.output,
             "--memory", "128", "--cpu-count", "1"], env=env, text=True,
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(result.returncode, 35, result.stderr)
        self.assertIn(f"{self.output} is an image for aarch64", result.stderr)
        left = [path.name for path in (self.dir / "RUNT").glob("*/*")]
        self.assertLessEqual(set(left), {"lock"})

    def test_refused(self):
        for options, status, words in (
                (("--arch", "riscv64"), 3, ("riscv64", "x86_64", "aarch64")),
                (("--arch", "x86_64"), 52, ("bzImage", str(self.blobs)))):
            result = self.call(*self.rootfs, *options, "--output-file",
                               self.output)
            self.assertEqual(result.returncode, status, result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)
            self.assertFalse(self.output.exists())

    def refused(self, name, data, *words):
        """A file of the blobs is for another architecture."""
        path = self.blobs / name
        before = path.read_bytes() if path.exists() else None
        self.output.unlink(missing_ok=True)
        path.write_bytes(data)
        result = self.call(*self.rootfs, "--output-file", self.output)
        self.assertEqual(result.returncode, 52, result.stderr)
        for word in (str(path), *words):
            self.assertIn(word, result.stderr)
        self.assertFalse(self.output.exists())
        path.unlink()
        if before is not None:
            path.write_bytes(before)

    def test_kernel_of_another_kind(self):
        self.refused("Image", gzip.compress(IMAGE), "gzip", "gunzip")
        for kernel in (self.kernel, IMAGE[1:], b"ARM\x64", bytes(56)):
            self.refused("Image", kernel, "aarch64")
        self.refused("Image", b"", "empty")
        for size in (60, 63):
            self.refused("Image", IMAGE[:size], f"{size} bytes", "64")
        (self.blobs / "Image").write_bytes(IMAGE[:64])
        self.build(*self.rootfs)
        (self.blobs / "Image").unlink()
        self.refused("bzImage", IMAGE, "aarch64", "--arch")
        self.refused("bzImage", b"", "empty")
        (self.blobs / "bzImage").write_bytes(self.kernel)
        self.build(*self.rootfs)
        self.assertEqual(self.warned, "")
        for kernel in (elf(X86_64), b"\x7f", self.kernel[:0x202]):
            (self.blobs / "bzImage").write_bytes(kernel)
            self.build(*self.rootfs)
            self.assertIn("bzImage: this is not a bzImage", self.warned)

    def test_programs_of_another_kind(self):
        for name, machine in (("init", X86_64), ("nsm.ko", X86_64),
                              ("nsm.ko", ARM), ("init", 243)):
            self.refused(name, elf(machine), str(machine), "aarch64")
        self.refused("init", b"", "empty")
        self.refused("nsm.ko", b"", "empty")
        for machine, warns in ((AARCH64, False), (ARM, True)):
            (self.blobs / "init").write_bytes(elf(machine))
            self.build(*self.rootfs)
            self.assertEqual("init: this is a 32-bit program" in self.warned,
                             warns)
        (self.blobs / "Image").unlink()
        (self.blobs / "bzImage").write_bytes(self.kernel)
        self.refused("init", elf(AARCH64), "183", "x86_64")
        for data in (elf(X86_64), elf(I386), elf(AARCH64)[:19], b"#!/bin/sh"):
            (self.blobs / "init").write_bytes(data)
            self.build(*self.rootfs)


class Modules(build.Case):
    NAMES = "nsm.ko", "virtio_mmio.ko", "lib/modules/vsock/virtio_vsock.ko"

    def setUp(self):
        super().setUp()
        (self.dir / "root").mkdir()
        self.rootfs = ("--rootfs", self.dir / "root", "--cmd", "/run")
        for name in self.NAMES:
            path = self.blobs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(elf(X86_64) + name.encode())
        self.order = self.blobs / "modules_load_order"

    def first_ramdisk(self):
        return build.cpio(build.sections(self.output.read_bytes())[3][1])

    def test_order_and_modules(self):
        text = "/" + "\n".join(self.NAMES) + "\n"
        self.order.write_bytes(text.encode())
        self.build(*self.rootfs)
        found = self.first_ramdisk()
        self.assertEqual(found["modules_load_order"]["data"], text.encode())
        for name in self.NAMES:
            self.assertEqual(found[name]["data"],
                             elf(X86_64) + name.encode())
        self.assertEqual(self.warned, "")
        for name in ("lib", "lib/modules", "lib/modules/vsock"):
            self.assertEqual(found[name]["mode"], 0o40755)
        self.assertEqual(set(found) - set(self.NAMES), {
            "dev", "init", "modules_load_order", "lib", "lib/modules",
            "lib/modules/vsock"})

    def test_only_what_is_listed(self):
        for text, names in (("virtio_mmio.ko", {"virtio_mmio.ko"}),
                            ("\nnsm.ko\n\n", {"nsm.ko"}),
                            ("", set())):
            self.order.write_bytes(text.encode())
            self.build(*self.rootfs)
            self.assertEqual(set(self.first_ramdisk()), names | {
                "dev", "init", "modules_load_order"})
            self.assertEqual("modules_load_order: this lists no module"
                             in self.warned, not names)

    def test_older_layout(self):
        """Without the list of modules, nsm.ko is the only one."""
        self.build(*self.rootfs)
        self.assertEqual(set(self.first_ramdisk()), {"dev", "init", "nsm.ko"})

    def test_module_that_is_none(self):
        """AWS's builder takes it, and init could not load it."""
        self.order.write_text("nsm.ko\n")
        for data in (b"text", gzip.compress(elf(X86_64)), elf(X86_64)[:19]):
            (self.blobs / "nsm.ko").write_bytes(data)
            self.build(*self.rootfs)
            self.assertIn("nsm.ko: this is not an ELF file", self.warned)
            self.assertEqual(len(self.warned.splitlines()), 1)
        (self.blobs / "nsm.ko").write_bytes(b"")
        result = self.call(*self.rootfs, "--output-file", self.output)
        self.assertEqual(result.returncode, 52, result.stderr)
        self.assertIn("nsm.ko: this file is empty", result.stderr)

    def test_foreign_module(self):
        self.order.write_text("nsm.ko\n")
        (self.blobs / "nsm.ko").write_bytes(elf(AARCH64))
        result = self.call(*self.rootfs, "--output-file", self.output)
        self.assertEqual(result.returncode, 52, result.stderr)
        self.assertIn("nsm.ko: this is not for x86_64", result.stderr)

    def test_refused(self):
        (self.blobs / "directory").mkdir()
        for text in ("missing.ko\n", "../secret\n", "a/../nsm.ko\n",
                     "nsm.ko\nnsm.ko\n", "directory\n", "/\n", "nsm.ko/x\n",
                     "./nsm.ko\n", "\x1b[2J\n", "init\n", "/init", "dev\n",
                     "modules_load_order", "nsm.ko\0x\n", "x" * 5000,
                     "nsm.ko \n", "nsm.ko\r\n", "# nsm.ko\n"):
            self.order.write_bytes(text.encode())
            result = self.call(*self.rootfs, "--output-file", self.output)
            self.assertEqual(result.returncode, 52, text + result.stderr)
            self.assertIn("modules_load_order", result.stderr)
            self.assertNotIn("\x1b", result.stderr)
            self.assertFalse(self.output.exists())


if __name__ == "__main__":
    harness.main()
