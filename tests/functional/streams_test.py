"""Standard input, output and error that are closed, full or have no reader, and
a limit of the size of files"""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import resource
import signal
import socket
import subprocess
import time

import cli_run_test
import harness

STREAMS = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
# Each of them, and several at once
CLOSED = (["stdout"], ["stderr"], ["stdin", "stdout"],
          ["stdout", "stderr"], ["stdin", "stdout", "stderr"])


class Case(cli_run_test.Case):
    def setUp(self):
        super().setUp()
        self.root = self.dir / "root/bin"
        self.root.mkdir(parents=True)
        (self.root / "hello").write_bytes(b"hello")
        self.build = ["build-enclave", "--rootfs", self.root.parent, "--cmd",
                      "/bin/hello", "--output-file"]
        self.image = self.dir / "image.eif"

    def shell(self, redirections, *command, **kwargs):
        """Run a command with the redirections of a shell."""
        return subprocess.run(
            ["bash", "-c", f'"$@" {redirections}', "bash",
             *map(str, command)], check=False, timeout=240, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, **kwargs)

    def cli(self, redirections, *options, **kwargs):
        return self.shell(redirections, harness.NITRO_CLI, *options, **kwargs)


class Closed(Case):
    def test_image(self):
        """No message gets into a file that is written."""
        self.ok(*self.build, self.image)
        good = self.image.read_bytes()
        for closed in CLOSED:
            with self.subTest(closed=closed):
                self.image.unlink()
                result = self.cli(" ".join(STREAMS[s] for s in closed),
                                  *self.build, self.image)
                # The measurements cannot be printed.
                self.assertEqual(result.returncode,
                                 19 if "stdout" in closed else 0)
                self.assertEqual(len(self.image.read_bytes()), len(good))
                self.ok("describe-eif", "--eif-path", self.image)

    def test_lock(self):
        for closed in CLOSED:
            with self.subTest(closed=closed):
                result = self.cli(" ".join(STREAMS[s] for s in closed),
                                  "describe-enclaves")
                self.assertEqual(result.returncode,
                                 19 if "stdout" in closed else 0)
                self.assertEqual((self.state / "lock").read_bytes(), b"")

    def test_events(self):
        events = self.dir / "events"
        result = self.shell("2>&-", harness.VSOCK, "--socket",
                            "/nonexistent/socket", "--events", events)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(events.read_bytes(), b"")

    def test_enclave(self):
        """The caller has not got the enclave's id, so it is ended."""
        for closed in CLOSED:
            with self.subTest(closed=closed):
                result = self.cli(
                    " ".join(STREAMS[s] for s in closed), "run-enclave",
                    "--eif-path", harness.HELLO, "--memory", 128,
                    "--cpu-count", 1)
                if "stdout" not in closed:
                    self.assertEqual(result.returncode, 0)
                    self.ok("terminate-enclave", "--enclave-id",
                            json.loads(result.stdout)["EnclaveID"])
                else:
                    self.assertEqual(result.returncode, 19, result.stderr)
                self.nothing_left()

    def test_parent(self):
        """The calls of the program work, and nothing goes on after it."""
        program = self.dir / "program.py"
        program.write_text(
            "import os, socket\n"
            "s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
            "s.bind((socket.VMADDR_CID_ANY, 5005))\n"
            "s.listen()\n"
            "c = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
            "c.connect((1, 5005))\n"
            "open(os.environ['RESULT'], 'w').write('connected')\n")
        for closed in CLOSED:
            with self.subTest(closed=closed):
                result_file = self.dir / "result"
                self.env["RESULT"] = str(result_file)
                result = self.cli(" ".join(STREAMS[s] for s in closed),
                                  "parent", "python3", program)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(result_file.read_text(), "connected")
                result_file.unlink()
                end = time.monotonic() + 20
                while self.processes() and time.monotonic() < end:
                    time.sleep(0.1)
                self.assertEqual(self.processes(), {})
                self.assertEqual(list(self.state.glob("parent/*.stream")), [])


