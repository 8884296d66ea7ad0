"""The commands of the README's tour do what it says, as they stand."""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re
import subprocess

import harness


class Tour(harness.Case):
    def test_tour(self):
        text = (harness.TOP / "README.md").read_text(encoding="utf-8")
        tour = text.partition("\n## The tour\n")[2].partition("\n## ")[0]
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
        # Each block's output is marked, and may be JSON in several pieces.
        script = "".join(f"echo '=== {i}'\n{block}"
                         for i, block in enumerate(blocks))
        result = subprocess.run(
            ["sh", "-eu", "-c", script], cwd=self.dir, env=env, check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=300)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        said = re.split(r"^=== \d+\n", result.stdout, flags=re.M)[1:]
        self.assertIn('"PCR0"', said[0])
        self.assertIn('"SignatureCheck": true', said[1])
        self.assertIn("hello: Hello from the enclave!", said[2])
        self.assertIn('"State": "RUNNING"', said[3])
        self.assertIn('"Verified": true', said[4])
        self.assertIn('"Terminated": true', said[4])
        self.assertEqual(os.listdir(self.dir / "RUNT/qemu-nitro"), ["lock"])


if __name__ == "__main__":
    harness.main()
