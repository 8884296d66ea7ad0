"""qemu-nitro-cli's commands on running enclaves, called as a user calls them
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import errno
import json
import os
import pathlib
import pty
import pwd
import random
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest

import attestation
import harness
from signing import Signer, sections, signed

ID = re.compile(r"i-[0-9a-f]{17}-enc[0-9a-f]{16}")
NOBODY = 65534
MEMORY = ("--memory", "128")


class Case(harness.Case):
    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "NITRO_CLI_ACCEL": "tcg",
                    "NITRO_CLI_CPUS": "8"}
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            path = self.dir / name[4:8].lower()
            path.mkdir(mode=0o700)
            self.env[name] = str(path)
        self.state = self.dir / "runt/qemu-nitro"
        self.addCleanup(self.call, "terminate-enclave", "--all")

    def call(self, *options, timeout=180, **kwargs):
        return subprocess.run(
            [str(harness.NITRO_CLI), *map(str, options)], check=False,
            timeout=timeout, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**self.env, **kwargs.pop("env", {})}, **kwargs)

    def ok(self, *options, **kwargs):
        """The output, which is JSON in the layout of AWS's nitro-cli"""
        result = self.call(*options, **kwargs)
        self.assertEqual(result.returncode, 0, result.stderr)
        output = json.loads(result.stdout)
        self.assertEqual(result.stdout, json.dumps(output, indent=2) + "\n")
        return output

    def fails(self, code, words, *options, **kwargs):
        """The last two lines are an error and advice.  Returns standard error.
        """
        result = self.call(*options, **kwargs)
        self.explained(result, code, words)
        return result.stderr

    def start(self, *options, image=None, **kwargs):
        return self.ok("run-enclave", "--eif-path", image or harness.HELLO,
                       *MEMORY, "--cpu-count", 1, *options, **kwargs)

    def enclaves(self):
        return self.ok("describe-enclaves")

    def processes(self):
        """The processes of this test's enclaves"""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                line = (path / "cmdline").read_bytes()
                environ = (path / "environ").read_bytes()
            except OSError:
                continue
            if line and f"XDG_RUNTIME_DIR={self.dir}".encode() in environ:
                found[int(path.name)] = line.decode(errors="replace")
        return found

    def nothing_left(self):
        end = time.monotonic() + 30
        # A killed process may take a moment to close its files.
        while (self.processes() or self.enclaves()) and \
                time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(self.processes(), {})
        self.assertEqual(self.enclaves(), [])
        self.assertEqual(os.listdir(self.state), ["lock"])

    def directory(self, enclave):
        return self.state / enclave["EnclaveID"]

    def ask(self, enclave, nonce):
        """Get an attestation document from the sample."""
        s = self.uds_connect(self.directory(enclave) / "vsock.sock", 9001)
        s.sendall(nonce)
        s.shutdown(socket.SHUT_WR)
        document = b""
        while data := s.recv(65536):
            document += data
        return document


