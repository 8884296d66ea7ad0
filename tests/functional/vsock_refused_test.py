"""What the vsock back end refuses: a line with the reason, and status 2"""
# SPDX-License-Identifier: GPL-2.0-or-later

import signal
import socket
import subprocess

import harness


class Refused(harness.Case):
    def daemon(self, *options):
        """The back end, with a socket for QEMU and these options"""
        return self.spawn(harness.VSOCK, "--socket", self.dir / "qemu",
                          *options)

    def refused(self, *options, word=None):
        """The back end ends at once, and prints one line with `word`."""
        result = subprocess.run(
            [harness.VSOCK, *(str(o) for o in options)], check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, 2, (options, result.stderr))
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Avhost-user-vsock: [^\n]+\n\Z")
        self.assertIn(str(word), result.stderr)

    def refused_guest(self, *options, word):
        """The same, if all other options are right"""
        self.refused("--socket", self.dir / "qemu", *options, word=word)
        # No socket or file of it is left.
        self.assertEqual(list(self.dir.glob("qemu*")), [])

    def test_options(self):
        self.refused(word="socket")
        self.refused("--socket", word="--socket")
        self.refused("--config", "guests.yaml", word="--vm")
        self.refused("--vm", "guest-cid=5", word="socket")
        self.refused_guest("--nonsense", "1", word="nonsense")
        self.refused_guest("nonsense", word="nonsense")
        self.refused_guest("--heartbeat", "maybe", word="maybe")
        self.refused_guest("--queue-size", "100", word="power of two")
        self.refused_guest("--tx-buffer-size", "1", word="4096")

    def test_contradictions(self):
        uds = self.dir / "uds"
        self.refused_guest("--uds-path", uds, "--forward-cid", "1",
                           word="uds-path")
        self.refused_guest("--uds-path", uds, "--forward-listen", "80",
                           word="forward-cid")
        self.refused_guest("--forward-listen", "80", word="forward-cid")
        self.refused_guest("--guest-cid", "5", "--guest-cid", "6",
                           word="twice")
        self.refused_guest("--vm", f"socket={uds}", word="--vm")
        self.refused_guest("--listen", f"unix:{uds}:1",
                           "--listen", f"unix:{uds}:2", word=uds)

    def test_cids(self):
        for cid in ("0", "1", "2", "3", "-1", "4294967295", "4294967296",
                    "99999999999999999999", "0x10", "", "16 "):
            self.refused_guest("--guest-cid", cid, word=f"guest-cid={cid}")
        self.refused("--vm", f"guest-cid=16,socket={self.dir}/a",
                     "--vm", f"guest-cid=16,socket={self.dir}/b",
                     word="guest-cid=16")

    def test_ports(self):
        for port in ("-1", "4294967295", "4294967296", "http", ""):
            self.refused_guest("--connect", f"{port}:unix:{self.dir}/p",
                               word=f"connect={port}:unix")
            self.refused_guest("--listen", f"unix:{self.dir}/p:{port}",
                               word="port")
        for port in ("0", "65536", "http", ""):
            self.refused_guest("--connect", f"80:tcp:127.0.0.1:{port}",
                               word="65535")
            self.refused_guest("--listen", f"tcp::{port}:80", word="65535")

    def test_paths(self):
        for path in ("", "/" + 107 * "x"):
            self.refused("--socket", path, word="socket")
            self.refused_guest("--uds-path", path or "/" + 200 * "y",
                               word="107")
        self.refused("--socket", self.dir / "nowhere/qemu", word="nowhere")
        self.refused_guest("--uds-path", self.file("file", b"kept"),
                           word="not a socket")
        self.assertEqual((self.dir / "file").read_bytes(), b"kept")
        self.refused_guest("--events", "77", word="events=77")
        self.refused_guest("--events", self.dir / "nowhere/file",
                           word="nowhere")

    def test_a_value_of_several_lines(self):
        """The error is still one line."""
        self.refused_guest("--guest-cid", "1\n2\n", word="guest-cid=1")
        self.refused_guest("--uds-path", f"{self.dir}/no\n/where\r\x1b[2J",
                           word="where")

    def test_a_live_daemon(self):
        """Its sockets are not replaced, and it keeps running."""
        uds, door = self.dir / "uds", self.dir / "door"
        self.daemon("--uds-path", uds, "--listen", f"seqpacket:{door}:1")
        self.wait_for_listener(uds)
        self.wait_for_listener(door, kind=socket.SOCK_SEQPACKET)
        inodes = [path.stat().st_ino for path in sorted(self.dir.iterdir())]
        self.refused("--socket", self.dir / "qemu", word="qemu")
        for taken in (uds, self.dir / "qemu", door):
            self.refused("--socket", self.dir / "mine", "--uds-path", taken,
                         word=taken)
            self.refused("--socket", taken, word=taken)
        self.assertEqual(inodes, [path.stat().st_ino
                                  for path in sorted(self.dir.iterdir())])
        self.wait_for_listener(uds)

    def test_a_port_of_tcp_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
            self.refused_guest("--listen", f"tcp::{port}:1", word=port)

    def test_a_dead_socket_is_replaced(self):
        uds = self.dir / "uds"
        for _ in range(2):
            daemon = self.daemon("--uds-path", uds)
            self.wait_for_listener(uds)
            daemon.kill()
            daemon.wait()
            self.assertTrue(uds.is_socket())
        daemon = self.daemon("--uds-path", uds)
        self.wait_for_listener(uds)
        self.wait_for_listener(self.dir / "qemu")
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(60), 0)
        self.assertEqual(list(self.dir.iterdir()), [])


if __name__ == "__main__":
    harness.main()
