"""The vsock back end between host programs and a real Linux guest.

A small program in the guest opens connections on request, sends and receives
data, and reports what it received.  The other ends are in this test.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import json
import os
import re
import socket
import subprocess
import textwrap
import threading
import time
import zlib

import harness

AGENT = 9003                    # the program's port
HOST, PARENT = 2, 3             # CIDs
STREAM, SEQPACKET = 1, 5        # socket types of Linux
BLOCK_SIZE = 65521              # bytes
LARGEST = 65536                 # bytes in a write
MIB = 1 << 20
TIMEOUT_S = 240


def make_block():
    """The data, which is repeated; the guest's program sends the same."""
    state, data = 1, bytearray()
    for _ in range(BLOCK_SIZE):
        state = (state * 1664525 + 1013904223) & 0xffffffff
        data.append(state >> 24)
    return bytes(data)


BLOCK = make_block() * 2


def checksum(size):
    """The CRC of `size` bytes of the data"""
    crc = 0
    whole = memoryview(BLOCK)[:BLOCK_SIZE]
    for _ in range(size // BLOCK_SIZE):
        crc = zlib.crc32(whole, crc)
    return zlib.crc32(whole[:size % BLOCK_SIZE], crc)


def any_sizes():
    state = 7
    while True:
        state = (state * 1664525 + 1013904223) & 0xffffffff
        bits = state >> 28
        state = (state * 1664525 + 1013904223) & 0xffffffff
        yield (state >> 8) % (2 << bits) + 1


def pieces(size, piece=0):
    """`size` bytes in writes of `piece` bytes, or of any size"""
    sizes = any_sizes()
    while size:
        n = min(piece or next(sizes), size)
        yield n
        size -= n


def send_data(connection, size, piece=0):
    """Send `size` bytes in such writes."""
    done = 0
    for n in pieces(size, piece):
        at = done % BLOCK_SIZE
        connection.sendall(memoryview(BLOCK)[at:at + n])
        done += n
    connection.shutdown(socket.SHUT_WR)


def take_data(connection):
    """Receive all data.  Returns the number of bytes, their CRC, and the
    number of pieces."""
    crc = size = count = 0
    while data := connection.recv(LARGEST):
        crc = zlib.crc32(data, crc)
        size += len(data)
        count += 1
    return size, crc, count


class Work(threading.Thread):
    """A function that runs in its own thread; outcome() returns its result"""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.result = self.error = None
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.arguments)
        except Exception as error:      # raised in outcome()
            self.error = error

    def outcome(self):
        self.join(TIMEOUT_S)
        if self.is_alive():
            raise TimeoutError("a transfer does not end")
        if self.error:
            raise self.error
        return self.result


def exchange(connection, size, piece):
    """Send and receive at the same time."""
    taking = Work(take_data, connection)
    send_data(connection, size, piece)
    return taking.outcome()


class Job:
    """A request to a guest's program, on a connection to it"""

    def __init__(self, control, *words):
        self.file = control.makefile("rw")
        print(*words, file=self.file, flush=True)

    def line(self):
        return self.file.readline().split()

    def listening(self):
        assert self.line() == ["listening"]

    def done(self):
        """The number of bytes that the guest received, their CRC, and the
        number of pieces"""
        word, *numbers = self.line() or ["gone"]
        if word != "done":
            raise OSError(f"the guest's transfer {word} {numbers}")
        return tuple(int(n) for n in numbers)


