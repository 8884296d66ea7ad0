#!/usr/bin/python3
"""A program without any change for this project: AF_VSOCK in Python

  python listen PORT              answers lines: "python LINE CID-OF-THE-CLIENT"
  python connect CID PORT LINE    sends a line and prints the answer
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import socket
import sys
import threading


def answer(connection, cid):
    with connection, connection.makefile("rw") as file:
        line = file.readline().rstrip("\n")
        print(f"python {line} {cid}", file=file, flush=True)


def serve(port):
    listener = socket.socket(socket.AF_VSOCK)
    listener.bind((socket.VMADDR_CID_ANY, port))
    listener.listen()
    while True:
        connection, (cid, _) = listener.accept()
        threading.Thread(target=answer, args=(connection, cid)).start()


def ask(cid, port, line):
    connection = socket.socket(socket.AF_VSOCK)
    connection.settimeout(60)
    connection.connect((cid, port))
    with connection, connection.makefile("rw") as file:
        print(line, file=file, flush=True)
        print(file.readline(), end="")


if sys.argv[1] == "listen":
    serve(int(sys.argv[2]))
else:
    ask(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
