"""What the machine refuses: one line with the reason, and exit status 1"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import socket

import harness
from harness import CMDLINE, KERNEL, METADATA, RAMDISK, bzimage, eif


class Errors(harness.Case):
    def refuses(self, words, *options, data=None, kernel=None, machine="",
                vsock="/nonexistent/socket"):
        if kernel is None:
            kernel = self.file("image.eif", data or harness.image())
        line = self.refused(*self.qemu_command(
            kernel, *options, machine=machine,
            vsock=vsock if "-chardev" not in options else None))
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, line)
        left = sorted(os.listdir(self.dir))
        self.assertEqual([n for n in left if n not in (
            "image.eif", "extra", "back.sock")], [])

    def setUp(self):
        super().setUp()
        # These errors come before QEMU uses the back end: any listener will
        # do.
        self.peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.peer.close)
        self.back = self.dir / "back.sock"
        self.peer.bind(str(self.back))
        self.peer.listen()

    def bad_image(self, words, data, *options):
        self.refuses(words, *options, data=data, vsock=self.back)

    def bad_kernel(self, words, **fields):
        self.bad_image(words, harness.image(bzimage(**fields)))

    def test_no_such_file(self):
        self.refuses(["/nonexistent.eif"], kernel="/nonexistent.eif",
                     vsock=self.back)

    def test_directory(self):
        self.refuses([str(self.dir)], kernel=self.dir, vsock=self.back)

    def test_not_an_eif(self):
        self.bad_image("image.eif", b"\x7fELF" + bytes(4096))

    def test_empty(self):
        path = self.dir / "image.eif"
        path.touch()
        self.refuses("image.eif", kernel=path, vsock=self.back)

    def test_header_cut_short(self):
        self.bad_image("image.eif", harness.image()[:547])

    def test_section_cut_short(self):
        self.bad_image("image.eif", harness.image()[:-1])

    def test_crc(self):
        good = harness.image()
        self.bad_image(["image.eif", "CRC"], good[:-1] + b"X")

    def test_versions(self):
        for version in (0, 1, 5):
            self.bad_image(str(version), eif(
                [(KERNEL, bzimage()), (CMDLINE, b"x")], version=version))

    def test_aarch64(self):
        self.bad_image("aarch64", eif(
            [(KERNEL, bzimage()), (CMDLINE, b"x"), (METADATA, b"{}")],
            flags=1))

    def test_no_kernel(self):
        self.bad_image("kernel", eif([(CMDLINE, b"x"), (METADATA, b"{}")]))

    def test_unknown_section(self):
        self.bad_image("9", eif([(KERNEL, bzimage()), (CMDLINE, b"x"),
                                 (METADATA, b"{}"), (9, b"")]))

    def test_ramdisk_before_kernel(self):
        self.bad_image("ramdisk", eif([
            (RAMDISK, b"x"), (KERNEL, bzimage()), (CMDLINE, b"x"),
            (METADATA, b"{}")]))

    def test_no_bzimage(self):
        self.bad_kernel("bzImage", magic=b"XXXX")
        self.bad_image("bzImage", harness.image(b"short"))

    def test_kernel_too_old(self):
        self.bad_kernel(["2.11", "2.12"], version=0x20b)

    def test_kernel_without_64_bit_entry(self):
        self.bad_kernel("XLF_KERNEL_64", xloadflags=0)

    def test_zimage(self):
        self.bad_kernel("LOADED_HIGH", loadflags=0)

    def test_header_length(self):
        self.bad_kernel("0x212", jump=0x10)
        self.bad_kernel("0x301", jump=0xff)

    def test_kernel_larger_than_it_says(self):
        self.bad_kernel("init_size", init_size=16)

    def test_code_that_is_not_there(self):
        """With this command line, the guest would end without output."""
        code = bytes(300 << 10)
        size = len(bzimage(code=code)) - 1024
        self.bad_kernel(["syssize", str(size // 16 * 16 + 16)], code=code,
                        syssize=size // 16 + 1)
        self.bad_kernel(["131072 bytes of setup", "syssize"], code=code,
                        syssize=size // 16, setup_sects=255)

    def test_alignment(self):
        for alignment in (0, 3, 0x300000, 0xffffffff):
            self.bad_kernel(["kernel_alignment", hex(alignment)],
                            alignment=alignment)
        self.bad_kernel(["0x1100000", "0x200000"], pref=0x1100000)

    def test_load_address(self):
        self.bad_kernel("0x1000", pref=0x1000)
        self.bad_kernel("0xffffffffffffff00", pref=0xffffffffffffff00)
        self.bad_kernel("MiB", init_size=0xffffffff, pref=0x100000,
                        alignment=0x1000)

    def test_load_address_above_memory(self):
        self.bad_image(["0xc1000000", "0xc0000000"],
                       harness.image(bzimage(pref=0xc0000000,
                                             init_size=0x1000000)),
                       "-m", "5G")

    def test_kernel_of_setup_alone(self):
        self.bad_kernel("setup", setup_sects=64)

    def test_memory_too_small(self):
        self.bad_image(["16 MiB", "17 MiB"],
                       harness.image(ramdisks=()), "-m", "16M")

    def test_ramdisk_needs_more_memory(self):
        big = harness.image(ramdisks=(bytes(10 << 20),))
        self.bad_image(["32 MiB", "37 MiB"], big, "-m", "32M")

    def test_command_line_too_long(self):
        # The check runs after the devices are realized, so it needs a back
        # end.
        self.refuses(["2047"], vsock=self.backend_in_peace(), data=harness
                     .image(cmdline=b"x" * 2047))
        self.bad_image(["65536", "65535"], harness.image(cmdline=b"x" * 65536))

    def backend_in_peace(self):
        """A back end with open files that the test does not count as QEMU's"""
        self.back.unlink()
        process = self.spawn(harness.VSOCK, "--vm",
                             f"guest-cid=5,socket={self.back}")
        self.wait_for(self.back)
        self.assertIsNone(process.poll())
        return self.back

    def test_vsock_missing(self):
        image = self.file("image.eif", harness.image())
        line = self.refused(harness.QEMU, "-M", "nitro-enclave", "-accel",
                            "tcg", "-S", "-display", "none", "-kernel", image)
        self.assertIn("vsock", line)

    def test_kernel_missing(self):
        line = self.refused(harness.QEMU, "-M", "nitro-enclave,vsock=c",
                            "-accel", "tcg", "-S", "-display", "none")
        self.assertIn("-kernel", line)

    def test_vsock_names_no_chardev(self):
        self.refuses("vsock=c", "-chardev", "null,id=other")

    def test_vsock_names_no_socket(self):
        self.refuses("no socket", "-chardev", "null,id=c")

    def test_back_end_absent(self):
        self.refuses("/nonexistent/socket")

    def test_machine_options(self):
        for option, word in (("acpi=on", "ACPI"), ("acpi=auto", "ACPI"),
                             ("pcie=on", "PCI"), ("ioapic2=on", "I/O APIC"),
                             ("pit=off", "timer"), ("pic=off", "interrupt")):
            self.refuses([option, word], machine="," + option,
                         vsock=self.back)

    def test_firmware_and_device_tree(self):
        extra = self.file("extra", b"x")
        self.refuses("-bios", "-bios", extra, vsock=self.back)
        self.refuses("-dtb", "-dtb", extra, vsock=self.back)

    def test_memory_not_shared(self):
        self.refuses(["microvm.ram", "share=on"], "-object",
                     "memory-backend-ram,id=microvm.ram,size=128M",
                     machine=",memory-backend=microvm.ram", vsock=self.back)

    def test_memory_of_a_numa_node_not_shared(self):
        self.refuses(["node0", "share=on"], "-m", "128M", "-object",
                     "memory-backend-ram,id=node0,size=128M", "-numa",
                     "node,memdev=node0", vsock=self.back)

    def test_cpu_without_long_mode(self):
        self.refuses(["-cpu", "qemu32", "long mode"], "-cpu", "qemu32",
                     vsock=self.back)

    def test_too_many_cpus(self):
        self.refuses(["129", "128"], "-smp", "129", vsock=self.back)

    def test_apic_ids(self):
        """Three bits for the five threads, and three for the five cores"""
        for cpu in ((), ("-cpu", "max")):
            self.refuses(["-smp", "CPU 124", " 292 ", "254"], *cpu, "-smp",
                         "125,sockets=5,cores=5,threads=5", vsock=self.back)
            self.refuses(["-smp", "CPU 100", " 256 ", "254"], *cpu, "-smp",
                         "101,maxcpus=125,sockets=5,cores=5,threads=5",
                         vsock=self.back)


if __name__ == "__main__":
    harness.main()
