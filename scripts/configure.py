"""The configuration of QEMU, and the targets of its build that belong to this
project"""
# SPDX-License-Identifier: GPL-2.0-or-later

import functools
import os
import shutil
import subprocess

from common import TOP, cache_dir, fail, run, say

# The oldest Meson that QEMU takes
MESON_MIN = (1, 5)

FEATURES = [
    "--disable-download", "--disable-install-blobs",
    "--enable-tcg", "--enable-kvm", "--enable-vhost-user", "--enable-gnutls",
    "--enable-libcbor", "--enable-fdt=system", "--enable-seccomp",
    "--enable-trace-backends=log", "--disable-werror",
    # Debug information takes up to a third of the compiler's time for C++.
    "--disable-debug-info",
    # Debian's hardening flags.  QEMU's osdep.h has the second for C.
    "--enable-stack-protector",
    "--extra-cxxflags=-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2",
]

# Two boards, microvm and nitro-enclave, or all that QEMU has.
DEVICES_FEW = ["--without-default-devices",
               "--with-devices-x86_64=nitro-enclave"]
DEVICES_ALL = ["--enable-vhost-net"]
ALL_OF_QEMU = [*DEVICES_ALL, "--disable-kvm", "--disable-docs"]

# Sanitizers that can be in one program.  With -g1, reports name lines.
# _FORTIFY_SOURCE is off: its checks would end a process without a report.
# UndefinedBehaviorSanitizer's vptr check reports std::thread itself.
SANITIZED = [*DEVICES_FEW, "-Doptimization=1",
             "--extra-cflags=-g1 -D_FORTIFY_SOURCE=0",
             "--extra-cxxflags=-g1 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0"]
SANITIZERS = {
    "address": [*SANITIZED, "--enable-asan", "--enable-ubsan",
                "--extra-cxxflags=-fno-sanitize=vptr"],
    "thread": [*SANITIZED, "--enable-tsan"],
}

# The targets in QEMU's build that belong to this project
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86_64",
    "vhost-user-vsock": "contrib/vhost-user-vsock/vhost-user-vsock",
    "qemu-nitro-cli": "contrib/qemu-nitro-cli/qemu-nitro-cli",
}

TESTS = [
    "tests/bench/eif-bench",
    "tests/bench/nsm-bench",
    "tests/fuzz/fuzz-attestation",
    "tests/fuzz/fuzz-boot",
    "tests/fuzz/fuzz-container",
    "tests/fuzz/fuzz-eif",
    "tests/fuzz/fuzz-eif-signature",
    "tests/fuzz/fuzz-json",
    "tests/fuzz/fuzz-nsm",
    "tests/fuzz/fuzz-vsock-connect",
    "tests/fuzz/fuzz-vsock-message",
    "tests/fuzz/fuzz-vsock-packet",
    "tests/unit/test-cbor",
    "tests/unit/test-eif",
    "tests/unit/test-eif-load",
    "tests/unit/test-eif-signature",
    "tests/unit/test-nitro-enclave-setup",
    "tests/unit/test-nsm",
    "tests/unit/test-nsm-attestation",
    "tests/qtest/nitro-enclave-test",
    "tests/qtest/vhost-user-vsock-test",
    "tests/qtest/virtio-nsm-test",
    "contrib/vhost-user-vsock/vhost-user-vsock-conformance",
    "contrib/vhost-user-vsock/vhost-user-vsock-test",
    "contrib/vhost-user-vsock/vsock-bench",
    "contrib/qemu-nitro-cli/qemu-nitro-cli-test",
]

TARGETS = [*PROGRAMS.values(), *TESTS]


def environment(build):
    """The environment: Debian's tools are first in PATH, and compilers are
    called through ccache, which recognizes files in any build directory."""
    env = dict(os.environ)
    env["PATH"] = "/usr/bin:/bin:" + env.get("PATH", "")
    if shutil.which("ccache"):
        env.setdefault("CCACHE_DIR", str(cache_dir("ccache")))
        env.setdefault("CCACHE_NOHASHDIR", "1")
        env.setdefault("CCACHE_BASEDIR", str(build))
        # The compiler lists the headers, and each source is preprocessed once.
        env.setdefault("CCACHE_DEPEND", "1")
    meson = newer_meson()
    if meson:
        env["PATH"] = f"{meson}/usr/bin:{env['PATH']}"
        env["PYTHONPATH"] = f"{meson}/usr/lib/python3/dist-packages"
    return env


@functools.cache
def newer_meson():
    """The directory of a Meson that QEMU accepts, if the host's own is too old
    """
    version = subprocess.run(["/usr/bin/meson", "--version"], check=False,
                             capture_output=True, text=True).stdout
    if tuple(int(n) for n in version.split(".")[:2] if n.isdigit()) \
            >= MESON_MIN:
        return None
    return run(TOP / "scripts/fetch-source", "meson", stdout=subprocess.PIPE,
               text=True).stdout.strip()


def configure(source, build, env, options, features=tuple(FEATURES), cc="cc",
              cxx="c++"):
    """Configure QEMU's `source` in the directory `build`, unless this is done.
    """
    ccache = "ccache " if shutil.which("ccache") else ""
    command = [str(source / "configure"), "--target-list=x86_64-softmmu",
               "--without-default-features", *features, *options,
               f"--cc={ccache}{cc}", f"--cxx={ccache}{cxx}"]
    stamp = build / "configured"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == str(command):
        return
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    say("configuring QEMU")
    log = build / "configure.log"
    with open(log, "wb") as f:
        result = subprocess.run(command, cwd=build, env=env, check=False,
                                stdout=f, stderr=subprocess.STDOUT)
    if result.returncode:
        say(log.read_text(errors="replace")[-3000:])
        fail(f"QEMU's configure failed; all of its output is in {log}")
    stamp.write_text(str(command), encoding="utf-8")
