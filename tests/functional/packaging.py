"""Tests of the Debian packages and of the container image, for package_test.py and
release_test.py, which make them in different ways.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import harness
import installed

sys.path.insert(0, str(harness.TOP / "scripts"))
import debiantree  # noqa: E402 (its directory is known only now)

NAMES = {"qemu-nitro-enclave", "qemu-nitro-cli", "qemu-system-nitro-enclave",
         "vhost-user-vsock"}
OTHERS = ("qemu-system-x86", "qemu-system-common", "qemu-system-data",
          "qemu-utils")
# Libraries as their packages are called, found by dpkg itself
LIBRARIES = (r"libc6\b", r"libcbor0\.\d+", r"libgnutls30", r"libarchive13",
             r"libisal2\b", r"libyaml-cpp0\.\d")
UID = 12345


def run(*command, **kwargs):
    """Run a command; its output (standard error is for the log)."""
    result = subprocess.run([str(c) for c in command], check=False, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            **kwargs)
    if result.returncode:
        raise AssertionError(f"{command[0]} failed:\n{result.stdout[-4000:]}")
    return result.stdout


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def packages(directory, suite):
    """{name: file} of a Debian release's packages"""
    suffix = f"+deb{debiantree.RELEASES[suite]}"
    found = sorted(directory.glob(f"*{suffix}_*.deb"))
    return {path.name.partition("_")[0]: path for path in found}


def files(package):
    """The paths of a package's files, but not its directories"""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package],
                             check=True, stdout=subprocess.PIPE).stdout
    names = subprocess.run(["tar", "-t"], input=archive, check=True,
                           stdout=subprocess.PIPE).stdout.decode()
    return {n for n in names.splitlines() if not n.endswith("/")}


class Directory:
    """A mixin of harness.Case.  Its class has the method directory(), which
    returns a directory with packages, and `suites`, their releases of Debian.
    """

    suites = ()

    def packages(self, suite):
        return packages(self.directory(), suite)


class Contents(Directory):
    """What the packages have in them"""

    def test_names(self):
        for suite in self.suites:
            self.assertEqual(set(self.packages(suite)), NAMES)

    def test_lintian(self):
        for suite in self.suites:
            self.assertEqual(run("lintian", "--allow-root",
                                 *self.packages(suite).values()), "")

    def test_what_they_depend_on(self):
        for suite in self.suites:
            depends = "".join(run("dpkg-deb", "-f", path, "Depends")
                              for path in self.packages(suite).values())
            for library in LIBRARIES:
                self.assertRegex(depends, library)

    def test_shares_no_file_with_debians_qemu(self):
        ours = set().union(*map(files,
                                self.packages(self.suites[0]).values()))
        self.assertIn("./usr/bin/qemu-nitro-cli", ours)
        run("apt-get", "download", *OTHERS, cwd=self.dir,
            stderr=subprocess.STDOUT)
        found = list(self.dir.glob("*.deb"))
        self.assertEqual(len(found), len(OTHERS))
        theirs = set().union(*map(files, found))
        self.assertIn("./usr/bin/qemu-system-x86_64", theirs)
        self.assertEqual(ours & theirs, set())


class Unpacked(Directory, installed.Checks):
    """Packages of this host's release work from where they are unpacked."""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        there = tempfile.TemporaryDirectory(prefix="nitro-package-")
        cls.addClassCleanup(there.cleanup)
        cls.prefix = pathlib.Path(there.name) / "usr"
        for path in packages(cls.directory(), debiantree.host_suite()).values():
            run("dpkg-deb", "-x", path, there.name)


