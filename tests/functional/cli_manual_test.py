"""qemu-nitro-cli's man page has all options of the program, and its examples
work."""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import re
import subprocess
import textwrap

import harness
from cli_build_test import docker, entry, tar
from signing import Signer

PAGE = (harness.TOP / "docs/tools/qemu-nitro-cli.rst").read_text(
    encoding="utf-8")


def options(text):
    """The options in a text, except --help"""
    return set(re.findall(r"--[a-z](?:[a-z-]*[a-z])?N?\b", text)) - {"--help"}


class Complete(harness.Case):
    def help(self, *command):
        return subprocess.run([harness.NITRO_CLI, *command, "--help"],
                              check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def test_options(self):
        commands = re.findall(r"^  ([a-z-]+)  ", self.help(), re.M)
        parts = re.split(r"^\.\. program:: qemu-nitro-cli-(\S+)$", PAGE,
                         flags=re.M)
        described = dict(zip(parts[1::2], parts[2::2]))
        self.assertEqual(set(described), set(commands))
        for name, text in described.items():
            heads = re.findall(r"^\.\. option:: (.*)$", text, re.M)
            self.assertEqual(options(" ".join(heads)),
                             options(self.help(name)), name)

    def test_environment(self):
        for name in re.findall(r"\b(?:NITRO_CLI_[A-Z_]+|SOURCE_DATE_EPOCH)\b",
                               self.help("build-enclave")
                               + self.help("run-enclave")):
            self.assertIn(f"\n``{name}``\n", PAGE)


class Examples(harness.Case):
    def setUp(self):
        super().setUp()
        text = PAGE.partition("\nExamples\n")[2]
        blocks = re.findall(r"^\.\. code-block:: sh\n\n((?:  .*\n|\n)+)", text,
                            re.M)
        self.examples = [textwrap.dedent(block) for block in blocks]
        self.env = {**os.environ, "NITRO_CLI_ACCEL": "tcg", "PATH":
                    f"{harness.NITRO_CLI.parent}:{os.environ['PATH']}"}
        for name in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
            (self.dir / name[4:8]).mkdir(mode=0o700)
            self.env[name] = str(self.dir / name[4:8])
        self.addCleanup(subprocess.run, [
            harness.NITRO_CLI, "terminate-enclave", "--all"], check=False,
            env=self.env, stdout=subprocess.DEVNULL)

    def prepare(self):
        """The files that the examples need"""
        server = self.dir / "root/bin/server"
        server.parent.mkdir(parents=True)
        apps = harness.TOP / "guest/apps"
        subprocess.run(["cc", "-static", "-o", server, "-I", apps,
                        apps / "hello/hello.c"], check=True)
        signer = Signer()
        self.file("cert.pem", signer.cert_pem())
        self.file("key.pem", signer.key_pem())
        layer = tar([entry("bin/server", server.read_bytes(), mode=0o755)])
        self.file("server.tar", docker([layer], {"Cmd": ["/bin/server"]}))
        return signer

    def test_examples(self):
        signer = self.prepare()
        output = [subprocess.run(["sh", "-eu", "-c", example], cwd=self.dir,
                                 env=self.env, check=True, text=True,
                                 stdin=subprocess.DEVNULL, timeout=300,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL).stdout
                  for example in self.examples]
        self.assertEqual(len(output), 5)
        self.assertIn('"EnclaveName": "server"', output[0])
        pcr8 = json.loads(output[1])["Measurements"]["PCR8"]
        self.assertEqual(pcr8, signer.pcr8())
        self.assertEqual(output[2].strip(), pcr8)
        self.assertIn("hello: Hello from the enclave!", output[3])
        self.assertRegex(output[4], r'^i-[0-9a-f]{17}-enc[0-9a-f]+\n')
        self.assertEqual(os.listdir(self.dir / "RUNT/qemu-nitro"), ["lock"])


if __name__ == "__main__":
    harness.main()
