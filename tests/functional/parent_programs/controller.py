#!/usr/bin/python3
"""The enclave's own program: starts the servers, and clients when asked to.

A peer that connects to port 6000 sends a line with a JSON array: the command of
a client.  The response is the client's output, including its errors.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import socket
import subprocess

with open("/app/servers.json", encoding="utf-8") as servers:
    for words in json.load(servers):
        subprocess.Popen(words, stdin=subprocess.DEVNULL)
listener = socket.socket(socket.AF_VSOCK)
listener.bind((socket.VMADDR_CID_ANY, 6000))
listener.listen()
while True:
    connection = listener.accept()[0]
    with connection, connection.makefile("rw") as file:
        request = file.readline()
        if not request:         # the peer only checked whether this listens
            continue
        words, text = json.loads(request)
        result = subprocess.run(words, input=text, check=False, text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        print(json.dumps(result.stdout), file=file, flush=True)
