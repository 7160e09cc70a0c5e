package linuxvm

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// endWithUs makes QEMU end when this process does, and keeps a terminal's
// Ctrl-C from it.
func endWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// socketPair is a connection and the file of its other end.
func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours := os.NewFile(uintptr(fds[0]), "monitor")
	defer ours.Close() // FileConn makes its own copy
	theirs := os.NewFile(uintptr(fds[1]), "monitor")
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}
