"""The state in which a kernel starts, as the kernel sees it

A small program in the form of a bzImage prints its registers and boot
parameters, and this test compares them with the 64-bit Linux boot protocol.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import fcntl
import os
import re
import subprocess
import unittest

import harness


class Handover(harness.Case):
    def program(self, load=0x1000000):
        obj, code = self.dir / "handover.o", self.dir / "handover.bin"
        subprocess.run(["cc", "-c", "-o", obj, harness.HERE / "handover.S"],
                       check=True)
        subprocess.run(["ld", f"-Ttext={load + 0x200:#x}", "--oformat=binary",
                        "-e", "_start", "-o", code, obj], check=True)
        return code.read_bytes()

    def boot(self, *options, ramdisks=(b"RAMDISK1", b"more"), machine="",
             **fields):
        kernel = harness.bzimage(
            self.program(fields.get("pref", 0x1000000)), **fields)
        path = self.file("probe.eif", harness.image(
            kernel, cmdline=b"one two=3", ramdisks=ramdisks))
        console = self.run_enclave(path, *options, timeout=60,
                                   machine=machine)
        pairs = re.findall(r"^(\w+)=(.*)$", console, re.M)
        self.e820 = list(zip(*[[int(v, 16) for k, v in pairs if k == name]
                               for name in ("e820_start", "e820_size",
                                            "e820_type")]))
        return {k: v if k == "cmdline" else int(v, 16) for k, v in pairs}

    def test_registers(self):
        seen = self.boot("-m", "128M")
        self.assertEqual(seen["rip"], 0x1000200)
        self.assertEqual(seen["cr0"] & 0x80000001, 0x80000001)
        self.assertEqual(seen["cr4"], 0x20)
        self.assertEqual(seen["efer"] & 0x500, 0x500)
        self.assertEqual(seen["cs"], 0x10)
        self.assertEqual([seen[s] for s in ("ds", "es", "ss")], [0x18] * 3)
        self.assertEqual(seen["rflags"] & 0x200, 0)

    def test_ramdisk_and_command_line(self):
        seen = self.boot("-m", "128M", "-append", "four")
        self.assertEqual(seen["ramdisk_size"], 12)
        self.assertEqual(seen["ramdisk_data"].to_bytes(8, "little"),
                         b"RAMDISK1")
        self.assertLessEqual(seen["ramdisk_image"] + 12, 128 << 20)
        self.assertEqual(seen["ramdisk_image"] % 4096, 0)
        self.assertEqual(
            seen["cmdline"],
            "one two=3 four virtio_mmio.device=512@0xfeb00200:6"
            " virtio_mmio.device=512@0xfeb00000:5")

    def test_memory_map(self):
        self.boot("-m", "128M")
        self.assertEqual(self.e820, [
            (0, 0x9fc00, 1), (0x9fc00, 0x60400, 2),
            (0x100000, 0x7f00000, 1)])

    def test_memory_above_4_gib(self):
        seen = self.boot("-m", "5G")
        self.assertEqual(self.e820[2:], [
            (0x100000, 0xc0000000 - 0x100000, 1), (1 << 32, 2 << 30, 1)])
        self.assertLess(seen["ramdisk_image"], 0x7fffffff)

    def test_other_load_address(self):
        seen = self.boot("-m", "64M", pref=0x200000)
        self.assertEqual(seen["rip"], 0x200200)

    def test_added_ramdisk_follows(self):
        extra = self.file("extra", b"EXTRA")
        seen = self.boot("-m", "128M", "-initrd", extra, ramdisks=(b"abc",))
        self.assertEqual(seen["ramdisk_size"], 8)
        self.assertEqual(seen["ramdisk_data"].to_bytes(8, "little"),
                         b"abcEXTRA")

    def test_no_ramdisk(self):
        seen = self.boot("-m", "128M", ramdisks=())
        self.assertEqual(seen["ramdisk_size"], 0)

    def test_many_cpus(self):
        """The other CPUs wait for their startup interrupt."""
        seen = self.boot("-m", "128M", "-smp", "4")
        self.assertEqual(seen["rip"], 0x1000200)


def why_no_kvm():
    """The reason why KVM cannot run a machine with a vCPU, or None"""
    create_vm, create_vcpu = 0xae01, 0xae41
    made = []
    try:
        made.append(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        made.append(fcntl.ioctl(made[0], create_vm, 0))
        made.append(fcntl.ioctl(made[1], create_vcpu, 0))
        return None
    except OSError as e:
        return f"KVM cannot be used: {e.strerror}"
    finally:
        for fd in made:
            os.close(fd)


@unittest.skipIf(why_no_kvm(), why_no_kvm())
class HandoverOnKvm(Handover):
    """The same under KVM, which gets the state from QEMU"""
    accel = "kvm"


if __name__ == "__main__":
    harness.main()
