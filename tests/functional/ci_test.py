"""ci/qemu-nitro-test and the step of action.yml, called as a runner calls them
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import re
import signal
import subprocess
import tempfile

import cli_build_test as build
import harness

PROGRAM = harness.TOP / "ci/qemu-nitro-test"
STEP = harness.TOP / "ci/action"
ENTRY = harness.TOP / "ci/container-entry"


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        for name in ("HOME", "RUN"):
            (self.dir / name).mkdir(mode=0o700)
        self.env = {
            "PATH": f"{harness.NITRO_CLI.parent}:{os.environ['PATH']}",
            "NITRO_CLI_ACCEL": "tcg", "TMPDIR": str(self.dir),
            "HOME": str(self.dir / "HOME"),
        }

    def tearDown(self):
        left = list(self.dir.glob("n.*"))
        super().tearDown()
        self.assertEqual(left, [])

    def call(self, *args, **env):
        return subprocess.run(
            [*map(str, args)], cwd=self.dir, env={**self.env, **env},
            check=False, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)

    def among_mounts(self, mounts, *args, **env):
        """Like call(), after the shell commands `mounts` in a mount namespace
        """
        return self.call(*harness.UNSHARE, "sh", "-euc", mounts + '\nexec "$@"',
                         "sh", *args, **env)

    def one_line(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)


class Program(Case):
    def test_command(self):
        """The command has the enclave's variables, and its status is returned.
        """
        script = (f'"{harness.TOP}/scripts/attest" "$ENCLAVE_VSOCK" document'
                  ' > nonce; cp "$ENCLAVE_ROOT" root.pem; echo $PCR0;'
                  ' echo $ENCLAVE_CID; exit 7')
        result = self.call(PROGRAM, harness.HELLO, "--memory", 256, "--lines",
                           3, "--", "sh", "-c", script)
        self.assertEqual(result.returncode, 7, result.stderr)
        pcr0, cid = result.stdout.split()
        self.assertRegex(cid, r"^\d+$")
        verdict = self.call(
            harness.NITRO_CLI, "verify-attestation", "--document", "document",
            "--root", "root.pem", "--pcr0", pcr0, "--nonce",
            (self.dir / "nonce").read_text().strip())
        self.assertEqual(verdict.returncode, 0, verdict.stderr)
        shown = result.stderr.partition("console:\n")[2].splitlines()
        self.assertEqual(len(shown), 3)

    def test_enclave_ends(self):
        """Without a command, it waits for the end of the enclave.  If the
        enclave ends before the command, the status is 125."""
        image = self.ending_image()
        result = self.call(PROGRAM, image)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Hello from the enclave", result.stdout)
        result = self.call(PROGRAM, image, "--", "sleep", "8")
        self.assertEqual(result.returncode, 125)
        self.assertIn("Hello from the enclave", result.stderr)

    def ending_image(self):
        """An image of the sample that ends without waiting for a connection"""
        rootfs = self.dir / "root"
        (rootfs / "bin").mkdir(parents=True)
        program = self.file("end.c", b"""
            #include <stdio.h>
            #include <unistd.h>
            int main(void)
            {
                puts("Hello from the enclave");
                fflush(stdout);
                sleep(2);
            }
        """)
        subprocess.run(["cc", "-static", "-o", rootfs / "bin/end", program],
                       check=True)
        image = self.dir / "end.eif"
        result = self.call(harness.NITRO_CLI, "build-enclave", "--rootfs",
                           rootfs, "--cmd", "/bin/end", "--output-file", image)
        self.assertEqual(result.returncode, 0, result.stderr)
        return image

    def test_refused(self):
        """The program's own errors have other statuses than the command."""
        (self.dir / "plain").write_text("x")
        (self.dir / "bad.eif").write_bytes(b"x" * 4096)
        for args, status, word in (
                ((), 125, "image"),
                (("/not/there.eif", "--", "true"), 125, "/not/there.eif"),
                (("bad.eif", "--", "true"), 125, "bad.eif"),
                ((harness.HELLO, "--", "not-there"), 127, "not-there"),
                ((harness.HELLO, "--", "./plain"), 126, "./plain"),
                ((harness.HELLO, "--memory"), 125, "--memory"),
                ((harness.HELLO, "--memory", "x"), 125, "x"),
                ((harness.HELLO, "--lines", "x"), 125, "--lines"),
                ((harness.HELLO, "--what"), 125, "--what"),
                ((harness.HELLO, "more"), 125, "--")):
            self.one_line(self.call(PROGRAM, *args), status, word)

    def test_does_not_boot(self):
        """The error is one line.  The console's output follows, if there is
        any."""
        kernel = harness.bzimage(b"\x0f\x0b")     # an invalid instruction
        image = self.file("bad.eif", harness.image(kernel))
        result = self.call(PROGRAM, image, "--", "true",
                           NITRO_CLI_BOOT_TIMEOUT="5")
        self.assertEqual(result.returncode, 125, result.stderr)
        line, _, more = result.stderr.partition("\n")
        self.assertRegex(line, "^qemu-nitro-test: .*enclave")
        self.assertTrue(more == "" or more.startswith("--- the end of"), more)

    def test_signal(self):
        """A container engine's SIGTERM ends the command, then the enclave."""
        for number in (signal.SIGTERM, signal.SIGINT):
            started = self.dir / "started"
            script = (f"trap 'echo ended; exit 9' {number.name[3:]};"
                      f" touch {started}; while :; do sleep 0.1; done")
            process = self.spawn(PROGRAM, harness.HELLO, "--", "sh", "-c",
                                 script, cwd=self.dir, env=self.env, text=True,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
            self.wait_for(started, 120)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, err)
            self.assertEqual(out, "ended\n")
            self.assertEqual(list(self.dir.glob("n.*")), [])
            started.unlink()

    def test_standard_input(self):
        """The command gets the standard input."""
        text = self.file("text", b"line\n")
        with open(text, "rb") as file:
            result = subprocess.run(
                [PROGRAM, harness.HELLO, "--", "cat"], env=self.env,
                check=False, stdin=file, capture_output=True, timeout=300)
        self.assertEqual((result.returncode, result.stdout), (0, b"line\n"))

    def test_keep(self):
        """The enclave keeps running until --end."""
        self.one_line(self.call(PROGRAM, harness.HELLO, "--keep"), 125,
                      "--output")
        result = self.call(PROGRAM, harness.HELLO, "--output", "out", "--keep")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.addCleanup(self.call, PROGRAM, "--end", "out")
        env = dict(line.split("=", 1) for line in
                   (self.dir / "out/enclave.env").read_text().splitlines())
        self.assertEqual(self.call(
            harness.TOP / "scripts/attest", env["ENCLAVE_VSOCK"],
            "document").returncode, 0)
        self.one_line(self.call(PROGRAM, "--end", "other"), 125, "other")
        self.assertEqual(self.call(PROGRAM, "--end", "out").returncode, 0)
        self.assertEqual(list(self.dir.glob("n.*")), [])
        self.one_line(self.call(PROGRAM, "--end", "out"), 125, "out")
        (self.dir / "out/enclave.env").write_text("XDG_RUNTIME_DIR=/etc\n")
        self.one_line(self.call(PROGRAM, "--end", "out"), 125, "/etc")

    def test_keep_after_a_failure(self):
        """After a failure, --keep leaves no enclave running."""
        result = self.call(PROGRAM, harness.HELLO, "--output", "out", "--keep",
                           "--", "false")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(list(self.dir.glob("n.*")), [])

    def test_where_it_cannot_write(self):
        self.one_line(self.call(PROGRAM, harness.HELLO, "--", "true",
                                TMPDIR="/proc/none"), 125, "/proc/none")
        self.one_line(self.call(PROGRAM, harness.HELLO, "--output",
                                "/proc/none", "--", "true"), 125,
                      "/proc/none")

    @harness.needs_mounts
    def test_full_disk(self):
        # With a longer name, the paths of sockets would be too long.
        full = tempfile.mkdtemp(prefix="f", dir="/tmp")
        self.addCleanup(os.rmdir, full)
        mount = f"mount -t tmpfs -o size=16k tmpfs {full}"
        self.one_line(self.among_mounts(mount, PROGRAM, harness.HELLO, "--",
                                        "true", TMPDIR=full), 125, full)

    @harness.needs_mounts
    def test_full_tmp(self):
        """If /tmp is full, /dev/shm is used, which most containers have."""
        mount = "mount -t tmpfs -o size=16k tmpfs /tmp"
        command = PROGRAM, harness.HELLO, "--", "sh", "-c", "echo $PCR0"
        result = self.among_mounts(mount, *command, TMPDIR="", HOME="/none")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.strip()), 96)
        mount += "; mount -t tmpfs -o size=16k tmpfs /dev/shm"
        self.one_line(self.among_mounts(mount, *command, TMPDIR=""), 125,
                      "/tmp", "TMPDIR")

    @harness.needs_mounts
    def test_read_only(self):
        """The same as with the option --read-only of container engines"""
        mount = "mount -o remount,bind,ro /"
        if os.path.ismount("/tmp"):
            mount += "; mount -o remount,bind,ro /tmp"
        result = self.among_mounts(mount, PROGRAM,
                                   harness.HELLO, "--", "true", TMPDIR="")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_without_user_namespaces(self):
        """The program works without user namespaces, as in some containers."""
        command = PROGRAM, harness.HELLO, "--", "true"
        # If unshare is refused, there are no user namespaces here.
        if self.call("unshare", "--user", "true").returncode == 0:
            command = ("unshare", "--user", "--map-root-user", "sh", "-euc",
                       "echo 0 > /proc/sys/user/max_user_namespaces;"
                       ' ! unshare -U true; exec "$@"', "sh", *command)
        result = self.call(*command)
        self.assertEqual(result.returncode, 0, result.stderr)