# In a fresh tree: what an administrator does, and what a user does.  The tree
# has no compiler, no Python and no user.
LIFE = r"""
snapshot() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp \
        -o -path /work -o -path /var/cache -o -path /var/log \
        -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /run \) -prune \
        -o -print | sort
}
export DEBIAN_FRONTEND=noninteractive
echo tester:x:1000:1000::/tmp/home:/bin/sh >> /etc/passwd
echo tester:x:1000: >> /etc/group
! command -v cc
snapshot > before

# An earlier version had everything in one package.
mkdir -p old/DEBIAN old/usr/bin
printf '%s\n' 'Package: qemu-nitro-enclave' 'Version: 0.1.0' \
    'Architecture: amd64' 'Maintainer: test <test@localhost>' \
    'Description: an earlier version' > old/DEBIAN/control
echo old > old/usr/bin/qemu-nitro-cli
dpkg-deb --build old old.deb > /dev/null
dpkg -i old.deb
rm -r old old.deb

apt-get install -y --no-install-recommends ./*.deb
apt-get check
runuser -u tester -- sh -eux user

apt-get purge -y qemu-nitro-enclave qemu-nitro-cli qemu-system-nitro-enclave \
    vhost-user-vsock
# Without these options, apt keeps libidn2-0: libc6 recommends it, and libudev1
# suggests it.
apt-get autopurge -y -o APT::AutoRemove::RecommendsImportant=false \
    -o APT::AutoRemove::SuggestsImportant=false
snapshot > after
diff before after
dpkg-query -W -f '${Package} ${Status}\n' | grep -E 'nitro|vsock' && exit 1
echo === nothing is left
"""

USER = r"""
export HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/run NITRO_CLI_ACCEL=tcg
mkdir -m 700 $HOME $XDG_RUNTIME_DIR
cd /tmp
sample=/usr/lib/qemu-nitro-enclave/hello.eif

# An image of a static program, and what of it is the same anywhere
mkdir root
cp /usr/lib/qemu-nitro-enclave/blobs/init root/program
SOURCE_DATE_EPOCH=0 qemu-nitro-cli build-enclave --rootfs root \
    --cmd /program --output-file my.eif > my.json
qemu-nitro-cli describe-eif --eif-path my.eif | grep '"PCR0"' | head -n 1

qemu-nitro-cli run-enclave --eif-path $sample --memory 256 --cpu-count 1 \
    2> words
vsock=$(sed -n 's/^Its vsock: //p' words)
nonce=$(perl /work/attest.pl "$vsock" document)
qemu-nitro-cli attestation-root --output root.pem
qemu-nitro-cli verify-attestation --document document --root root.pem \
    --nonce "$nonce" --pcr0 "$(qemu-nitro-cli describe-enclaves |
        sed -n 's/.*"PCR0": "\(.*\)",/\1/p')" > verdict
grep '"Verified": true' verdict
qemu-nitro-cli terminate-enclave --all

status=0
qemu-nitro-test $sample -- sh -c 'test -S $ENCLAVE_VSOCK && exit 7' || status=$?
test $status = 7
"""

# As scripts/attest does; a minimal Debian has Perl, but not Python.
ATTEST = r"""
use strict; use IO::Socket::UNIX;
my ($path, $file) = @ARGV;
my $socket;
for (1 .. 600) {
    $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
    syswrite $socket, "CONNECT 9001\n";
    last if (readline($socket) // "") =~ /^OK /;
    undef $socket; select undef, undef, undef, 0.2;
}
die "the enclave does not listen" unless $socket;
syswrite $socket, "a nonce of 16 by";
shutdown $socket, 1;
local $/; my $document = readline $socket;
open my $out, ">", $file or die $!; print $out $document; close $out;
print unpack("H*", "a nonce of 16 by"), "\n";
"""


class Installed(Directory):
    """apt-get install, an ordinary user's use, apt-get purge"""

    def live(self, suite):
        texts = [self.file(name, text.encode()) for name, text in
                 (("user", USER), ("attest.pl", ATTEST))]
        output = debiantree.run_in(
            suite, LIFE, files=[*self.packages(suite).values(), *texts],
            log=self.dir / "log")
        self.assertIn("=== nothing is left", output)
        self.assertIn('"Verified": true', output)
        return [line for line in output.splitlines() if '"PCR0"' in line][0]

    def test_life(self):
        """The same on each, down to the measurements of what it builds"""
        measured = {self.live(suite) for suite in self.suites}
        self.assertEqual(len(measured), 1, measured)


