"""The README is right: the output of ./run, and the commands of the tour"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re
import signal
import subprocess

import attestation
import cli_run_test
import harness

README = (harness.TOP / "README.md").read_text(encoding="utf-8")


def plain(text, top=harness.TOP, build=harness.BUILD):
    """Remove the parts of a transcript that differ between runs or are not in
    the README: hashes, ids, directories, the kernel's version, the command
    line."""
    for directory, name in ((build, "build"), (top, ".")):
        text = text.replace(str(directory), name)
    text = text.replace("./scripts", "scripts")
    text = re.sub(r"\b[0-9a-f]{8}(\.\.\.|[0-9a-f]{9,}(-enc[0-9a-f]+)?)", "HEX",
                  text)
    text = re.sub(r"/\S*/qemu-nitro(-\d+)?/", "RUNTIME/", text)
    text = re.sub(r"/tmp/[^/ ]+/", "TMP/", text)
    text = re.sub(r"(?m)^(hello: (Linux|command line:)) .*", r"\1", text)
    text = re.sub(r"\d+ MiB of memory", "N MiB of memory", text)
    return text.strip()


class Transcript(harness.Case):
    def test_run(self):
        """./run prints the text in the README."""
        shown = next(block for block in
                     re.findall(r"^```\n(.*?)^```$", README, re.M | re.S)
                     if "attestation-root" in block)
        env = {**os.environ, "BUILD": str(harness.BUILD), "TMPDIR": "/tmp",
               "NITRO_CLI_ACCEL": "tcg", "NITRO_CLI_CPUS": "3"}
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            # This is short, because the paths of sockets are limited.
            (self.dir / name[4:8]).mkdir(mode=0o700)
            env[name] = str(self.dir / name[4:8])
        result = subprocess.run(
            [harness.TOP / "run"], env=env, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(result.returncode, 0, result.stdout)
        output = plain(result.stdout)
        self.assertEqual(output[output.index("$ "):], plain(shown))


class Signals(cli_run_test.Case):
    """A signal to ./run alone ends all that it started."""

    def ends(self, signal_number, word, *options):
        """Send the signal when `word` was printed."""
        process = subprocess.Popen(
            [harness.TOP / "run", *options], env={
                **self.env, "BUILD": str(harness.BUILD),
                "TMPDIR": str(self.dir)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        output = b""
        while word not in output:
            data = os.read(process.stdout.fileno(), 4096)
            self.assertTrue(data, output)
            output += data
        process.send_signal(signal_number)
        # All programs that write there end.
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + signal_number)
        self.assertEqual(list(self.dir.glob("tmp.*")), [])
        self.nothing_left()

    def test_sample(self):
        self.ok("describe-enclaves")
        for number, word in (
                (signal.SIGTERM, b"run-enclave"), (signal.SIGHUP, b" console "),
                (signal.SIGTERM, b"attestation-root"),
                (signal.SIGINT, b"run-enclave")):
            with self.subTest(signal=number, word=word):
                self.ends(number, word)

    def test_image(self):
        self.ok("describe-enclaves")
        for number, word in ((signal.SIGTERM, b"qemu-system-x86_64"),
                             (signal.SIGHUP, b"Hello from the enclave")):
            with self.subTest(signal=number, word=word):
                self.ends(number, word, harness.HELLO)


class Tour(harness.Case):
    def test_tour(self):
        tour = README.partition("\n## The tour\n")[2].partition("\n## ")[0]
        blocks = re.findall(r"^```sh\n(.*?)^```$", tour, re.M | re.S)
        self.assertGreater(len(blocks), 4)
        for name in ("guest", "scripts"):
            (self.dir / name).symlink_to(harness.TOP / name)
        (self.dir / "build").symlink_to(harness.BUILD)
        env = {**os.environ, "NITRO_CLI_ACCEL": "tcg"}
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            (self.dir / name[4:8]).mkdir(mode=0o700)
            env[name] = str(self.dir / name[4:8])
        self.addCleanup(subprocess.run, [
            harness.NITRO_CLI, "terminate-enclave", "--all"], check=False,
            env=env, stdout=subprocess.DEVNULL)
        # The output of each block is marked; it may be JSON in several pieces.
        script = "".join(f"echo '=== {i}'\n{block}"
                         for i, block in enumerate(blocks))
        result = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=self.dir, env=env, check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        output = re.split(r"^=== \d+\n", result.stdout, flags=re.M)[1:]
        self.assertIn('"PCR0"', output[0])
        self.assertIn('"SignatureCheck": true', output[1])
        self.assertIn("hello: Hello from the enclave!", output[2])
        self.assertIn('"State": "RUNNING"', output[3])
        payload = attestation.check_document(
            (self.dir / "tour/another-document").read_bytes(),
            (self.dir / "tour/root.pem").read_bytes())
        self.assertEqual(payload["nonce"], b"a nonce of 16 by")
        self.assertIn('"Verified": true', output[5])
        self.assertIn('"Terminated": true', output[5])
        self.assertEqual(sorted(os.listdir(self.dir / "RUNT/qemu-nitro")),
                         ["lock", "parent"])
        self.assertEqual(os.listdir(self.dir / "RUNT/qemu-nitro/parent"),
                         ["lock"])


if __name__ == "__main__":
    harness.main()
