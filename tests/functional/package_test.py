"""What scripts/release makes: the packages are built for Debian 12 and Debian 13,
and installed, used and purged in fresh trees of them; the container image is
unpacked, and its entry point run by an ordinary user.

With $RELEASE, a folder that scripts/release has filled, that one is tried.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

import harness
import installed

sys.path.insert(0, str(harness.TOP / "scripts"))
import debiantree  # noqa: E402 (its folder is known only now)

NAMES = {"qemu-nitro-enclave", "qemu-nitro-cli", "qemu-system-nitro-enclave",
         "vhost-user-vsock"}
OTHERS = ("qemu-system-x86", "qemu-system-common", "qemu-system-data",
          "qemu-utils")
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


def files(package):
    """The paths of a package's files, but not its folders"""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package],
                             check=True, stdout=subprocess.PIPE).stdout
    names = subprocess.run(["tar", "-t"], input=archive, check=True,
                           stdout=subprocess.PIPE).stdout.decode()
    return {n for n in names.splitlines() if not n.endswith("/")}


@functools.cache
def release():
    """The folder of a release, made once.  It is made of a commit: changes of
    the tree that are not committed are committed in a copy."""
    if os.environ.get("RELEASE"):
        return pathlib.Path(os.environ["RELEASE"])
    there = pathlib.Path(HOLD.name)
    source = there / "source"
    run("git", "clone", "--quiet", harness.TOP, source)
    names = run("git", "-C", harness.TOP, "ls-files", "-z", "-com",
                "--exclude-standard").split("\0")
    for name in filter(None, names):
        path = harness.TOP / name
        if path.exists() or path.is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, source / name, follow_symlinks=False)
        else:
            (source / name).unlink(missing_ok=True)
    git = ["git", "-C", source, "-c", "user.name=test",
           "-c", "user.email=test@localhost"]
    run(*git, "add", "-A")
    run(*git, "commit", "--quiet", "--allow-empty", "-m", "as it is")
    run(source / "scripts/release", there / "made", stderr=subprocess.STDOUT)
    return there / "made"


HOLD = tempfile.TemporaryDirectory(prefix="nitro-release-")


def packages(suite):
    """{name: file} of a Debian release's packages"""
    suffix = f"+deb{debiantree.RELEASES[suite]}"
    found = sorted(release().glob(f"*{suffix}_*.deb"))
    return {path.name.partition("_")[0]: path for path in found}


