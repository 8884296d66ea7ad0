"""The manual is built without a warning, and links to our pages."""
# SPDX-License-Identifier: GPL-2.0-or-later

import subprocess
import sys

import harness

sys.path.insert(0, str(harness.TOP / "scripts"))
import tree  # noqa: E402 (its directory is known only now)

DOCS = harness.BUILD / "qemu-tree/src/docs"


class Docs(harness.Case):
    def test_html(self):
        out = self.dir / "html"
        result = subprocess.run(
            ["/usr/bin/sphinx-build", "-q", "-W", "--keep-going", "-b", "html",
             "-D", f"version={tree.VERSION}", "-d", self.dir / "doctrees", DOCS, out],
            check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        for page, link in (
                ("target-i386.html", 'href="i386/nitro-enclave.html"'),
                ("device-emulation.html", 'href="devices/virtio-nsm.html"')):
            self.assertIn(link, (out / "system" / page).read_text())
        manual = (out / "system/i386/nitro-enclave.html").read_text()
        self.assertIn("memoryBacking", manual)      # libvirt's example


if __name__ == "__main__":
    harness.main()