class Entry(Case):
    """The entry point of the container image"""

    def setUp(self):
        super().setUp()
        self.env["PATH"] = f"{harness.TOP / 'ci'}:{self.env['PATH']}"

    def test_run(self):
        result = self.call(ENTRY, "run", harness.HELLO, "--memory", 256,
                           "--listen", f"unix:{self.dir}/l:9001", "--", "sh", "-c",
                           f"test -S {self.dir}/l && exit 3")
        self.assertEqual(result.returncode, 3, result.stderr)

    def test_others(self):
        self.assertIn("run IMAGE.eif", self.call(ENTRY).stdout)
        self.assertEqual(self.call(ENTRY, "sh", "-c", "exit 4").returncode, 4)
        self.one_line(self.call(ENTRY, "not-there"), 127, "not-there")
        self.one_line(self.call(ENTRY, "run", "/not/there.eif"), 125,
                      "/not/there.eif")


class Action(Case):
    def step(self, **inputs):
        output = self.dir / "output"
        for name in ("output", "env", "summary"):
            (self.dir / name).write_text("")
        result = self.call(
            STEP, GITHUB_OUTPUT=str(output), RUNNER_TEMP=str(self.dir / "RUN"),
            GITHUB_ENV=str(self.dir / "env"),
            GITHUB_STEP_SUMMARY=str(self.dir / "summary"),
            **{"INPUT_" + name.upper(): value
               for name, value in inputs.items()})
        return result, dict(line.split("=", 1)
                            for line in output.read_text().splitlines())

    def test_names(self):
        """The step passes on every input of action.yml, and sets every output.
        """
        text = (harness.TOP / "action.yml").read_text()
        step = STEP.read_text()
        for name in re.findall(r"inputs\.([a-z-]+)", text):
            self.assertIn("INPUT_" + name.upper().replace("-", "_"),
                          step.replace("${option^^}", "CONNECT INPUT_LISTEN"))
        self.assertEqual(
            set(re.findall(r"outputs\.([a-z0-9-]+)", text)),
            {"pcr0", "pcr1", "pcr2", "root-certificate", "console",
             "vsock", "cid"})

    def test_command(self):
        result, outputs = self.step(
            eif=str(harness.HELLO), memory="256",
            command=f'"{harness.TOP}/scripts/attest" "$ENCLAVE_VSOCK" document\n'
                    'echo "$PCR0" > pcr0\nfalse\necho not here\n')
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertNotIn("not here", result.stdout)
        self.assertIn("::error::", result.stdout)
        self.assertEqual(outputs["pcr0"],
                         (self.dir / "pcr0").read_text().strip())
        self.assertIn("BEGIN CERTIFICATE", pathlib.Path(
            outputs["root-certificate"]).read_text())
        self.assertIn("hello:", pathlib.Path(outputs["console"]).read_text())
        # If the enclave has ended, later steps get no variables.
        self.assertNotIn("vsock", outputs)
        self.assertEqual((self.dir / "env").read_text(), "")
        summary = (self.dir / "summary").read_text()
        self.assertIn(f"| PCR0 | `{outputs['pcr0']}` |", summary)
        self.assertIn("| status | 1 |", summary)

    def test_keep(self):
        """Later steps find the enclave through the runner's files."""
        result, outputs = self.step(eif=str(harness.HELLO), keep="true")
        self.addCleanup(self.call, PROGRAM, "--end",
                        self.dir / "RUN/nitro-enclave")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        env = dict(line.split("=", 1) for line in
                   (self.dir / "env").read_text().splitlines())
        self.assertEqual(env["ENCLAVE_VSOCK"], outputs["vsock"])
        self.assertEqual(env["PCR0"], outputs["pcr0"])
        self.assertEqual(self.call(
            harness.TOP / "scripts/attest", outputs["vsock"],
            "document").returncode, 0)
        self.assertEqual(self.call(PROGRAM, "--end", pathlib.Path(
            outputs["console"]).parent).returncode, 0)

    def test_archive(self):
        """A container image is converted to an enclave image first."""
        program = self.file("x.c", b"#include <unistd.h>\n"
                            b"int main(void) { return sleep(2) != 0; }")
        subprocess.run(["cc", "-static", "-o", self.dir / "x", program],
                       check=True)
        layer = build.tar([build.directory("bin"), build.entry(
            "bin/run", (self.dir / "x").read_bytes(), mode=0o755)])
        archive = self.file("app.tar", build.docker([layer]))
        result, outputs = self.step(docker_archive=str(archive))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(len(outputs["pcr0"]), 96)

    def test_refused(self):
        other = self.dir / "other"
        other.mkdir()
        (other / "qemu-nitro-cli_1+deb99_amd64.deb").write_bytes(b"")
        for inputs in ({}, {"eif": "a", "docker_archive": "b"},
                       {"eif": "a", "debug": "yes"},
                       {"eif": "a", "keep": "1"},
                       {"eif": "a", "packages": "/not/there"},
                       {"eif": "a", "packages": str(self.dir)},
                       {"eif": "a", "packages": str(other)},
                       {"docker_archive": "/not/there"},
                       {"eif": "/not/there"}):
            result, outputs = self.step(**inputs)
            self.assertEqual((result.returncode, outputs), (125, {}), inputs)
            self.assertIn("::error::", result.stdout)


if __name__ == "__main__":
    harness.main()
