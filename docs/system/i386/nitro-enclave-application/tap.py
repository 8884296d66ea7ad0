#!/usr/bin/python3
"""A network for an enclave: Ethernet frames over one vsock connection.

On the parent instance, "tap.py parent" makes the interface tap0, the enclave's
gateway; in the enclave, "tap.py enclave PROGRAM" makes an interface with the
address and the name server that the parent gives it, and runs the program.

First the parent sends a JSON object on a line.  Frames follow, in both
directions, each after its length, 4 bytes with the most significant first.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import argparse
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

PARENT_CID = 3
PORT = 1024
TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI = 2, 0x1000
FRAME_MAX = 65536       # bytes


def make_tap(address):
    """The interface tap0 with an address such as 192.168.127.1/24."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF,
                struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI))
    run("ip", "address", "add", address, "dev", "tap0")
    run("ip", "link", "set", "tap0", "up")
    return tap


def run(*command):
    subprocess.run(command, check=True)


def pass_on(tap, connection, stream):
    """Frames go both ways until the connection ends."""
    def send_frames():
        while True:
            frame = os.read(tap, FRAME_MAX)
            connection.sendall(struct.pack(">I", len(frame)) + frame)

    threading.Thread(target=send_frames, daemon=True).start()
    while len(head := stream.read(4)) == 4:
        frame = stream.read(struct.unpack(">I", head)[0])
        os.write(tap, frame)


def parent(args):
    tap = make_tap(args.gateway)
    listener = socket.socket(socket.AF_VSOCK)
    listener.bind((socket.VMADDR_CID_ANY, PORT))
    listener.listen()
    print("tap: ready", flush=True)
    connection, _ = listener.accept()
    gateway = args.gateway.partition("/")[0]
    settings = {"address": args.address, "gateway": gateway,
                "name_server": args.name_server or gateway}
    connection.sendall(json.dumps(settings).encode() + b"\n")
    pass_on(tap, connection, connection.makefile("rb"))


def enclave(args):
    connection = socket.socket(socket.AF_VSOCK)
    connection.connect((PARENT_CID, PORT))
    stream = connection.makefile("rb")
    settings = json.loads(stream.readline())
    run("ip", "link", "set", "lo", "up")
    tap = make_tap(settings["address"])
    run("ip", "route", "add", "default", "via", settings["gateway"])
    pathlib.Path("/etc/resolv.conf").write_text(
        f"nameserver {settings['name_server']}\n", encoding="ascii")
    threading.Thread(target=pass_on, args=(tap, connection, stream),
                     daemon=True).start()
    sys.exit(subprocess.run(args.program, check=False).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sides = parser.add_subparsers(required=True)
    side = sides.add_parser("parent")
    side.set_defaults(run=parent)
    side.add_argument("--gateway", default="192.168.127.1/24",
                      help="the address of the parent's interface")
    side.add_argument("--address", default="192.168.127.2/24",
                      help="the address that the enclave gets")
    side.add_argument("--name-server", help="the default is the gateway")
    side = sides.add_parser("enclave")
    side.set_defaults(run=enclave)
    side.add_argument("program", nargs="+")
    args = parser.parse_args()
    args.run(args)


main()