class Guests(harness.Case):
    def start(self, path, cid=16):
        """Start an enclave with the program."""
        return self.spawn(*self.qemu_command(
            harness.app_image("vsock-agent"), "-m", "128M", "-serial",
            f"file:{self.dir}/console{cid}", vsock=path))

    def boot(self, path, cid=16):
        """Start the enclave, and wait until the program listens."""
        process = self.start(path, cid)
        self.vsock_connect(AGENT, cid).close()
        return process

    def job(self, *words, cid=16):
        return Job(self.vsock_connect(AGENT, cid), *words)

    def listener(self, address, kind=socket.SOCK_STREAM):
        """A host program that listens on a Unix socket, or on a TCP port"""
        family = socket.AF_INET if isinstance(address, tuple) else \
            socket.AF_UNIX
        s = socket.socket(family, kind)
        self.addCleanup(s.close)
        s.settimeout(TIMEOUT_S)
        s.bind(address if family == socket.AF_INET else str(address))
        s.listen(200)
        return s

    def connect(self, address, kind=socket.SOCK_STREAM):
        """A host program that connects there"""
        family = socket.AF_INET if isinstance(address, tuple) else \
            socket.AF_UNIX
        s = socket.socket(family, kind)
        self.addCleanup(s.close)
        s.settimeout(TIMEOUT_S)
        s.connect(address)
        return s

    def accept(self, listener):
        connection, _ = listener.accept()
        self.addCleanup(connection.close)
        connection.settimeout(TIMEOUT_S)
        return connection

    def expect_exchange(self, job, connection, ours, theirs, piece):
        """Both ends have received all that the other one sent."""
        size, crc, _ = exchange(connection, ours, piece)
        self.assertEqual(size, theirs)
        self.assertEqual(crc, checksum(theirs))
        size, crc, _ = job.done()
        self.assertEqual(size, ours)
        self.assertEqual(crc, checksum(ours))
        connection.close()

    def transfer_out(self, port, listener, ours, theirs, piece=0, cid=PARENT):
        """A connection that the guest makes to a host program"""
        job = self.job("connect", cid, port, STREAM, theirs, piece)
        self.expect_exchange(job, self.accept(listener), ours, theirs, piece)

    def transfer_in(self, port, connect, ours, theirs, piece=0):
        """A connection that a host program makes to the guest"""
        job = self.job("listen", port, STREAM, theirs, piece)
        job.listening()
        self.expect_exchange(job, connect(port), ours, theirs, piece)


