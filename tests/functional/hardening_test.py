"""The programs are built with options that make errors harder to exploit."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import subprocess

import harness

PROGRAMS = harness.QEMU, harness.VSOCK, harness.NITRO_CLI


class Hardening(harness.Case):
    def read(self, program, option):
        """The output of readelf for a program"""
        return subprocess.run(
            ["readelf", "--wide", option, program], check=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout

    def each(self, check, option):
        """Call `check` with the output of readelf for each program."""
        for program in PROGRAMS:
            with self.subTest(program.name):
                self.assertTrue(check(self.read(program, option)))

    def test_address_is_random(self):
        self.each(re.compile(r"Type: +DYN").search, "--file-header")

    def test_relocations_are_read_only(self):
        self.each(re.compile("GNU_RELRO").search, "--program-headers")
        self.each(re.compile(r"\(FLAGS\) +BIND_NOW").search, "--dynamic")

    def test_nothing_is_writable_and_executable(self):
        def check(out):
            flags = ["".join(line.split()[6:-1]) for line in out.splitlines()
                     if line.split()[:1] in (["LOAD"], ["GNU_STACK"])]
            return len(flags) > 3 and not any(
                "W" in word and "E" in word for word in flags)

        self.each(check, "--program-headers")

    def test_stack_is_guarded(self):
        self.each(re.compile(" __stack_chk_fail@").search, "--dyn-syms")

    def test_library_calls_are_checked(self):
        """Without _FORTIFY_SOURCE, a program has no call of this name."""
        checked = {harness.QEMU: "memcpy", harness.VSOCK: "snprintf",
                   harness.NITRO_CLI: "dprintf"}
        for program, name in checked.items():
            with self.subTest(program.name):
                self.assertRegex(self.read(program, "--dyn-syms"),
                                 f" __{name}_chk@")


if __name__ == "__main__":
    harness.main()
