"""The last line of ./check counts every way in which a program can fail."""
# SPDX-License-Identifier: GPL-2.0-or-later

import shutil
import subprocess

import harness

PROJECT = """\
project('counted')
sh = find_program('sh')
"""


class Counting(harness.Case):
    def counted(self, script, protocol="tap"):
        """The last line and the exit status of ./check, for one program"""
        (self.dir / "meson.build").write_text(
            PROJECT + f"test('t', sh, args: ['-c', '''{script}'''],"
            f" suite: ['a', 'b'], protocol: '{protocol}', timeout: 2)\n")
        build = self.dir / "build"
        subprocess.run(["meson", "setup", build, self.dir], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["meson", "test", "-C", build], check=False,
                       stdout=subprocess.DEVNULL)
        return self.count(build / "meson-logs")

    def count(self, logs):
        result = subprocess.run([harness.TOP / "scripts/count-tests", logs],
                                check=False, text=True,
                                stdout=subprocess.PIPE)
        return result.stdout.splitlines()[-1], result.returncode

    def test_passed_and_skipped(self):
        self.assertEqual(
            self.counted("echo 1..3; echo ok 1 a; echo ok 2 b;"
                         " echo \"ok 3 c # SKIP no\""),
            ("2 passed, 0 failed, 1 skipped", 0))

    def test_failed(self):
        self.assertEqual(
            self.counted("echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1"),
            ("1 passed, 1 failed, 0 skipped", 1))

    def test_crash_after_a_pass(self):
        self.assertEqual(
            self.counted("echo 1..2; echo ok 1 a; kill -SEGV $$"),
            ("1 passed, 1 failed, 0 skipped", 1))

    def test_stopped_early(self):
        self.assertEqual(self.counted("echo 1..2; echo ok 1 a"),
                         ("1 passed, 1 failed, 0 skipped", 1))

    def test_status_after_passes(self):
        self.assertEqual(self.counted("echo 1..1; echo ok 1 a; exit 3"),
                         ("1 passed, 1 failed, 0 skipped", 1))

    def test_time_out_after_a_pass(self):
        self.assertEqual(
            self.counted("echo 1..2; echo ok 1 a; exec sleep 20"),
            ("1 passed, 1 failed, 0 skipped", 1))

    def test_said_nothing(self):
        self.assertEqual(self.counted("true"),
                         ("0 passed, 1 failed, 0 skipped", 1))

    def test_gtest_crash(self):
        self.assertEqual(self.counted("kill -SEGV $$", "gtest"),
                         ("0 passed, 1 failed, 0 skipped", 1))

    def test_gtest_time_out(self):
        self.assertEqual(self.counted("exec sleep 20", "gtest"),
                         ("0 passed, 1 failed, 0 skipped", 1))

    def test_gtest_cases(self):
        xml = ('<testsuites tests="2"><testsuite name="S" tests="2">'
               '<testcase name="a" status="run" classname="S"/>'
               '<testcase name="b" status="run" classname="S">'
               '<failure message="no"/></testcase></testsuite></testsuites>')
        (self.dir / "out.xml").write_text(xml)
        self.assertEqual(
            self.counted(f'cp {self.dir}/out.xml "${{0#*xml:}}"; exit 1',
                         "gtest"), ("1 passed, 1 failed, 0 skipped", 1))

    def test_none_ran(self):
        self.assertEqual(self.count(self.dir),
                         ("0 passed, 0 failed, 0 skipped", 1))


if __name__ == "__main__":
    harness.main()
