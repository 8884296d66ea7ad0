#!/usr/bin/python3
"""How much longer does an enclave take with run-enclave than with QEMU alone?

    run_enclave_bench.py [ROUNDS]

For QEMU alone, the back end listens already, and the time is from the start of
QEMU to the heartbeat.  With qemu-nitro-cli, it is from the start of run-enclave
to its end, which is after the heartbeat.  It includes the start of the back
end.

Both run ROUNDS times (7), in turn, and the shortest times are compared, because
other load on the machine can only make them longer.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "functional"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

MEMORY_MIB = 128
HEARTBEAT_PORT = 9000
TARGET_MS = 100


def wait_for_listener(path):
    while True:
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(str(path))
                return
            except OSError:
                time.sleep(0.001)


def time_qemu(directory):
    """Seconds from QEMU's start to the heartbeat"""
    vhost, vsock = directory / "vhost.sock", directory / "vsock.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{vsock}_{HEARTBEAT_PORT}")
        listener.listen()
        listener.settimeout(60)
        backend = subprocess.Popen(
            [harness.VSOCK, "--vm",
             f"guest-cid=16,socket={vhost},uds-path={vsock}"])
        wait_for_listener(vsock)
        begin = time.perf_counter()
        qemu = subprocess.Popen(
            [harness.QEMU, "-M", "nitro-enclave,vsock=c", "-accel", "tcg",
             "-cpu", "max", "-smp", "1", "-m", f"{MEMORY_MIB}M", "-nodefaults",
             "-display", "none", "-kernel", harness.HELLO, "-no-reboot",
             "-serial", f"file:{directory}/console", "-chardev",
             f"socket,id=c,path={vhost}"], stdin=subprocess.DEVNULL)
        try:
            guest, _ = listener.accept()
        except TimeoutError:
            sys.exit("QEMU alone: no heartbeat within 60 s")
        beat = guest.recv(1)
        end = time.perf_counter()
        guest.sendall(beat)
        guest.close()
    for process in (qemu, backend):
        process.kill()
        process.wait()
    return end - begin


def time_run_enclave(directory):
    """Seconds that run-enclave takes"""
    env = {**os.environ, "NITRO_CLI_ACCEL": "tcg",
           "XDG_RUNTIME_DIR": str(directory), "XDG_DATA_HOME": str(directory)}
    begin = time.perf_counter()
    subprocess.run([harness.NITRO_CLI, "run-enclave", "--eif-path",
                    harness.HELLO, "--memory", str(MEMORY_MIB), "--cpu-count",
                    "1"], check=True, env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    end = time.perf_counter()
    subprocess.run([harness.NITRO_CLI, "terminate-enclave", "--all"],
                   check=True, env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return end - begin


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    alone, whole = [], []

    with tempfile.TemporaryDirectory() as kept:
        # Making the user's attestation root is not measured.
        kept = pathlib.Path(kept)
        time_run_enclave(kept)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as directory:
                alone.append(time_qemu(pathlib.Path(directory)))
            whole.append(time_run_enclave(kept))
    over = 1000 * (min(whole) - min(alone))
    print(f"QEMU alone: {min(alone):.3f} s, run-enclave: {min(whole):.3f} s;"
          f" {over:.0f} ms more; the target is {TARGET_MS}")


if __name__ == "__main__":
    main()
