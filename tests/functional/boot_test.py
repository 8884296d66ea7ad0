"""The sample enclave boots under TCG, started as a user would start it."""
# SPDX-License-Identifier: GPL-2.0-or-later

import random
import re
import subprocess
import time

import harness


class Boot(harness.Case):
    def hello(self, *options, append="", **kwargs):
        """Boot the sample.  Returns the lines that it prints."""
        console = self.run_enclave(harness.HELLO, *options, "-append",
                                   f"hello.serve=0 {append}".strip(), **kwargs)
        output = re.findall(r"^hello: (.*)$", console, re.M)
        self.assertEqual(output[0], "Hello from the enclave!", console)
        self.assertEqual(output[-1], "done")
        return output

    def number(self, output, pattern):
        for line in output:
            match = re.fullmatch(pattern, line)
            if match:
                return int(match[1])
        return self.fail(f"nothing like {pattern} in {output}")

    def test_one_cpu_128_mib(self):
        output = self.hello("-m", "128M")
        self.assertEqual(self.number(output, r"(\d+) CPUs"), 1)
        memory = self.number(output, r"(\d+) MiB of memory")
        self.assertTrue(90 < memory <= 128, memory)
        self.assertEqual(self.number(output, r"vsock CID (\d+)"), 16)

    def test_64_mib(self):
        self.hello("-m", "64M")

    def test_four_cpus(self):
        output = self.hello("-m", "256M", "-smp", "4")
        self.assertEqual(self.number(output, r"(\d+) CPUs"), 4)

    def test_topology_with_gaps(self):
        output = self.hello("-m", "256M", "-smp", "6,sockets=2,cores=3")
        self.assertEqual(self.number(output, r"(\d+) CPUs"), 6)

    def test_memory_above_4_gib(self):
        output = self.hello("-m", "5G", "-smp", "2")
        memory = self.number(output, r"(\d+) MiB of memory")
        self.assertTrue(4800 < memory <= 5120, memory)

    def test_append(self):
        output = self.hello("-m", "128M", append="the.users=words")
        self.assertTrue(any(" the.users=words virtio_mmio.device=512@" in line
                            for line in output), output)

    def test_added_ramdisk(self):
        """A user's ramdisk replaces a file of the image."""
        tree = self.dir / "tree"
        (tree / "rootfs/bin").mkdir(parents=True)
        source = self.file("other.c", b"#include <stdio.h>\nint main(void)"
                           b"{puts(\"hello: another\");return 0;}")
        subprocess.run(["cc", "-static", "-o", tree / "rootfs/bin/hello",
                        source], check=True)
        archive = self.dir / "extra"
        with open(archive, "wb") as f:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"],
                           input="rootfs/bin/hello\n", text=True, cwd=tree,
                           stdout=f, check=True)
        console = self.run_enclave(harness.HELLO, "-m", "128M", "-initrd",
                                   archive)
        self.assertIn("hello: another", console)

    def test_user_s_shared_memory(self):
        self.hello("-m", "128M", "-object", "memory-backend-memfd,"
                   "id=microvm.ram,size=128M,share=on",
                   machine=",memory-backend=microvm.ram")

    def test_memory_in_a_file(self):
        self.hello("-m", "128M", "-mem-path", self.dir)

    def test_ramdisk_in_any_memory(self):
        """Guest memory has the same ramdisk as the image, with each kind of
        memory.  A file behind guest memory is written only where that memory
        is.
        """
        ramdisk = random.Random(1).randbytes((3 << 20) + 5)
        image = self.file("image.eif",
                          harness.image(ramdisks=(b"first", ramdisk)))
        size = len(b"first" + ramdisk)
        address = (128 << 20) - size & ~0xfff
        shift = 1 << 20
        backing = self.dir / "backing"
        with open(backing, "wb") as f:
            f.truncate((128 << 20) + shift)
        memfd = "memory-backend-memfd,share=on"
        one = ",memory-backend=m"
        kinds = {
            "default": ((), ""),
            "a file without a name": (("-mem-path", self.dir), ""),
            "a file from an offset on":
                (("-object", "memory-backend-file,share=on,id=m,size=128M,"
                  f"mem-path={backing},offset={shift}"), one),
            "two nodes, and the ramdisk in both":
                (("-object", f"{memfd},id=a,size=126M", "-object",
                  f"{memfd},id=b,size=2M", "-numa", "node,memdev=a",
                  "-numa", "node,memdev=b"), ""),
        }
        back = self.backend()
        for kind, (options, machine) in kinds.items():
            with self.subTest(kind):
                qmp, dump = self.dir / "qmp", self.dir / "dump"
                qmp.unlink(missing_ok=True)
                process = self.spawn(*self.qemu_command(
                    image, "-m", "128M", "-S", "-qmp",
                    f"unix:{qmp},server=on,wait=off", *options, vsock=back,
                    machine=machine))
                self.wait_for(qmp)
                monitor = harness.Qmp(qmp)
                monitor.command("pmemsave", val=address, size=size,
                                filename=str(dump))
                monitor.command("quit")
                self.assertEqual(process.wait(20), 0)
                self.assertEqual(dump.read_bytes(), b"first" + ramdisk)
        with open(backing, "rb") as f:
            self.assertEqual(f.read(shift), bytes(shift))
            f.seek(shift + address)
            self.assertEqual(f.read(size), b"first" + ramdisk)

    def test_without_rtc(self):
        self.hello("-m", "128M", machine=",rtc=off")


