package qemu

import (
	"fmt"
	"os"
	"syscall"
)

// bufferSize is what a socket to QEMU holds while nobody reads, in bytes. The
// host caps it; more only saves a guest that prints a lot from waiting.
const bufferSize = 1 << 20

// channel makes a pair of connected sockets: ours for this process, theirs for
// QEMU. No other child process inherits them.
func channel(name string) (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a channel to QEMU: %w", err)
	}
	// Best effort, the caps are the host's business.
	syscall.SetsockoptInt(fds[0], syscall.SOL_SOCKET, syscall.SO_RCVBUF, bufferSize)
	syscall.SetsockoptInt(fds[1], syscall.SOL_SOCKET, syscall.SO_SNDBUF, bufferSize)
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		syscall.Close(fds[0])
		syscall.Close(fds[1])
		return nil, nil, fmt.Errorf("make a channel to QEMU: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}
