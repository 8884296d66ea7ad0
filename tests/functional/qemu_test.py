"""QEMU's own tests pass with the changes of this project."""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import pathlib
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import configure  # noqa: E402 (its directory is known only now)

# These tests compare with the results of the firmware in QEMU's own
# repository, which Debian replaces.
OTHER_FIRMWARE = {"bios-tables-test"}


def firmware(build):
    """Debian's source of QEMU has no firmware.  Put the firmware of other
    packages in the build directory, where QEMU looks for it."""
    where = build / "qemu-bundle/usr/local/share/qemu"
    # Debian 13 has the files of iPXE in share/qemu.
    for directory in ("share/qemu", "share/seabios", "lib/ipxe/qemu"):
        for file in (pathlib.Path("/usr") / directory).glob("*"):
            link = where / file.name
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(file)


class Qemu(harness.Case):
    def passes(self, build, suite, names=()):
        """Run a suite of QEMU's tests, or some of them.  Returns the names of
        those that passed."""
        firmware(build)
        log = f"nitro-{suite}"
        result = subprocess.run(
            ["meson", "test", "--suite", suite, "--num-processes", "2",
             "--timeout-multiplier", "5", "--logbase", log, *names],
            cwd=build, env=configure.environment(build.parent), check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        path = build / "meson-logs" / f"{log}.json"
        self.assertTrue(path.is_file(), result.stdout[-4000:])
        results = [json.loads(line)
                   for line in path.read_text(encoding="utf-8").splitlines()]
        failed = {r["name"]: r.get("stdout", "")[-2000:] for r in results
                  if r["result"] not in ("OK", "SKIP")}
        self.assertEqual(failed, {})
        self.assertEqual(result.returncode, 0, result.stdout[-4000:])
        return {r["name"].rpartition("/")[2].rpartition(" ")[2]
                for r in results if r["result"] == "OK"}


class Few(Qemu):
    """With the two boards that are built: the tests that need no other board
    """

    def test_every_machine_and_device(self):
        names = {"qom-test", "test-hmp", "device-introspect-test",
                 "machine-none-test", "qmp-cmd-test"}
        passed = self.passes(harness.BUILD / "qemu", "qtest-x86_64",
                             [f"qtest-x86_64/{n}" for n in names])
        self.assertEqual(passed, names)


class All(Qemu):
    """With all of QEMU's boards and devices, but without KVM: some hosts have
    it, on some of these it works only in part, and it is not tested here.
    """

    @classmethod
    def setUpClass(cls):
        subprocess.run([harness.TOP / "scripts/build-qemu", "--full",
                        harness.BUILD, "all"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        cls.build = harness.BUILD / "qemu-full"

    def test_unit(self):
        passed = self.passes(self.build, "unit")
        self.assertTrue({"test-nsm", "test-eif", "test-vmstate"} <= passed)

    def test_qtest(self):
        names = json.loads(subprocess.run(
            ["meson", "introspect", "--tests"], cwd=self.build, check=True,
            stdout=subprocess.PIPE).stdout)
        names = {t["name"] for t in names if "qtest-x86_64" in
                 " ".join(t["suite"])}
        left_out = {f"qtest-x86_64/{n}" for n in OTHER_FIRMWARE}
        self.assertTrue(left_out < names)
        passed = self.passes(self.build, "qtest-x86_64", names - left_out)
        self.assertTrue({"nitro-enclave-test", "vhost-user-vsock-test",
                         "virtio-nsm-test", "qos-test", "qom-test", "test-hmp",
                         "migration-test", "device-introspect-test"} <= passed)


if __name__ == "__main__":
    harness.main()