class Files(harness.Case):
    """What is in the folder"""

    def test_names(self):
        for suite in debiantree.RELEASES:
            self.assertEqual(set(packages(suite)), NAMES)

    def test_checksums(self):
        listed = {}
        for line in (release() / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ")
            listed[name] = digest
        made = {p.name for p in release().iterdir()
                if p.suffix in (".deb", ".xz", ".tar")}
        self.assertEqual(set(listed), made)
        self.assertEqual(len(made), 2 * len(NAMES) + 2)
        for name, digest in listed.items():
            self.assertEqual(sha256(release() / name), digest, name)

    def test_source(self):
        """It has what builds it, and nothing that was made."""
        tarball, = release().glob("*.tar.xz")
        with tarfile.open(tarball) as archive:
            names = {pathlib.PurePath(n).relative_to(
                pathlib.PurePath(n).parts[0]).as_posix()
                for n in archive.getnames()}
        self.assertLessEqual({"run", "meson.build", "debian/rules",
                              "hw/core/eif.c", "action.yml"}, names)
        self.assertEqual([n for n in names if n.startswith("build")], [])

    def test_lintian(self):
        for changes in release().glob("*.changes"):
            self.assertEqual(run("lintian", "--allow-root", changes), "")

    def test_what_they_depend_on(self):
        """Libraries as their packages are called, found by dpkg itself"""
        for suite in debiantree.RELEASES:
            depends = "".join(run("dpkg-deb", "-f", path, "Depends")
                              for path in packages(suite).values())
            for library in (r"libc6\b", r"libcbor0\.\d+", r"libgnutls30",
                            r"libarchive13", r"libisal2\b",
                            r"libyaml-cpp0\.\d"):
                self.assertRegex(depends, library)

    def test_shares_no_file_with_debians_qemu(self):
        ours = set().union(*map(files, packages("bookworm").values()))
        self.assertIn("./usr/bin/qemu-nitro-cli", ours)
        run("apt-get", "download", *OTHERS, cwd=self.dir,
            stderr=subprocess.STDOUT)
        found = list(self.dir.glob("*.deb"))
        self.assertEqual(len(found), len(OTHERS))
        theirs = set().union(*map(files, found))
        self.assertIn("./usr/bin/qemu-system-x86_64", theirs)
        self.assertEqual(ours & theirs, set())

    def test_same_blobs(self):
        """So an image has the same measurements, whichever release made it."""
        def blobs(suite):
            where = self.dir / suite
            run("dpkg-deb", "-x", packages(suite)["qemu-nitro-cli"], where)
            folder = where / "usr/lib/qemu-nitro-enclave/blobs"
            return {p.name: sha256(p) for p in folder.iterdir()}

        self.assertEqual(set(blobs("bookworm")), {"bzImage", "cmdline", "init"})
        self.assertEqual(blobs("bookworm"), blobs("trixie"))


class Unpacked(installed.Checks, harness.Case):
    """The packages of the oldest release work from where they are unpacked."""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        there = tempfile.TemporaryDirectory(prefix="nitro-package-")
        cls.addClassCleanup(there.cleanup)
        cls.prefix = pathlib.Path(there.name) / "usr"
        for path in packages("bookworm").values():
            run("dpkg-deb", "-x", path, there.name)


# In a fresh tree: what an administrator does, and what a user does.
LIFE = r"""
snapshot() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp \
        -o -path /work -o -path /var/cache -o -path /var/log \
        -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /run \) -prune \
        -o -print | sort
}
export DEBIAN_FRONTEND=noninteractive
useradd --create-home --uid 1000 tester
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
apt-get autopurge -y
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


class Installed(harness.Case):
    """apt-get install, an ordinary user's use, apt-get purge"""

    def live(self, suite):
        texts = [self.file(name, text.encode()) for name, text in
                 (("user", USER), ("attest.pl", ATTEST))]
        output = debiantree.run_in(
            suite, LIFE, files=[*packages(suite).values(), *texts],
            log=self.dir / "log")
        self.assertIn("=== nothing is left", output)
        self.assertIn('"Verified": true', output)
        return [line for line in output.splitlines() if '"PCR0"' in line][0]

    def test_life(self):
        """The same on each, down to the measurements of what it builds"""
        measured = {self.live(suite) for suite in debiantree.RELEASES}
        self.assertEqual(len(measured), 1, measured)


class Image(harness.Case):
    """The container image, unpacked by a program that is not ours"""

    @classmethod
    def setUpClass(cls):
        # pylint: disable=consider-using-with
        there = tempfile.TemporaryDirectory(prefix="nitro-image-")
        cls.addClassCleanup(there.cleanup)
        cls.there = pathlib.Path(there.name)
        cls.there.chmod(0o755)
        (cls.there / "layout").mkdir()
        cls.archive, = release().glob("*-oci.tar")
        run("tar", "-xf", cls.archive, "-C", cls.there / "layout")
        run("umoci", "unpack", *([] if os.geteuid() == 0 else ["--rootless"]),
            "--image", f"{cls.there / 'layout'}:latest", cls.there / "bundle",
            stderr=subprocess.STDOUT)
        cls.root = cls.there / "bundle/rootfs"
        cls.process = json.loads(
            (cls.there / "bundle/config.json").read_text())["process"]

    def enter(self, *args):
        """Run the entry point as an ordinary user, without privileges, with
        what engines mount"""
        shared = self.dir / "shared"
        shared.mkdir(exist_ok=True)
        shared.chmod(0o777)
        entry = self.process["args"][:-1]       # the last is "--help", of CMD
        script = (
            f"cd {self.root}; mount --bind {shared} work;"
            " mount -t proc proc proc; mount -t tmpfs tmpfs dev/shm"
            " 2> /dev/null || { mount -t tmpfs tmpfs dev; mkdir dev/shm;"
            " chmod 1777 dev/shm; };"
            " for d in null zero urandom; do touch dev/$d;"
            " mount --bind /dev/$d dev/$d; done;"
            f' exec chroot --userspec={UID}:{UID} . env -i "$@"')
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--net", "--ipc", "sh",
             "-euc", script, "sh", *self.process["env"], "NITRO_CLI_ACCEL=tcg",
             "sh", "-c", f'cd {self.process["cwd"]}; exec "$@"', "sh", *entry,
             *map(str, args)], check=False, text=True, timeout=300,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def test_run(self):
        """The command's status, and what it has in its environment"""
        result = self.enter(
            "run", "/usr/lib/qemu-nitro-enclave/hello.eif", "--memory", 256,
            "--listen", "unix:/tmp/l:9001", "--", "sh", "-c",
            "id -u; echo $PCR0; test -S /tmp/l && test -S $ENCLAVE_VSOCK &&"
            " grep -q BEGIN $ENCLAVE_ROOT && echo file > file && exit 9")
        self.assertEqual(result.returncode, 9, result.stderr)
        uid, pcr0 = result.stdout.split()
        self.assertEqual((uid, len(pcr0)), (str(UID), 96))
        self.assertTrue((self.dir / "shared/file").is_file())

    def test_refused(self):
        for args, status in ((("run", "/none.eif"), 125),
                             (("none",), 127)):
            result = self.enter(*args)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_nothing_of_the_host(self):
        for name in ("etc/hostname", "etc/resolv.conf", "packages"):
            self.assertFalse((self.root / name).exists(), name)
        self.assertEqual(list((self.root / "etc/apt").glob("sources.list*/*")),
                         [])

    def test_again(self):
        """The same packages give the same bytes."""
        again = self.dir / "again.tar"
        run(harness.TOP / "scripts/build-container", release(), again)
        self.assertEqual(sha256(again), sha256(self.archive))


class Refusals(harness.Case):
    """What the scripts of a release say when they cannot"""

    def test_container(self):
        program = harness.TOP / "scripts/build-container"
        folder = self.dir / "empty"
        folder.mkdir()
        for args, word in (((folder, "x"), "scripts/release"),
                           ((folder / "none", "x"), "none")):
            self.assertIn(word, self.refused(program, *args))
        for name in NAMES:
            (folder / f"{name}_1+deb13_amd64.deb").write_bytes(b"")
        self.assertIn("--engine", self.refused(program, folder))

    def test_folder_that_is_not_empty(self):
        self.file("file", b"")
        self.assertIn("not empty", self.refused(
            harness.TOP / "scripts/release", self.dir))

    def test_source_twice(self):
        """The same commit gives the same bytes."""
        if not (harness.TOP / ".git").exists():
            self.skipTest("this is not a git checkout")
        made = []
        for name in ("one", "two"):
            run(harness.TOP / "scripts/release", "--only-source",
                self.dir / name, stderr=subprocess.STDOUT)
            made.append((self.dir / name / "SHA256SUMS").read_text())
        self.assertEqual(made[0], made[1])


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
