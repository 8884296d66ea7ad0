"""ci/qemu-nitro-test and the step of action.yml, as a runner calls them"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import re
import subprocess

import cli_build_test as build
import harness

PROGRAM = harness.TOP / "ci/qemu-nitro-test"
STEP = harness.TOP / "ci/action"


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


class Program(Case):
    def test_command(self):
        """It has the enclave in its environment; its status is ours."""
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
        """Without a command, until it ends; before a command does: 125."""
        image = self.ending_image()
        result = self.call(PROGRAM, image)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Hello from the enclave", result.stdout)
        result = self.call(PROGRAM, image, "--", "sleep", "8")
        self.assertEqual(result.returncode, 125)
        self.assertIn("Hello from the enclave", result.stderr)

    def ending_image(self):
        """The sample, which ends without waiting for anybody"""
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
        """What is ours is told apart from what is the command's."""
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
            result = self.call(PROGRAM, *args)
            self.assertEqual(result.returncode, status, args)
            self.assertIn(word, result.stderr)

    def test_full_disk(self):
        result = self.call(PROGRAM, harness.HELLO, "--", "true",
                           TMPDIR="/proc/none")
        self.assertEqual(result.returncode, 125)
        self.assertIn("/proc/none", result.stderr)


class Action(Case):
    def step(self, **inputs):
        output = self.dir / "output"
        output.write_text("")
        result = self.call(
            STEP, GITHUB_OUTPUT=str(output), RUNNER_TEMP=str(self.dir / "RUN"),
            **{"INPUT_" + name.upper(): value
               for name, value in inputs.items()})
        return result, dict(line.split("=", 1)
                            for line in output.read_text().splitlines())

    def test_names(self):
        """The step gets every input of action.yml, and gives every output."""
        text = (harness.TOP / "action.yml").read_text()
        step = STEP.read_text()
        for name in re.findall(r"inputs\.([a-z-]+)", text):
            self.assertIn("INPUT_" + name.upper().replace("-", "_"),
                          step.replace("${option^^}", "CONNECT INPUT_LISTEN"))
        self.assertEqual(
            set(re.findall(r"outputs\.([a-z0-9-]+)", text)),
            {"pcr0", "pcr1", "pcr2", "root-certificate", "console"})

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

    def test_archive(self):
        """A container image becomes an enclave image first."""
        program = self.file("x.c", b"#include <unistd.h>\n"
                            b"int main(void) { return sleep(2) != 0; }")
        subprocess.run(["cc", "-static", "-o", self.dir / "x", program],
                       check=True)
        layer = build.tar([build.folder("bin"), build.entry(
            "bin/run", (self.dir / "x").read_bytes(), mode=0o755)])
        archive = self.file("app.tar", build.docker([layer]))
        result, outputs = self.step(docker_archive=str(archive))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(len(outputs["pcr0"]), 96)

    def test_refused(self):
        for inputs in ({}, {"eif": "a", "docker_archive": "b"},
                       {"eif": "a", "debug": "yes"},
                       {"docker_archive": "/not/there"},
                       {"eif": "/not/there"}):
            result, outputs = self.step(**inputs)
            self.assertEqual((result.returncode, outputs), (125, {}), inputs)
            self.assertIn("::error::", result.stdout)


if __name__ == "__main__":
    harness.main()
