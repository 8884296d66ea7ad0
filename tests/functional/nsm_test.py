"""The Nitro Secure Module, as programs in a Linux guest use it.

A small program in the guest passes requests to /dev/nsm.  The test encodes the
requests, and decodes the responses, with cbor2.
"""
# SPDX-License-Identifier: GPL-2.0-or-later

import ctypes
import hashlib
import os
import socket
import struct
import subprocess
import threading

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

import attestation
import harness

PORT = 9002
PR_SET_THP_DISABLE = 41         # Linux, include/uapi/linux/prctl.h
ROLE = "arn:aws:iam::123456789012:role/parent"
PARENT = "i-0123456789abcdef0"
MODULE = "i-0123456789abcdef0-enc0123456789abcdef"
ZERO = bytes(48)


def extended(data, pcr=ZERO):
    return hashlib.sha384(pcr + data).digest()


class Agent:
    """A connection to the program in the guest."""

    def __init__(self, connection):
        self.socket = connection

    def receive(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError("the guest's program is gone")
            data += piece
        return data

    def number(self):
        return struct.unpack(">I", self.receive(4))[0]

    def command(self, letter, number, data=b""):
        self.socket.sendall(letter + struct.pack(">I", number) + data)

    def raw(self, request):
        """The response of /dev/nsm as bytes, or an errno."""
        self.command(b"q", len(request), request)
        error = self.number()
        return error or self.receive(self.number())

    def ask(self, request):
        return cbor2.loads(self.raw(cbor2.dumps(request)))

    def pcr(self, index):
        answer = self.ask({"DescribePCR": {"index": index}})["DescribePCR"]
        return answer["data"], answer["lock"]

    def document(self, **fields):
        return self.ask({"Attestation": fields})["Attestation"]["document"]

    def hwrng(self, size):
        self.command(b"r", size)
        error = self.number()
        return error or self.receive(size)

    def storm(self, times, requests):
        """Send `times` requests.  Returns how many responses were errors."""
        self.command(b"s", times, struct.pack(">I", len(requests)) + b"".join(
            struct.pack(">I", len(r)) + r for r in requests))
        error = self.number()
        if error:
            raise OSError(error, os.strerror(error))
        return self.number()


class Guest(harness.Case):
    def start(self, *options, machine="", smp=1):
        qmp = self.dir / "qmp"
        self.process = self.spawn(*self.qemu_command(
            harness.app_image("nsm-agent"), "-m", "128M", "-smp", str(smp), "-serial",
            f"file:{self.dir}/console", "-qmp",
            f"unix:{qmp},server=on,wait=off", *options, vsock=self.backend(),
            machine=machine))
        self.wait_for(qmp)
        self.monitor = harness.Qmp(qmp)
        return self.agent()

    def agent(self):
        return Agent(self.vsock_connect(PORT))

    def property(self, name, path="/machine"):
        return self.monitor.command("qom-get", path=path, property=name)


class Module(Guest):
    def test_requests(self):
        agent = self.start(machine=f",id={MODULE}")
        self.assertEqual(agent.ask("DescribeNSM"), {"DescribeNSM": {
            "digest": "SHA384", "max_pcrs": 32, "module_id": MODULE,
            "locked_pcrs": list(range(16)), "version_major": 1,
            "version_minor": 0, "version_patch": 0}})
        for index, data in ((16, b""), (16, b"abc"), (31, bytes(3900))):
            old, _ = agent.pcr(index)
            new = extended(data, old)
            self.assertEqual(
                agent.ask({"ExtendPCR": {"index": index, "data": data}}),
                {"ExtendPCR": {"data": new}})
            self.assertEqual(agent.pcr(index), (new, False))
        self.assertEqual(agent.ask({"LockPCR": {"index": 20}}), "LockPCR")
        self.assertEqual(agent.pcr(20), (ZERO, True))
        self.assertEqual(agent.ask({"LockPCRs": {"range": 18}}), "LockPCRs")
        self.assertEqual(agent.ask("DescribeNSM")["DescribeNSM"]
                         ["locked_pcrs"], list(range(18)) + [20])
        payload = cbor2.loads(cbor2.loads(agent.document())[2])
        self.assertEqual(list(payload["pcrs"]), list(range(18)) + [20])
        self.assertEqual(payload["module_id"], MODULE)

    def test_errors(self):
        agent = self.start()
        index = {"index": 50}
        for request, error in (
                ({"DescribePCR": index}, "InvalidIndex"),
                ({"ExtendPCR": {**index, "data": b""}}, "InvalidIndex"),
                ({"LockPCR": index}, "InvalidIndex"),
                ({"LockPCRs": {"range": 33}}, "InvalidIndex"),
                ({"ExtendPCR": {"index": 0, "data": b""}}, "ReadOnlyIndex"),
                ({"LockPCR": {"index": 15}}, "ReadOnlyIndex"),
                ("Unknown", "InvalidOperation"),
                ({"LockPCR": {}}, "InvalidOperation"),
                ({"LockPCR": {"index": None}}, "InvalidOperation"),
                ({"LockPCR": {"index": "1"}}, "InvalidOperation"),
                ({"LockPCR": {"index": -1}}, "InvalidOperation"),
                ({"LockPCR": {"index": 1 << 32}}, "InvalidOperation"),
                ({"LockPCR": "text"}, "InvalidOperation"),
                ({"ExtendPCR": {"index": 16}}, "InvalidOperation"),
                ({"Attestation": {"nonce": 1}}, "InvalidOperation"),
                ({"GetRandom": {}, "DescribeNSM": {}}, "InvalidOperation")):
            self.assertEqual(agent.ask(request), {"Error": error}, request)
        for request in (b"\xff\xff\xff\xff", b"\x60\x60", b"\xa1"):
            self.assertEqual(cbor2.loads(agent.raw(request)),
                             {"Error": "InvalidOperation"})
        # Linux's driver itself refuses requests of more than 0x1000 bytes.
        self.assertIsInstance(agent.raw(bytes(0x1001)), int)
        self.assertEqual(agent.pcr(16), (ZERO, False))

    def test_the_checks_of_aws(self):
        """The checks of AWS's test program for the module, with a parent's id
        and without a role"""
        agent = self.start(machine=f",parent-id={PARENT}")
        for i in range(32):
            value, locked = agent.pcr(i)
            self.assertEqual(value != ZERO, i in (0, 1, 2, 4), i)
            self.assertEqual(locked, i < 16, i)
        for i in range(16):
            self.assertEqual(agent.ask({"LockPCR": {"index": i}}),
                             {"Error": "ReadOnlyIndex"})
        self.assertEqual(agent.ask({"LockPCRs": {"range": 32}}), "LockPCRs")
        self.assertEqual(agent.ask({"LockPCRs": {"range": 33}}),
                         {"Error": "InvalidIndex"})
        agent.document(user_data=bytes(1024), nonce=bytes(1024),
                       public_key=bytes(1024))
        seen = {bytes(agent.ask("GetRandom")["GetRandom"]["random"])
                for _ in range(64)}
        self.assertEqual(len(seen), 64)
        self.assertEqual({len(r) for r in seen}, {256})

    def test_hwrng(self):
        agent = self.start()
        first, second = agent.hwrng(4096), agent.hwrng(4096)
        self.assertNotEqual(first, second)
        self.assertGreater(len(set(first)), 200)

    def test_reboot(self):
        """A reboot restores the PCRs."""
        agent = self.start(machine=f",parent-id={PARENT}")
        start = [agent.pcr(i) for i in range(32)]
        agent.ask({"ExtendPCR": {"index": 16, "data": b"x"}})
        agent.ask({"LockPCRs": {"range": 32}})
        self.assertNotEqual([agent.pcr(i) for i in range(32)], start)
        root = self.property("attestation-root")
        agent.command(b"b", 0)
        self.monitor.event("RESET")
        agent = self.agent()
        self.assertEqual([agent.pcr(i) for i in range(32)], start)
        self.assertEqual(self.property("attestation-root"), root)
        attestation.check_document(agent.document(), root.encode())

    def test_many_at_once(self):
        """Several threads of the guest send requests."""
        self.start(smp=2)
        wrong = []

        def work(index):
            try:
                agent = self.agent()
                value = ZERO
                for i in range(50):
                    data = bytes([i]) * i
                    value = extended(data, value)
                    answer = agent.ask({"ExtendPCR": {"index": index,
                                                      "data": data}})
                    if answer != {"ExtendPCR": {"data": value}}:
                        wrong.append((index, i, answer))
                    if i % 10 == 0:
                        nonce = bytes([index, i])
                        cose = cbor2.loads(agent.document(nonce=nonce))
                        if cbor2.loads(cose[2])["nonce"] != nonce:
                            wrong.append((index, i, "nonce"))
            except Exception as e:  # pylint: disable=broad-except
                wrong.append((index, e))

        threads = [threading.Thread(target=work, args=(i,))
                   for i in range(16, 24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_storm(self):
        """QEMU's memory does not grow with many requests, a quarter of them
        malformed."""
        # Otherwise the kernel may make part of the heap a huge page, which
        # adds 2 MiB at any time.
        self.assertEqual(ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0,
                                                 0), 0)
        agent = self.start()
        good = [cbor2.dumps(r) for r in (
            "DescribeNSM", "GetRandom", {"DescribePCR": {"index": 3}},
            {"ExtendPCR": {"index": 16, "data": bytes(100)}},
            {"DescribePCR": {"index": 31}}, "GetRandom")]
        bad = [b"\xff" * 8, b"\x9b" + b"\x7f" * 8]

        def memory():
            with open(f"/proc/{self.process.pid}/status",
                      encoding="ascii") as f:
                fields = dict(line.split(":", 1) for line in f)
            return int(fields["RssAnon"].split()[0])

        agent.storm(2000, good + bad)
        before = memory()
        self.assertEqual(agent.storm(100000, good + bad), 25000)
        self.assertLess(memory() - before, 2048)


class Documents(Guest):
    def check(self, document, root, **fields):
        """Check a document with other software and with our verifier."""
        payload = attestation.check_document(document, root.encode())
        for name in ("nonce", "user_data", "public_key"):
            self.assertEqual(payload[name], fields.get(name), name)
        result = subprocess.run(
            [harness.NITRO_CLI, "verify-attestation", "--document", "-",
             "--root", self.file("root.pem", root.encode())],
            input=document, check=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return payload

    def test_root_of_the_run(self):
        agent = self.start(machine=f",parent-role={ROLE},parent-id={PARENT}")
        root = self.property("attestation-root")
        for fields in ({}, {"nonce": b""}, {"nonce": b"n", "user_data": b"u",
                                            "public_key": b"p"},
                       {"nonce": bytes(4000)}, {"user_data": None}):
            payload = self.check(agent.document(**fields), root, **fields)
        self.assertEqual(payload["pcrs"][3], extended(ROLE.encode()))
        self.assertEqual(payload["pcrs"][4], extended(PARENT.encode()))
        for i in (0, 1, 2):
            self.assertEqual(payload["pcrs"][i].hex(),
                             self.property(f"pcr{i}"))
            self.assertNotEqual(payload["pcrs"][i], ZERO)
        for i in range(5, 16):
            self.assertEqual(payload["pcrs"][i], ZERO)

    def test_root_of_the_user(self):
        root = attestation.Authority("the user's", life=24 * 365)
        cert = self.file("ca.pem", root.pem())
        key = self.file("ca.key", root.key_pem())
        agent = self.start(machine=f",attestation-ca-cert={cert},"
                           f"attestation-ca-key={key}")
        self.check(agent.document(nonce=b"1"), root.pem().decode(),
                   nonce=b"1")
        self.assertEqual(self.property("attestation-root"),
                         root.pem().decode())

    def test_debug_mode(self):
        agent = self.start(machine=f",debug-mode=on,parent-role={ROLE},"
                           f"parent-id={PARENT}")
        payload = self.check(agent.document(),
                             self.property("attestation-root"))
        for i, value in payload["pcrs"].items():
            self.assertEqual(value, {3: extended(ROLE.encode()),
                                     4: extended(PARENT.encode())}
                             .get(i, ZERO), i)
        # The host can still read the real measurements.
        self.assertNotEqual(self.property("pcr0"), ZERO.hex())


class Roots(harness.Case):
    """Files that cannot be a root are refused before the guest starts."""

    def setUp(self):
        super().setUp()
        # Any listener will do: QEMU ends before it sends anything.
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.bind(str(self.dir / "peer"))
        peer.listen()

    def refuses(self, cert, key, *words):
        options = "".join(f",attestation-ca-{name}={path}" for name, path in (
            ("cert", cert), ("key", key)) if path)
        line = self.refused(*self.qemu_command(
            harness.HELLO, "-m", "128M", vsock=self.dir / "peer",
            machine=options))
        for word in words:
            self.assertIn(str(word), line)

    def test_refusals(self):
        root = attestation.Authority("root")
        cert = self.file("ca.pem", root.pem())
        key = self.file("ca.key", root.key_pem())
        gone = self.dir / "gone"
        empty = self.file("empty", b"")
        text = self.file("text", b"text\n" * 100)

        self.refuses(cert, None, "attestation-ca-key")
        self.refuses(None, key, "attestation-ca-cert")
        for path in (gone, self.dir, empty, text, key):
            self.refuses(path, key, "attestation-ca-cert", path)
        for path in (gone, self.dir, empty, text, cert):
            self.refuses(cert, path, "attestation-ca-key", path)
        self.refuses(cert, self.file(
            "other.key", attestation.Authority("root").key_pem()),
            "other.key", cert)

    def test_unfit(self):
        for words, authority in (
                (["basicConstraints"], attestation.Authority("r", ca=False)),
                (["expired"], attestation.Authority("r", life=-0.5)),
                (["SECP256R1"],
                 attestation.Authority("r", curve=ec.SECP256R1()))):
            cert = self.file("unfit.pem", authority.pem())
            key = self.file("unfit.key", authority.key_pem())
            self.refuses(cert, key, cert, *words)

    def test_file_descriptors(self):
        """QEMU closes the descriptors of files that a manager passes, so their
        sets can be removed."""
        root = attestation.Authority("root")
        options, descriptors = [], []
        for number, (name, data) in enumerate((
                ("ca.pem", root.pem()), ("ca.key", root.key_pem())), 1):
            fd = os.open(self.file(name, data), os.O_RDONLY)
            self.addCleanup(os.close, fd)
            descriptors.append(fd)
            options += ["-add-fd", f"fd={fd},set={number}"]
        qmp = self.dir / "qmp"
        self.spawn(
            harness.QEMU, "-M", "nitro-enclave,"
            "attestation-ca-cert=/dev/fdset/1,attestation-ca-key=/dev/fdset/2",
            "-accel", "qtest", "-nodefaults", "-display", "none", "-qmp",
            f"unix:{qmp},server=on,wait=off", *options, pass_fds=descriptors)
        self.wait_for(qmp)
        monitor = harness.Qmp(qmp)
        self.assertEqual(monitor.command(
            "qom-get", path="/machine", property="attestation-root"),
            root.pem().decode())
        for number in (1, 2):
            monitor.command("remove-fd", **{"fdset-id": number})
        self.assertEqual(monitor.command("query-fdsets"), [])


if __name__ == "__main__":
    harness.main()
