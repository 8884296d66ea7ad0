#!/usr/bin/python3
"""How much longer does describe-eif take than one SHA-384 over the image?

    describe_eif_bench.py [MIB [ROUNDS]]

The image has a small kernel and a second ramdisk of MIB MiB (512), like images
of applications.  describe-eif measures the image, checks its CRC and prints.
It is compared with one hash by GnuTLS, over the file in pieces.  Both run
ROUNDS times (5), in turn, and the shortest times are compared, because other
load on the machine can only make them longer.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "functional"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

MIB = 1 << 20
TARGET = 1.15
GNUTLS_DIG_SHA384 = 7

gnutls = ctypes.CDLL("libgnutls.so.30")


def time_hash(path):
    """Seconds for one SHA-384 over the file"""
    piece = ctypes.create_string_buffer(MIB)
    digest = ctypes.create_string_buffer(64)
    handle = ctypes.c_void_p()
    begin = time.perf_counter()
    if gnutls.gnutls_hash_init(ctypes.byref(handle), GNUTLS_DIG_SHA384):
        sys.exit("Could not start SHA-384")
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(piece):
            gnutls.gnutls_hash(handle, piece, ctypes.c_size_t(size))
    gnutls.gnutls_hash_deinit(handle, digest)
    return time.perf_counter() - begin


def time_describe(path):
    """Seconds that describe-eif takes"""
    begin = time.perf_counter()
    subprocess.run([harness.NITRO_CLI, "describe-eif", "--eif-path", path],
                   check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main():
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 512) * MIB
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    hashed, described = [], []

    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "image.eif"
        path.write_bytes(harness.image(ramdisks=(
            os.urandom(MIB), os.urandom(size))))
        for _ in range(rounds):
            hashed.append(time_hash(path))
            described.append(time_describe(path))
    print(f"one SHA-384: {min(hashed):.3f} s, describe-eif:"
          f" {min(described):.3f} s; {min(described) / min(hashed):.2f} times"
          f" as long; the target is {TARGET}")


if __name__ == "__main__":
    main()
