"""QEMU's help describes the machine, the device and their options."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import subprocess

import harness

MACHINE = ["attestation-ca-cert", "attestation-ca-key", "debug-mode", "id",
           "parent-id", "parent-role", "vsock"]
DEVICE = ["attestation-ca-cert", "attestation-ca-key", "attestation-root",
          "locked-pcrs", "module-id", "pcr0", "pcr31"]


class Help(harness.Case):
    def ask(self, *options):
        return subprocess.run([harness.QEMU, *options], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=60).stdout

    def described(self, text, names):
        found = dict(re.findall(r"^ +([\w-]+)=<\w+> +- (.*\S)", text, re.M))
        for name in names:
            self.assertGreater(len(found.get(name, "").split()), 2, name)

    def test_list_of_machines(self):
        self.assertRegex(self.ask("-machine", "help"),
                         r"(?m)^nitro-enclave +AWS Nitro Enclave")

    def test_options_of_the_machine(self):
        self.described(self.ask("-machine", "nitro-enclave,help"), MACHINE)

    def test_properties_of_the_device(self):
        self.described(self.ask("-device", "virtio-nsm-device,help"), DEVICE)


if __name__ == "__main__":
    harness.main()
