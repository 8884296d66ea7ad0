#!/usr/bin/python3
"""The application in the enclave.

The parent connects to port 5000 and sends a line with a JSON object: the name
of an HTTPS server, the path to request, the certificate to verify the server
with, and a nonce.  The application connects to the server through port 8000 of
the parent, which forwards the encrypted bytes.  It sends back the server's
response, and an attestation document that contains the SHA-256 of the response.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import array
import fcntl
import hashlib
import http.client
import json
import os
import socket
import ssl
import struct

import cbor2

PARENT_CID = 3
CONFIGURATION_PORT = 5000
PROXY_PORT = 8000
TIMEOUT_S = 60

NSM_CALL = 0xc0200a00           # _IOWR(0x0a, 0, struct nsm_raw)
NSM_RESPONSE_MAX = 0x3000       # bytes


def log(text):
    print(f"application: {text}", flush=True)


def nsm(request):
    """The Nitro Secure Module's response to a request."""
    sent = array.array("B", cbor2.dumps(request))
    got = array.array("B", bytes(NSM_RESPONSE_MAX))
    call = bytearray()
    for part in (sent, got):
        address, size = part.buffer_info()
        call += struct.pack("=QQ", address, size)
    device = os.open("/dev/nsm", os.O_RDWR)
    try:
        fcntl.ioctl(device, NSM_CALL, call)
    finally:
        os.close(device)
    size = struct.unpack_from("=Q", call, 24)[0]
    return cbor2.loads(got[:size].tobytes())


def attest(user_data, nonce):
    response = nsm({"Attestation": {"user_data": user_data, "nonce": nonce}})
    return response["Attestation"]["document"]


def ask_server(server, path, authority):
    """The server's response.  Its certificate must be of this authority."""
    context = ssl.create_default_context(cadata=authority)
    proxy = socket.socket(socket.AF_VSOCK)
    proxy.settimeout(TIMEOUT_S)
    proxy.connect((PARENT_CID, PROXY_PORT))
    connection = http.client.HTTPSConnection(server)
    connection.sock = context.wrap_socket(proxy, server_hostname=server)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"the server's status is {response.status}")
        return response.read()
    finally:
        connection.close()


def answer(request):
    data = ask_server(request["server"], request["path"], request["authority"])
    document = attest(hashlib.sha256(data).digest(),
                      bytes.fromhex(request["nonce"]))
    log(f"attested to {len(data)} bytes from {request['server']}")
    return {"data": data.hex(), "document": document.hex()}


def serve(parent):
    with parent, parent.makefile("rw") as lines:
        try:
            result = answer(json.loads(lines.readline()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log(f"failed: {error}")
            result = {"error": str(error)}
        print(json.dumps(result), file=lines)


def main():
    listener = socket.socket(socket.AF_VSOCK)
    listener.bind((socket.VMADDR_CID_ANY, CONFIGURATION_PORT))
    listener.listen()
    log("ready")
    while True:
        parent, (cid, port) = listener.accept()
        log(f"connection from CID {cid}, port {port}")
        try:
            parent.settimeout(TIMEOUT_S)
            serve(parent)
        except OSError as error:
            log(f"the connection broke: {error}")


main()
