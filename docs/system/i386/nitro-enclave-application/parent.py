#!/usr/bin/python3
"""The application on the parent instance.

Sends the enclave its configuration: a JSON object from standard input, to which
it adds a new nonce.  Prints the data that the enclave fetched, and writes the
attestation document to a file.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import argparse
import json
import os
import pathlib
import socket
import sys
import time

CONFIGURATION_PORT = 5000
TIMEOUT_S = 120


def connect(cid):
    """A connection to the application, once it listens."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        enclave = socket.socket(socket.AF_VSOCK)
        enclave.settimeout(TIMEOUT_S)
        try:
            enclave.connect((cid, CONFIGURATION_PORT))
            return enclave
        except (ConnectionResetError, TimeoutError):
            enclave.close()
            if time.monotonic() > end:
                raise
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cid", type=int, help="the enclave's CID")
    parser.add_argument("document", type=pathlib.Path,
                        help="the file to write the attestation document to")
    args = parser.parse_args()
    request = {**json.load(sys.stdin), "nonce": os.urandom(16).hex()}
    with connect(args.cid) as enclave, enclave.makefile("rw") as lines:
        print(json.dumps(request), file=lines, flush=True)
        result = json.loads(lines.readline())
    if "error" in result:
        sys.exit(f"the enclave sent an error: {result['error']}")
    args.document.write_bytes(bytes.fromhex(result["document"]))
    print(json.dumps({"data": bytes.fromhex(result["data"]).decode(),
                      "nonce": request["nonce"]}))


main()
