"""A script that was written for EC2 runs here with another directory in PATH,
and gets the results in expected/, byte by byte."""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import re
import subprocess

import harness
from cli_build_test import ENGINE, EPOCH, docker_files, archive_of, entry, tar
from signing import Signer, sections

SCRIPT = harness.HERE / "ec2.sh"
EXPECTED = harness.HERE / "expected"


class Script(harness.Case):
    def setUp(self):
        super().setUp()
        directory = self.dir / "bin"
        for path in (directory, self.dir / "app", self.dir / "run",
                     self.dir / "data"):
            path.mkdir(mode=0o700)
        # A script takes the place of docker, and has an image.
        engine = directory / "docker"
        engine.write_text(ENGINE)
        engine.chmod(0o755)
        self.env = {
            **os.environ, **EPOCH, "NITRO_CLI_ACCEL": "tcg",
            "NITRO_CLI_CPUS": "4",
            "PATH": f"{directory}:{harness.AS_AWS}:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.dir / "run"),
            "XDG_DATA_HOME": str(self.dir / "data"),
            "ENGINE_LOG": "/dev/null",
            "ENGINE_ARCHIVE": str(self.dir / "saved")}
        self.env.pop("NITRO_CLI_BLOBS", None)
        self.addCleanup(subprocess.run, [
            harness.NITRO_CLI, "terminate-enclave", "--all"], check=False,
            env=self.env, stdout=subprocess.DEVNULL)

    def prepare(self):
        """The files that the script needs.  Returns the image and its signer.
        """
        program, signer = self.dir / "program", Signer()
        apps = harness.TOP / "guest/apps"
        subprocess.run(["cc", "-static", "-o", program, "-I", apps,
                        apps / "hello/hello.c"], check=True)
        files, image = docker_files(
            [tar([entry("bin/hello", program.read_bytes(), mode=0o755)])],
            {"Cmd": ["/bin/hello"]}, ["hello:1.0"])
        self.file("saved", archive_of(files))
        self.file("app/Dockerfile", b"FROM scratch\n")
        self.file("cert.pem", signer.cert_pem())
        self.file("key.pem", signer.key_pem())
        return image, signer

    def measured(self, signer):
        """The PCRs, computed by the tests' own code"""
        parts = [d for k, d in sections((self.dir / "hello.eif").read_bytes())
                 if k in (harness.KERNEL, harness.CMDLINE, harness.RAMDISK)]
        return {"PCR0": harness.pcr(b"".join(parts)),
                "PCR1": harness.pcr(b"".join(parts[:3])),
                "PCR2": harness.pcr(b"".join(parts[3:])),
                "PCR8": signer.pcr8(),
                "PCR": harness.pcr(b"FROM scratch\n")}

    def printed(self, name):
        return json.loads((self.dir / name).read_text())

    def values(self, image, signer):
        """The values that differ in each run; expected/ has the rest."""
        when = "%b %e %H:%M:%S %Y GMT"
        eif = self.printed("describe-eif.json")
        run, again = (self.printed(f"run-enclave{n}.json") for n in
                      ("", "-config"))
        for enclave in (run, again):
            self.assertRegex(enclave["EnclaveID"],
                             r"^i-[0-9a-f]{17}-enc[0-9a-f]{16}$")
        self.assertNotEqual(run["EnclaveID"], again["EnclaveID"])
        self.assertRegex(eif["Metadata"]["KernelVersion"], r"^\d+\.\d+")
        docker = eif["Metadata"]["DockerInfo"]
        self.assertEqual(docker["Id"], "sha256:" + image)
        return {
            **self.measured(signer), "Image": image,
            "NotBefore": signer.cert.not_valid_before.strftime(when),
            "NotAfter": signer.cert.not_valid_after.strftime(when),
            "Signature": signer.cert.signature.hex(":").upper(),
            "ID": run["EnclaveID"], "PID": str(run["ProcessID"]),
            "ID2": again["EnclaveID"], "PID2": str(again["ProcessID"]),
            "Kernel": eif["Metadata"]["KernelVersion"],
            "Version": eif["Metadata"]["BuildToolVersion"],
            "DockerInfo": docker}

    def expected(self, path, values):
        def value(match):
            found = values[match[2]]
            if isinstance(found, str):
                return match[1] + found
            lines = json.dumps(found, indent=2).splitlines()
            indent = re.match(" *", match[1])[0]
            return match[1] + ("\n" + indent).join(lines)

        return re.sub(r"(?m)^(.*)<(\w+)>", value,
                      path.read_text(encoding="utf-8"))

    def test_script(self):
        image, signer = self.prepare()
        script = SCRIPT.read_text(encoding="utf-8")
        result = subprocess.run(["sh", SCRIPT], cwd=self.dir, env=self.env,
                                check=False, text=True, timeout=500,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, "")
        for line in ("Start building the Enclave Image...",
                     "Enclave Image successfully created.",
                     "Start allocating memory..."):
            self.assertIn(line + "\n", result.stderr)
        values = self.values(image, signer)
        files = sorted(EXPECTED.glob("*.json"))
        self.assertEqual({f.name for f in files},
                         set(re.findall(r"> (\S+\.json)\n", script)))
        for path in files:
            self.assertEqual((self.dir / path.name).read_text(),
                             self.expected(path, values), path.name)


if __name__ == "__main__":
    harness.main()
