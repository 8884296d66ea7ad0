"""qemu-nitro-cli parent: programs without any changes use AF_VSOCK."""
# SPDX-License-Identifier: GPL-2.0-or-later

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import textwrap
import time

import application_test
import cli_run_test
import harness

PYTHON = "/usr/bin/python3"
ANY = 0xffffffff
AGENT = 9003                    # the program's port in the enclave


class Case(cli_run_test.Case):
    def command(self, *words, enclave=None):
        only = ["--enclave", enclave] if enclave else []
        return [str(harness.NITRO_CLI), "parent", *only, "--",
                *map(str, words)]

    def run_program(self, *words, timeout=120, enclave=None, **kwargs):
        return subprocess.run(
            self.command(*words, enclave=enclave), check=False, text=True,
            timeout=timeout, stdin=subprocess.DEVNULL, env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def python(self, text, *arguments, status=0, **kwargs):
        """The output of a Python program, with `socket` and helpers"""
        start = textwrap.dedent("""
            import ctypes, errno, fcntl, os, select, signal, socket, struct, sys
            import threading, time
            V, S, Q = socket.AF_VSOCK, socket.SOCK_STREAM, \\
                socket.SOCK_SEQPACKET
            ANY = 0xffffffff
            def failure(call, *arguments):
                try:
                    call(*arguments)
                except OSError as e:
                    return errno.errorcode[e.errno]
                return "none"
            # Python's own have numbers of 64 bits alone with this family.
            def option(call, s, level, name, value, size):
                result = getattr(ctypes.CDLL(None, use_errno=True), call)(
                    s.fileno(), level, name, value, size)
                if result:
                    error = ctypes.get_errno()
                    raise OSError(error, os.strerror(error))
            def get_option(s, level, name, size):
                value, n = ctypes.create_string_buffer(size), \
                    ctypes.c_int(size)
                option("getsockopt", s, level, name, value, ctypes.byref(n))
                return value.raw[:n.value]
            def set_option(s, level, name, value):
                option("setsockopt", s, level, name, value, len(value))
            def listener(port, cid=ANY, type=S):
                s = socket.socket(V, type)
                s.bind((cid, port))
                s.listen()
                return s
            """)
        result = self.run_program(PYTHON, "-c", start + textwrap.dedent(text),
                                  *arguments, **kwargs)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout

    def background(self, *words, stdout=subprocess.PIPE, enclave=None,
                   **kwargs):
        process = self.spawn(*self.command(*words, enclave=enclave),
                             env=self.env, text=True, stdout=stdout,
                             stderr=subprocess.PIPE, **kwargs)

        # The supervisor passes the signal on: the program ends as well.
        def end():
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                pass

        self.addCleanup(end)
        return process

    def start_agent(self, *options):
        enclave = self.start(*options, image=harness.app_image("vsock-agent"))
        # The heartbeat comes before the program listens.
        self.uds_connect(self.directory(enclave) / "vsock.sock", AGENT).close()
        return enclave

    def agent(self, enclave, line):
        """Send a request to the enclave's program.  Returns its response."""
        s = self.uds_connect(self.directory(enclave) / "vsock.sock", AGENT)
        s.sendall(line.encode() + b"\n")
        answer = b""
        while data := s.recv(1000):
            answer += data
        return answer.decode().split()

    def enclave_connects(self, enclave, port, size=100000, type_=1):
        """The enclave connects to the parent, and sends."""
        return self.agent(enclave, f"connect 3 {port} {type_} {size} 1000")


class Alone(Case):
    """Without an enclave: connections between programs of the parent"""

    def test_socket(self):
        out = self.python("""
            s = socket.socket(V, S)
            print(s.getsockname(), failure(s.getpeername),
                  s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN),
                  s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE))
            print(failure(socket.socket, V, socket.SOCK_DGRAM),
                  failure(socket.socket, V, socket.SOCK_RAW),
                  failure(socket.socket, V, S, 6))
            n = socket.socket(V, S | socket.SOCK_NONBLOCK)
            print(n.gettimeout(), os.get_inheritable(n.fileno()),
                  failure(n.listen), failure(n.accept))
            print(failure(s.connect, (99, 5)), failure(s.connect, (1, 5)),
                  failure(s.connect, (ANY, 5)), failure(s.connect, (2, ANY)))
            """)
        self.assertEqual(out.splitlines(), [
            f"({ANY}, {ANY}) ENOTCONN 40 1",
            "EPROTONOSUPPORT ESOCKTNOSUPPORT EPROTONOSUPPORT",
            "0.0 False EINVAL EINVAL",
            "ENODEV ECONNRESET ENETUNREACH ENETUNREACH"])

    def test_options(self):
        out = self.python("""
            s = socket.socket(V, S)
            size = lambda name: s.getsockopt(V, name)
            print([size(i) for i in (0, 1, 2)])
            s.setsockopt(V, 2, 1 << 20)
            s.setsockopt(V, 0, 1 << 21)
            print([size(i) for i in (0, 1, 2)])
            set_option(s, V, 6, struct.pack("qq", 3, 500000))
            print(struct.unpack("qq", get_option(s, V, 6, 16)))
            print(failure(get_option, s, V, 77, 8),
                  failure(get_option, s, V, 0, 4),
                  failure(set_option, s, V, 0, b"1234"),
                  failure(set_option, s, V, 6, struct.pack("qq", -1, 0)))
            # What is of another family is not touched.
            t = socket.socket()
            print(failure(get_option, t, V, 0, 8),
                  t.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))
            """)
        self.assertEqual(out.splitlines(), [
            "[262144, 128, 262144]", "[1048576, 128, 1048576]",
            "(3, 500000)", "ENOPROTOOPT EINVAL EINVAL ERANGE",
            "ENOTSUP 2"])

    def test_local(self):
        """CID 1, 2 and 3 are the parent's own programs, for both socket types.
        """
        out = self.python("""
            for type, port in (S, 7000), (Q, 7001):
                l = listener(port, type=type)
                print(l.getsockname(), failure(l.connect, (1, 5)))
                for cid in 1, 2, 3:
                    c = socket.socket(V, type)
                    c.connect((cid, port))
                    a, peer = l.accept()
                    print(c.getpeername(), c.getsockname() == peer, peer[0],
                          a.getsockname(), a.getpeername() == peer, a.family)
                    c.sendall(b"x" * 1000)
                    c.sendall(b"y")
                    print(len(a.recv(5000)), failure(c.connect, (1, 5)))
                    c.close()
                    rest = a.recv(5000)
                    print(rest, a.recv(5000) if rest else b"")
            """)
        expected = []
        for port, sizes in (7000, (1001,)), (7001, (1000,)):
            expected.append(f"({ANY}, {port}) EINVAL")
            for cid in 1, 2, 3:
                expected += [
                    f"({cid}, {port}) True 1 (1, {port}) True 40",
                    f"{sizes[0]} EISCONN",
                    "b'' b''" if port == 7000 else "b'y' b''"]
        self.assertEqual(out.splitlines(), expected)

    def test_ports(self):
        out = self.python("""
            a, b = listener(7010), socket.socket(V, S)
            print(failure(b.bind, (ANY, 7010)), failure(b.bind, (3, 7010)),
                  failure(b.bind, (1, 7010)), failure(b.bind, (16, 7011)))
            b.bind((2, 7011))
            print(b.getsockname(), failure(b.bind, (ANY, 7012)))
            c, d = socket.socket(V, S), socket.socket(V, S)
            c.bind((ANY, ANY))
            d.bind((ANY, ANY))
            print(c.getsockname()[1] != d.getsockname()[1],
                  c.getsockname()[1] >= 1024)
            # It is bound, though it does not listen.
            e = socket.socket(V, S)
            print(failure(e.bind, (ANY, 7011)))
            # It is free when the last descriptor of it is closed.
            f = a.dup()
            a.close()
            print(failure(e.bind, (ANY, 7010)))
            f.close()
            print(failure(e.bind, (ANY, 7010)))
            """)
        self.assertEqual(out.splitlines(), [
            "EADDRINUSE EADDRINUSE EADDRINUSE EADDRNOTAVAIL",
            "(2, 7011) EINVAL", "True True", "EADDRINUSE", "EADDRINUSE",
            "none"])

    def test_other_programs(self):
        """The programs of another supervisor share the ports."""
        server = self.background(PYTHON, "-c", textwrap.dedent("""
            import socket
            s = socket.socket(socket.AF_VSOCK)
            s.bind((socket.VMADDR_CID_ANY, 7020))
            s.listen()
            print("ready", flush=True)
            c, peer = s.accept()
            c.sendall(b"hello")
            """))
        self.assertEqual(server.stdout.readline(), "ready\n")
        out = self.python("""
            s = socket.socket(V, S)
            print(failure(s.bind, (ANY, 7020)))
            s.connect((1, 7020))
            print(s.recv(10))
            """)
        self.assertEqual(out.splitlines(), ["EADDRINUSE", "b'hello'"])
        server.wait(timeout=60)
        self.assertEqual(self.python("""
            print(failure(socket.socket(V, S).bind, (ANY, 7020)))
            """), "none\n")

    def test_waiting(self):
        """accept() and poll(), with and without time-outs and signals"""
        out = self.python("""
            l = listener(7030)
            def connect():
                time.sleep(0.3)
                c = socket.socket(V, S)
                c.connect((2, 7030))
                c.sendall(b"z")
            for i in range(2):
                t = threading.Thread(target=connect)
                t.start()
                print(l.accept()[0].recv(1))
                t.join()
            l.settimeout(0.2)
            try:
                l.accept()
            except TimeoutError:
                print("timeout")
            l.setblocking(False)
            print(failure(l.accept))
            p = select.epoll()
            p.register(l, select.EPOLLIN)
            print(p.poll(0.1))
            t = threading.Thread(target=connect)
            t.start()
            print(p.poll(60) == [(l.fileno(), select.EPOLLIN)],
                  l.accept()[0].family)
            l.setblocking(True)
            set_option(l, socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                       struct.pack("qq", 0, 100000))
            print(failure(l.accept))
            set_option(l, socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                       struct.pack("qq", 0, 0))
            def handler(*_):
                raise InterruptedError
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                l.accept()
            except InterruptedError:
                print("interrupted")
            # With SA_RESTART, the call goes on.
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
            t = threading.Thread(target=connect)
            t.start()
            print(l.accept()[0].recv(1))
            """)
        self.assertEqual(out.splitlines(), [
            "b'z'", "b'z'", "timeout", "EAGAIN", "[]", "True 40", "EAGAIN",
            "interrupted", "b'z'"])

    def test_processes(self):
        """Forked and executed children, passed and inherited sockets"""
        out = self.python("""
            l = listener(7040)
            if os.fork() == 0:
                c = socket.socket(V, S)
                c.connect((3, 7040))
                c.sendall(b"child")
                os.set_inheritable(c.fileno(), True)
                os.dup2(c.fileno(), 50)
                os.execv(sys.executable, [sys.executable, "-c",
                    "import socket; s = socket.socket(fileno=50);"
                    "s.sendall(repr((s.family, s.getpeername())).encode())"])
            a, peer = l.accept()
            os.wait()
            data = b""
            while more := a.recv(100):
                data += more
            print(data)
            x, y = socket.socketpair()
            socket.send_fds(x, [b"1"], [l.fileno()])
            m = socket.socket(fileno=socket.recv_fds(y, 1, 1)[1][0])
            print(m.family, m.getsockname())
            """)
        self.assertEqual(out.splitlines(), [
            "b'child(<AddressFamily.AF_VSOCK: 40>, (3, 7040))'",
            f"40 ({ANY}, 7040)"])

    def test_child_outlives(self):
        """A daemon is served after the program has ended."""
        result = self.run_program("sh", "-c", f"""
            {PYTHON} -c '
            import socket, time
            time.sleep(1)
            s = socket.socket(socket.AF_VSOCK)
            s.bind((socket.VMADDR_CID_ANY, 7050))
            s.listen()
            s.accept()[0].sendall(b"daemon")
            ' > /dev/null 2>&1 &
            exit 7""".replace("\n            ", "\n"))
        self.assertEqual(result.returncode, 7)
        self.assertEqual(self.python("""
            for i in range(600):
                s = socket.socket(V, S)
                if failure(s.connect, (1, 7050)) == "none":
                    print(s.recv(10))
                    break
                time.sleep(0.1)
            """), "b'daemon'\n")

    def test_status(self):
        self.assertEqual(self.run_program("sh", "-c", "exit 77").returncode,
                         77)
        result = self.run_program("sh", "-c", "kill -TERM $$")
        self.assertEqual(result.returncode, -signal.SIGTERM)
        program = self.background("sh", "-c", "trap 'echo got; exit 3' TERM;"
                                  "echo ready; while :; do sleep 0.1; done")
        self.assertEqual(program.stdout.readline(), "ready\n")
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(timeout=60), 3)
        self.assertEqual(program.stdout.read(), "got\n")

    def test_ctrl_c(self):
        """The terminal signals the process group; both end."""
        program = self.background(
            PYTHON, "-c", "import socket\n"
            "s = socket.socket(socket.AF_VSOCK)\n"
            "s.bind((socket.VMADDR_CID_ANY, 7060))\n"
            "s.listen()\nprint('ready', flush=True)\ns.accept()",
            start_new_session=True)
        self.assertEqual(program.stdout.readline(), "ready\n")
        os.killpg(program.pid, signal.SIGINT)
        self.assertEqual(program.wait(timeout=60), -signal.SIGINT)
        self.assertIn("KeyboardInterrupt", program.stderr.read())

    def test_killed_supervisor(self):
        """Calls fail with ENOSYS; the port is free when the program ends."""
        program = self.background(PYTHON, "-c", textwrap.dedent("""
            import errno, os, signal, socket
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            s = socket.socket(socket.AF_VSOCK)
            s.bind((socket.VMADDR_CID_ANY, 7070))
            s.listen()
            print(os.getpid(), flush=True)
            signal.sigwait({signal.SIGUSR1})
            try:
                socket.socket(socket.AF_VSOCK)
            except OSError as e:
                print(errno.errorcode[e.errno], flush=True)
            signal.sigwait({signal.SIGUSR1})
            """))
        child = int(program.stdout.readline())
        program.kill()
        program.wait()
        used = "print(failure(socket.socket(V, S).bind, (ANY, 7070)))"
        self.assertEqual(self.python(used), "EADDRINUSE\n")
        os.kill(child, signal.SIGUSR1)
        self.assertEqual(program.stdout.readline(), "ENOSYS\n")
        os.kill(child, signal.SIGUSR1)
        self.assertEqual(program.stdout.read(), "")
        self.assertEqual(self.python(used), "none\n")

    def test_nested(self):
        out = self.run_program(*self.command(
            PYTHON, "-c", "import socket; print(socket.socket(40).family)"))
        self.assertEqual(out.stdout, "40\n", out.stderr)

    def test_bad_input(self):
        def fails(code, words, *arguments, **kwargs):
            self.fails(code, words, "parent", *arguments, **kwargs)

        fails(1, ["program"])
        fails(1, ["program"], "--")
        fails(3, ["--bad"], "--bad", "true")
        fails(1, ["--enclave"], "--enclave")
        fails(58, ["nobody"], "--enclave", "nobody", "true")
        fails(19, ["not-there"], "not-there")
        fails(19, ["/etc/passwd"], "/etc/passwd")
        fails(19, [self.dir], self.dir)
        self.assertEqual(self.call("parent", "--help").returncode, 0)
        fails(19, ["XDG_RUNTIME_DIR"], "true",
              env={"XDG_RUNTIME_DIR": "/proc/none"})

    def test_refused_by_the_system(self):
        """A container's seccomp profile may refuse what is needed."""
        start = textwrap.dedent("""
            import ctypes, os, sys
            seccomp = ctypes.CDLL("libseccomp.so.2")
            seccomp.seccomp_init.restype = ctypes.c_void_p
            allow, fail = 0x7fff0000, 0x00050000
            filter = ctypes.c_void_p(seccomp.seccomp_init(allow))
            number = seccomp.seccomp_syscall_resolve_name(
                sys.argv[1].encode())
            assert number >= 0
            assert seccomp.seccomp_rule_add(filter, fail | int(sys.argv[2]),
                                            number, 0) == 0
            assert seccomp.seccomp_load(filter) == 0
            os.execv(sys.argv[3], sys.argv[3:])
            """)
        for call, error in (("seccomp", errno.EPERM),
                            ("seccomp", errno.ENOSYS),
                            ("pidfd_open", errno.EPERM),
                            ("pidfd_getfd", errno.EPERM),
                            ("pidfd_getfd", errno.ENOSYS),
                            ("process_vm_readv", errno.EPERM)):
            with self.subTest(f"{call}: {errno.errorcode[error]}"):
                result = subprocess.run(
                    [PYTHON, "-c", start, call, str(error),
                     *self.command("echo", "started")],
                    check=False, text=True, env=self.env, timeout=60,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.explained(result, 36, [os.strerror(error)])
                self.assertIn("run-enclave --connect", result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertEqual(self.processes(), {})

    def test_descriptors(self):
        """The supervisor does not keep sockets open that the program closes.
        """
        for number in 1, 9:
            reader, writer = os.pipe()
            program = self.background(
                "sh", "-c", f"exec {number}>&-; exec sleep 60",
                preexec_fn=lambda w=writer, n=number: os.dup2(w, n),
                pass_fds=[number] if number > 2 else [])
            os.close(writer)
            with os.fdopen(reader, "rb") as file:
                self.assertEqual(file.read(), b"")
            self.assertIsNone(program.poll())

    def test_set_uid(self):
        program = self.dir / "program"
        program.write_bytes(open("/bin/echo", "rb").read())
        os.chown(program, 65534, 65534) if os.geteuid() == 0 else None
        program.chmod(0o4755)
        result = self.run_program(program, "said")
        self.assertEqual((result.returncode, result.stdout), (0, "said\n"))
        if os.geteuid() == 0:
            self.assertIn("set-uid", result.stderr)


class FullDisk(Case, cli_run_test.SmallDisk):
    """No file can be made in the runtime directory."""
    OPTIONS = "nr_inodes=100,mode=700"

    def fill(self):
        with self.assertRaises(OSError) as caught:
            for i in range(100):
                (self.room / f"fill{i}").touch()
        self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_start(self):
        self.fill()
        self.fails(19, [self.room, "space"], "parent", "true")

    def test_running(self):
        """bind() is refused; what was bound before goes on."""
        stream = self.dir.parent / f"{self.dir.name}.go"
        os.mkfifo(stream)
        self.addCleanup(stream.unlink)
        process = self.background(PYTHON, "-c", textwrap.dedent("""
            import socket, sys
            old = socket.socket(socket.AF_VSOCK)
            old.bind((2, 5000))
            old.listen()
            print("bound", flush=True)
            open(sys.argv[1]).read()
            new = socket.socket(socket.AF_VSOCK)
            for port in 5001, 0xffffffff:
                try:
                    new.bind((2, port))
                except OSError as e:
                    print(e.strerror)
            client = socket.socket(socket.AF_VSOCK)
            client.connect((2, 5000))
            client.sendall(b"data")
            print(old.accept()[0].recv(10), flush=True)
            open(sys.argv[1]).read()
            new.bind((2, 5001))
            print(new.getsockname())
            """), str(stream))
        self.assertEqual(process.stdout.readline(), "bound\n")
        self.fill()
        stream.write_text("", encoding="ascii")
        refused = "No space left on device\n"
        for line in refused, refused, "b'data'\n":
            self.assertEqual(process.stdout.readline(), line)
        for path in self.room.glob("fill*"):
            path.unlink()
        stream.write_text("", encoding="ascii")
        self.assertEqual(process.communicate(timeout=60),
                         ("(2, 5001)\n", ""))


class WithEnclaves(Case):
    def test_connect(self):
        enclave = self.start_agent()
        out = self.python("""
            cid = int(sys.argv[1])
            def talk(s):
                s.sendall(b"listen 1 7 0 0\\n")
                return s.recv(100)
            s = socket.socket(V, S)
            s.connect((cid, 9003))
            print(s.getpeername() == (cid, 9003), s.getsockname()[0],
                  failure(s.connect, (cid, 9003)), talk(s))
            # Refused; the same socket can be connected afterwards.
            s = socket.socket(V, S)
            number = s.fileno()
            print(failure(s.connect, (cid, 5)), failure(s.getpeername),
                  failure(s.connect, (cid, 5)), failure(s.connect, (77, 5)))
            s.connect((cid, 9003))
            print(s.fileno() == number, talk(s))
            s = socket.socket(V, S)
            s.setblocking(False)
            p = select.epoll()
            p.register(s, select.EPOLLOUT)
            p.poll(0)
            print(failure(s.connect, (cid, 9003)))
            p.poll(60)
            print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
                  s.getpeername() == (cid, 9003), failure(s.recv, 1))
            s.setblocking(True)
            print(talk(s))
            # With a time-out, Python's sockets do not block.
            s = socket.socket(V, S)
            s.settimeout(60)
            s.connect((cid, 9003))
            print(talk(s))
            for i in range(2):
                s = socket.socket(V, S)
                s.setblocking(False)
                print(failure(s.connect, (cid, 5)))
                ready = select.select([], [s], [], 60)[1] == [s]
                print(ready, errno.errorcode[s.getsockopt(
                    socket.SOL_SOCKET, socket.SO_ERROR)],
                    s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            """, enclave["EnclaveCID"])
        failed = "b'failed 94\\n'"       # type 7: ESOCKTNOSUPPORT
        self.assertEqual(out.splitlines(), [
            f"True 3 EISCONN {failed}",
            "ECONNRESET ENOTCONN ECONNRESET ENODEV", f"True {failed}",
            "EINPROGRESS", "0 True EAGAIN", failed, failed,
            "EINPROGRESS", "True ECONNRESET 0",
            "EINPROGRESS", "True ECONNRESET 0"])

    def test_times_out(self):
        """An enclave that does not answer: its QEMU is stopped."""
        enclave = self.start_agent()
        qemu, = [pid for pid, line in self.processes().items()
                 if "qemu-system" in line]
        self.addCleanup(os.kill, qemu, signal.SIGCONT)
        out = self.python("""
            to, qemu = (int(sys.argv[1]), 9003), int(sys.argv[2])
            os.kill(qemu, signal.SIGSTOP)
            def new():
                s = socket.socket(V, S)
                set_option(s, V, 6, struct.pack("qq", 0, 300000))
                return s
            s = new()
            start = time.monotonic()
            print(failure(s.connect, to), time.monotonic() - start >= 0.3,
                  failure(s.getpeername))
            t = new()
            t.setblocking(False)
            print(failure(t.connect, to),
                  select.select([], [t], [], 60)[1] == [t],
                  errno.errorcode[t.getsockopt(socket.SOL_SOCKET,
                                               socket.SO_ERROR)])
            # The same sockets can be connected afterwards.
            os.kill(qemu, signal.SIGCONT)
            for s in s, t:
                s.setblocking(True)
                set_option(s, V, 6, struct.pack("qq", 60, 0))
                s.connect(to)
                s.sendall(b"listen 1 7 0 0\\n")
                print(s.recv(100))
            """, enclave["EnclaveCID"], qemu)
        failed = "b'failed 94\\n'"
        self.assertEqual(out.splitlines(), [
            "ETIMEDOUT True ENOTCONN", "EINPROGRESS True ETIMEDOUT", failed,
            failed])

    def test_signals(self):
        """A signal interrupts the wait for an answer, and the kernel restarts
        the call: the result is that of the first call."""
        enclave = self.start_agent()
        out = self.python("""
            cid = int(sys.argv[1])
            l = listener(7080)
            l.setblocking(False)
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.siginterrupt(signal.SIGALRM, False)
            signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
            seen = set()
            for i in range(100):
                s = socket.socket(V, S)
                bound = failure(s.bind, (ANY, ANY))
                joined = failure(s.connect, (1, 7080))
                select.select([l], [], [], 60)
                peer = l.accept()[1][1]
                seen.add((bound, joined, peer == s.getsockname()[1]))
                s = socket.socket(V, S | socket.SOCK_NONBLOCK)
                for port in 5, 9003:
                    result = failure(s.connect, (cid, port))
                    select.select([], [s], [], 60)
                    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    # Made again, it may find that it is connected.
                    begun = result in ("EINPROGRESS", "none")
                    seen.add((port, begun, errno.errorcode.get(error)))
            signal.setitimer(signal.ITIMER_REAL, 0)
            for line in sorted(seen, key=str):
                print(*line)
            """, enclave["EnclaveCID"])
        self.assertEqual(out.splitlines(), [
            "none none True", "5 True ECONNRESET", "9003 True None"])

    LISTENER = textwrap.dedent("""
        import socket, sys
        s = socket.socket(socket.AF_VSOCK, int(sys.argv[2]))
        s.bind((socket.VMADDR_CID_ANY, int(sys.argv[1])))
        s.listen()
        print("ready", flush=True)
        while True:
            c, peer = s.accept()
            size = 0
            while data := c.recv(65536):
                size += len(data)
            c.sendall(b"thanks")
            print(peer[0], peer == c.getpeername(), c.getsockname(), size,
                  flush=True)
            c.close()
        """)

    def test_listen(self):
        """Enclaves that were started before and after, and one enclave by name
        """
        first = self.start_agent("--enclave-name", "first")
        server = self.background(PYTHON, "-c", self.LISTENER, 8000, 1)
        self.assertEqual(server.stdout.readline(), "ready\n")
        second = self.start_agent("--enclave-name", "second")
        for enclave in first, second, first:
            done = self.enclave_connects(enclave, 8000)
            self.assertEqual(done[:2], ["done", "6"])
            self.assertEqual(server.stdout.readline(),
                             f"{enclave['EnclaveCID']} True (3, 8000)"
                             " 100000\n")
        self.assertEqual(self.enclave_connects(first, 8001)[0], "failed")

        packets = self.background(PYTHON, "-c", self.LISTENER, 8002, 5)
        self.assertEqual(packets.stdout.readline(), "ready\n")
        done = self.enclave_connects(second, 8002, type_=5)
        self.assertEqual(done[:2] + done[3:], ["done", "6", "1"])

        only = self.background(PYTHON, "-c", self.LISTENER, 8003, 1,
                               enclave="second")
        self.assertEqual(only.stdout.readline(), "ready\n")
        self.assertEqual(self.enclave_connects(first, 8003)[0], "failed")
        self.assertEqual(self.enclave_connects(second, 8003)[:2],
                         ["done", "6"])


class Programs(application_test.Case, Case):
    """socat and unchanged programs in C, Python, Go and Rust, on both sides.
    The same files run in the enclave."""
    NAMES = ("c", "go", "python", "rust", "socat")
    CONTROL = 6000              # the port of the enclave's own program
    SOURCES = harness.HERE / "parent_programs"

    def make(self):
        """The files for /app in the enclave, which are also run here"""
        files = {"python": (self.SOURCES / "echo.py").read_bytes()}
        subprocess.run(["cc", "-static", "-Wall", "-Wextra", "-Werror", "-o",
                        self.dir / "c", self.SOURCES / "echo.c"], check=True)
        subprocess.run(["go", "build", "-o", self.dir / "go",
                        self.SOURCES / "echo.go"], check=True,
                       env={**os.environ, "CGO_ENABLED": "0",
                            "GO111MODULE": "off",
                            "GOCACHE": str(harness.BUILD / "go-cache")})
        subprocess.run(["rustc", "--edition", "2021", "-O", "-D", "warnings",
                        "-C", "target-feature=+crt-static", "-o",
                        self.dir / "rust", self.SOURCES / "echo.rs"],
                       check=True)
        socat = shutil.which("socat")
        listed = subprocess.run(["ldd", socat], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        for path in [socat, *re.findall(r"(/\S+)", listed)]:
            files[pathlib.Path(path).name] = pathlib.Path(path).read_bytes()
        for name in "c", "go", "rust":
            files[name] = (self.dir / name).read_bytes()
        self.file("python", files["python"])
        return files

    def server(self, name, port, directory):
        if name == "socat":
            return [*self.socat(directory), f"VSOCK-LISTEN:{port},fork",
                "PIPE"]
        return [*self.start_of(name, directory), "listen", str(port)]

    def client(self, name, cid, port, line, directory):
        """The arguments, and the text for standard input"""
        if name == "socat":
            return [*self.socat(directory), "-t60", "-",
                    f"VSOCK-CONNECT:{cid}:{port}"], line + "\n"
        return [*self.start_of(name, directory), "connect", str(cid), str(port),
                line], ""

    def socat(self, directory):
        if directory == self.dir:
            return ["socat"]
        # With the libraries of this host
        return ["/app/ld-linux-x86-64.so.2", "--library-path", "/app",
                "/app/socat"]

    def start_of(self, name, directory):
        return [*([PYTHON] if name == "python" else []), f"{directory}/{name}"]

    def answer(self, server, line, cid):
        return f"{line}\n" if server == "socat" else f"{server} {line} {cid}\n"

    def in_enclave(self, cid, words, text):
        """Let the enclave run a client.  Returns its output."""
        result = self.python("""
            s = socket.socket(V, S)
            s.settimeout(100)
            s.connect((int(sys.argv[1]), int(sys.argv[2])))
            f = s.makefile("rw")
            print(sys.argv[3], file=f, flush=True)
            print(f.readline(), end="")
            """, cid, self.CONTROL, json.dumps([words, text]))
        return json.loads(result)

    def wait_for_control(self, cid):
        self.python("""
            end = time.monotonic() + 100
            while time.monotonic() < end:
                s = socket.socket(V, S)
                if failure(s.connect, (int(sys.argv[1]),
                                       int(sys.argv[2]))) == "none":
                    sys.exit(0)
                time.sleep(0.2)
            sys.exit(1)
            """, cid, self.CONTROL)

    def test_each_with_each(self):
        files = self.make()
        there = [self.server(name, 6001 + i, "/app")
                 for i, name in enumerate(self.NAMES)]
        image = self.build({
            **files, "servers.json": json.dumps(there).encode(),
            "controller.py": (self.SOURCES / "controller.py").read_bytes()},
            ["python3", "/app/controller.py"])
        enclave, _ = self.run_application(image)
        cid = enclave["EnclaveCID"]
        for i, name in enumerate(self.NAMES):
            self.background(*self.server(name, 7001 + i, self.dir),
                            stdout=subprocess.DEVNULL)
        self.wait_for_control(cid)

        for i, server in enumerate(self.NAMES):
            for client in self.NAMES:
                line = f"from {client}"
                with self.subTest(f"{client} to {server} in the enclave"):
                    words, text = self.client(client, cid, 6001 + i, line,
                                              self.dir)
                    result = subprocess.run(
                        self.command(*words), input=text, env=self.env,
                        check=False, text=True, timeout=120,
                        stdout=subprocess.PIPE)
                    self.assertEqual((result.returncode, result.stdout), (
                        0, self.answer(server, line, 3)))
                with self.subTest(f"{client} in the enclave to {server}"):
                    words, text = self.client(client, 3, 7001 + i, line,
                                              "/app")
                    self.assertEqual(self.in_enclave(cid, words, text),
                                     self.answer(server, line, cid))


if __name__ == "__main__":
    harness.main()
