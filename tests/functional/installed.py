"""Tests of installed programs, for any place of installation"""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import subprocess

import harness


class Checks:
    """A mixin for harness.Case.  Its class sets `prefix`, a pathlib.Path."""

    prefix = None

    def setUp(self):
        super().setUp()
        self.bin = self.prefix / "bin"
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.dir),
                    "NITRO_CLI_ACCEL": "tcg"}
        (self.dir / "run").mkdir(mode=0o700)
        self.env["XDG_RUNTIME_DIR"] = str(self.dir / "run")

    def call(self, *command):
        return subprocess.run([str(c) for c in command], check=True, text=True,
                              env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=120).stdout

    def test_installed(self):
        """The programs use no file of the source or build directory."""
        lib = self.prefix / "lib/qemu-nitro-enclave"
        run = json.loads(self.call(
            "qemu-nitro-cli", "run-enclave", "--eif-path", lib / "hello.eif",
            "--memory", "128", "--cpu-count", "1"))
        self.addCleanup(self.call, "qemu-nitro-cli", "terminate-enclave",
                        "--all")
        state = self.dir / "run/qemu-nitro" / run["EnclaveID"] / "enclave.json"
        processes = json.loads(state.read_text())["processes"]
        for name in ("qemu", "backend"):
            program = os.readlink(f"/proc/{processes[name]['pid']}/exe")
            self.assertTrue(program.startswith(str(self.prefix)), program)

        tree = self.dir / "tree"
        tree.mkdir()
        (tree / "file").write_text("content")
        self.call("qemu-nitro-cli", "build-enclave", "--rootfs", tree, "--cmd",
                  "/file", "--output-file", self.dir / "my.eif")

    def test_for_ci(self):
        """qemu-nitro-test finds the program in its own directory."""
        self.env["PATH"] = "/usr/bin:/bin"
        said = self.call(
            self.bin / "qemu-nitro-test",
            self.prefix / "lib/qemu-nitro-enclave/hello.eif", "--memory", "256",
            "--", "sh", "-c", "echo $PCR0")
        self.assertEqual(len(said.strip()), 96)

    def test_as_nitro_cli(self):
        """With another directory in PATH, the program is called nitro-cli."""
        lib = self.prefix / "lib/qemu-nitro-enclave"
        self.assertEqual(os.listdir(lib / "bin"), ["nitro-cli"])
        self.env["PATH"] = f"{lib / 'bin'}:/usr/bin:/bin"
        run = json.loads(self.call(
            "nitro-cli", "run-enclave", "--eif-path", lib / "hello.eif",
            "--memory", "128", "--cpu-count", "1"))
        self.addCleanup(self.call, "nitro-cli", "terminate-enclave", "--all")
        self.assertEqual(run["EnclaveName"], "hello")

    def test_beside_another_qemu(self):
        self.assertNotIn("qemu-system-x86_64", os.listdir(self.bin))
        self.assertIn("nitro-enclave", self.call(
            "qemu-system-nitro-enclave", "-machine", "help"))

    def test_files(self):
        for path in self.prefix.rglob("*"):
            if not path.is_symlink():
                self.assertEqual(path.stat().st_mode & 0o022, 0, path)
        doc = self.prefix / "share/doc/qemu-nitro-enclave"
        pages = harness.TOP / "docs/system/i386"
        self.assertLessEqual({p.name for p in pages.iterdir() if p.is_file()},
                             {name.removesuffix(".gz")
                              for name in os.listdir(doc)})
        self.assertTrue((self.prefix / "share/bash-completion/completions"
                         / "qemu-nitro-cli").is_file())

    def test_man_pages(self):
        man = self.prefix / "share/man"
        self.assertEqual(
            set(os.listdir(self.bin)),
            {"qemu-nitro-cli", "qemu-nitro-test", "qemu-system-nitro-enclave",
             "vhost-user-vsock"})
        for program in os.listdir(self.bin):
            pages = list((man / "man1").glob(f"{program}.1*"))
            self.assertEqual(len(pages), 1, program)
            self.assertGreater(pages[0].stat().st_size, 1000, program)
