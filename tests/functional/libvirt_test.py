"""libvirt runs the enclave of the manual's example.

The tests start libvirtd themselves, with new directories: one of a user
without privileges (qemu:///session), and one of the system (qemu:///system),
in a mount namespace if the host allows one.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import pty
import shlex
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET

import harness

EXAMPLE = harness.TOP / "docs/system/i386/nitro-enclave-libvirt.xml"
QEMU_NS = "{http://libvirt.org/schemas/domain/qemu/1.0}"
USER = 65534    # nobody

# Replaces the sample's program: echoes lines, and ends on request.
ECHO = br"""
#include <stdio.h>
#include <string.h>
int main(void)
{
    char line[80];
    puts("echo: ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        if (!strncmp(line, "end", 3)) {
            return 0;
        }
        printf("echo: <%.*s>\n", (int)strcspn(line, "\r\n"), line);
        fflush(stdout);
    }
    return 1;
}
"""

# Hide the directories of the host's own libvirtd.
NAMESPACE = r"""
set -e
mkdir -p /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
for d in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt \
         /run; do
    mount -t tmpfs none $d
done
cp /etc/passwd /run/passwd
cp /etc/group /run/group
grep -q ^libvirt-qemu: /run/passwd ||
    echo libvirt-qemu:x:65534:65534::/nonexistent:/bin/false >> /run/passwd
for group in libvirt-qemu:x:65533: kvm:x:65532:; do
    grep -q "^${group%%:*}:" /run/group || echo $group >> /run/group