class Full(Case):
    def refuses(self, *options, code=19):
        result = self.cli("> /dev/full", *options)
        self.explained(result, code, ["standard output"])
        return result.stderr

    def test_console(self):
        enclave = self.start("--debug-mode")
        self.refuses("console", "--enclave-id", enclave["EnclaveID"],
                     "--disconnect-timeout", 1, code=46)

    def test_help(self):
        self.refuses("--help")
        result = self.shell("> /dev/full", harness.VSOCK, "--help")
        self.assertEqual(result.returncode, 2)
        self.assertIn("standard output", result.stderr)

    def test_what_was_written(self):
        """An error about the result says that the image was written."""
        self.assertIn(str(self.image), self.refuses(*self.build, self.image))
        self.ok("describe-eif", "--eif-path", self.image)


class NoReader(Case):
    def test_run_enclave(self):
        """The id went to a pipe without a reader: the enclave is ended."""
        result = self.cli("| true", "run-enclave", "--eif-path", harness.HELLO,
                          "--memory", 128, "--cpu-count", 1)
        self.assertIn("[ E19 ] ", result.stderr)
        self.nothing_left()

    def test_no_reader_of_messages(self):
        """The id reaches the caller, so the enclave stays."""
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", harness.HELLO,
             "--memory", "128", "--cpu-count", "1"], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer,
            check=False, timeout=240)
        os.close(writer)
        self.assertEqual(result.returncode, 0)
        self.ok("terminate-enclave", "--enclave-id",
                json.loads(result.stdout)["EnclaveID"])


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


class FileSize(Case):
    """RLIMIT_FSIZE (ulimit -f): an error and not the signal SIGXFSZ"""

    def test_written_files(self):
        root = self.dir / "root.pem"
        self.assertEqual(self.call("attestation-root").returncode, 0)
        for path, options in ((self.image, [*self.build, self.image]),
                              (root, ["attestation-root", "--output", root])):
            with self.subTest(path=path):
                self.fails(19, ["File too large"], *options,
                           preexec_fn=limit_files)
                self.assertFalse(path.exists())
        self.assertEqual([p.name for p in self.dir.iterdir()
                          if "qemu-nitro" in p.name], [])

    def test_first_root(self):
        self.fails(19, ["File too large"], "attestation-root",
                   preexec_fn=limit_files)
        self.assertEqual(self.call("attestation-root").returncode, 0)

    def test_run_enclave(self):
        self.assertEqual(self.call("attestation-root").returncode, 0)
        result = self.call("run-enclave", "--eif-path", harness.HELLO,
                           "--memory", 128, "--cpu-count", 1,
                           preexec_fn=limit_files)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(result.returncode, 19, result.stderr)
        self.nothing_left()

    def test_program_of_the_parent_has_the_signal(self):
        """Programs get the dispositions of signals that the command got."""
        result = self.call("parent", "sh", "-c", "ulimit -f 0; echo x >"
                           f" {self.dir}/x")
        self.assertEqual(result.returncode, -signal.SIGXFSZ)

    def test_events(self):
        """The daemon loses events and goes on."""
        daemon = self.spawn(
            harness.VSOCK, "--socket", self.dir / "qemu", "--uds-path",
            self.dir / "uds", "--events", self.dir / "events",
            preexec_fn=limit_files)
        self.wait_for(self.dir / "uds")
        for _ in range(2):
            daemon.send_signal(signal.SIGUSR1)
            time.sleep(0.2)
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.dir / "uds"))
        self.assertIsNone(daemon.poll())


class EventsOnFullDisk(cli_run_test.SmallDisk):
    OPTIONS = "size=64k,mode=700"

    def test_whole_lines(self):
        """After a full disk, all lines of the events are JSON."""
        events = self.room / "events"
        daemon = self.spawn(
            harness.VSOCK, "--socket", self.dir / "qemu", "--events", events)
        self.wait_for(self.dir / "qemu")
        fill = self.room / "fill"

        def count():
            """Write a line.  The size of the file, when it no longer grows"""
            daemon.send_signal(signal.SIGUSR1)
            time.sleep(0.1)
            return events.stat().st_size

        line = count()
        for _ in range(100):
            if count() >= 4096 - line // 2:
                break
        # The last page of the file has room for a part of a line.
        with open(fill, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        for _ in range(2 + 4096 // line):
            count()
        self.assertNotEqual(events.read_bytes()[-1:], b"\n")
        fill.unlink()
        count()
        lines = [json.loads(x) for x in events.read_text().splitlines()]
        self.assertIn("lost", [x["event"] for x in lines])
        self.assertIsNone(daemon.poll())


if __name__ == "__main__":
    harness.main()
