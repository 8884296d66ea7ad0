#!/usr/bin/python3
"""The costs of "qemu-nitro-cli parent": run this with and without it.

  parent_bench.py connections COUNT
      opens TCP connections to itself, one after the other, and accepts them
  parent_bench.py receive CID|PATH MIB
      reads data from an enclave of guest/apps/vsock-agent: by its CID, or by
      the socket vsock.sock in its directory

Prints the elapsed seconds.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import socket
import sys
import threading
import time

AGENT = 9003
DATA = 9100
PIECE = 65536           # bytes


def connections(count):
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    address = listener.getsockname()

    def serve():
        for _ in range(count):
            listener.accept()[0].close()

    server = threading.Thread(target=serve)
    start = time.monotonic()
    server.start()
    for _ in range(count):
        with socket.socket() as client:
            client.connect(address)
            client.recv(1)
    server.join()
    return time.monotonic() - start


def connect(to, port):
    if to.isdecimal():
        s = socket.socket(socket.AF_VSOCK)
        s.connect((int(to), port))
        return s
    s = socket.socket(socket.AF_UNIX)
    s.connect(to)
    s.sendall(f"CONNECT {port}\n".encode())
    line = b""
    while not line.endswith(b"\n"):
        line += s.recv(1)
    return s


def receive(to, mib):
    size = mib << 20
    control = connect(to, AGENT)
    control.sendall(f"listen {DATA} 1 {size} {PIECE}\n".encode())
    if control.recv(100) != b"listening\n":
        sys.exit("this enclave's program is not vsock-agent")
    data = connect(to, DATA)
    data.shutdown(socket.SHUT_WR)
    buffer, got = bytearray(1 << 20), 0
    start = time.monotonic()
    while n := data.recv_into(buffer):
        got += n
    if got != size:
        sys.exit(f"{got} bytes came, and not {size}")
    return time.monotonic() - start


if len(sys.argv) == 3 and sys.argv[1] == "connections":
    print(f"{connections(int(sys.argv[2])):.2f} s")
elif len(sys.argv) == 4 and sys.argv[1] == "receive":
    print(f"{receive(sys.argv[2], int(sys.argv[3])):.2f} s")
else:
    sys.exit(__doc__)
