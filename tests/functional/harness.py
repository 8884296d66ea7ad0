"""Common code of the functional tests: TAP output, images, and running QEMU

The code that writes images does not use the project's own, and also writes
invalid images.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD", TOP / "build"))
QEMU = BUILD / "bin/qemu-system-x86_64"
VSOCK = BUILD / "bin/vhost-user-vsock"
NITRO_CLI = BUILD / "bin/qemu-nitro-cli"
AS_AWS = BUILD / "lib/qemu-nitro-enclave/bin"   # has the name nitro-cli
HELLO = BUILD / "images/hello.eif"

KERNEL, CMDLINE, RAMDISK, SIGNATURE, METADATA = 1, 2, 3, 4, 5


class TapResult(unittest.TestResult):
    """Prints a line of TAP for each test"""
    count = 0

    def line(self, ok, test, extra=""):
        self.count += 1
        print(f"{ok} {self.count} {test.id().split('.', 1)[1]}{extra}",
              flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("ok", test, f" # SKIP {reason}")

    def show(self, test, err):
        # If a test failed, Meson prints its standard error.
        print(self._exc_info_to_string(err, test), file=sys.stderr)
        self.line("not ok", test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.show(subtest, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.show(test, err)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"])
    if len(sys.argv) > 1:
        suite = unittest.defaultTestLoader.loadTestsFromNames(
            sys.argv[1:], sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}", flush=True)
    sys.exit(not suite.run(TapResult()).wasSuccessful())


# Runs a process in a mount namespace
UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else \
    ["unshare", "--map-root-user", "--mount"]


def needs_mounts(test):
    """Skip a test, or all tests of a class, if the kernel allows no mount
    namespaces, as in a chroot or in many containers."""
    refused = subprocess.run([*UNSHARE, "true"], check=False,
                             stderr=subprocess.DEVNULL).returncode
    return unittest.skipIf(refused, "no mount namespace can be made here")(test)


# Images

def eif(sections, version=4, flags=0, crc=None, **header):
    """An image with `sections`, a list of (type, data)"""
    offset = 548
    offsets, sizes, body = [], [], b""
    for kind, data in sections:
        offsets.append(offset)
        sizes.append(len(data))
        piece = struct.pack(">HHQ", kind, 0, len(data)) + data
        offset += len(piece)
        body += piece
    offsets = header.get("offsets", offsets)
    sizes = header.get("sizes", sizes)
    head = struct.pack(">4sHHQQHH", header.get("magic", b".eif"), version,
                       flags, 1 << 30, 2, 0, header.get("count", len(sections)))
    head += b"".join(struct.pack(">Q", o)
                     for o in offsets + [0] * (32 - len(offsets)))
    head += b"".join(struct.pack(">Q", s)
                     for s in sizes + [0] * (32 - len(sizes)))
    head += bytes(4)
    if crc is None:
        crc = zlib.crc32(head + body)
    return head + struct.pack(">I", crc) + body


def sha384(data):
    return hashlib.sha384(data).digest()


def pcr(data):
    """The PCR, in hex, after it was extended once with `data`"""
    return sha384(bytes(48) + sha384(data)).hex()


def bzimage(code=b"\xf4\xeb\xfd", **fields):
    """A kernel image: a boot sector, a setup header, and `code` at the 64-bit
    entry point.  `fields` replace those of the header."""
    f = {"setup_sects": 1, "jump": 0x6a, "magic": b"HdrS", "version": 0x20f,
         "loadflags": 1, "initrd_max": 0x7fffffff, "alignment": 0x200000,
         "xloadflags": 3, "cmdline_size": 2047, "pref": 0x1000000,
         "init_size": 0x100000, "syssize": 0, **fields}
    h = bytearray(1024)
    h[0x1f1] = f["setup_sects"]
    h[0x201] = f["jump"]
    h[0x202:0x206] = f["magic"]
    struct.pack_into("<I", h, 0x1f4, f["syssize"])
    struct.pack_into("<H", h, 0x206, f["version"])
    h[0x211] = f["loadflags"]
    struct.pack_into("<I", h, 0x22c, f["initrd_max"])
    struct.pack_into("<I", h, 0x230, f["alignment"])
    h[0x234] = 1
    struct.pack_into("<H", h, 0x236, f["xloadflags"])
    struct.pack_into("<I", h, 0x238, f["cmdline_size"])
    struct.pack_into("<Q", h, 0x258, f["pref"])
    struct.pack_into("<I", h, 0x260, f["init_size"])
    return bytes(h) + bytes(0x200) + code


def metadata():
    return b'{"ImageName":"test"}'


def image(kernel=None, cmdline=b"console=ttyS0", ramdisks=(b"first", b"more")):
    return eif([(KERNEL, kernel or bzimage()), (CMDLINE, cmdline),
                (METADATA, metadata())] + [(RAMDISK, r) for r in ramdisks])


def app_image(name):
    """An image with one of the programs in guest/apps, built only once"""
    path = BUILD / f"images/{name}.eif"
    newest = max(f.stat().st_mtime for f in [
        HELLO, *(TOP / "guest/apps").rglob("*.[ch]")])
    if not path.exists() or path.stat().st_mtime < newest:
        made = path.with_suffix(f".{os.getpid()}")
        subprocess.run(
            [TOP / "guest/build-image", "--blobs", BUILD / "images/blobs",
             "--cli", NITRO_CLI, "--app", name, "--output", made],
            check=True, stdout=subprocess.DEVNULL)
        made.rename(path)
    return path


# Running

class Case(unittest.TestCase):
    """A test with its own directory.  It ends all processes that it started.
    """
    accel = "tcg"

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="nitro-test-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def file(self, name, data):
        path = self.dir / name
        path.write_bytes(data)
        return path

    def spawn(self, *command, **kwargs):
        process = subprocess.Popen([str(c) for c in command],
                                   stdin=subprocess.DEVNULL, **kwargs)

        def stop():
            if process.poll() is None:
                process.kill()
            process.communicate()

        self.addCleanup(stop)
        return process

    def backend(self, cid=16):
        """Start the vsock back end.  Returns the path of its socket."""
        return self.backends(cid)[0]

    def backends(self, *cids, more=""):
        """The same for several guests; each gets the options in `more`."""
        paths = [self.dir / f"vhost{cid}.sock" for cid in cids]
        vms = [f"guest-cid={cid},socket={path},"
               f"uds-path={self.dir}/vsock{cid}{more}"
               for cid, path in zip(cids, paths)]
        self.spawn(VSOCK, *(word for vm in vms for word in ("--vm", vm)),
                   stdout=subprocess.DEVNULL)
        self.wait_for_listener(self.dir / f"vsock{cids[-1]}")
        return paths

    def vsock_connect(self, port, cid=16):
        """Connect to a port of a guest, once the guest listens there."""
        return self.uds_connect(self.dir / f"vsock{cid}", port)

    def uds_connect(self, path, port, seconds=120):
        """The same, with the path of the back end's socket"""
        end = time.monotonic() + seconds
        while True:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(seconds)
            s.connect(str(path))
            answer = b""
            try:
                s.sendall(f"CONNECT {port}\n".encode())
                while not answer.endswith(b"\n"):
                    byte = s.recv(1)
                    if not byte:
                        break
                    answer += byte
            except (BrokenPipeError, ConnectionResetError):
                pass    # the back end closed it: there is no guest yet
            if answer.startswith(b"OK "):
                self.addCleanup(s.close)
                return s
            s.close()
            self.assertLess(time.monotonic(), end,
                            f"the guest does not listen on port {port}")
            time.sleep(0.1)

    def wait_for_listener(self, address, seconds=20, kind=socket.SOCK_STREAM):
        """Wait until a TCP address or a Unix socket accepts connections.  The
        socket's file appears a moment earlier."""
        tcp = isinstance(address, tuple)
        end = time.monotonic() + seconds
        while True:
            with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX,
                               kind) as s:
                try:
                    s.connect(address if tcp else str(address))
                    return
                except (ConnectionRefusedError, FileNotFoundError):
                    self.assertLess(time.monotonic(), end,
                                    f"nobody listens on {address}")
            time.sleep(0.02)

    def wait_for(self, path, seconds=20):
        end = time.monotonic() + seconds
        while not path.exists():
            self.assertLess(time.monotonic(), end, f"{path} did not appear")
            time.sleep(0.02)

    def qemu_command(self, kernel, *options, vsock=None, chardev="",
                     machine=""):
        """Start QEMU.  `vsock` is the back end's socket, and `chardev` has
        more options for it."""
        chardev = ["-chardev", f"socket,id=c,path={vsock}{chardev}"] \
            if vsock else []
        return [QEMU, "-M", f"nitro-enclave,vsock=c{machine}", "-accel",
                self.accel, "-nodefaults", "-display", "none",
                "-kernel", kernel, *chardev, *options]

    def run_enclave(self, kernel, *options, timeout=240, machine="",
                    reboot=False):
        """Run an image to its end.  Returns the console's output."""
        log = self.dir / "console"
        command = self.qemu_command(
            kernel, "-serial", f"file:{log}", *options,
            *([] if reboot else ["-no-reboot"]), vsock=self.backend(),
            machine=machine)
        process = self.spawn(*command, stderr=subprocess.PIPE, text=True)
        try:
            _, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.fail("the enclave did not end:\n"
                      + log.read_text(errors="replace")[-3000:])
        console = log.read_text(errors="replace").replace("\r", "")
        self.assertEqual(process.returncode, 0, err + console[-3000:])
        return console

    def refused(self, *command):
        """Run a command that must fail with status 1.  Returns its only line.
        """
        result = subprocess.run([str(c) for c in command], check=False,
                                stdin=subprocess.DEVNULL, timeout=60,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, errors="replace")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        return lines[0]

    def explained(self, result, code, words):
        """Check that qemu-nitro-cli failed with `code`.  The line before the
        last one has these words, and the last one has advice.  Returns all
        lines."""
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        what, advice = lines[-2:]
        self.assertTrue(what.startswith(f"[ E{code:02d} ] "), result.stderr)
        self.assertTrue(advice)
        for word in words:
            self.assertIn(str(word), what)
        return lines


class Qmp:
    """A connection to QEMU's monitor"""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)
        # The file appears a moment before QEMU listens on it.
        for _ in range(100):
            if self.socket.connect_ex(str(path)) == 0:
                break
            time.sleep(0.05)
        else:
            raise ConnectionRefusedError(path)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        import json
        json.dump({"execute": name, "arguments": arguments}, self.file)
        self.file.write("\n")
        self.file.flush()
        while line := self.file.readline():
            answer = json.loads(line)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(answer["error"]["desc"])
        raise RuntimeError("QEMU closed its monitor")

    def event(self, name):
        import json
        while line := self.file.readline():
            answer = json.loads(line)
            if answer.get("event") == name:
                return answer
        raise RuntimeError("QEMU closed its monitor")
