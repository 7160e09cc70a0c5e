//go:build !linux

package qemu

import "syscall"

// detached keeps the terminal's Ctrl-C from QEMU. A QEMU whose owner was killed
// is found and ended by `pith rm`.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