class Life(Case):
    def test_life(self):
        run = self.ok(
            "run-enclave", "--eif-path", harness.HELLO, "--memory", "128M",
            "--cpu-count", "2", "--enclave-name", "one", "--enclave-cid", "77")
        self.assertRegex(run["EnclaveID"], ID)
        expected = {
            "EnclaveName": "one", "EnclaveID": run["EnclaveID"],
            "ProcessID": run["ProcessID"], "EnclaveCID": 77,
            "NumberOfCPUs": 2, "CPUIDs": run["CPUIDs"], "MemoryMiB": 128}
        self.assertEqual(run, expected)
        self.assertEqual(list(run), list(expected))
        self.assertEqual(len(run["CPUIDs"]), 2)

        image = json.loads(self.call("describe-eif", "--eif-path",
                                     harness.HELLO).stdout)
        expected = {**run, "State": "RUNNING", "Flags": "NONE",
                    "Measurements": image["Measurements"]}
        self.assertEqual(self.enclaves(), [expected])
        self.assertEqual(list(self.enclaves()[0]), list(expected))
        self.assertEqual(self.ok("describe-enclaves", "--metadata"), [
            {**expected, "ImageName": "hello", "ImageVersion": "1",
             "Metadata": image["Metadata"]}])

        self.assertEqual(
            self.ok("terminate-enclave", "--enclave-id", run["EnclaveID"]),
            {"EnclaveName": "one", "EnclaveID": run["EnclaveID"],
             "Terminated": True})
        self.nothing_left()

    def test_lines_of_aws(self):
        """The lines that scripts look for"""
        result = self.call("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
                           "--cpu-count", "1", "--debug-mode")
        enclave = json.loads(result.stdout)
        lines = result.stderr.splitlines()
        self.assertEqual(lines[:2], [
            "Start allocating memory...",
            "Started enclave with enclave-cid: 16, memory: 128 MiB, "
            f"cpu-ids: {enclave['CPUIDs']}"])
        result = self.call("console", "--enclave-name", "hello",
                           "--disconnect-timeout", "0")
        self.assertEqual(result.stdout.splitlines()[:2], [
            "Connecting to the console for enclave 16...",
            "Successfully connected to the console."])
        result = self.call("terminate-enclave", "--all", env={
            name: "/dev/null" for name in (
                "NITRO_CLI_ARTIFACTS", "NITRO_CLI_SOCKETS_PATH",
                "NITRO_CLI_LOGS_PATH", "BACKTRACE", "RUST_LOG")})
        self.assertEqual(result.stderr.splitlines(), [
            f"Successfully terminated enclave {enclave['EnclaveID']}."])

    def test_names_cids_and_cpus(self):
        one, two = self.start(), self.start()
        self.assertEqual(one["EnclaveName"], "hello")
        self.assertEqual(two["EnclaveName"], "hello_1")
        self.assertEqual((one["EnclaveCID"], two["EnclaveCID"]), (16, 17))
        self.assertNotEqual(one["CPUIDs"], two["CPUIDs"])
        run = ("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
               "--cpu-count", "1")
        self.fails(3, [16], *run, "--enclave-cid", "16")
        self.assertEqual(len(self.enclaves()), 2)
        ended = self.ok("terminate-enclave", "--enclave-name", "hello_1")
        self.assertEqual(ended["EnclaveID"], two["EnclaveID"])
        self.assertEqual([e["EnclaveID"] for e in self.enclaves()],
                         [one["EnclaveID"]])

    def test_ten_at_once(self):
        running = [subprocess.Popen(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", harness.HELLO,
             *MEMORY, "--cpu-count", "1"], env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(10)]
        started = []
        for process in running:
            out, err = process.communicate(timeout=240)
            self.assertEqual(process.returncode, 0, err)
            started.append(json.loads(out))
        for key in ("EnclaveID", "EnclaveName", "EnclaveCID", "ProcessID"):
            self.assertEqual(len({e[key] for e in started}), 10, key)
        self.assertEqual({e["State"] for e in self.enclaves()}, {"RUNNING"})
        for enclave in started:
            self.assertTrue(self.ask(enclave, b"n"))
        ended = self.ok("terminate-enclave", "--all")
        self.assertEqual({e["EnclaveID"] for e in ended},
                         {e["EnclaveID"] for e in started})
        self.assertEqual({e["Terminated"] for e in ended}, {True})
        self.nothing_left()

    def test_paths(self):
        """Characters with a meaning in QEMU's options can be part of a path.
        """
        directory = self.dir / ",= "
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            self.env[name] = str(directory / name[4])
            (directory / name[4]).mkdir(mode=0o700, parents=True)
        self.state = directory / "R/qemu-nitro"
        image = directory / "i,m=a g.eif"
        shutil.copy(harness.HELLO, image)
        enclave = self.start(image=image)
        self.assertEqual(enclave["EnclaveName"], "i,m=a g")
        attestation.check_document(
            self.ask(enclave, b"n"),
            self.call("attestation-root").stdout.encode())
        self.ok("terminate-enclave", "--all")
        self.nothing_left()

    def test_config(self):
        config = {"eif_path": str(harness.HELLO), "memory_mib": 128,
                  "cpu_ids": [5, 7], "enclave_name": "c", "enclave_cid": 99,
                  "debug_mode": True, "unknown": [1]}
        path = self.file("config.json", json.dumps(config).encode())
        result = self.call("run-enclave", "--config", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        run = json.loads(result.stdout)
        # As on EC2, unknown keys are ignored.
        self.assertEqual(
            [line for line in result.stderr.splitlines()
             if line.startswith("warning: ")],
            [f"warning: {path}: unknown is not a known key, and is ignored"])
        self.assertEqual((run["EnclaveName"], run["EnclaveCID"],
                          run["CPUIDs"]), ("c", 99, [5, 7]))
        self.assertEqual(self.enclaves()[0]["Flags"], "DEBUG_MODE")
        self.fails(2, ["--config"], "run-enclave", "--config", path,
                   "--memory", "64")
        for change, code in (({"memory_mib": None}, 1), ({"cpu_ids": None}, 1),
                             ({"cpu_count": 1}, 2), ({"memory_mib": "x"}, 3),
                             ({"enclave_cid": 3}, 3)):
            bad = {k: v for k, v in {**config, **change}.items()
                   if v is not None}
            path = self.file("bad.json", json.dumps(bad).encode())
            key = "cpu_count" if "cpu_ids" in change else next(iter(change))
            self.fails(code, [path, key], "run-enclave", "--config", path)
        # null means that the option is not given, as for AWS's nitro-cli.
        path = self.file("null.json", json.dumps({
            **config, "cpu_ids": None, "cpu_count": 1, "enclave_name": None,
            "enclave_cid": None, "debug_mode": None,
            "attach_console": None}).encode())
        run = self.ok("run-enclave", "--config", path)
        self.assertEqual((run["EnclaveName"], run["EnclaveCID"],
                          run["NumberOfCPUs"]), ("hello", 16, 1))
        self.fails(17, ["text"], "run-enclave", "--config",
                   self.file("text", b"{"))
        self.fails(19, ["gone"], "run-enclave", "--config", self.dir / "gone")

    def test_vsock_options(self):
        """The user's own sockets are connected to the enclave."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config = self.file("config.json", json.dumps({
            "eif_path": str(harness.HELLO), "memory_mib": 128, "cpu_count": 1,
            "listen": ["unix:in.sock:9001", f"tcp::{port}:9001"],
            "connect": ["7:unix:out.sock"]}).encode())
        run = self.ok("run-enclave", "--config", config, cwd=self.dir)
        self.ask(run, b"n")         # from now on the socket listens
        self.assertEqual(self.enclaves()[0]["Vsock"], {
            "Connect": [f"7:unix:{self.dir}/out.sock"],
            "Listen": [f"unix:{self.dir}/in.sock:9001",
                       f"tcp::{port}:9001"]})
        root = self.call("attestation-root").stdout.encode()
        for family, address in ((socket.AF_UNIX, f"{self.dir}/in.sock"),
                                (socket.AF_INET, ("127.0.0.1", port))):
            with socket.socket(family) as s:
                s.settimeout(60)
                s.connect(address)
                s.sendall(b"n")
                s.shutdown(socket.SHUT_WR)
                document = b""
                while data := s.recv(65536):
                    document += data
            payload = attestation.check_document(document, root)
            self.assertEqual(payload["nonce"], b"n")
        run = ("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
               "--cpu-count", 1)
        self.fails(36, ["back end"], *run, "--listen",
                   f"unix:{self.dir}/none/socket:1")
        self.assertEqual(len(self.enclaves()), 1)
        for code, words in (
                (3, ("--connect", "x")), (3, ("--listen", "unix:/a")),
                (3, ("--connect", "9000:unix:/a")),
                (3, ("--forward-cid", "0")), (1, ("--forward-listen", "1")),
                (2, ("--connect", "1:unix:/a", "--connect", "1:unix:/b"))):
            self.fails(code, [words[0]], *run, *words)
        self.fails(2, ["--listen"], "run-enclave", "--config", config,
                   "--listen", "unix:/a:1")

    def test_proxy_config(self):
        """Only addresses in vsock-proxy's allow list can be connected to."""
        run = ("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
               "--cpu-count", 1, "--vsock-proxy-config")
        allowed = self.file("proxy.yaml", b"allowlist:\n"
                            b"- {address: LocalHost, port: 443}\n")
        self.fails(3, [allowed, "8001:tcp:localhost:444"], *run, allowed,
                   "--connect", "8000:tcp:localhost:443",
                   "--connect", "8001:tcp:localhost:444")
        self.fails(3, ["proxy2.yaml"], *run, self.file("proxy2.yaml", b"- a"))
        self.fails(19, ["none"], *run, self.dir / "none")
        config = self.file("config.json", json.dumps({
            "eif_path": str(harness.HELLO), "memory_mib": 128, "cpu_count": 1,
            "connect": ["8000:tcp:other.example:443"],
            "vsock_proxy_config": str(allowed)}).encode())
        self.fails(3, ["8000:tcp:other.example:443"], "run-enclave",
                   "--config", config)
        self.assertEqual(self.enclaves(), [])
        self.ok(*run, allowed, "--connect", "8001:unix:/none",
                "--connect", "8000:tcp:LOCALHOST:443")

    def test_forward_cid(self):
        """The enclave boots, or the back end names what the host lacks."""
        run = ("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
               "--cpu-count", "1", "--forward-cid", "1", "--forward-listen",
               "9001+9002")
        result = self.call(*run)
        if result.returncode:
            self.assertIn("vsock", self.fails(36, ["back end"], *run))
            return
        self.assertIn("\nIts vsock: AF_VSOCK, CID 1\n", result.stderr)
        self.assertEqual(self.enclaves()[0]["Vsock"], {
            "ForwardCID": 1, "ForwardListen": [9001, 9002]})

    def test_enclave_that_ends(self):
        """A reboot ends the enclave, as on EC2."""
        tree = self.dir / "tree"
        (tree / "bin").mkdir(parents=True)
        source = self.file("end.c", b"int main(void) { return 0; }")
        subprocess.run(["cc", "-static", "-o", tree / "bin/end", source],
                       check=True)
        image = self.dir / "end.eif"
        self.ok("build-enclave", "--rootfs", tree, "--cmd", "/bin/end",
                "--output-file", image)
        self.start(image=image)
        self.nothing_left()

    def test_booting(self):
        """An enclave is listed before its heartbeat, and can then be ended."""
        silent = self.file("silent.eif", harness.image())
        process = subprocess.Popen(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", silent, *MEMORY,
             "--cpu-count", "1"], env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while not any("Measurements" in e for e in self.enclaves()):
            self.assertLess(time.monotonic(), end)
        enclave = self.enclaves()[0]
        self.assertEqual((enclave["EnclaveName"], enclave["State"]),
                         ("silent", "EMPTY"))
        self.ok("terminate-enclave", "--enclave-name", "silent")
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (36, ""), err)
        self.nothing_left()

    def test_result_that_is_lost(self):
        """If the result cannot be printed, the enclave is ended."""
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run(
                [harness.NITRO_CLI, "run-enclave", "--eif-path", harness.HELLO,
                 *MEMORY, "--cpu-count", "1"], check=False, env=self.env,
                stdout=full, stderr=subprocess.PIPE, timeout=180)
        self.assertEqual(result.returncode, 19, result.stderr)
        self.nothing_left()

    def test_attestation(self):
        """All enclaves of a user have one root, and other users another."""
        root = self.call("attestation-root").stdout.encode()
        for _ in range(2):
            enclave = self.start()
            payload = attestation.check_document(
                self.ask(enclave, b"nonce"), root)
            self.assertEqual(payload["module_id"], enclave["EnclaveID"])
            self.assertNotEqual(payload["pcrs"][4], bytes(48))
        output = self.dir / "root.pem"
        result = self.call("attestation-root", "--output", output)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertEqual(output.read_bytes(), root)
        kept = self.dir / "data/qemu-nitro"
        self.assertEqual(stat.S_IMODE(kept.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((kept / "attestation-root.key")
                                      .stat().st_mode), 0o600)
        other = self.call("attestation-root", env={
            "XDG_DATA_HOME": str(self.dir / "other")}).stdout
        self.assertNotEqual(other.encode(), root)

    def test_debug_mode_is_attested(self):
        root = self.call("attestation-root").stdout.encode()
        payload = attestation.check_document(
            self.ask(self.start("--debug-mode"), b""), root)
        self.assertEqual(payload["pcrs"][0], bytes(48))
        # EC2 also shows the measurements of the image
        described = self.enclaves()[0]
        image = json.loads(self.call("describe-eif", "--eif-path",
                                     harness.HELLO).stdout)
        self.assertEqual(described["Measurements"], image["Measurements"])
        self.assertEqual(described["AttestedMeasurements"], "ZERO")

    def test_parent(self):
        """PCR3 and PCR4 measure the parent's role and id."""
        root = self.call("attestation-root").stdout.encode()
        role, parent = "arn:aws:iam::123456789012:role/a,b=c", \
            "i-0123456789abcdef0"
        config = self.file("config.json", json.dumps({
            "eif_path": str(harness.HELLO), "memory_mib": 128, "cpu_count": 1,
            "parent_role": role, "parent_id": parent}).encode())
        for enclave in (
                self.start("--parent-role", role, "--parent-id", parent),
                self.ok("run-enclave", "--config", config)):
            self.assertTrue(enclave["EnclaveID"].startswith(parent + "-enc"))
            payload = attestation.check_document(self.ask(enclave, b""), root)
            for index, text in ((3, role), (4, parent)):
                self.assertEqual(payload["pcrs"][index],
                                 harness.sha384(bytes(48) + text.encode()))
            self.assertNotEqual(payload["pcrs"][0], bytes(48))
        self.fails(2, ["--parent-id"], "run-enclave", "--config", config,
                   "--parent-id", parent)

    def test_signed_image(self):
        parts = sections(harness.HELLO.read_bytes())
        signer = Signer()
        image = self.file("signed.eif", signed(parts, signer))
        self.start(image=image)
        self.assertEqual(self.enclaves()[0]["Measurements"]["PCR8"],
                         signer.pcr8())
        for name, data in (
                ("expired.eif", signed(parts, Signer(days=(-9, -1)))),
                ("other.eif", signed(parts, Signer(), bytes(48)))):
            self.fails(59, [name], "run-enclave", "--eif-path",
                       self.file(name, data), *MEMORY, "--cpu-count", "1")


    def test_progress(self):
        """Progress is shown on a terminal, but not in a pipe."""
        main, terminal = pty.openpty()
        self.addCleanup(os.close, main)
        command = [harness.NITRO_CLI, "run-enclave", "--eif-path",
                   harness.HELLO, *MEMORY, "--cpu-count", "1"]
        process = subprocess.Popen(command, env=self.env, stderr=terminal,
                                   stdout=subprocess.PIPE)
        os.close(terminal)
        seen = b""
        try:
            while data := os.read(main, 4096):
                seen += data
        except OSError:
            pass        # the other end is closed
        out, _ = process.communicate(timeout=180)
        self.assertEqual(process.returncode, 0, seen)
        self.assertGreater(seen.count(b"\r\x1b[K"), 1)
        self.assertTrue(json.loads(out))
        result = self.call(*command[1:])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("\x1b", result.stderr)
        self.assertNotIn("\r", result.stderr)


class Console(Case):
    def test_debug_mode(self):
        enclave = self.start("--debug-mode")
        console = ("console", "--enclave-id", enclave["EnclaveID"],
                   "--disconnect-timeout", "2")
        first, second = self.call(*console), self.call(*console)
        self.assertIn("hello: Hello from the enclave!\n",
                      first.stdout.replace("\r", ""))
        self.assertEqual(first.stdout, second.stdout)

    def test_closed(self):
        enclave = self.start()
        self.fails(44, ["hello"], "console", "--enclave-id",
                   enclave["EnclaveID"])
        self.assertNotIn("console.log", os.listdir(self.directory(enclave)))

    def test_kept(self):
        """A user's log of an enclave that is not in debug mode"""
        log = self.dir / "log"
        log.write_bytes(b"old")
        enclave = self.start("--console-log", "log", cwd=self.dir)
        self.assertEqual(self.enclaves()[0]["Flags"], "NONE")
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        self.fails(19, [log], "run-enclave", "--eif-path", harness.HELLO,
                   *MEMORY, "--cpu-count", 1, "--console-log", log)
        self.ask(enclave, b"n")
        self.ok("terminate-enclave", "--all")
        text = log.read_bytes()
        self.assertNotIn(b"old", text)
        for line in (b"hello: Hello from the enclave!",
                     b"hello: gave a document"):
            self.assertIn(line, text)
        image = self.file("copy.eif", harness.HELLO.read_bytes())
        for path in (image, self.dir, "/dev/null", self.dir / "no/log"):
            self.fails(19, [path], "run-enclave", "--eif-path", image,
                       *MEMORY, "--cpu-count", 1, "--console-log", path)
        self.assertEqual(image.read_bytes(), harness.HELLO.read_bytes())
        self.nothing_left()

    def test_ends_with_the_enclave(self):
        enclave = self.start("--debug-mode")
        reader = subprocess.Popen(
            [harness.NITRO_CLI, "console", "--enclave-name", "hello"],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(reader.communicate)
        self.addCleanup(reader.kill)
        line = b"none"
        while b"Successfully connected" not in line:
            line = reader.stdout.readline()
            self.assertTrue(line)
        self.ask(enclave, b"n")
        self.ok("terminate-enclave", "--enclave-name", "hello")
        out, _ = reader.communicate(timeout=60)
        self.assertIn(b"hello: gave a document", out)
        self.assertEqual(reader.returncode, 0)

    def test_attach_and_interrupt(self):
        """Ctrl-C ends the console, but not the enclave."""
        process = subprocess.Popen(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", harness.HELLO,
             *MEMORY, "--cpu-count", "1", "--attach-console"], env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        seen = ""
        while "hello: attesting" not in seen:
            line = process.stdout.readline()
            self.assertTrue(line, seen)
            seen += line
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual([e["Flags"] for e in self.enclaves()],
                         ["DEBUG_MODE"])
        self.assertTrue(self.ask(self.enclaves()[0], b"n"))


class Killed(Case):
    """SIGKILL of any part leaves nothing, and the next command reports it."""

    def one(self, word):
        found = [pid for pid, line in self.processes().items() if word in line]
        self.assertEqual(len(found), 1, self.processes())
        return found[0]

    def test_qemu(self):
        self.start()
        os.kill(self.one("qemu-system"), signal.SIGKILL)
        self.nothing_left()

    def test_supervisor(self):
        enclave = self.start()
        os.kill(enclave["ProcessID"], signal.SIGKILL)
        self.nothing_left()
        self.assertEqual(self.start()["EnclaveName"], "hello")

    def test_stopped(self):
        """An enclave that does not react is also ended."""
        enclave = self.start()
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP)
        ended = self.ok("terminate-enclave", "--enclave-id",
                        enclave["EnclaveID"])
        self.assertIs(ended["Terminated"], True)
        self.nothing_left()

    def test_all_of_it(self):
        self.start()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.nothing_left()

    def test_while_it_boots(self):
        for delay in (0, 0.05, 0.3, 0.8):
            process = subprocess.Popen(
                [harness.NITRO_CLI, "run-enclave", "--eif-path",
                 harness.HELLO, *MEMORY, "--cpu-count", "1"], env=self.env,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            process.kill()
            process.wait()
            self.nothing_left()

    def test_parts_while_it_boots(self):
        """run-enclave names the part that was killed."""
        silent = self.file("silent.eif", harness.image())
        for command, part in (("qemu-system", "QEMU"),
                              ("vhost-user-vsock\0", "back end"),
                              ("qemu-nitro-cli", "supervisor")):
            process = subprocess.Popen(
                [harness.NITRO_CLI, "run-enclave", "--eif-path", silent,
                 *MEMORY, "--cpu-count", "1"], env=self.env, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            end = time.monotonic() + 60
            while not any("Measurements" in e for e in self.enclaves()):
                self.assertLess(time.monotonic(), end)
            for pid, line in self.processes().items():
                if command in line.partition(" ")[0] and pid != process.pid:
                    os.kill(pid, signal.SIGKILL)
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (36, ""), err)
            what, advice = err.splitlines()[-2:]
            self.assertIn(part, what)
            self.assertTrue(advice)
            self.nothing_left()

    def test_any_part_at_any_time(self):
        dice = random.Random(7)
        for _ in range(20):
            process = subprocess.Popen(
                [harness.NITRO_CLI, "run-enclave", "--eif-path",
                 harness.HELLO, *MEMORY, "--cpu-count", "1"], env=self.env,
                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.communicate)
            self.addCleanup(process.kill)
            time.sleep(dice.choice((0, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2)))
            # On a busy host, it may not have started yet.
            parts = self.processes() or {process.pid: ""}
            victim = dice.choice(sorted(parts))
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass        # it was about to end
            _, err = process.communicate(timeout=120)
            self.assertIn(process.returncode, (0, 36, -signal.SIGKILL),
                          (parts, victim, err))
            self.ok("terminate-enclave", "--all")
            self.nothing_left()

    def test_few_descriptors(self):
        """A command with too few descriptors prints an error, and ends
        nothing."""
        enclave = self.start()
        for command in (("describe-enclaves",),
                        ("console", "--enclave-name", "hello"),
                        ("terminate-enclave", "--enclave-name", "nobody")):
            for limit in range(3, 16):
                result = self.call(*command, preexec_fn=lambda n=limit:
                                   resource.setrlimit(
                                       resource.RLIMIT_NOFILE, (n, n)))
                if result.returncode == 0:
                    self.assertEqual(json.loads(result.stdout)[0]["EnclaveID"],
                                     enclave["EnclaveID"])
                else:
                    self.assertEqual(result.stdout, "")
        self.assertEqual([e["State"] for e in self.enclaves()], ["RUNNING"])
        self.assertTrue(self.ask(enclave, b"n"))

    def test_started_with_few_descriptors(self):
        """Too few are an error that names the limit; it leaves nothing."""
        run = ("run-enclave", "--eif-path", harness.HELLO, *MEMORY,
               "--cpu-count", "1")
        for limit in (8, 10, 14, 18, 22, 30, 50, 63):
            said = self.fails(19, [limit, "open files"], *run,
                              preexec_fn=lambda n=limit: resource.setrlimit(
                                  resource.RLIMIT_NOFILE, (n, n)))
            self.assertIn("ulimit -n", said)
            self.nothing_left()
        # A limit that the user may raise is raised.
        for limits in ((8, 64), (64, 64), (20, 2000)):
            self.ok(*run, preexec_fn=lambda n=limits: resource.setrlimit(
                resource.RLIMIT_NOFILE, n))
            self.ok("terminate-enclave", "--all")
            self.nothing_left()

    def test_directory_removed(self):
        enclave = self.start()
        shutil.rmtree(self.directory(enclave))
        self.assertEqual(self.enclaves(), [])
        self.nothing_left()


class BackEnd(Case):
    """The vsock back end dies, and the enclave keeps running."""
    AGENT = 9003                # the port of the guest's test program

    def back_ends(self):
        return [pid for pid, line in self.processes().items()
                if line.partition("\0")[0].endswith("vhost-user-vsock")]

    def kill(self):
        for pid in self.back_ends():
            os.kill(pid, signal.SIGKILL)

    def reach(self, enclave, port):
        """A connection to a port of the guest, once there is a back end"""
        end = time.monotonic() + 120
        while True:
            try:
                return self.uds_connect(self.directory(enclave) / "vsock.sock",
                                        port)
            except (ConnectionRefusedError, FileNotFoundError):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)

    def endless_transfer(self, enclave):
        """A connection on which the guest sends without an end"""
        control = self.reach(enclave, self.AGENT).makefile("rw")
        print("listen", 60, int(socket.SOCK_STREAM), 1 << 40, 0, file=control,
              flush=True)
        self.assertEqual(control.readline(), "listening\n")
        connection = self.reach(enclave, 60)
        for _ in range(20):
            self.assertNotEqual(connection.recv(65536), b"")
        return connection

    def drain(self, connection):
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def messages(self, enclave):
        found = [e for e in self.enclaves()
                 if e["EnclaveID"] == enclave["EnclaveID"]]
        self.assertEqual([e["State"] for e in found], ["RUNNING"])
        return found[0].get("Messages", [])

    def wait_for_message(self, enclave):
        end = time.monotonic() + 120
        while not self.messages(enclave):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_killed_in_mid_transfer(self):
        """Connections to listeners in the guest are possible again."""
        log = self.dir / "console.log"
        enclave = self.start("--console-log", log,
                             image=harness.app_image("vsock-agent"))
        self.assertEqual(self.messages(enclave), [])
        for _ in range(6):
            connection = self.endless_transfer(enclave)
            self.kill()
            self.drain(connection)
        self.endless_transfer(enclave)
        self.wait_for_message(enclave)
        # The message is in both places, once in each.
        message, = self.messages(enclave)
        self.assertEqual(log.read_text(errors="replace").count(message), 1)
        self.ok("terminate-enclave", "--enclave-id", enclave["EnclaveID"])
        self.nothing_left()

    def test_cannot_be_started_again(self):
        """A few starts are tried; the enclave keeps running without vsock."""
        programs = self.dir / "programs"
        programs.mkdir()
        for program in (harness.NITRO_CLI, harness.QEMU, harness.VSOCK):
            shutil.copy2(program, programs)
        run = subprocess.run(
            [programs / harness.NITRO_CLI.name, "run-enclave", "--eif-path",
             harness.HELLO, *MEMORY, "--cpu-count", "1", "--debug-mode"],
            env=self.env, check=True, stdout=subprocess.PIPE, timeout=180)
        enclave = json.loads(run.stdout)
        # The back end is in the supervisor's sandbox.
        starts = self.directory(enclave) / "starts"
        broken = self.dir / "broken"
        broken.write_text(f"#!/bin/sh\necho start >> {starts}\n"
                          "echo some reason >&2\nexit 3\n")
        broken.chmod(0o755)
        broken.rename(programs / harness.VSOCK.name)
        self.kill()
        self.wait_for_message(enclave)
        message, = self.messages(enclave)
        for word in ("status 3", "some reason"):
            self.assertIn(word, message)
        tries = starts.read_text().count("start")
        self.assertTrue(2 <= tries <= 10, tries)
        time.sleep(4)
        self.assertEqual(starts.read_text().count("start"), tries)
        self.assertEqual(self.messages(enclave), [message])
        # The reader of the console also gets the message.
        log = self.directory(enclave) / "console.log"
        self.assertIn(message, log.read_text(errors="replace"))
        self.ok("terminate-enclave", "--enclave-id", enclave["EnclaveID"])
        self.nothing_left()


@unittest.skipUnless(os.geteuid() == 0, "only root mounts a file system")
class SmallDisk(Case):
    """The state directory is on a small file system."""
    OPTIONS = "size=512k,mode=700"

    def setUp(self):
        super().setUp()
        self.room = self.state.parent
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", self.OPTIONS, "tmpfs", self.room],
            check=False)
        if mounted.returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.room],
                        check=True)
        self.addCleanup(self.call, "terminate-enclave", "--all")


