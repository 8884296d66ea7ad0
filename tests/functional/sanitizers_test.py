"""QEMU and the tests of its C files, built with AddressSanitizer, LeakSanitizer and
UndefinedBehaviorSanitizer.

A sanitizer that finds something writes a report to a file and ends the process.
No test may leave a report, even if the test passes.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its directory is known only now)


# AddressSanitizer itself fails where no thread can be made.
LEFT_OUT = ["-s", "/eif/errors/no-threads"]


class Sanitizers(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.targets = [target for target in configure.TESTS
                       if target.startswith(("tests/unit/", "tests/qtest/"))]
        subprocess.run([harness.TOP / "scripts/build-qemu", "--sanitize",
                        "address", harness.BUILD, *cls.targets,
                        configure.PROGRAMS["qemu-system-x86_64"]], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        cls.build = harness.BUILD / "qemu-address"

    def passes(self, program, options=""):
        """Run a test.  It must pass, and no process may have a report."""
        reports = self.dir / "reports"
        reports.mkdir(exist_ok=True)
        options = f"log_path={reports}/report:halt_on_error=1:" \
            f"abort_on_error=1{options}"
        result = subprocess.run(
            [program, "--tap", "-k", *LEFT_OUT], check=False,
            env={**os.environ, "ASAN_OPTIONS": options,
                 "UBSAN_OPTIONS": f"{options}:print_stacktrace=1",
                 "QTEST_QEMU_BINARY": str(self.build / "qemu-system-x86_64")},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
        # A warning says that coroutines may confuse AddressSanitizer.
        texts = [path.read_text(errors="replace")[:4000]
                 for path in sorted(reports.iterdir())]
        self.assertEqual([text for text in texts
                          if "ERROR: " in text or "runtime error: " in text],
                         [])
        self.assertEqual(result.returncode, 0, result.stdout[-6000:])

    def each_passes(self, directory, options=""):
        programs = [self.build / target for target in self.targets
                    if target.startswith(directory)]
        self.assertTrue(programs)
        for program in programs:
            with self.subTest(program.name):
                self.passes(program, options)

    def test_units(self):
        self.each_passes("tests/unit/")

    def test_registers(self):
        # QEMU frees little of what it has at its end.
        self.each_passes("tests/qtest/", ":detect_leaks=0")


if __name__ == "__main__":
    harness.main()
