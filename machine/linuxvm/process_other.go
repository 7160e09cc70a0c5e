//go:build !linux

package linuxvm

import (
	"errors"
	"net"
	"os"
	"syscall"
)

func endWithUs() *syscall.SysProcAttr { return nil }

func socketPair() (net.Conn, *os.File, error) {
	return nil, nil, errors.New("the Linux guest for comparison runs on Linux hosts only")
}