done
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
cat > /etc/libvirt/qemu.conf <<END
user = "+65534"
group = "+65534"
security_driver = "none"
cgroup_controllers = []
END
virtlogd -d
"""


class Libvirt(harness.Case):
    """The tests of both modes"""
    env = {}
    prefix = []

    def setUp(self):
        super().setUp()
        for program in ("libvirtd", "virsh"):
            if not shutil.which(program, path=os.environ["PATH"]
                                + ":/usr/sbin:/sbin"):
                self.skipTest(f"{program} is not installed")
        # The emulator runs as another user, who may have no access to the
        # build directory.
        self.dir.chmod(0o755)
        self.qemu = self.dir / "qemu-system-x86_64"
        shutil.copy(harness.QEMU, self.qemu)
        self.image = self.dir / "hello.eif"
        shutil.copy(harness.HELLO, self.image)
        self.console = self.dir / "console"
        if os.geteuid() == 0:
            os.chown(self.dir, USER, USER)

    def as_user(self):
        """The command that runs another command as the user of QEMU"""
        return [] if os.geteuid() else [
            "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

    def start_backend(self):
        vsock = self.dir / "vhost-user-vsock"
        shutil.copy(harness.VSOCK, vsock)
        socket = self.dir / "vhost.sock"
        self.spawn(*self.as_user(), vsock, "--vm",
                   f"guest-cid=16,socket={socket},uds-path={self.dir}/vsock",
                   stdout=subprocess.DEVNULL)
        self.wait_for(socket)

    def virsh(self, *args, check=True):
        result = subprocess.run(
            [*self.prefix, "virsh", "-q", *map(str, args)], check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=self.env, timeout=120)
        if check:
            self.assertEqual(result.returncode, 0,
                             f"virsh {args}: {result.stdout}")
        return result.stdout.strip() if result.returncode == 0 else None

    def until(self, true, what, seconds=120):
        end = time.monotonic() + seconds
        while not true():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.1)

    def connect(self, log):
        end = time.monotonic() + 60
        while not self.virsh("uri", check=False):
            self.assertTrue(time.monotonic() < end
                            and self.libvirtd.poll() is None,
                            log.read_text(errors="replace"))
            time.sleep(0.1)

    def example(self):
        """The manual's example, with the paths of this test"""
        text = EXAMPLE.read_text(encoding="utf-8")
        for old, new in (
                ("/usr/local/bin/qemu-system-x86_64", self.qemu),
                ("/var/lib/libvirt/images/hello.eif", self.image),
                ("/var/log/libvirt/qemu/hello-console.log", self.console),
                ("/run/hello/vhost.sock", self.dir / "vhost.sock")):
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, str(new))
        domain = ET.fromstring(text)
        if self.version() < (9, 2):
            # The manual mentions both.
            ET.SubElement(ET.SubElement(domain, "features"), "acpi")
        return domain

    @staticmethod
    def version():
        out = subprocess.run(["virsh", "--version"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        return tuple(int(n) for n in out.strip().split(".")[:2])

    def define(self, domain):
        path = self.dir / "domain.xml"
        path.write_text(ET.tostring(domain, encoding="unicode"))
        self.virsh("define", path, "--validate")

    def printed(self, line):
        text = self.console.read_text(errors="replace") \
            if self.console.exists() else ""
        return text.replace("\r", "").split("\n").count(line)

    def run_example(self):
        """The example boots, and the domain ends when the enclave reboots."""
        self.start_backend()
        domain = self.example()
        # Without this, it runs until it is terminated.
        ET.SubElement(domain.find("os"), "cmdline").text = "hello.serve=0"
        self.define(domain)
        self.virsh("start", "hello")
        self.until(lambda: self.virsh("domstate", "hello") == "shut off",
                   "the enclave has not ended")
        self.assertEqual(self.printed("hello: Hello from the enclave!"), 1)
        self.assertEqual(self.printed("hello: 2 CPUs"), 1)
        self.assertEqual(self.printed("hello: done"), 1)
        self.virsh("undefine", "hello")

    def add_echo(self, domain):
        """Replace the sample's program with an additional ramdisk."""
        tree = self.dir / "tree/rootfs/bin"
        tree.mkdir(parents=True)
        subprocess.run(["cc", "-static", "-o", tree / "hello",
                        self.file("echo.c", ECHO)], check=True)
        archive = self.dir / "extra"
        with open(archive, "wb") as f:
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"],
                           input="rootfs/bin/hello\n", text=True,
                           cwd=self.dir / "tree", stdout=f, check=True)
        ET.SubElement(domain.find("os"), "initrd").text = str(archive)
        domain.find("on_reboot").text = "restart"
        serial = domain.find("devices/serial")
        serial.set("type", "pty")
        serial.clear()
        serial.set("type", "pty")

    def open_console(self):
        """Start virsh console in a new terminal.  Returns two functions: one
        types a line, one waits for a line after the lines seen before."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.virsh_console = subprocess.Popen(
            [*self.prefix, "virsh", "console", "hello", "--force"],
            stdin=slave, stdout=slave, stderr=slave, env=self.env,
            start_new_session=True)
        os.close(slave)
        self.addCleanup(self.virsh_console.wait)
        self.addCleanup(self.virsh_console.kill)
        os.set_blocking(master, False)
        text = bytearray()

        def wait_for(line):
            def seen():
                try:
                    text.extend(os.read(master, 65536))
                except (BlockingIOError, OSError):
                    pass
                at = text.find(line.encode() + b"\r\n")
                if at >= 0:
                    del text[:at + len(line)]
                return at >= 0
            self.until(seen, f"no '{line}' on the console: {text}")

        def write(line):
            os.write(master, line.encode() + b"\n")

        return write, wait_for


class Session(Libvirt):
    """The libvirtd of a user without privileges"""

    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "HOME": str(self.dir),
                    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
                    "LIBVIRT_DEFAULT_URI": "qemu:///session"}
        for name in ("CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "RUNTIME_DIR"):
            path = self.dir / name.lower()
            path.mkdir(mode=0o700)
            self.env["XDG_" + name] = str(path)
            if os.geteuid() == 0:
                os.chown(path, USER, USER)
        self.prefix = self.as_user()
        log = self.dir / "libvirtd.log"
        self.addCleanup(self.stop_virtlogd)
        with open(log, "wb") as f:
            self.libvirtd = self.spawn(*self.prefix, "libvirtd", stdout=f,
                                       stderr=f, env=self.env)
        self.connect(log)
        self.addCleanup(self.virsh, "destroy", "hello", check=False)

    def stop_virtlogd(self):
        """libvirtd starts the back end, and does not end it."""
        pid = self.dir / "runtime_dir/libvirt/virtlogd.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), 15)

    def test_example(self):
        self.run_example()

    def test_capabilities(self):
        found = ET.fromstring(self.virsh(
            "domcapabilities", "--emulatorbin", self.qemu, "--arch", "x86_64",
            "--machine", "nitro-enclave", "--virttype", "qemu"))
        self.assertEqual(found.findtext("machine"), "nitro-enclave")
        self.assertEqual(found.find("vcpu").get("max"), "128")
        source = found.find("memoryBacking/enum[@name='sourceType']")
        self.assertIn("memfd", [v.text for v in source])

    def test_life(self):
        """Console, reset, reboot from inside, destroy; under seccomp"""
        domain = self.example()
        self.add_echo(domain)
        self.start_backend()
        self.define(domain)
        self.virsh("start", "hello")
        write, wait_for = self.open_console()
        wait_for("echo: ready")
        write("what is typed")
        wait_for("echo: <what is typed>")

        machines = json.loads(self.virsh(
            "qemu-monitor-command", "hello", '{"execute":"query-machines"}'))
        found = {m["name"]: m for m in machines["return"]}["nitro-enclave"]
        self.assertEqual(found["cpu-max"], 128)
        self.assertEqual(found["default-ram-id"], "microvm.ram")

        pid = self.pid_of_qemu()
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            status = dict(line.split(":\t", 1) for line in f)
        self.assertEqual(status["Seccomp"].strip(), "2")  # SECCOMP_MODE_FILTER

        self.virsh("suspend", "hello")
        self.assertEqual(self.virsh("domstate", "hello"), "paused")
        self.virsh("resume", "hello")

        self.virsh("reset", "hello")
        wait_for("echo: ready")
        write("end")
        wait_for("echo: ready")
        self.assertEqual(self.virsh("domstate", "hello"), "running")

        self.virsh("destroy", "hello")
        self.assertEqual(self.virsh("domstate", "hello"), "shut off")
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.virsh("undefine", "hello")

    def pid_of_qemu(self):
        return int((self.dir / "runtime_dir/libvirt/qemu/run/hello.pid")
                   .read_text())


class System(Libvirt):
    """The libvirtd of the system, in its own directories"""

    def setUp(self):
        super().setUp()
        if os.geteuid() or subprocess.run(
                ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
                check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no mount namespace can be made here")
        self.env = {**os.environ, "LIBVIRT_DEFAULT_URI": "qemu:///system",
                    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        log = self.dir / "libvirtd.log"
        ready = self.dir / "ready"
        script = NAMESPACE + f"touch {shlex.quote(str(ready))}; exec libvirtd"
        with open(log, "wb") as f:
            self.libvirtd = self.spawn("unshare", "-m", "sh", "-c", script,
                                       stdout=f, stderr=f, env=self.env)
        self.wait_for(ready)
        self.prefix = ["nsenter", "-m", "-t", str(self.libvirtd.pid)]
        virtlogd = subprocess.run([*self.prefix, "cat", "/run/virtlogd.pid"],
                                  check=True, capture_output=True)
        self.addCleanup(os.kill, int(virtlogd.stdout), 15)
        self.connect(log)
        self.addCleanup(self.virsh, "destroy", "hello", check=False)

    def test_example(self):
        self.run_example()


if __name__ == "__main__":
    harness.main()