class Reboot(harness.Case):
    def boots(self, reboot, smp):
        """Let the guest reboot by itself, and count how often it boots."""
        log, qmp = self.dir / "console", self.dir / "qmp"
        process = self.spawn(*self.qemu_command(
            harness.HELLO, "-m", "128M", "-smp", str(smp), "-append",
            f"hello.serve=0 {reboot}", "-serial", f"file:{log}", "-qmp",
            f"unix:{qmp},server=on,wait=off", vsock=self.backend()))
        end = time.monotonic() + 120
        while True:
            text = log.read_text(errors="replace") if log.exists() else ""
            if text.count("hello: done") >= 3:
                break
            self.assertIsNone(process.poll(), text)
            self.assertLess(time.monotonic(), end, text[-3000:])
            time.sleep(0.1)
        harness.Qmp(qmp).command("quit")
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(set(re.findall(r"hello: (\d+) CPUs", text)),
                         {str(smp)})

    def test_keyboard_controller(self):
        self.boots("reboot=k", 1)

    def test_keyboard_controller_smp(self):
        self.boots("reboot=k", 4)

    def test_triple_fault(self):
        self.boots("reboot=t", 1)

    def test_bios(self):
        self.boots("reboot=b", 1)

    def test_system_reset_at_any_moment(self):
        """Reset the machine at different moments of the boot."""
        log, qmp = self.dir / "console", self.dir / "qmp"
        process = self.spawn(*self.qemu_command(
            harness.HELLO, "-m", "128M", "-smp", "2", "-append",
            "hello.serve=0", "-serial", f"file:{log}", "-no-shutdown", "-qmp",
            f"unix:{qmp},server=on,wait=off", vsock=self.backend()))
        self.wait_for(qmp)
        monitor = harness.Qmp(qmp)
        for delay in (0.05, 0.3, 0.7, 1.1, 0.2):
            time.sleep(delay)
            monitor.command("system_reset")
        before = log.read_text(errors="replace").count("hello: done")
        end = time.monotonic() + 60
        while log.read_text(errors="replace").count("hello: done") <= before:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        monitor.command("quit")
        self.assertEqual(process.wait(20), 0)


    def test_monitor_while_the_image_is_loaded(self):
        """The monitor answers while a large image is loaded again.  Another
        reset, or quit, works meanwhile."""
        image = self.file("large.eif", harness.image(
            ramdisks=(b"first", bytes(256 << 20))))
        qmp = self.dir / "qmp"
        process = self.spawn(*self.qemu_command(
            image, "-m", "1G", "-qmp", f"unix:{qmp},server=on,wait=off",
            vsock=self.backend()))
        self.wait_for(qmp)
        monitor = harness.Qmp(qmp)

        def loading():
            return monitor.command("qom-get", path="/machine",
                                   property="loading")

        def until(what):
            end = time.monotonic() + 120
            while loading() is not what:
                self.assertLess(time.monotonic(), end)

        self.assertIs(loading(), False)
        for resets in (1, 3):
            for _ in range(resets):
                monitor.command("system_reset")
                until(True)
            until(False)
        monitor.command("system_reset")
        until(True)
        monitor.command("quit")
        self.assertEqual(process.wait(60), 0)


class Changed(harness.Case):
    def end_of_second_boot(self, change):
        """Change the image of a running enclave, and reset.  Returns the
        error."""
        image = self.dir / "copy.eif"
        image.write_bytes(harness.HELLO.read_bytes())
        qmp = self.dir / "qmp"
        process = self.spawn(*self.qemu_command(
            image, "-m", "128M", "-qmp", f"unix:{qmp},server=on,wait=off",
            vsock=self.backend()), stderr=subprocess.PIPE, text=True)
        self.wait_for(qmp)
        monitor = harness.Qmp(qmp)
        with open(image, "r+b") as f:
            change(f)
        monitor.command("system_reset")
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn(str(image), err)
        return err

    def test_shrinks(self):
        self.end_of_second_boot(lambda f: f.truncate(100000))

    def test_changes(self):
        def flip(f):
            f.seek(-100, 2)
            byte = f.read(1)
            f.seek(-100, 2)
            f.write(bytes([byte[0] ^ 1]))
        self.end_of_second_boot(flip)


if __name__ == "__main__":
    harness.main()
