"""Connects Python's AF_VSOCK sockets to the Unix sockets of an enclave.

UDS_PATH is the enclave's socket.  A listener on port P uses UDS_PATH_P.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import socket

UDS_PATH = os.environ["UDS_PATH"]
UNIX_SOCKET = socket.socket


class Socket(UNIX_SOCKET):
    def __init__(self, family=-1, *args, **kwargs):
        self.is_vsock = family == socket.AF_VSOCK
        super().__init__(socket.AF_UNIX if self.is_vsock else family,
                         *args, **kwargs)

    def connect(self, address):
        if not self.is_vsock:
            super().connect(address)
            return
        super().connect(UDS_PATH)
        try:
            self.sendall(f"CONNECT {address[1]}\n".encode())
            while (byte := self.recv(1)) != b"\n":
                if not byte:
                    raise ConnectionResetError
        except BrokenPipeError:
            raise ConnectionResetError from None

    def bind(self, address):
        super().bind(f"{UDS_PATH}_{address[1]}" if self.is_vsock else address)


socket.socket = Socket