class Transfers(Guests):
    SIZE = 64 * MIB

    def test_unix(self):
        """Both directions in turn and at once, and in single bytes"""
        self.boot(self.backend())
        listener = self.listener(f"{self.dir}/vsock16_50")
        self.transfer_out(50, listener, self.SIZE, 0)
        self.transfer_out(50, listener, 0, self.SIZE, cid=HOST)
        self.transfer_out(50, listener, 8 * MIB, 8 * MIB, LARGEST)
        # A system call in an emulated guest takes long, so there are fewer
        # single bytes.
        self.transfer_out(50, listener, 50000, 50000, 1)

    def test_host_connects(self):
        self.boot(self.backend())
        self.transfer_in(60, self.vsock_connect, self.SIZE, 0)
        self.transfer_in(61, self.vsock_connect, 0, self.SIZE)
        self.transfer_in(62, self.vsock_connect, 8 * MIB, 8 * MIB, LARGEST)
        self.transfer_in(63, self.vsock_connect, 50000, 50000, 1)


    def test_configured_out(self):
        """Guests' connections go where the options say."""
        tcp = self.listener(("127.0.0.1", 0))
        unix = self.listener(self.dir / "program")
        tcp_port = tcp.getsockname()[1]
        self.boot(*self.backends(
            16, more=f",connect=51:tcp:127.0.0.1:{tcp_port}"
            f",connect=52:unix:{self.dir}/program"))
        for port, listener in ((51, tcp), (52, unix)):
            self.transfer_out(port, listener, self.SIZE, 0)
            self.transfer_out(port, listener, 0, self.SIZE)
            self.transfer_out(port, listener, 4 * MIB, 4 * MIB)

    def test_configured_in(self):
        """Host programs connect where the options say."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            tcp = free.getsockname()
        unix = f"{self.dir}/door"
        self.boot(*self.backends(16, more=f",listen=tcp:{tcp[0]}:{tcp[1]}"
                                 f":61,listen=unix:{unix}:62"))
        for port, address in ((61, tcp), (62, unix)):
            connect = lambda _, address=address: self.connect(address)
            self.transfer_in(port, connect, self.SIZE, 0)
            self.transfer_in(port, connect, 0, self.SIZE)
            self.transfer_in(port, connect, 4 * MIB, 4 * MIB)

    def test_siblings(self):
        for path, cid in zip(self.backends(16, 17), (16, 17)):
            self.boot(path, cid)
        sizes = (8 * MIB, 0), (0, 8 * MIB), (MIB, MIB)
        for i, (there, back) in enumerate(sizes * 2):
            kind = SEQPACKET if i < len(sizes) else STREAM
            server = self.job("listen", 60 + i, kind, back, 0, cid=17)
            server.listening()
            client = self.job("connect", 17, 60 + i, kind, there, 0, cid=16)
            self.assertEqual(client.done()[:2], (back, checksum(back)))
            self.assertEqual(server.done()[:2], (there, checksum(there)))


class Messages(Guests):
    """SEQPACKET: each write is received by one read."""
    SIZE = 64 * MIB

    def expect_messages(self, job, connection):
        """Both ends have sent SIZE bytes in writes of any size."""
        count = len(list(pieces(self.SIZE)))
        expected = self.SIZE, checksum(self.SIZE), count
        self.assertEqual(exchange(connection, self.SIZE, 0), expected)
        self.assertEqual(job.done(), expected)

    def test_guest_connects(self):
        self.boot(self.backend())
        listener = self.listener(f"{self.dir}/vsock16_50",
                                 socket.SOCK_SEQPACKET)
        job = self.job("connect", PARENT, 50, SEQPACKET, self.SIZE, 0)
        self.expect_messages(job, self.accept(listener))

    def test_host_connects(self):
        door = f"{self.dir}/door"
        self.boot(*self.backends(16, more=f",listen=seqpacket:{door}:60"))
        job = self.job("listen", 60, SEQPACKET, self.SIZE, 0)
        job.listening()
        self.expect_messages(job, self.connect(door, socket.SOCK_SEQPACKET))

    def test_stream_is_no_messages(self):
        """A socket of one type does not get connections of the other."""
        self.boot(self.backend())
        self.listener(f"{self.dir}/vsock16_50")
        with self.assertRaisesRegex(OSError, "failed"):
            self.job("connect", PARENT, 50, SEQPACKET, 1, 1).done()


class Connections(Guests):
    def test_hundred(self):
        """A hundred connections at once, in both directions"""
        self.boot(self.backend())
        works = [Work(self.one, i) for i in range(100)]
        for work in works:
            work.outcome()

    def one(self, i):
        port, size = 100 + i, 10000 + 1000 * i
        if i % 2:
            listener = self.listener(f"{self.dir}/vsock16_{port}")
            self.transfer_out(port, listener, size, size)
        else:
            self.transfer_in(port, self.vsock_connect, size, size)

    def test_nobody_listens(self):
        self.boot(self.backend())
        with self.assertRaisesRegex(OSError, "failed"):
            self.job("connect", PARENT, 4444, STREAM, 1, 1).done()
        host = socket.socket(socket.AF_UNIX)
        self.addCleanup(host.close)
        host.settimeout(TIMEOUT_S)
        host.connect(f"{self.dir}/vsock16")
        host.sendall(b"CONNECT 4444\n")
        self.assertEqual(host.recv(100), b"")

    def test_guest_is_killed(self):
        """Host programs read the end, and the next guest is served."""
        path = self.backend()
        listener = self.listener(f"{self.dir}/vsock16_50")
        for _ in range(2):
            process = self.boot(path)
            connections = self.endless_transfers(listener)
            process.kill()
            process.wait()
            for connection in connections:
                self.assertGreater(self.drain(connection), -1)
        self.boot(path)
        self.transfer_out(50, listener, MIB, MIB)

    def test_back_end_is_killed(self):
        """The back end is killed in mid-transfer, 20 times: the guest's
        connections are reset, QEMU finds the next back end, and listeners in
        the guest can be connected to again."""
        path = self.dir / "vhost16.sock"
        listener = self.listener(f"{self.dir}/vsock16_50")
        back_end = self.killable_back_end(path)
        self.spawn(*self.qemu_command(
            harness.app_image("vsock-agent"), "-m", "128M", "-serial",
            f"file:{self.dir}/console16", vsock=path,
            chardev=",reconnect-ms=20"))
        self.vsock_connect(AGENT).close()
        for _ in range(20):
            connections = self.endless_transfers(listener)
            back_end.kill()
            back_end.wait()
            for connection in connections:
                self.drain(connection)
            back_end = self.killable_back_end(path)
        self.transfer_out(50, listener, MIB, MIB)
        self.transfer_in(61, self.vsock_connect, MIB, MIB)

    def endless_transfers(self, listener):
        """Two connections on which the guest sends without an end: one made by
        the host, and one made by the guest"""
        job = self.job("listen", 60, STREAM, 1 << 40, 0)
        job.listening()
        incoming = self.vsock_connect(60)
        self.job("connect", PARENT, 50, STREAM, 1 << 40, 0)
        outgoing = self.accept(listener)
        for connection in (incoming, outgoing):
            for _ in range(20):
                self.assertNotEqual(connection.recv(LARGEST), b"")
        return incoming, outgoing

    def killable_back_end(self, path):
        process = self.spawn(
            harness.VSOCK, "--vm",
            f"guest-cid=16,socket={path},uds-path={self.dir}/vsock16",
            stdout=subprocess.DEVNULL)
        self.wait_for_listener(self.dir / "vsock16")
        return process

    def drain(self, connection):
        """Read what is left of a broken connection, which must end."""
        try:
            return take_data(connection)[0]
        except ConnectionResetError:
            return 0


class Manual(Guests):
    """The examples of the manuals, without changes"""

    def free_ports(self, text, *ports):
        """Replace the TCP ports in the text by free ones."""
        for port in ports:
            self.assertIn(port, text)
            with socket.create_server(("127.0.0.1", 0)) as free:
                text = text.replace(port, str(free.getsockname()[1]))
        return text

    def examples(self):
        """The commands of the daemon's manual"""
        page = harness.TOP / "docs/tools/vhost-user-vsock.rst"
        text = page.read_text().split("\nExamples\n")[1]
        text = self.free_ports(text, "5003", "8080")
        blocks = re.findall(r"code-block:: sh\n\n((?:  .*\n)+)", text)
        return [textwrap.dedent(block) for block in blocks]

    def shell(self, command, directory=None, **kwargs):
        path = f"{harness.BUILD}/bin:{os.environ['PATH']}"
        return self.spawn("/bin/sh", "-ec", command, cwd=directory or self.dir,
                          env={**os.environ, "PATH": path}, text=True,
                          stdout=subprocess.PIPE, **kwargs)

    def ask(self, command, request):
        """The output of a command that sends a request to the guest"""
        self.file("request", request.encode())
        out, _ = self.shell(command).communicate(timeout=TIMEOUT_S)
        return out.splitlines()

    def test_examples(self):
        daemon, by_tcp, by_unix, echo, tcp_echo, two = self.examples()
        self.shell("exec " + daemon)
        self.wait_for_listener(self.dir / "vsock16")
        self.boot(self.dir / "vhost16.sock")
        self.shell("exec " + echo)
        self.wait_for_listener(self.dir / "vsock16_7")
        self.shell("exec " + tcp_echo)
        port = int(re.search("TCP-LISTEN:([0-9]+)", tcp_echo)[1])
        self.wait_for_listener(("127.0.0.1", port))
        size = 100000
        done = f"done {size} {checksum(size)} "

        line, = self.ask(by_tcp, f"connect {PARENT} 7 1 {size} 0\n")
        self.assertTrue(line.startswith(done), line)
        first, line = self.ask(by_unix,
                               f"connect {PARENT} 8000 1 {size} 0\n")
        self.assertRegex(first, "^OK [0-9]+$")
        self.assertTrue(line.startswith(done), line)

        events = [json.loads(line) for line in
                  (self.dir / "events.json").read_text().splitlines()]
        self.assertIn("booted", [event["event"] for event in events])
        self.assertIn((7, "opened"), [(e.get("peer_port"), e["event"])
                                      for e in events])

        elsewhere = self.dir / "two"
        elsewhere.mkdir()
        self.shell("exec " + two, elsewhere)
        for cid in (16, 17):
            self.wait_for_listener(elsewhere / f"vhost{cid}.sock")

    def machine_examples(self):
        """The commands of the machine's manual, for a guest's program on port
        9003 and a host's program on TCP port 8080"""
        page = harness.TOP / "docs/system/i386/nitro-enclave.rst"
        text = page.read_text()
        text = text.partition("\nThe parent's applications\n")[2]
        text = text.partition("\nOptions\n")[0]
        self.assertIn("tcp::5005:5005", text)
        text = text.replace("tcp::5005:5005", f"tcp::5006:{AGENT}")
        text = text.replace("TCP:127.0.0.1:5005", "TCP:127.0.0.1:5006")
        text = text.replace("5005", str(AGENT))
        text = self.free_ports(text, "5006", "8080").replace(
            "/tmp/", f"{self.dir}/")
        return [line.removesuffix(" &")
                for line in re.findall(r"^  \$ (.*)$", text, re.M)]

    def expect_answer(self, ask, size=10000):
        """The guest's program, on the connection `ask`, connects to port 8000
        of the parent, and receives the bytes that it sends."""
        end = time.monotonic() + TIMEOUT_S
        while not (lines := self.ask(
                ask, f"connect {PARENT} 8000 1 {size} 0\n")):
            self.assertLess(time.monotonic(), end, "no guest answers")
            time.sleep(0.5)
        line = lines[-1]
        self.assertTrue(line.startswith(f"done {size} {checksum(size)} "),
                        line)

    def test_machine_examples(self):
        tcp, ask_tcp, uds, forward, ask_uds, vsock, siblings = \
            self.machine_examples()
        path = self.dir / "vhost16.socket"
        port = int(re.search("TCP:localhost:([0-9]+)", forward)[1])
        echo = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
        self.spawn("socat", echo, "EXEC:cat")
        self.wait_for_listener(("127.0.0.1", port))

        daemon = self.shell("exec " + tcp)
        self.wait_for_listener(path)
        guest = self.start(path)
        self.expect_answer(ask_tcp)
        for process in (guest, daemon):
            process.terminate()
            process.wait()

        daemon = self.shell("exec " + uds)
        self.wait_for_listener(path)
        self.shell("exec " + forward)
        self.wait_for_listener(self.dir / "vsock16_8000")
        self.boot(path)
        self.expect_answer(ask_uds)
        daemon.terminate()
        daemon.wait()

        self.shell("exec " + siblings)
        for cid in (16, 17):
            self.wait_for_listener(self.dir / f"vhost{cid}.socket")
        self.expect_vsock(vsock)

    def expect_vsock(self, command):
        """The back end listens, or reports that the host has no AF_VSOCK."""
        command = command.replace("vhost16.", "vhost18.")
        daemon = self.shell("exec " + command, stderr=subprocess.PIPE)
        try:
            with socket.socket(socket.AF_VSOCK) as s:
                s.bind((1, socket.VMADDR_PORT_ANY))
        except OSError:
            _, error = daemon.communicate(timeout=TIMEOUT_S)
            self.assertEqual(daemon.returncode, 2)
            self.assertRegex(error, "^[^\n]*forward-cid=1: [^\n]*AF_VSOCK"
                             "[^\n]*\n$")
        else:
            self.wait_for_listener(self.dir / "vhost18.socket")


if __name__ == "__main__":
    harness.main()