class Image(Directory):
    """The container image, unpacked by a program that is not ours.  Its class
    has the method archive(), too."""

    SAMPLE = "/usr/lib/qemu-nitro-enclave/hello.eif"

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        there = tempfile.TemporaryDirectory(prefix="nitro-image-")
        cls.addClassCleanup(there.cleanup)
        cls.there = pathlib.Path(there.name)
        cls.there.chmod(0o755)
        (cls.there / "layout").mkdir()
        run("tar", "-xf", cls.archive(), "-C", cls.there / "layout")
        run("umoci", "unpack", *([] if os.geteuid() == 0 else ["--rootless"]),
            "--image", f"{cls.there / 'layout'}:latest", cls.there / "bundle",
            stderr=subprocess.STDOUT)
        cls.root = cls.there / "bundle/rootfs"
        cls.process = json.loads(
            (cls.there / "bundle/config.json").read_text())["process"]

    def setUp(self):
        super().setUp()
        self.shared = self.dir / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o777)
        self.dir.chmod(0o755)

    # In a user namespace of an ordinary user, there is no other user.
    USER = f"--userspec={UID}:{UID}" if os.geteuid() == 0 else ""

    def enter(self, *args, mounts="", outer=None, user=USER, **env):
        """Run the entry point as engines do: what they mount is there, and
        `mounts`, a shell's commands, which add to it.  It is an ordinary
        user's, who has no privileges."""
        entry = self.process["args"][:-1]       # the last is "--help", of CMD
        script = (
            f"cd {self.root}; mount --bind {self.root} {self.root};"
            f" cd {self.root}; mount --bind {self.shared} work;"
            " mount -t proc proc proc; mount -t tmpfs -o mode=755 tmpfs dev;"
            " mkdir -m 1777 dev/shm; mount -t tmpfs tmpfs dev/shm;"
            " for d in null zero urandom; do touch dev/$d;"
            f" mount --bind /dev/$d dev/$d; done; {mounts}\n"
            f' exec chroot {user} . env -i "$@"')
        return subprocess.run(
            [*(outer or harness.UNSHARE), "--pid", "--fork", "--net", "--ipc",
             "sh", "-euc", script, "sh", *self.process["env"],
             "NITRO_CLI_ACCEL=tcg",
             *(f"{name}={value}" for name, value in env.items()),
             "sh", "-c", f'cd {self.process["cwd"]}; exec "$@"', "sh", *entry,
             *map(str, args)], check=False, text=True, timeout=300,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def one_line(self, result, status, *words):
        """It failed in a way that CI can tell from the command's."""
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_run(self):
        """The command's status, and what it has in its environment"""
        result = self.enter(
            "run", self.SAMPLE, "--memory", 256,
            "--listen", "unix:/tmp/l:9001", "--", "sh", "-c",
            "id -u; echo $PCR0 $ENCLAVE_CID; test -S /tmp/l &&"
            " test -S $ENCLAVE_VSOCK && cp $ENCLAVE_ROOT root.pem &&"
            # The application writes after the heartbeat.
            " for i in $(seq 300); do grep -q Hello $ENCLAVE_CONSOLE && exit 9;"
            " sleep 0.1; done")
        self.assertEqual(result.returncode, 9, result.stderr)
        uid, pcr0, cid = result.stdout.split()
        self.assertEqual(len(pcr0), 96)
        self.assertRegex(cid, r"^\d+$")
        if os.geteuid() == 0:
            self.assertEqual(uid, str(UID))
        self.assertIn("BEGIN CERTIFICATE",
                      (self.shared / "root.pem").read_text())
        # Why it failed may be seen on the console.
        self.assertIn("Hello from the enclave", result.stderr)

    def test_document(self):
        """What the user keeps of a run verifies outside."""
        self.file("shared/attest.pl", ATTEST.encode())
        result = self.enter(
            "run", self.SAMPLE, "--output", "out", "--", "sh", "-c",
            "perl attest.pl $ENCLAVE_VSOCK document; echo $PCR0")
        self.assertEqual(result.returncode, 0, result.stderr)
        nonce, pcr0 = result.stdout.split()
        verdict = json.loads(run(
            harness.NITRO_CLI, "verify-attestation", "--document",
            self.shared / "document", "--root", self.shared / "out/root.pem",
            "--nonce", nonce, "--pcr0", pcr0))
        self.assertTrue(verdict["Verified"])

    def test_refused(self):
        (self.shared / "plain").write_text("x")
        for args, status, word in (
                (("run", "/none.eif", "--", "true"), 125, "/none.eif"),
                (("run", "plain", "--", "true"), 125, "plain"),
                (("run", self.SAMPLE, "--memory", "1", "--", "true"), 125,
                 "memory"),
                (("run", self.SAMPLE, "--", "none"), 127, "none"),
                (("run", self.SAMPLE, "--", "./plain"), 126, "plain"),
                (("none",), 127, "none")):
            with self.subTest(args=args):
                self.one_line(self.enter(*args), status, word)

    def test_does_not_boot(self):
        """One line; then what it said on its console, if anything"""
        kernel = harness.bzimage(b"\x0f\x0b")     # an invalid instruction
        self.file("shared/bad.eif", harness.image(kernel))
        result = self.enter("run", "bad.eif", "--", "true",
                            NITRO_CLI_BOOT_TIMEOUT=5)
        self.assertEqual(result.returncode, 125, result.stderr)
        line, _, more = result.stderr.partition("\n")
        self.assertRegex(line, "^qemu-nitro-test: .*enclave")
        self.assertTrue(more == "" or more.startswith("--- the end of"), more)

    def test_enclave_that_ends_early(self):
        """Its application is no program, so it ends at once; 125, although the
        command succeeded."""
        result = self.enter(
            "sh", "-euc", "mkdir root; echo text > root/x;"
            " qemu-nitro-cli build-enclave --rootfs root --cmd /x"
            " --output-file my.eif > my.json;"
            ' exec "$0" run my.eif -- sh -c "until grep -q Restarting'
            ' \\$ENCLAVE_CONSOLE; do sleep 0.2; done; sleep 3"',
            *self.process["args"][:1])
        self.assertEqual(result.returncode, 125, result.stderr)
        line, _, more = result.stderr.partition("--- the end of the console:")
        self.assertIn("qemu-nitro-test: the enclave ended", line)
        self.assertIn("init: /x: ", more)

    def test_read_only(self):
        """As with the option --read-only: there is /dev/shm."""
        mounts = "mount -o remount,bind,ro ."
        command = "run", self.SAMPLE, "--", "true"
        result = self.enter(*command, mounts=mounts)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.one_line(self.enter(
            *command, mounts=mounts + "; mount -o remount,bind,ro dev/shm"),
            125, "TMPDIR")

    def test_full(self):
        command = "run", self.SAMPLE, "--", "true"
        mounts = "mount -t tmpfs -o size=16k tmpfs tmp"
        result = self.enter(*command, mounts=mounts)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.one_line(self.enter(
            *command, mounts=mounts +
            "; mount -t tmpfs -o size=16k tmpfs dev/shm"), 125, "TMPDIR")

    def test_without_user_namespaces(self):
        """Containers may not have any, and none is needed."""
        outer, user = None, self.USER
        inside = "! unshare -U true"
        mounts = ""
        # Where none can be made, this is so anyway.
        if not subprocess.run(["unshare", "--user", "true"], check=False,
                              stderr=subprocess.DEVNULL).returncode:
            outer, user = ["unshare", "--map-root-user", "--mount"], ""
            mounts = "echo 0 > /proc/sys/user/max_user_namespaces"
        result = self.enter("run", self.SAMPLE, "--", "sh", "-c", inside,
                            mounts=mounts, outer=outer, user=user)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_nothing_of_the_host(self):
        for name in ("etc/hostname", "etc/resolv.conf", "packages"):
            self.assertFalse((self.root / name).exists(), name)
        self.assertEqual(list((self.root / "etc/apt").glob("sources.list*/*")),
                         [])