class FullDisk(SmallDisk):
    def fill(self):
        with open(self.room / "fill", "ab", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)

    def state_of(self, enclave):
        found, = [e for e in self.enclaves()
                  if e["EnclaveID"] == enclave["EnclaveID"]]
        return found["State"]

    def test_enclave_goes_on(self):
        process = subprocess.Popen(
            [harness.NITRO_CLI, "run-enclave", "--eif-path", harness.HELLO,
             *MEMORY, "--cpu-count", "1"], env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        end = time.monotonic() + 60
        while not list(self.state.glob("i-*/qmp.sock")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.fill()
        out, err = process.communicate(timeout=180)
        self.assertEqual(process.returncode, 0, err)
        enclave = json.loads(out)
        self.assertEqual(self.state_of(enclave), "EMPTY")  # could not be saved
        self.assertTrue(self.ask(enclave, b"nonce"))
        (self.room / "fill").unlink()
        end = time.monotonic() + 60
        while self.state_of(enclave) != "RUNNING":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.2)
        self.fill()
        ended = self.ok("terminate-enclave", "--enclave-id",
                        enclave["EnclaveID"])
        self.assertIs(ended["Terminated"], True)
        (self.room / "fill").unlink()
        self.nothing_left()


class Refused(Case):
    def run_fails(self, code, words, *options, **kwargs):
        message = self.fails(code, words, "run-enclave", *options, **kwargs)
        self.assertEqual(self.processes(), {})
        return message

    GOOD = ("--eif-path", harness.HELLO, *MEMORY, "--cpu-count", "1")

    def without(self, name):
        at = self.GOOD.index(name)
        return self.GOOD[:at] + self.GOOD[at + 2:]

    def test_missing(self):
        for name in ("--eif-path", "--memory", "--cpu-count"):
            self.run_fails(1, [name], *self.without(name))

    def test_values(self):
        for name, values in (
                ("--memory", ("", "0", "x", "-1", "1.5", "64K", "99999999T")),
                ("--cpu-count", ("0", "x", "129", "-1")),
                ("--enclave-cid", ("1", "2", "3", "4294967295", "4294967296",
                                   "x")),
                ("--enclave-name", ("", "a\nb", "x" * 1000))):
            for value in values:
                options = self.without(name) if name in self.GOOD \
                    else self.GOOD
                result = self.call("run-enclave", *options, name, value)
                self.assertIn(result.returncode, (1, 3, 22, 26, 58),
                              (name, value))
                self.assertEqual(result.stdout, "")
        self.assertEqual(self.processes(), {})

    def test_conflicts(self):
        self.run_fails(2, ["--cpu-ids"], *self.GOOD, "--cpu-ids", "1")
        self.fails(2, ["--enclave-name"], "terminate-enclave", "--enclave-id",
                   "a", "--enclave-name", "b")
        self.fails(2, ["--all"], "terminate-enclave", "--all",
                   "--enclave-name", "b")

    def test_memory(self):
        size = harness.HELLO.stat().st_size
        with open(self.dir / "large.eif", "wb") as f:
            f.write(harness.HELLO.read_bytes())
            f.truncate(64 << 20)
        self.assertLess(size, 16 << 20)
        self.run_fails(26, ["256"], "--eif-path", self.dir / "large.eif",
                       "--memory", "255", "--cpu-count", "1")
        self.run_fails(26, ["64"], *self.without("--memory"), "--memory",
                       "63")
        self.run_fails(27, [15 << 20], *self.without("--memory"), "--memory",
                       "15T")

    def test_memory_that_others_have(self):
        page = os.sysconf("SC_PAGE_SIZE")
        host = os.sysconf("SC_PHYS_PAGES") * page >> 20
        self.start()
        self.fails(27, [host - 100, host - 128], "run-enclave", "--eif-path",
                   harness.HELLO, "--memory", host - 100, "--cpu-count", 1)
        self.assertEqual(len(self.enclaves()), 1)

    def test_cpus(self):
        cpus = self.without("--cpu-count")
        self.run_fails(22, [9, 8], *cpus, "--cpu-count", "9")
        self.run_fails(22, [2, 1], *cpus, "--cpu-count", "2",
                       env={"NITRO_CLI_CPUS": "1"})
        self.run_fails(21, [8], *cpus, "--cpu-ids", "7", "8")
        self.run_fails(20, [7], *cpus, "--cpu-ids", "7", "7")
        self.run_fails(23, ["7,,8"], *cpus, "--cpu-ids", "7,,8")
        self.run_fails(3, ["NITRO_CLI_CPUS"], *cpus, "--cpu-count", "1",
                       env={"NITRO_CLI_CPUS": "two"})
        taken = self.start()["CPUIDs"][0]
        self.fails(21, [taken], "run-enclave", *cpus, "--cpu-ids", taken)
        self.assertEqual(len(self.enclaves()), 1)

    def test_images(self):
        for name, data, code in (("empty", b"", 35), ("text", b"text", 35),
                                 ("arm", harness.eif(
                                     sections(harness.HELLO.read_bytes()),
                                     flags=1), 35),
                                 ("crc", harness.HELLO.read_bytes()[:-1]
                                  + b"X", 35)):
            path = self.file(name, data)
            self.run_fails(code, [path], *self.without("--eif-path"),
                           "--eif-path", path)
        for path in (self.dir / "gone", self.dir):
            self.run_fails(19, [path], *self.without("--eif-path"),
                           "--eif-path", path)

    def test_no_heartbeat(self):
        """A kernel that prints nothing, and does nothing"""
        silent = self.file("silent.eif", harness.image())
        self.run_fails(36, [silent], *self.without("--eif-path"),
                       "--eif-path", silent,
                       env={"NITRO_CLI_BOOT_TIMEOUT": "2"})
        self.nothing_left()
        for value in ("x", "-1", "86401"):
            self.run_fails(3, ["NITRO_CLI_BOOT_TIMEOUT", value], *self.GOOD,
                           env={"NITRO_CLI_BOOT_TIMEOUT": value})
        self.start(env={"NITRO_CLI_BOOT_TIMEOUT": ""})

    def test_no_heartbeat_but_words(self):
        """A kernel that prints something and then stops: the console's last
        lines are shown."""
        says = b"".join(bytes((0xb0, c, 0xee)) for c in b"first\nlast words\n")
        code = b"\x66\xba\xf8\x03" + says + b"\xf4\xeb\xfd"
        image = self.file("words.eif", harness.image(
            kernel=harness.bzimage(code)))
        message = self.run_fails(36, [image, "heartbeat"],
                                 *self.without("--eif-path"), "--eif-path",
                                 image, env={"NITRO_CLI_BOOT_TIMEOUT": "15"})
        self.assertIn("\nfirst\nlast words\n", message)
        self.nothing_left()

    def test_early_end(self):
        """The console's last lines show why the kernel panicked."""
        parts = [p for p in sections(harness.HELLO.read_bytes())
                 if p[0] != harness.RAMDISK]
        image = self.file("no-init.eif", harness.eif(
            [(k, d.replace(b"panic=30", b"panic=-1") if k == harness.CMDLINE
              else d) for k, d in parts]))
        message = self.run_fails(36, [image], *self.without("--eif-path"),
                                 "--eif-path", image)
        self.assertIn("Kernel panic - not syncing", message)
        self.nothing_left()

    def test_silent_end(self):
        """A kernel that ends before it prints anything has its own error."""
        for name, code in (("fault", b"\x0f\x0b"),
                           ("reset", b"\xb0\xfe\xe6\x64\xf4\xeb\xfd")):
            image = self.file(f"{name}.eif", harness.image(
                kernel=harness.bzimage(code)))
            message = self.run_fails(
                36, [image, "before it printed"],
                *self.without("--eif-path"), "--eif-path", image)
            self.assertIn("console=ttyS0", message.splitlines()[-1])
            self.nothing_left()

    def test_unknown_enclave(self):
        for command in ("console", "terminate-enclave"):
            self.fails(58, ["nobody"], command, "--enclave-name", "nobody")
            self.fails(11, ["i-1"], command, "--enclave-id", "i-1")
            self.fails(1, ["--enclave-id"], command)
        self.assertEqual(self.ok("terminate-enclave", "--all"), [])

    def test_broken_state(self):
        """An invalid state file does not hide other enclaves."""
        enclave = self.start()
        other = self.state / "i-0123456789abcdef0-enc0123456789abcdef"
        other.mkdir(mode=0o700)
        (other / "enclave.json").write_bytes(b"{garbage")
        (other / "lock").touch(0o600)
        self.assertEqual([e["EnclaveID"] for e in self.enclaves()],
                         [enclave["EnclaveID"]])
        self.assertFalse(other.exists())

    def test_runtime_directory(self):
        self.state.mkdir(mode=0o755)
        self.fails(19, [self.state], "describe-enclaves")
        self.state.chmod(0o700)
        self.assertEqual(self.enclaves(), [])
        long = self.dir / ("x" * 60)
        long.mkdir(mode=0o700)
        self.fails(19, [long], "describe-enclaves",
                   env={"XDG_RUNTIME_DIR": str(long)})


# In QEMU's place: what can it do to these paths and processes?
INTRUDER = """#!/usr/bin/python3
import json, os, signal, socket, sys
def attempt(call):
    try:
        call()
        return "done"
    except OSError as e:
        return os.strerror(e.errno)
def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)
told = json.loads(TOLD)
image = sys.argv[sys.argv.index("-kernel") + 1]
vsock, = [word for word in sys.argv if word.startswith("socket,id=vsock")]
own = vsock.split("path=")[1].split(",")[0]
print("FOUND " + json.dumps({
    "image": attempt(lambda: open(image).close()),
    "own socket": attempt(lambda: connect(own)),
    "files": [attempt(lambda: open(path).close()) for path in told["files"]],
    "sockets": [attempt(lambda: connect(path)) for path in told["sockets"]],
    "traced": attempt(lambda: open(f"/proc/{told['pid']}/mem").close()),
    "home": os.path.exists("/home"),
}), file=sys.stderr)
"""


@harness.needs_mounts
class Confined(Case):
    """QEMU, if its guest controls it"""

    def qemu(self):
        found, = [pid for pid, line in self.processes().items()
                  if "qemu-system" in line]
        return pathlib.Path("/proc") / str(found)

    def test_reaches_its_own_enclave_alone(self):
        other = self.start("--debug-mode")
        directory = self.directory(other)
        told = {"files": [str(path) for path in (
                    directory / "enclave.json", directory / "console.log",
                    pathlib.Path("/etc/passwd"), self.file("secret", b""))],
                "sockets": [str(directory / name) for name in (
                    "qmp.sock", "vsock.sock", "vhost.sock")],
                "pid": other["ProcessID"]}
        for path in (*told["files"], *told["sockets"]):
            self.assertTrue(os.path.exists(path), os.listdir(directory))
        programs = self.dir / "programs"
        programs.mkdir()
        for program in harness.NITRO_CLI, harness.VSOCK:
            shutil.copy(program, programs)
        intruder = programs / "qemu-system-x86_64"
        intruder.write_text(INTRUDER.replace("TOLD", repr(json.dumps(told))),
                            encoding="utf-8")
        intruder.chmod(0o755)
        result = subprocess.run(
            [programs / "qemu-nitro-cli", "run-enclave", "--eif-path",
             harness.HELLO, *MEMORY, "--cpu-count", "1"], check=False,
            env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertNotEqual(result.returncode, 0)
        found = json.loads(re.search("FOUND (.*)", result.stderr)[1])
        self.assertEqual(found["image"], "done")
        self.assertEqual(found["own socket"], "done")
        refused = {"No such file or directory", "Permission denied"}
        for attempt in (*found["files"], *found["sockets"], found["traced"]):
            self.assertIn(attempt, refused, found)
        self.assertFalse(found["home"])

    def test_system_calls(self):
        """The privileges that a running QEMU has given up"""
        enclave = self.start()
        status = (self.qemu() / "status").read_text(encoding="ascii")
        self.assertRegex(status, r"\nSeccomp:\t2\n")
        self.assertRegex(status, r"\nNoNewPrivs:\t1\n")
        limits = (self.qemu() / "limits").read_text(encoding="ascii")
        self.assertRegex(limits, r"\nMax core file size +0 +0 ")
        self.assertFalse((self.qemu() / "root/home").exists())
        self.assertTrue(self.ask(enclave, b"n"))
        supervisor = pathlib.Path("/proc") / str(enclave["ProcessID"])
        status = (supervisor / "status").read_text(encoding="ascii")
        self.assertRegex(status, r"\nSeccomp:\t2\n")
        self.assertRegex(status, r"\nNoNewPrivs:\t1\n")

    def test_off(self):
        self.start(env={"NITRO_CLI_SANDBOX": "off"})
        status = (self.qemu() / "status").read_text(encoding="ascii")
        self.assertRegex(status, r"\nSeccomp:\t0\n")
        self.fails(3, ["NITRO_CLI_SANDBOX=no"], "run-enclave", "--eif-path",
                   harness.HELLO, *MEMORY, "--cpu-count", 1,
                   env={"NITRO_CLI_SANDBOX": "no"})


class Users(Case):
    def test_permissions(self):
        """Other users have no access, with any umask."""
        enclave = self.start("--debug-mode", umask=0)
        self.assertTrue(self.ask(enclave, b"n"))
        kept = self.dir / "data/qemu-nitro"
        found = [self.state, kept, *self.state.rglob("*"), *kept.rglob("*")]
        self.assertGreater(len(found), 10)
        for path in found:
            mode = stat.S_IMODE(path.lstat().st_mode)
            self.assertEqual(mode & 0o077, 0, (path, oct(mode)))

    @unittest.skipIf(os.geteuid(), "needs root, to be another user")
    def test_others(self):
        """Another user does not see the enclave, cannot access it, and can use
        the same names and CIDs."""
        enclave = self.start()
        self.dir.chmod(0o755)
        theirs = self.dir / "theirs"
        theirs.mkdir(mode=0o700)
        os.chown(theirs, NOBODY, NOBODY)
        for path in (harness.NITRO_CLI, harness.VSOCK, harness.QEMU,
                     harness.HELLO):
            shutil.copy(path, self.dir)

        def as_other(*options, runtime=theirs, **env):
            return subprocess.run(
                ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                 "--clear-groups", self.dir / "qemu-nitro-cli", *options],
                check=False, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=240,
                env={**self.env, "XDG_RUNTIME_DIR": str(runtime),
                     "XDG_DATA_HOME": str(theirs), **env})

        # Without HOME, it is the directory in the user database.
        home = pwd.getpwuid(NOBODY).pw_dir
        self.assertFalse(os.path.exists(home))
        self.env.pop("HOME", None)
        result = as_other("attestation-root", XDG_DATA_HOME="")
        self.explained(result, 19, [f"{home}/.local/share/qemu-nitro"])

        result = as_other("describe-enclaves")
        self.assertEqual((result.returncode, result.stdout), (0, "[]\n"))
        for command in ("terminate-enclave", "console"):
            result = as_other(command, "--enclave-id", enclave["EnclaveID"])
            self.assertEqual(result.returncode, 11)
        result = as_other("terminate-enclave", "--all",
                          runtime=self.dir / "runt")
        self.assertEqual(result.returncode, 19)

        self.addCleanup(as_other, "terminate-enclave", "--all")
        result = as_other("run-enclave", "--eif-path", self.dir / "hello.eif",
                          *MEMORY, "--cpu-count", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        other = json.loads(result.stdout)
        for key in ("EnclaveName", "EnclaveCID", "CPUIDs"):
            self.assertEqual(other[key], enclave[key])
        # The id of the instance in the enclave's id is made from the user and
        # the host.
        self.assertNotEqual(other["EnclaveID"].split("-enc")[0],
                            enclave["EnclaveID"].split("-enc")[0])
        self.assertEqual([e["EnclaveID"] for e in self.enclaves()],
                         [enclave["EnclaveID"]])
        result = as_other("terminate-enclave", "--all")
        self.assertEqual([e["EnclaveID"] for e in json.loads(result.stdout)],
                         [other["EnclaveID"]])
        self.assertEqual(len(self.enclaves()), 1)


if __name__ == "__main__":
    harness.main()
