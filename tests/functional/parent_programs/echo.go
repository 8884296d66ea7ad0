// A program without any change for this project: AF_VSOCK in Go, without the
// C library.  The sockets do not block, and Go's poller waits for them.
//
//	go listen PORT              answers lines with "go LINE CID-OF-THE-CLIENT"
//	go connect CID PORT LINE    sends a line and prints the answer
//
// SPDX-License-Identifier: GPL-2.0-or-later
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	afVsock = 40
	anyCID  = 0xffffffff
)

type sockaddr struct {
	family   uint16
	reserved uint16
	port     uint32
	cid      uint32
	zero     [4]byte
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func errno(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

func newSocket() *os.File {
	fd, _, e := syscall.RawSyscall(syscall.SYS_SOCKET, afVsock,
		syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	check(errno(e), "socket")
	return os.NewFile(fd, "vsock")
}

func raw(file *os.File) syscall.RawConn {
	conn, err := file.SyscallConn()
	check(err, "SyscallConn")
	return conn
}

// The socket is bound, or connected, to an address.
func address(file *os.File, call uintptr, cid, port uint32) (e syscall.Errno) {
	to := sockaddr{family: afVsock, cid: cid, port: port}
	check(raw(file).Control(func(fd uintptr) {
		_, _, e = syscall.RawSyscall(call, fd,
			uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	}), "Control")
	return e
}

func hasPeer(fd uintptr) bool {
	var peer sockaddr
	size := uint32(unsafe.Sizeof(peer))
	_, _, e := syscall.RawSyscall(syscall.SYS_GETPEERNAME, fd,
		uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)))
	if e != syscall.ENOTCONN {
		check(errno(e), "getpeername")
	}
	return e == 0
}

func connect(cid, port uint32) *os.File {
	file := newSocket()
	e := address(file, syscall.SYS_CONNECT, cid, port)
	if e != syscall.EINPROGRESS {
		check(errno(e), "connect")
		return file
	}
	failed := 0
	check(raw(file).Write(func(fd uintptr) bool {
		var err error
		failed, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET,
			syscall.SO_ERROR)
		check(err, "SO_ERROR")
		// It can be called before the socket is writable.
		return failed != 0 || hasPeer(fd)
	}), "Write")
	check(errno(syscall.Errno(failed)), "connect")
	return file
}

func accept(listener *os.File) (*os.File, uint32) {
	var peer sockaddr
	var fd uintptr
	var e syscall.Errno
	check(raw(listener).Read(func(l uintptr) bool {
		size := uint32(unsafe.Sizeof(peer))
		fd, _, e = syscall.Syscall6(syscall.SYS_ACCEPT4, l,
			uintptr(unsafe.Pointer(&peer)),
			uintptr(unsafe.Pointer(&size)),
			syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0, 0)
		return e != syscall.EAGAIN
	}), "Read")
	check(errno(e), "accept")
	return os.NewFile(fd, "vsock"), peer.cid
}

func answer(connection *os.File, cid uint32) {
	defer connection.Close()
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err == nil {
		fmt.Fprintln(connection, "go", strings.TrimSpace(line), cid)
	}
}

func serve(port uint32) {
	listener := newSocket()
	check(errno(address(listener, syscall.SYS_BIND, anyCID, port)), "bind")
	check(raw(listener).Control(func(fd uintptr) {
		check(syscall.Listen(int(fd), 10), "listen")
	}), "Control")
	for {
		connection, cid := accept(listener)
		go answer(connection, cid)
	}
}

func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	check(err, text)
	return uint32(n)
}

func main() {
	if os.Args[1] == "listen" {
		serve(number(os.Args[2]))
	}
	connection := connect(number(os.Args[2]), number(os.Args[3]))
	_, err := fmt.Fprintln(connection, os.Args[4])
	check(err, "write")
	line, err := bufio.NewReader(connection).ReadString('\n')
	check(err, "read")
	fmt.Print(line)
}
