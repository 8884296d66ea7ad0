"""The sample's kernel has what applications expect, each tried by using it."""
# SPDX-License-Identifier: GPL-2.0-or-later

import re
import subprocess

import harness

# What guest/apps/features tries
FEATURES = """
    tap tun packet ipv6 veth nftables iptables ip6tables
    overlay fuse ext4 tmpfs inotify fanotify file_handles
    aio io_uring sysvipc mqueue membarrier rseq userfaultfd process_vm
    seccomp user_namespace namespaces bpf keys cgroup
    nsm vsock hwrng ptp_kvm""".split()
# Only KVM has the clock that the host gives.
OF_KVM = {"ptp_kvm"}


class Features(harness.Case):
    def test_each(self):
        tree = self.dir / "tree"
        (tree / "rootfs").mkdir(parents=True)
        disk = tree / "rootfs/ext4.img"
        with open(disk, "wb") as f:
            f.truncate(8 << 20)
        subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", disk], check=True)
        archive = self.dir / "disk"
        with open(archive, "wb") as f:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"],
                           input="rootfs/ext4.img\n", text=True, cwd=tree,
                           stdout=f, check=True)
        console = self.run_enclave(harness.app_image("features"), "-m", "256M",
                                   "-smp", "2", "-initrd", archive,
                                   timeout=600)
        outcomes = dict(re.findall(
            r"^features: (\w+) (works|fails|is not here)$", console, re.M))
        self.assertEqual(list(outcomes), FEATURES, console)
        for name, outcome in outcomes.items():
            with self.subTest(name):
                self.assertEqual(
                    outcome, "is not here" if name in OF_KVM else "works",
                    "\n".join(re.findall("^features: .*$", console, re.M)))


if __name__ == "__main__":
    harness.main()
