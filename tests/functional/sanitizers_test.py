"""QEMU, the programs and their tests, built with AddressSanitizer, LeakSanitizer
and UndefinedBehaviorSanitizer, with functional tests that boot enclaves; and what
has threads, with ThreadSanitizer.

A sanitizer that finds something writes a report to a file and ends the process.
No test may leave a report, even if the test passes.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its directory is known only now)


# AddressSanitizer itself fails where no thread can be made.
LEFT_OUT = ["-s", "/eif/errors/no-threads"]

BACK_END_TEST = "contrib/vhost-user-vsock/vhost-user-vsock-test"
CONFORMANCE = "contrib/vhost-user-vsock/vhost-user-vsock-conformance"
CLI_TEST = "contrib/qemu-nitro-cli/qemu-nitro-cli-test"


class Case(harness.Case):
    sanitizer = None
    targets = ()

    @classmethod
    def setUpClass(cls):
        subprocess.run([harness.TOP / "scripts/build-qemu", "--sanitize",
                        cls.sanitizer, harness.BUILD, *cls.targets], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        cls.build = harness.BUILD / f"qemu-{cls.sanitizer}"

    def passes(self, *command, options="", **environment):
        """Run a test.  It must pass, and no process may have a report."""
        reports = self.dir / "reports"
        reports.mkdir(exist_ok=True)
        options = f"log_path={reports}/report:halt_on_error=1:" \
            f"abort_on_error=1{options}"
        result = subprocess.run(
            command, check=False, env={
                **os.environ, "ASAN_OPTIONS": options, "TSAN_OPTIONS": options,
                "UBSAN_OPTIONS": f"{options}:print_stacktrace=1",
                "QTEST_QEMU_BINARY": str(self.build / "qemu-system-x86_64"),
                **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace")
        # A warning says that coroutines may confuse AddressSanitizer.
        texts = [path.read_text(errors="replace")[:4000]
                 for path in sorted(reports.iterdir())]
        self.assertEqual([text for text in texts
                          if re.search("ERROR: |runtime error: |WARNING: Thread",
                                       text)], [])
        self.assertEqual(result.returncode, 0, result.stdout[-6000:])

    def each_passes(self, directory, options=""):
        programs = [self.build / target for target in self.targets
                    if target.startswith(directory)]
        self.assertTrue(programs)
        for program in programs:
            with self.subTest(program.name):
                self.passes(program, "--tap", "-k", *LEFT_OUT, options=options)

    def back_end_passes(self):
        # The daemon cannot write a report to a file, because it is confined: it
        # ends, and the test fails.  It cannot be traced, which the search for
        # leaks needs.
        options = ":detect_leaks=0"
        self.passes(self.build / BACK_END_TEST, options=options)
        # Left out are transfers of 4 GiB, until the counters of credit wrap,
        # and tests that measure memory: a sanitizer keeps what was freed.
        self.conforms("-Credit.Wraps*:Leaks.*", options)

    def conforms(self, tests, options):
        self.passes(self.build / CONFORMANCE,
                    self.build / configure.PROGRAMS["vhost-user-vsock"],
                    f"--gtest_filter={tests}", options=options)


class Addresses(Case):
    """The C files and the programs"""
    sanitizer = "address"
    targets = [*(target for target in configure.TESTS
                 if target.startswith(("tests/unit/", "tests/qtest/"))),
               BACK_END_TEST, CONFORMANCE, CLI_TEST,
               *configure.PROGRAMS.values()]

    def test_units(self):
        self.each_passes("tests/unit/")

    def test_registers(self):
        # QEMU frees little of what it has at its end.
        self.each_passes("tests/qtest/", ":detect_leaks=0")

    def test_back_end(self):
        self.back_end_passes()

    def test_memory_of_back_end(self):
        """What was freed is not kept, so that memory can be measured."""
        self.conforms("Leaks.*", ":detect_leaks=0:quarantine_size_mb=0:"
                      "thread_local_quarantine_size_kb=0:malloc_context_size=0")

    def test_front_end(self):
        self.passes(self.build / CLI_TEST, options=":detect_leaks=0")


class Guests(Case):
    """Functional tests, with enclaves that boot in a sanitized QEMU"""
    sanitizer = "address"
    targets = [*configure.PROGRAMS.values()]
    # Test programs, and which of their tests.  The others limit or measure the
    # memory of a process, or preload a library, which AddressSanitizer does not
    # support, or take too long with it.
    scripts = {
        "boot": ["Boot", "Reboot", "Changed"],
        "cli_build": ["Layers"],
        "cli_image": ["DescribeEif"],
        "hello": [],
        "nsm": ["Module.test_requests", "Module.test_errors",
                "Module.test_many_at_once", "Module.test_reboot", "Documents",
                "Roots"],
        "signed": [],
        "verify": [],
        "vsock": ["Transfers", "Messages", "Connections"],
        "vsock_refused": [],
    }

    def setUp(self):
        super().setUp()
        self.programs = self.dir / "build"
        for path, target in {
                "images": harness.BUILD / "images",
                "qemu-tree": harness.BUILD / "qemu-tree",
                "qemu": self.build,
                **{f"bin/{name}": self.build / target
                   for name, target in configure.PROGRAMS.items()}}.items():
            link = self.programs / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)

    def test_functional(self):
        for name, tests in self.scripts.items():
            with self.subTest(name):
                self.passes(sys.executable,
                            harness.HERE / f"{name}_test.py", *tests,
                            options=":detect_leaks=0", BUILD=self.programs)


class Threads(Case):
    """What has threads: the loader of images, the back end, and builds"""
    sanitizer = "thread"
    targets = ["tests/unit/test-eif-load", BACK_END_TEST, CONFORMANCE, CLI_TEST,
               configure.PROGRAMS["vhost-user-vsock"]]

    def test_units(self):
        self.each_passes("tests/unit/")

    def test_back_end(self):
        self.back_end_passes()

    def test_builds(self):
        self.passes(self.build / CLI_TEST, "--gtest_filter=Build*:Containers*:"
                    "EifWriter*:GzipStream*:ImageMeasurer*:ReadAhead*:"
                    "Reading*:Unpack*:*Spooling*")


if __name__ == "__main__":
    harness.main()
