#!/usr/bin/python3
"""The network of a parent instance: a name server, and an HTTPS server.

network.py ADDRESS CERTIFICATE: answers for server.test with ADDRESS, and to
requests with the address that they come from.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading

NAME = b"\6server\4test\0"
TYPE_A, NAME_ERROR = 1, 3
ADDRESS, CERTIFICATE = sys.argv[1:]


class NameServer(socketserver.BaseRequestHandler):
    """RFC 1035, as far as one question about one name needs it"""

    def handle(self):
        query, listener = self.request
        end = query.index(b"\0", 12) + 1
        name, kind = query[12:end], struct.unpack_from(">H", query, end)[0]
        known = name.lower() == NAME
        answer = b""
        if known and kind == TYPE_A:
            answer = struct.pack(">HHHIH", 0xc00c, TYPE_A, 1, 60, 4) \
                + socket.inet_aton(ADDRESS)
        flags = 0x8400 | (0 if known else NAME_ERROR)
        listener.sendto(
            query[:2] + struct.pack(">HHHHH", flags, 1, bool(answer), 0, 0)
            + query[12:end + 4] + answer, self.client_address)


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        data = f"hello, {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


names = socketserver.UDPServer((ADDRESS, 53), NameServer)
threading.Thread(target=names.serve_forever, daemon=True).start()
server = http.server.ThreadingHTTPServer((ADDRESS, 8443), Greeting)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
